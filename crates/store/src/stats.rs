//! The numbers, as they are shown.
//!
//! **Invariant:** every answer is read from counters that are exact at commit; nothing is estimated or sampled.
//! **Invariant:** a kind that never happened is absent, not zero, so that equal numbers are equal values.

mod channels;
mod guilds;
mod leaderboard;
mod members;
mod now;
mod totals;

pub use channels::{channel_series, channel_totals, top_channels};
pub use guilds::{guild_series, guild_totals};
pub use leaderboard::{Rank, Standing, leaderboard};
pub use members::{member_series, member_top_channels, member_totals, top_members};
pub use now::{Freshness, Gap, Gauges, coverage_gaps, freshness, latest_gauges, open_voice};
pub use totals::Totals;

pub(crate) use totals::VOICE_MILLIS;
