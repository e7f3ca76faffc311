//! The gateway as a client sees it, over real sockets.

mod binary;
mod client;
mod faults;
mod handshake;
mod harness;
mod http;
mod resume;
mod traffic;
mod transport;

/// The bot's token in these tests.
const TOKEN: &str = "test.bot.token";
