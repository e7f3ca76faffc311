//! Signed requests against the handler, with a real database, cache and queue.

mod admission;
mod setup;
mod stats;
mod support;
mod sync;
