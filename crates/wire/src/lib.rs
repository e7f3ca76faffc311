//! The envelope that carries counted events from the runner to ingest.
//!
//! **Invariant:** an event is identified by (session id, sequence, index in its frame); two envelopes that cover the
//! same sequence of the same session and class carry the same events for it, whatever their boundaries.
//! **Invariant:** an envelope states the range of sequences it covers for its class, those that carried nothing
//! countable included, so that consecutive ranges of one connection touch.
//! **Invariant:** gauges and coverage gaps have identities of their own and are applied whatever the range says.
//! **Invariant:** every version ever shipped stays readable; `tests/golden` holds one of each.

mod codec;
mod envelope;

pub use codec::{DecodeError, MAX_BODY_BYTES, MAX_DECODED_BYTES, decode, encode};
pub use envelope::{CoverageGap, Envelope, Event, EventBody, GuildGauges, MAX_EVENTS, SeqRange};
