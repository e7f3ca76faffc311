//! The whole system in one process: the Discord double, the queues and the table on a local AWS emulator, and every
//! function behind the same events AWS would hand it.
//!
//! **Invariant:** functions run through their public handlers only; what passes here passes on Lambda.
//! **Invariant:** nothing listens on anything but loopback.

pub mod commands;
pub mod event_source;
pub mod history;
pub mod http;
pub mod provision;
pub mod redrive;
pub mod seed;
pub mod stack;
mod watch;
