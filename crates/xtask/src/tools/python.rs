//! Python programs, each set in a virtual environment of its own: their pins exclude each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt;
use crate::{
    cache::{Cache, fingerprint},
    console,
    exec::{self, Program},
};

/// Every package with its version, so that two machines get the same.
const MINISTACK: &str = include_str!("../../python/ministack.txt");
const SAM: &str = include_str!("../../python/sam.txt");
const CARGO_LAMBDA: &str = include_str!("../../python/cargo-lambda.txt");

/// The emulator of SQS and DynamoDB.
pub(super) fn ministack(cache: &Cache) -> Result<PathBuf> {
    environment(cache, "ministack", MINISTACK).map(|environment| environment.join("bin/ministack"))
}

/// The AWS SAM command line.
pub(crate) fn sam_cli(cache: &Cache) -> Result<PathBuf> {
    environment(cache, "sam", SAM).map(|environment| environment.join("bin/sam"))
}

/// The folder with `cargo-lambda`, and with the Python through which it finds its linker, Zig. It goes first on PATH.
pub(crate) fn cargo_lambda(cache: &Cache) -> Result<PathBuf> {
    environment(cache, "cargo-lambda", CARGO_LAMBDA).map(|environment| environment.join("bin"))
}

fn environment(cache: &Cache, name: &'static str, requirements: &str) -> Result<PathBuf> {
    let python = interpreter()?;
    let version = Program::new(&python).arg("--version").output()?;
    // An environment is bound to its interpreter, so both are its version.
    let key = fingerprint(&[requirements, &version, &python.to_string_lossy()]);
    cache.entry(&format!("python/{name}-{key:016x}"), |path| {
        let pinned = requirements.lines().find(|line| line.contains(name)).unwrap_or(name);
        let task = console::task(name, &format!("installing {pinned} from PyPI"));
        create(&python, path)?;
        let list = path.join("requirements.txt");
        std::fs::write(&list, requirements).with_context(|| format!("cannot write {}", list.display()))?;
        Program::new(path.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "-r"])
            .arg(&list)
            .output()
            .with_context(|| format!("{name} could not be installed from PyPI\n  is there a network? what was begun is done again at the next start"))?;
        task.done("installed");
        Ok(())
    })
}

fn interpreter() -> Result<PathBuf> {
    match exec::find("python3") {
        Some(python) => Ok(python),
        None => {
            apt::install("python", &["python3", "python3-venv"], "Python 3")?;
            exec::find("python3").context("Python was installed but is not on PATH")
        }
    }
}

fn create(python: &Path, path: &Path) -> Result<()> {
    // Debian splits this off the standard library.
    if !Program::new(python).args(["-c", "import ensurepip, venv"]).succeeds() {
        apt::install("python", &["python3-venv"], "Python's venv module")?;
    }
    Program::new(python)
        .args(["-m", "venv"])
        .arg(path)
        .output()
        .map(drop)
        .context("Python could not create a virtual environment")
}
