//! The files of the repository, as git sees them.
//!
//! **Invariant:** what git ignores is nobody's concern; what it does not ignore is checked, committed or not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The root of the repository that cargo runs this for: checkouts may share what is built.
#[expect(clippy::disallowed_methods, reason = "the environment is where cargo says it")]
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    // Crates lie at several depths; the workspace's lock file lies at its root.
    here.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(&here).to_path_buf()
}

/// The path of every file, from the root, in order.
///
/// # Errors
/// When git cannot be asked.
pub fn files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).context("a path that is not UTF-8")?;
    let mut files: Vec<_> = listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    // A file that was removed and whose removal is not committed yet is still listed.
    files.retain(|path| root.join(path).exists());
    files.sort();
    files.dedup();
    Ok(files)
}
