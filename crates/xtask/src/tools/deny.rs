//! cargo-deny, built once into the cache: it has to agree with the lock file's format, and distributions lack it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{cache::Cache, console, exec::Program};

const VERSION: &str = "0.20.2";

pub(crate) fn cargo_deny(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry(&format!("cargo-deny-{VERSION}"), |path| {
        let task = console::task("cargo-deny", &format!("building {VERSION}, once, in about four minutes"));
        Program::new("cargo")
            .args(["install", "cargo-deny", "--quiet", "--locked", "--no-default-features", "--version", VERSION, "--root"])
            .arg(path)
            .env("CARGO_TARGET_DIR", path.join("target"))
            .output()
            .context("cargo-deny could not be built from crates.io\n  is there a network? what was begun is done again at the next start")?;
        // A build folder many times the size of the program.
        std::fs::remove_dir_all(path.join("target")).context("cannot remove the build folder of cargo-deny")?;
        task.done("built");
        Ok(())
    })?;
    Ok(entry.join("bin/cargo-deny"))
}
