//! What a benchmark finds when it is prepared: services, packages of peers, the project's own binaries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use guildhall_runtime::Environment;

/// Where the project's binaries lie: `DIR/NAME`. Without it, contestants that need one are left out.
const BINARIES: &str = "GUILDHALL_BENCH_BINARIES";
/// Where those lie that were built as they are deployed.
const DEPLOYED: &str = "GUILDHALL_BENCH_DEPLOYED";
/// Where PostgreSQL's programs lie.
const POSTGRES_BIN: &str = "GUILDHALL_BENCH_POSTGRES_BIN";
/// Where the peers' packages are listed; without it, in this crate.
const PEERS: &str = "GUILDHALL_BENCH_PEERS";

/// The surroundings of a run.
pub struct Setup {
    environment: Environment,
    lenient: Option<PathBuf>,
    scratch: tempfile::TempDir,
}

impl Setup {
    /// As `cargo xtask bench` arranged it.
    ///
    /// # Errors
    /// When no scratch folder can be made.
    pub fn new(environment: Environment) -> Result<Self> {
        Ok(Self { environment, lenient: None, scratch: tempfile::tempdir().context("no scratch folder")? })
    }

    /// The address of a service, by the names that tests use (`GUILDHALL_TEST_POSTGRES` and so on).
    ///
    /// # Errors
    /// When it was not started.
    pub fn service(&self, name: &str) -> Result<&str> {
        self.environment.optional(name).with_context(|| format!("{name} is not set: run `cargo xtask bench`"))
    }

    /// The variables with which an AWS SDK talks to the emulator.
    ///
    /// # Errors
    /// When the emulator was not started.
    pub fn aws(&self) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("AWS_ENDPOINT_URL", self.service("GUILDHALL_TEST_AWS")?.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ])
    }

    /// One of the project's binaries. `None` where they were not built, as in tests of this crate alone: the contestant is
    /// then left out.
    ///
    /// # Errors
    /// When they were built, but not this one.
    pub fn binary(&self, name: &str) -> Result<Option<PathBuf>> {
        self.built(BINARIES, name)
    }

    /// As [`Setup::binary`], built as it is deployed.
    ///
    /// # Errors
    /// As [`Setup::binary`].
    pub fn deployed(&self, name: &str) -> Result<Option<PathBuf>> {
        self.built(DEPLOYED, name)
    }

    fn built(&self, variable: &str, name: &str) -> Result<Option<PathBuf>> {
        if let Some(folder) = &self.lenient {
            return Ok(Some(folder.join(name)).filter(|path| path.is_file()));
        }
        let Some(folder) = self.environment.optional(variable) else { return Ok(None) };
        let path = Path::new(folder).join(name);
        ensure!(path.is_file(), "{} was not built", path.display());
        Ok(Some(path))
    }

    /// One of PostgreSQL's programs (`psql`, `pg_test_fsync`), from beside the server that runs; else from `PATH`.
    pub fn postgres_program(&self, name: &str) -> PathBuf {
        self.environment
            .optional(POSTGRES_BIN)
            .map_or_else(|| PathBuf::from(name), |folder| Path::new(folder).join(name))
    }

    /// The folder of a set of peers, its packages installed.
    ///
    /// # Errors
    /// When they are not.
    pub fn peers(&self, set: &str) -> Result<PathBuf> {
        // Tests run in this crate's folder, or in that of one within it.
        let here = if Path::new("peers").is_dir() { "peers" } else { "../peers" };
        let folder = Path::new(self.environment.optional(PEERS).unwrap_or(here)).join(set);
        let installed = folder.join("node_modules").is_dir();
        ensure!(installed, "the packages in {} are not installed: run `cargo xtask bench`", folder.display());
        folder.canonicalize().context("the peers' folder cannot be reached")
    }

    /// As for a test: the project's binaries are those in `folder`, and one that was not built is left out.
    ///
    /// # Errors
    /// When no scratch folder can be made.
    pub fn lenient(folder: &Path) -> Result<Self> {
        Ok(Self { lenient: Some(folder.to_owned()), ..Self::new(Environment::of_process())? })
    }

    /// A folder for files, removed at the end of the run.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}

/// A runtime on one thread, for contestants that are asynchronous. They keep it, and `block_on` it in each round.
///
/// # Errors
/// When the system has no resources for it.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no asynchronous runtime")
}
