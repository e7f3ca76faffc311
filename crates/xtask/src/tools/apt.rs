//! The distribution's packages.
//!
//! **Invariant:** no server of the machine is started by an installation, now or at the next boot, unless it was already
//! installed: the instances this project uses are private.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    console,
    exec::{Program, find},
    process,
};

/// Debian's own switch against starting services while packages are installed (invoke-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing of `packages`; `purpose` is what the user lacks, in words.
pub(super) fn install(subject: &'static str, packages: &[&str], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find("apt-get").is_none() {
        bail!(
            "{purpose} is needed and was not found, and this system has no apt-get to install it with\n  install it with your package manager (on Debian the packages are: {list}) and start again"
        );
    }
    let Some(root) = Root::find() else {
        bail!(
            "{purpose} is needed and was not found; installing it takes root or sudo, and this account has neither\n  have it installed (apt-get install {list}) and start again"
        );
    };
    let task = console::task(subject, &format!("installing {list} with apt"));
    let clusters = clusters();
    {
        let _quiet = QuietServices::begin(&root)?;
        let get = || {
            root.program("apt-get")
                .args(["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"])
                .args(&missing)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .output()
        };
        // Without the lists of a fresh image, or with stale ones, the first attempt fails fast.
        if get().is_err() {
            crate::ambient::check_stop()?;
            update(&root)?;
            get().with_context(|| {
                format!(
                    "{purpose} could not be installed\n  is there a network? otherwise install it yourself (apt-get install {list}) and start again"
                )
            })?;
        }
    }
    keep_off(&root, &missing, &clusters);
    task.done("installed");
    Ok(())
}

/// Whether apt knows the package.
pub(super) fn offers(package: &str) -> bool {
    Program::new("apt-cache").args(["show", package]).succeeds()
}

/// Makes sure that there are package lists to look into.
pub(super) fn lists() -> Result<()> {
    // Images are delivered without lists, and what is installed is known without them: only the files tell.
    let downloaded = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    if downloaded.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("_dists_")) {
        return Ok(());
    }
    match Root::find() {
        Some(root) => update(&root),
        None => bail!("apt has no package lists, and getting them takes root or sudo"),
    }
}

fn update(root: &Root) -> Result<()> {
    root.program("apt-get").args(["update", "-q", "-o", "DPkg::Lock::Timeout=120"]).output().map(drop).context(
        "apt could not fetch its package lists\n  is there a network, and do the addresses in /etc/apt answer?",
    )
}

pub(super) fn is_installed(package: &str) -> bool {
    Program::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output()
        .is_ok_and(|status| status.trim() == "installed")
}

/// The way to root: being it, or sudo.
#[derive(Debug)]
pub(super) struct Root {
    sudo: bool,
}

impl Root {
    pub(super) fn find() -> Option<Self> {
        if process::is_root() {
            return Some(Self { sudo: false });
        }
        find("sudo")?;
        // Asks for the password on the terminal where it needs one.
        let allowed = Program::new("sudo").args(["-v", "-p", "  sudo password (to install packages): "]);
        allowed.in_the_open().is_ok_and(|allowed| allowed).then_some(Self { sudo: true })
    }

    pub(super) fn program(&self, name: &str) -> Program {
        if self.sudo {
            // Through `env`: sudo drops the variables of its caller.
            Program::new("sudo").args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", name])
        } else {
            Program::new(name)
        }
    }
}

/// While it lives, installed packages start nothing.
#[derive(Debug)]
struct QuietServices<'a> {
    /// None: there was a policy already (container images have one); it stays as it is.
    ours: Option<&'a Root>,
}

impl<'a> QuietServices<'a> {
    fn begin(root: &'a Root) -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: None });
        }
        let draft = std::env::temp_dir().join(format!("guildhall-policy-{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&draft)?;
        std::io::Write::write_all(&mut file, b"#!/bin/sh\n# Nothing starts while packages are installed.\nexit 101\n")?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
        let placed = root.program("install").args(["-m", "755"]).arg(&draft).arg(POLICY).output();
        fs::remove_file(&draft)?;
        placed.context("cannot keep services from starting during the installation")?;
        Ok(Self { ours: Some(root) })
    }
}

impl Drop for QuietServices<'_> {
    fn drop(&mut self) {
        let Some(root) = self.ours else { return };
        if !root.program("rm").args(["-f", POLICY]).succeeds() {
            console::warn("apt", &format!("could not remove {POLICY}: remove it, or services will not start"));
        }
    }
}

/// Where Debian says which PostgreSQL clusters of its own start at boot.
fn clusters() -> Vec<PathBuf> {
    let versions = fs::read_dir("/etc/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("main/start.conf")).filter(|path| path.is_file()).collect()
}

/// What a fresh installation would start at the next boot is told not to.
fn keep_off(root: &Root, installed: &[&str], clusters_before: &[PathBuf]) {
    for service in ["redis-server", "prometheus"].iter().filter(|service| installed.contains(service)) {
        let _ = root.program("update-rc.d").args([service, "disable"]).succeeds();
    }
    for cluster in clusters().iter().filter(|cluster| !clusters_before.contains(cluster)) {
        let _ = root.program("sed").args(["-i", "s/^auto$/manual/"]).arg(cluster).succeeds();
    }
}
