//! The PostgreSQL server's programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{apt, major};
use crate::{
    ambient,
    exec::{self, Program},
};

/// The oldest version the schema works on.
const OLDEST: u32 = 15;
/// What TimescaleDB's packaged source can be built against: preferred, when there is a choice.
const EXTENSIBLE: std::ops::RangeInclusive<u32> = 15..=17;

#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pub(crate) bin: PathBuf,
    pub(crate) version: String,
    pub(crate) major: u32,
}

impl Postgres {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    fn at(bin: &Path) -> Option<Self> {
        let complete = ["postgres", "initdb", "psql", "pg_isready"].iter().all(|name| bin.join(name).is_file());
        if !complete {
            return None;
        }
        let said = Program::new(bin.join("postgres")).arg("--version").output().ok()?;
        let major = major(&said)?;
        let version = said.split(')').nth(1).unwrap_or(&said).split_whitespace().next()?.to_owned();
        Some(Self { bin: bin.to_owned(), version: format!("PostgreSQL {version}"), major })
    }
}

pub(super) fn find_or_install() -> Result<Postgres> {
    if let Some(bin) = ambient::variable("GUILDHALL_POSTGRES_BIN") {
        let found = Postgres::at(Path::new(&bin)).with_context(|| {
            format!("GUILDHALL_POSTGRES_BIN is {bin}, where postgres, initdb, psql and pg_isready are not")
        })?;
        return accept(found);
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    if exec::find("apt-cache").is_some() {
        // A failure shows again, in full, when the package is installed.
        let _ = apt::lists();
    }
    let package = if apt::offers("postgresql-15") { "postgresql-15" } else { "postgresql" };
    apt::install("postgres", &[package], "PostgreSQL 15 or newer")?;
    find().context("PostgreSQL was installed, but no version from 15 on is in /usr/lib/postgresql\n  install PostgreSQL 15 or newer, or set GUILDHALL_POSTGRES_BIN to the folder of its programs")
}

fn accept(found: Postgres) -> Result<Postgres> {
    if found.major < OLDEST {
        bail!("{} is {}: PostgreSQL {OLDEST} or newer is needed", found.bin.display(), found.version);
    }
    Ok(found)
}

fn find() -> Option<Postgres> {
    let versioned = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versioned.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    folders.extend(exec::find("postgres").and_then(|path| Some(path.parent()?.to_owned())));
    let found = folders.iter().filter_map(|bin| Postgres::at(bin)).filter(|found| found.major >= OLDEST);
    found.max_by_key(|found| rank(found.major))
}

/// The newest wins, but one that can have TimescaleDB wins over one that cannot.
fn rank(major: u32) -> (bool, u32) {
    (EXTENSIBLE.contains(&major), major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretend(folder: &Path, banner: &str) {
        for name in ["postgres", "initdb", "psql", "pg_isready"] {
            std::fs::write(folder.join(name), format!("#!/bin/sh\necho '{banner}'\n")).unwrap();
            std::os::unix::fs::PermissionsExt::set_mode(
                &mut std::fs::metadata(folder.join(name)).unwrap().permissions(),
                0o755,
            );
            Program::new("chmod").arg("755").arg(folder.join(name)).output().unwrap();
        }
    }

    #[test]
    fn an_installation_is_recognised_by_its_programs() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Postgres::at(folder.path()).is_none());
        pretend(folder.path(), "postgres (PostgreSQL) 16.4 (Debian 16.4-1)");
        let found = Postgres::at(folder.path()).unwrap();
        assert_eq!((found.version.as_str(), found.major), ("PostgreSQL 16.4", 16));
    }

    #[test]
    fn an_old_one_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        pretend(folder.path(), "postgres (PostgreSQL) 13.9");
        let error = accept(Postgres::at(folder.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 13.9") && error.contains("15 or newer"), "{error}");
    }

    #[test]
    fn the_newest_that_can_be_extended_is_taken() {
        let mut majors = [18, 15, 17, 16];
        majors.sort_by_key(|&major| rank(major));
        assert_eq!(majors.last(), Some(&17));
    }
}
