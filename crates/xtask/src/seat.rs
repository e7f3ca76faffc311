//! A command's place in this checkout: a folder that it has to itself for as long as it runs.
//!
//! **Invariant:** whoever holds a seat is alone in its folder, and nothing that an earlier holder started still runs there.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    checkout::Checkout,
    lock::{self, Lock},
    ports::Ports,
    services::{self, Services, Wanted},
    tools::Tools,
};

/// The place of one command.
#[derive(Debug)]
pub(crate) struct Seat {
    folder: PathBuf,
    _lock: Lock,
}

impl Seat {
    /// The place of `cargo xtask COMMAND`; fails with the words for its user when it is taken.
    pub(crate) fn take(checkout: &Checkout, command: &str) -> Result<Self> {
        let folder = checkout.state(command)?;
        let lock = lock::take(&folder.join("lock"), &format!("cargo xtask {command}"))?;
        services::end_leftovers(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// What the command keeps between two starts.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Services of the command's own, on the ports that it had before.
    pub(crate) fn services(&self, tools: &Tools, wanted: Wanted) -> Result<Services> {
        Services::start(tools, &self.folder, &mut Ports::open(&self.folder), wanted)
    }
}
