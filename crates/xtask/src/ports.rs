//! Loopback ports, remembered between starts.
//!
//! Ports are searched below the range that outgoing connections are given (32768 and up), starting at a place derived from the
//! checkout's path: two checkouts do not meet, and a bookmark keeps working.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{cache::fingerprint, console};

const FIRST: u16 = 20_000;
const LAST: u16 = 30_000;

#[derive(Debug)]
pub(crate) struct Ports {
    file: PathBuf,
    chosen: BTreeMap<String, u16>,
    next: u16,
}

impl Ports {
    pub(crate) fn open(state: &Path) -> Self {
        let file = state.join("ports.json");
        // A damaged file only costs the memory of the last choice.
        let chosen =
            std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let spread = fingerprint(&[&state.to_string_lossy()]) % u64::from(LAST - FIRST);
        let next = FIRST + u16::try_from(spread / 10 * 10).unwrap_or(0);
        Self { file, chosen, next }
    }

    /// The port used last time when it is free, otherwise the next free one.
    pub(crate) fn choose(&mut self, name: &str) -> Result<u16> {
        let before = self.chosen.get(name).copied();
        if let Some(port) = before.filter(|&port| is_free(port)) {
            return Ok(port);
        }
        let port = self.search(is_free)?;
        if let Some(before) = before {
            console::note(name, &format!("port {before} is taken by another program, using {port}"));
        }
        self.chosen.insert(name.to_owned(), port);
        let json = serde_json::to_vec_pretty(&self.chosen).context("cannot write the ports")?;
        std::fs::write(&self.file, json).with_context(|| format!("cannot write {}", self.file.display()))?;
        Ok(port)
    }

    fn search(&mut self, free: impl Fn(u16) -> bool) -> Result<u16> {
        for _ in FIRST..LAST {
            let candidate = self.next;
            self.next = if candidate + 1 >= LAST { FIRST } else { candidate + 1 };
            if !self.chosen.values().any(|&port| port == candidate) && free(candidate) {
                return Ok(candidate);
            }
        }
        bail!("no port between {FIRST} and {LAST} is free on 127.0.0.1")
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_remembered_until_another_program_takes_it() {
        let state = tempfile::tempdir().unwrap();
        let first = Ports::open(state.path()).choose("redis").unwrap();
        assert_eq!(Ports::open(state.path()).choose("redis").unwrap(), first);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let second = Ports::open(state.path()).choose("redis").unwrap();
        assert_ne!(second, first);
    }

    #[test]
    fn two_services_never_share_one() {
        let state = tempfile::tempdir().unwrap();
        let mut ports = Ports::open(state.path());
        assert_ne!(ports.choose("a").unwrap(), ports.choose("b").unwrap());
    }

    #[test]
    fn when_nothing_is_free_it_says_so() {
        let state = tempfile::tempdir().unwrap();
        let error = Ports::open(state.path()).search(|_| false).unwrap_err().to_string();
        assert!(error.contains("no port"), "{error}");
    }

    #[test]
    fn a_damaged_memory_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("ports.json"), "{\"redis\":").unwrap();
        Ports::open(state.path()).choose("redis").unwrap();
    }
}
