//! Cargo's own helpers, built once into the cache: they have to agree with the lock file's format or the compiler, and
//! distributions lack them.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{cache::Cache, console, exec::Program};

const DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", arguments: &["--no-default-features"], minutes: "four minutes" };
const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2", arguments: &[], minutes: "one minute" };

struct Tool {
    name: &'static str,
    version: &'static str,
    arguments: &'static [&'static str],
    minutes: &'static str,
}

pub(crate) fn cargo_deny(cache: &Cache) -> Result<PathBuf> {
    DENY.ready(cache)
}

pub(crate) fn cargo_fuzz(cache: &Cache) -> Result<PathBuf> {
    FUZZ.ready(cache)
}

impl Tool {
    fn ready(&self, cache: &Cache) -> Result<PathBuf> {
        let Self { name, version, arguments, minutes } = self;
        let entry = cache.entry(&format!("{name}-{version}"), |path| {
            let task = console::task(name, &format!("building {version}, once, in about {minutes}"));
            Program::new("cargo")
                .args(["install", name, "--quiet", "--locked", "--version", version])
                .args(*arguments)
                .arg("--root")
                .arg(path)
                .env("CARGO_TARGET_DIR", path.join("target"))
                .output()
                .with_context(|| format!("{name} could not be built from crates.io\n  is there a network? what was begun is done again at the next start"))?;
            // A build folder many times the size of the program.
            std::fs::remove_dir_all(path.join("target"))
                .with_context(|| format!("cannot remove the build folder of {name}"))?;
            task.done("built");
            Ok(())
        })?;
        Ok(entry.join("bin").join(name))
    }
}
