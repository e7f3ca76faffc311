//! The system clock, for mains only.

use guildhall_domain::{Clock, Timestamp};

/// The clock of the machine. Only a `main` builds it; everything below takes a [`Clock`].
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
pub fn system_clock() -> Clock {
    Clock::new(|| Timestamp::from_utc(chrono::DateTime::from(std::time::SystemTime::now())))
}
