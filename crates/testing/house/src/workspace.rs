//! The workspace's crates and what each depends on, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its folder, from the root of the repository.
    pub folder: String,
    /// What it is built with.
    pub dependencies: BTreeSet<String>,
    /// What only its tests are built with.
    pub dev_dependencies: BTreeSet<String>,
}

/// The workspace's crates, by name.
///
/// # Errors
/// When cargo cannot be asked.
pub fn packages(root: &Path) -> Result<BTreeMap<String, Package>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    packages.iter().map(|package| package_of(root, package).context("an unexpected shape of cargo metadata")).collect()
}

fn package_of(root: &Path, package: &Value) -> Option<(String, Package)> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let mut dependencies = BTreeSet::new();
    let mut dev_dependencies = BTreeSet::new();
    for dependency in package["dependencies"].as_array()? {
        let name = dependency["name"].as_str()?.to_owned();
        if dependency["kind"] == "dev" {
            dev_dependencies.insert(name)
        } else {
            dependencies.insert(name)
        };
    }
    let folder = manifest.parent()?.strip_prefix(root).ok()?.to_string_lossy().into_owned();
    Some((package["name"].as_str()?.to_owned(), Package { folder, dependencies, dev_dependencies }))
}

/// The folders of a crate and of every crate of the workspace that it is built with, the crate's own first.
pub fn folders_of(packages: &BTreeMap<String, Package>, name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let mut next = 0;
    while next < names.len() {
        if let Some(package) = packages.get(&names[next]) {
            let unseen: Vec<_> = package
                .dependencies
                .iter()
                .filter(|d| packages.contains_key(*d) && !names.contains(d))
                .cloned()
                .collect();
            names.extend(unseen);
        }
        next += 1;
    }
    names.iter().filter_map(|name| packages.get(name)).map(|package| package.folder.clone()).collect()
}
