//! Where this checkout is and where its private state lives.

use std::{
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::ambient;

#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The workspace that cargo runs this for; a shared target directory does not confuse it.
    pub(crate) fn find() -> Result<Self> {
        let manifest = ambient::variable("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
        let root = Path::new(&manifest).join("../..");
        let root =
            root.canonicalize().with_context(|| format!("the checkout {} is not there any more", root.display()))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The ignored folder that holds everything a command keeps between two starts.
    pub(crate) fn state(&self, purpose: &str) -> Result<PathBuf> {
        let path = self.root.join(".guildhall").join(purpose);
        // Passwords and, with the real Discord, a token lie in here.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        match ambient::variable("CARGO_TARGET_DIR") {
            Some(path) => self.root.join(path),
            None => self.root.join("target"),
        }
    }
}
