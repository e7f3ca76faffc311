//! The gateway as a client sees it, over real sockets.

mod client;
mod faults;
mod handshake;
mod harness;
mod resume;
mod transport;

/// The bot's token in these tests.
const TOKEN: &str = "test.bot.token";
