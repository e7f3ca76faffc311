//! One `run` (or `test`) per checkout at a time.
//!
//! **Invariant:** the lock is the kernel's, on an open file, so a process that died, however it died, holds nothing.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};

#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock or says who holds it; `who` is the command in the words of the user.
pub(crate) fn take(path: &Path, who: &str) -> Result<Lock> {
    let mut file = open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).context("cannot read the lock")?;
            let pid = pid.trim();
            bail!(
                "`{who}` is already running in this checkout, as process {pid}\n  stop it with Ctrl-C in its terminal, or: kill {pid}"
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.set_len(0).context("cannot write the lock")?;
    file.rewind().context("cannot write the lock")?;
    write!(file, "{}", std::process::id()).context("cannot write the lock")?;
    Ok(Lock { _file: file })
}

/// Waits its turn: for work whose result the next holder can use.
pub(crate) fn wait(path: &Path) -> Result<Lock> {
    let file = open(path)?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(Lock { _file: file })
}

/// The process that holds the lock, if one does.
pub(crate) fn holder(path: &Path) -> Option<i32> {
    let mut file = File::open(path).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).ok()?;
            pid.trim().parse().ok()
        }
        _ => None,
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_came_first_and_the_third_gets_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = take(&path, "cargo xtask run").unwrap();
        let refused = take(&path, "cargo xtask run").unwrap_err().to_string();
        assert!(refused.contains(&format!("as process {}", std::process::id())), "{refused}");
        assert_eq!(holder(&path), i32::try_from(std::process::id()).ok());
        drop(first);
        assert_eq!(holder(&path), None);
        take(&path, "cargo xtask run").unwrap();
    }
}
