//! The per-user cache of what was installed: `${XDG_CACHE_HOME:-~/.cache}/guildhall`, or `GUILDHALL_CACHE`.
//!
//! **Invariant:** an entry without its marker is not there. The marker is written last, so an installation that was cut
//! short is done again from the start.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{ambient, console, lock};

const MARKER: &str = ".complete";

#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn open() -> Result<Self> {
        let root = match (ambient::variable("GUILDHALL_CACHE"), ambient::variable("XDG_CACHE_HOME")) {
            (Some(own), _) => PathBuf::from(own),
            (None, Some(shared)) => Path::new(&shared).join("guildhall"),
            (None, None) => {
                let home = ambient::variable("HOME").context(
                    "neither HOME nor GUILDHALL_CACHE is set\n  set GUILDHALL_CACHE to a folder for downloads",
                )?;
                Path::new(&home).join(".cache/guildhall")
            }
        };
        Self::at(root)
    }

    pub(crate) fn at(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).with_context(|| {
            format!("cannot create the cache {}\n  set GUILDHALL_CACHE to a folder you may write to", root.display())
        })?;
        Ok(Self { root })
    }

    /// The folder of `entry`, made by `install` when it is not complete. `entry` names the version of all that goes in.
    pub(crate) fn entry(&self, entry: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.root.join(entry);
        if path.join(MARKER).is_file() {
            return Ok(path);
        }
        let _turn = lock::wait(&self.root.join("lock"))?;
        // Another checkout may have installed it while this one waited.
        if path.join(MARKER).is_file() {
            return Ok(path);
        }
        if path.exists() {
            console::note(
                "cache",
                &format!("{entry} is incomplete (an installation was cut short), starting it again"),
            );
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        install(&path)?;
        ambient::check_stop()?;
        std::fs::write(path.join(MARKER), "").with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(path)
    }
}

/// FNV-1a: stable across compilers and releases, which the standard hasher is not.
pub(crate) fn fingerprint(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_complete_entry_is_not_installed_twice() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let mut installs = 0;
        for _ in 0..2 {
            cache
                .entry("tool-1", |_| {
                    installs += 1;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(installs, 1);
    }

    #[test]
    fn a_half_finished_entry_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let failed = cache.entry("tool-1", |path| {
            std::fs::write(path.join("half"), "")?;
            bail!("the network went away")
        });
        assert!(failed.is_err());
        let path = cache.entry("tool-1", |path| Ok(std::fs::write(path.join("whole"), "")?)).unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
    }

    #[test]
    fn fingerprints_tell_parts_apart() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&[]), 0xcbf2_9ce4_8422_2325);
    }
}
