//! Whoever does the work of a benchmark.

use std::fmt;

use anyhow::Result;
use serde_json::Value;

use crate::cpu::{self, Core};
use crate::{Peer, Sample};

/// How much work a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Enough for a figure.
    Full,
    /// As little as shows that the contestants compute the same.
    Tiny,
}

impl Scale {
    /// The amount of work for this scale.
    pub const fn of(self, full: u64, tiny: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Tiny => tiny,
        }
    }
}

type Round = Box<dyn FnMut(Scale) -> Result<Sample>>;

/// One of those compared.
pub struct Contestant {
    name: &'static str,
    round: Round,
}

impl Contestant {
    /// A contestant in this process, or one that the closure speaks to. Whatever it keeps alive (a runtime, a child
    /// process, a database) lives in the closure and ends with it.
    pub fn new(name: &'static str, round: impl FnMut(Scale) -> Result<Sample> + 'static) -> Self {
        Self { name, round: Box::new(round) }
    }

    /// As [`Contestant::new`], for work that is done on this thread: each round stays on the core of what is measured.
    pub fn here(name: &'static str, mut round: impl FnMut(Scale) -> Result<Sample> + 'static) -> Self {
        Self::new(name, move |scale| cpu::on(Core::Measured, || round(scale)))
    }

    /// A contestant in a process of its own, asked once a round.
    pub fn peer(name: &'static str, mut peer: Peer, request: impl Fn(Scale) -> Value + 'static) -> Self {
        Self::new(name, move |scale| peer.ask(&request(scale)))
    }

    /// What figures call it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Does one round.
    ///
    /// # Errors
    /// When the work cannot be done.
    pub fn round(&mut self, scale: Scale) -> Result<Sample> {
        (self.round)(scale)
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant").field("name", &self.name).finish_non_exhaustive()
    }
}
