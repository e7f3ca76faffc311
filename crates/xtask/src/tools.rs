//! Finds what the commands need on this machine, or installs it: from the distribution, PyPI, npm and crates.io only.
//!
//! What comes from the distribution is installed with apt and never started as a service of the machine. All else goes
//! into the per-user cache.

mod apt;
mod crates_io;
mod faketime;
mod node;
mod postgres;
mod prometheus;
mod python;
mod timescale;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub(crate) use crates_io::{cargo_deny, cargo_fuzz};
pub(crate) use faketime::{FAKETIME, faketime};
pub(crate) use node::install_packages;
pub(crate) use postgres::Postgres;
pub(crate) use prometheus::Prometheus;
pub(crate) use python::{cargo_lambda, sam_cli};

use crate::{cache::Cache, console, exec};

/// What the services are started from.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) postgres: Postgres,
    /// The version, when TimescaleDB is installed for that PostgreSQL.
    pub(crate) timescale: Option<String>,
    pub(crate) redis: PathBuf,
    pub(crate) ministack: PathBuf,
}

impl Tools {
    /// Everything `run` and `test` need. TimescaleDB is the one part that may be absent: the schema works without it.
    pub(crate) fn ready(cache: &Cache) -> Result<Self> {
        let postgres = postgres::find_or_install()?;
        console::note("postgres", &format!("{} in {}", postgres.version, postgres.bin.display()));
        let timescale = match timescale::find_or_build(cache, &postgres) {
            Ok(version) => {
                console::note("timescaledb", &version);
                Some(version)
            }
            Err(error) => {
                crate::ambient::check_stop()?;
                console::warn("timescaledb", &format!("cannot be had here: {error:#}"));
                console::note("timescaledb", "going on with plain PostgreSQL, on which the same schema works");
                None
            }
        };
        let redis = redis()?;
        let ministack = python::ministack(cache)?;
        Ok(Self { postgres, timescale, redis, ministack })
    }

    /// Only PostgreSQL, for commands that need no more.
    pub(crate) fn postgres_only() -> Result<Self> {
        let postgres = postgres::find_or_install()?;
        Ok(Self { postgres, timescale: None, redis: PathBuf::new(), ministack: PathBuf::new() })
    }
}

fn redis() -> Result<PathBuf> {
    let look = || ["redis-server", "valkey-server"].into_iter().find_map(exec::find);
    if let Some(found) = look() {
        return Ok(found);
    }
    apt::install("redis", &["redis-server"], "a Redis-protocol server (redis-server or valkey-server)")?;
    look().ok_or_else(|| anyhow::anyhow!("redis-server was installed but is not on PATH"))
}

/// Docker from the distribution, which is not started.
pub(crate) fn docker() -> Result<()> {
    apt::install("docker", &["docker.io", "iptables"], "Docker")
}

/// A shell that needs no libraries.
pub(crate) fn static_shell() -> Result<PathBuf> {
    let shell = Path::new("/bin/busybox");
    apt::install("busybox", &["busybox-static"], "a shell without libraries (busybox-static)")?;
    anyhow::ensure!(shell.is_file(), "busybox-static was installed but {} is not there", shell.display());
    Ok(shell.to_owned())
}

/// The first number of a version: `15.20 (Debian …)` is 15.
fn major(version: &str) -> Option<u32> {
    let digits: String = version.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A folder's regular files, with paths relative to it.
fn files_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major("PostgreSQL 17beta2"), Some(17));
        assert_eq!(major("none"), None);
    }
}
