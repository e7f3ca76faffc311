//! When, and where, the next connection begins.
//!
//! The library's own pauses double up to minutes, while Discord forgets a session that nobody resumes after a few; so
//! each attempt is a new shard of the library's, for which it does not pause.
//!
//! **Invariant:** while the gateway is away, an attempt begins at most [`LONGEST`] after the one before has failed.
//! **Invariant:** only a connection that was of use for [`CALM`] is followed at once by another.
//! **Invariant:** attempts alternate between the session's own address and the gateway's: either may be dead.

use std::time::Duration;

use tokio::time::Instant;
use twilight_gateway::{ConfigBuilder, Session, Shard};

use super::{Deps, Reader};
use crate::identify::Slot;
use crate::lease::Lease;
use secrecy::ExposeSecret as _;

/// The longest pause before an attempt.
const LONGEST: Duration = Duration::from_secs(5);
/// The pause after the first attempt that was in vain is at most this long; it doubles from there.
const FIRST: Duration = Duration::from_secs(1);
/// How long a session must be received for its connection to have been of use.
const CALM: Duration = Duration::from_secs(2);
/// How long the gateway may take for its first word.
const HELLO: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There is no connection; the next attempt may begin then.
    Down { due: Instant },
    /// There is a connection, on which nothing was said yet.
    Silent { since: Instant },
    /// There is a connection.
    Up { receiving_since: Option<Instant> },
}

/// The pauses between a shard's connections.
pub(super) struct Dial {
    /// Tells shards apart, so that they do not all come at the same moment.
    seed: u64,
    /// Attempts since the last that was of use.
    vain: u32,
    state: State,
}

impl Dial {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self { seed, vain: 0, state: State::Down { due: now } }
    }

    /// Notes whether there is a connection; `true` when it has just gone.
    pub(super) fn note(&mut self, connected: bool, now: Instant) -> bool {
        match (self.state, connected) {
            (State::Down { .. }, true) => self.state = State::Silent { since: now },
            (State::Silent { .. }, false) => self.in_vain(now),
            (State::Up { receiving_since }, false) => {
                if receiving_since.is_some_and(|since| now.duration_since(since) >= CALM) {
                    self.vain = 0;
                    self.state = State::Down { due: now };
                } else {
                    self.in_vain(now);
                }
            }
            _ => return false,
        }
        !connected
    }

    /// The attempt has failed, or its connection was given up.
    pub(super) fn in_vain(&mut self, now: Instant) {
        self.vain = self.vain.saturating_add(1);
        self.state = State::Down { due: now + pause(self.vain, self.seed) };
    }

    /// Something was said.
    pub(super) fn heard(&mut self) {
        if let State::Silent { .. } = self.state {
            self.state = State::Up { receiving_since: None };
        }
    }

    /// Events of the session are received.
    pub(super) fn receiving(&mut self, now: Instant) {
        self.state = State::Up { receiving_since: Some(now) };
    }

    /// Whether an attempt may go on.
    pub(super) fn may_connect(&self, now: Instant) -> bool {
        !matches!(self.state, State::Down { due } if now < due)
    }

    /// When something is to be done: the next attempt, or the end of a silent connection.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Down { due } => (now < due).then_some(due),
            State::Silent { since } => Some(since + HELLO),
            State::Up { .. } => None,
        }
    }

    /// Whether the gateway took the connection and then said nothing.
    pub(super) fn is_mute(&self, now: Instant) -> bool {
        matches!(self.state, State::Silent { since } if now.duration_since(since) >= HELLO)
    }

    /// Whether the next attempt goes to the session's own address.
    const fn to_own_address(&self) -> bool {
        self.vain.is_multiple_of(2)
    }
}

/// The pause before an attempt, after this many in vain: between a half and the whole of what doubles.
fn pause(vain: u32, seed: u64) -> Duration {
    if vain == 0 {
        return Duration::ZERO;
    }
    let whole = FIRST.saturating_mul(1 << (vain - 1).min(8)).min(LONGEST);
    // Any number that differs from shard to shard and from time to time will do.
    let spread = (seed ^ u64::from(vain)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    whole / 2 + (whole / 2).mul_f64(float(spread) / float(u64::from(u32::MAX)))
}

#[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
const fn float(value: u64) -> f64 {
    value as f64
}

impl Reader<'_> {
    /// A shard of the library's that connects when it is first polled: to resume when there is a session.
    pub(super) fn connect(
        deps: &Deps,
        lease: &Lease,
        slot: Slot,
        resume: Option<(Session, Option<String>)>,
    ) -> Shard<Slot> {
        let mut config = ConfigBuilder::new(deps.token.expose_secret().to_owned(), deps.intents).queue(slot);
        if let Some(url) = &deps.gateway_url {
            config = config.proxy_url(url.clone());
        }
        if let Some((session, url)) = resume {
            config = config.session(session);
            if let Some(url) = url {
                config = config.resume_url(url);
            }
        }
        let shard = lease.shard();
        Shard::with_config(twilight_gateway::ShardId::new(shard.id, shard.count), config.build())
    }

    /// Begins anew after an attempt in vain, with the session as it is.
    pub(super) fn redial(&mut self) {
        self.dial.in_vain(Instant::now());
        let own = self.dial.to_own_address().then(|| self.resume_url.clone()).flatten();
        let resume = self.shard.session().map(|session| (session.clone(), own));
        self.shard = Self::connect(self.deps, self.lease, self.slot.clone(), resume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_soon_after_the_one_before_however_long_the_gateway_is_away() {
        for seed in 0..200 {
            let mut dial = Dial::new(seed, Instant::now());
            assert!(dial.may_connect(Instant::now()), "the first at once");
            let began = Instant::now();
            let mut attempts = 0;
            while began.elapsed() < Duration::from_secs(600) {
                dial.in_vain(Instant::now());
                attempts += 1;
                let wait = dial.wake(Instant::now()).expect("a pause") - Instant::now();
                assert!(wait <= LONGEST, "{wait:?} after {attempts}");
                assert!(wait >= FIRST / 2, "{wait:?} hammers");
                assert!(!dial.may_connect(Instant::now()));
                tokio::time::advance(wait).await;
                assert!(dial.may_connect(Instant::now()));
            }
            assert!(attempts < 300, "{attempts} in ten minutes");
        }
        assert_ne!(pause(3, 1), pause(3, 2), "shards do not come together");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_of_use_is_followed_at_once_and_others_are_not() {
        let mut dial = Dial::new(1, Instant::now());
        for _ in 0..3 {
            assert!(!dial.note(true, Instant::now()));
            dial.heard();
            dial.receiving(Instant::now());
            tokio::time::advance(CALM).await;
            assert!(dial.note(false, Instant::now()), "it has just gone");
            assert!(!dial.note(false, Instant::now()), "and is still gone");
            assert!(dial.may_connect(Instant::now()));
        }
        // Taken and dropped again and again, with or without a word.
        for word in [false, true, false, true] {
            dial.note(true, Instant::now());
            if word {
                dial.heard();
                dial.receiving(Instant::now());
            }
            dial.note(false, Instant::now());
            assert!(!dial.may_connect(Instant::now()));
            tokio::time::advance(LONGEST).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_word_is_given_up() {
        let mut dial = Dial::new(1, Instant::now());
        dial.note(true, Instant::now());
        assert_eq!(dial.wake(Instant::now()), Some(Instant::now() + HELLO));
        tokio::time::advance(HELLO).await;
        assert!(dial.is_mute(Instant::now()));
        dial.heard();
        assert!(!dial.is_mute(Instant::now()) && dial.wake(Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn both_addresses_get_their_turn() {
        let mut dial = Dial::new(1, Instant::now());
        let turns: Vec<_> = (0..4)
            .map(|_| {
                dial.in_vain(Instant::now());
                dial.to_own_address()
            })
            .collect();
        assert_eq!(turns, [false, true, false, true]);
    }
}
