//! Packages from npm that tests run: exactly those of a committed lock file.
//!
//! They are installed once per lock file, in the cache, and linked into the folder that uses them: module resolution
//! looks there and nowhere else.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::apt;
use crate::{
    cache::{Cache, fingerprint},
    console,
    exec::{self, Program},
};

/// Which installation `node_modules` is a copy of.
const MARKER: &str = "node_modules/.guildhall";

/// Puts `node_modules` beside the `package-lock.json` in `folder`.
pub(crate) fn install_packages(cache: &Cache, folder: &Path, name: &str) -> Result<()> {
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (manifest, lock) = (read("package.json")?, read("package-lock.json")?);
    let key = format!("npm/{name}-{:016x}", fingerprint(&[&manifest, &lock]));
    let npm = npm()?;
    let installed = cache.entry(&key, |path| {
        let task = console::task("npm", &format!("installing the packages of {name}"));
        fs::write(path.join("package.json"), &manifest)?;
        fs::write(path.join("package-lock.json"), &lock)?;
        Program::new(&npm)
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(path)
            .output()
            .with_context(|| format!("the npm packages of {name} could not be installed\n  is there a network? what was begun is done again at the next start"))?;
        task.done("installed");
        Ok(())
    })?;
    if fs::read_to_string(folder.join(MARKER)).is_ok_and(|found| found == key) {
        return Ok(());
    }
    let modules = folder.join("node_modules");
    if modules.exists() {
        fs::remove_dir_all(&modules).with_context(|| format!("cannot remove {}", modules.display()))?;
    }
    let copy = |how: &str| Program::new("cp").arg(how).arg(installed.join("node_modules")).arg(folder).output();
    // Links are instant, but cannot cross file systems.
    if copy("-al").is_err() {
        let _ = fs::remove_dir_all(&modules);
        copy("-a").with_context(|| format!("cannot copy npm packages to {}", folder.display()))?;
    }
    fs::write(folder.join(MARKER), key).with_context(|| format!("cannot write to {}", modules.display()))
}

fn npm() -> Result<std::path::PathBuf> {
    match exec::find("npm") {
        Some(npm) => Ok(npm),
        None => {
            apt::install("npm", &["nodejs", "npm"], "Node.js with npm")?;
            exec::find("npm").context("npm was installed but is not on PATH")
        }
    }
}
