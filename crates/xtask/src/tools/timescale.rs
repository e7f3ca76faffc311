//! TimescaleDB's Apache edition for the PostgreSQL that was found.
//!
//! Three ways, the first that works: it is installed already; the distribution packages it; it is built from Debian's
//! source package, with package lists of its own so that the machine's stay as they are. The build is kept in the cache.
//!
//! **Invariant:** only the distribution's archive is asked, through the address the machine itself uses, and what comes from it
//! is verified with the distribution's own keys.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{apt, apt::Root, files_below, postgres::Postgres};
use crate::{
    cache::Cache,
    console,
    exec::{self, Program},
};

/// The first release of Debian whose archive has the source.
const SOURCE_SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Bumped when the build below changes.
const RECIPE: &str = "1";

pub(super) fn find_or_build(cache: &Cache, postgres: &Postgres) -> Result<String> {
    if let Some(version) = installed(postgres)? {
        return Ok(version);
    }
    let package = format!("postgresql-{}-timescaledb", postgres.major);
    if apt::offers(&package) {
        apt::install("timescaledb", &[&package], "TimescaleDB")?;
    } else {
        let built = cache.entry(&format!("timescaledb-pg{}-{RECIPE}", postgres.major), |path| build(path, postgres))?;
        place(&built.join("root"))?;
    }
    installed(postgres)?.context("TimescaleDB was installed, but PostgreSQL does not see it")
}

/// The version whose files PostgreSQL would load.
fn installed(postgres: &Postgres) -> Result<Option<String>> {
    let shared = match Program::new(config(postgres)).arg("--sharedir").output() {
        Ok(said) => PathBuf::from(said.trim()),
        // Debian has pg_config in another package; the layout is known.
        Err(_) => PathBuf::from(format!("/usr/share/postgresql/{}", postgres.major)),
    };
    let control = shared.join("extension/timescaledb.control");
    match fs::read_to_string(&control) {
        Ok(text) => Ok(default_version(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", control.display())),
    }
}

fn config(postgres: &Postgres) -> PathBuf {
    postgres.program("pg_config")
}

fn default_version(control: &str) -> Option<String> {
    control.lines().find_map(|line| {
        let value = line.trim().strip_prefix("default_version")?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches('\'').to_owned())
    })
}

fn build(path: &Path, postgres: &Postgres) -> Result<()> {
    if exec::find("apt-get").is_none() {
        bail!("it is built from Debian's source package, and this system has no apt-get");
    }
    if postgres.bin != Path::new(&format!("/usr/lib/postgresql/{}/bin", postgres.major)) {
        bail!("{} is not the distribution's PostgreSQL", postgres.bin.display());
    }
    let development = format!("postgresql-server-dev-{}", postgres.major);
    let needed = ["build-essential", "cmake", "dpkg-dev", "libkrb5-dev", "libssl-dev", development.as_str()];
    apt::install("timescaledb", &needed, "what TimescaleDB is built with")?;
    let task = console::task(
        "timescaledb",
        "building the Apache edition from Debian's source package, once, in about a minute",
    );
    let source = fetch(path)?;
    let tree = path.join("build");
    Program::new("cmake")
        .arg("-S")
        .arg(&source)
        .arg("-B")
        .arg(&tree)
        .args(["-DAPACHE_ONLY=1", "-DREGRESS_CHECKS=OFF", "-DTAP_CHECKS=OFF", "-DWARNINGS_AS_ERRORS=OFF"])
        .arg("-DCMAKE_BUILD_TYPE=Release")
        .arg(format!("-DPG_CONFIG={}", config(postgres).display()))
        .output()
        .context("the build of TimescaleDB could not be prepared")?;
    let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Program::new("make")
        .arg("-C")
        .arg(&tree)
        .arg(format!("-j{jobs}"))
        .output()
        .context("TimescaleDB does not compile")?;
    let root = path.join("root");
    let destination = format!("DESTDIR={}", root.display());
    Program::new("make")
        .arg("-C")
        .arg(&tree)
        .args(["install", &destination])
        .output()
        .context("TimescaleDB does not install")?;
    for leftover in [tree, path.join("source"), path.join("apt")] {
        fs::remove_dir_all(&leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
    }
    task.done("built");
    Ok(())
}

/// Downloads and unpacks the source package below `path`; returns the source's folder.
fn fetch(path: &Path) -> Result<PathBuf> {
    let (apt, source) = (path.join("apt"), path.join("source"));
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::create_dir_all(&source)?;
    apt::lists()?;
    let targets = Program::new("apt-get").args(["indextargets", "--format", TARGET_FORMAT]).output()?;
    let mirror = mirror(&targets).context("the address of Debian's archive is not among apt's sources")?;
    let keyring = if Path::new(KEYRING).is_file() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    fs::write(apt.join("sources.list"), format!("deb-src {keyring}{mirror} {SOURCE_SUITE} main\n"))?;
    let private = |program: Program| {
        program
            .args(["-q", "-o", &format!("Dir::State::lists={}", apt.join("lists").display())])
            .args(["-o", &format!("Dir::Cache={}", apt.join("cache").display())])
            .args(["-o", &format!("Dir::Etc::sourcelist={}", apt.join("sources.list").display())])
            // The download account of apt may not enter a cache in a home folder.
            .args(["-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User=root"])
    };
    private(Program::new("apt-get"))
        .arg("update")
        .output()
        .with_context(|| format!("the source packages of Debian {SOURCE_SUITE} could not be listed from {mirror}"))?;
    private(Program::new("apt-get"))
        .args(["source", "timescaledb"])
        .current_dir(&source)
        .output()
        .with_context(|| format!("the source package timescaledb could not be fetched from {mirror}"))?;
    let unpacked = fs::read_dir(&source)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.is_dir());
    unpacked.context("the source package holds no folder")
}

const TARGET_FORMAT: &str = "$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(SUITE)|$(REPO_URI)";

/// The archive that Debian's main packages come from; not the one for security updates, which has other suites.
fn mirror(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut fields = line.split('|');
        let plain = fields.next()? == "Packages" && fields.next()? == "Debian" && fields.next()? == "main";
        let suite = fields.next()?;
        let uri = fields.next()?.trim();
        (plain && !suite.contains("security") && !uri.contains("security")).then(|| uri.to_owned())
    })
}

/// Copies the files of the build to where PostgreSQL looks for extensions.
fn place(root: &Path) -> Result<()> {
    let Some(way) = Root::find() else {
        bail!("it has been built, but placing it in PostgreSQL's folders takes root or sudo");
    };
    for file in files_below(root)? {
        let target = Path::new("/").join(&file);
        let mode = if file.extension().is_some_and(|extension| extension == "so") { "755" } else { "644" };
        way.program("install")
            .args(["-D", "-m", mode])
            .arg(root.join(&file))
            .arg(&target)
            .output()
            .with_context(|| format!("cannot place {}", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_states_the_version() {
        let control = "# timescaledb\ncomment = 'time'\ndefault_version = '2.19.3'\nrelocatable = false\n";
        assert_eq!(default_version(control).as_deref(), Some("2.19.3"));
        assert_eq!(default_version("comment = ''"), None);
    }

    #[test]
    fn the_machines_own_mirror_is_used() {
        let targets = "Packages|Node Source|main|nodistro|https://elsewhere.example/\n\
                       Packages|Debian|main|oldstable-security|http://mirror.example/debian-security/\n\
                       DEP-11|Debian|main|oldstable|http://wrong.example/\n\
                       Packages|Debian|main|oldstable|http://mirror.example/debian/\n";
        assert_eq!(mirror(targets).as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(mirror(""), None);
    }
}
