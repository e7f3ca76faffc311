//! What happens on a schedule: snapshots of hours and days, and the end of what is kept for a time only.
//!
//! **Invariant:** snapshots are copies of counters, made again whenever those change; nothing exact depends on them.
//! **Invariant:** two rollups at once share the work: each locks what it refreshes and skips what the other holds, and of one
//! guild's hours and days one at a time reads the counters, so that the later copy is the newer one.
//! **Invariant:** nothing is removed that a late delivery could still need to be counted once and rightly.

mod members;
mod retention;
mod snapshots;

pub use members::reset_members;
pub use retention::{Removed, retain};
pub use snapshots::{Refreshed, left, refresh};
