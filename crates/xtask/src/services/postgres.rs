//! A private PostgreSQL server.
//!
//! **Invariant:** it asks for a password, made for this instance and readable by this user only: loopback is shared by
//! all users of a machine.
//! **Invariant:** a data folder without its marker was never finished, and is made anew.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    console,
    exec::Program,
    ports::Ports,
    process::{self, Account, Plan, Running, Stop},
    tools::Tools,
};

/// Bumped when what `initdb` is told changes: data made otherwise is then made anew.
const LAYOUT: &str = "1";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    /// Load TimescaleDB, restricted to what its Apache edition has.
    pub(crate) timescale: bool,
    /// Start from nothing and never wait for the disk.
    pub(crate) throw_away: bool,
}

pub(super) fn start(tools: &Tools, state: &Path, ports: &mut Ports, settings: Settings) -> Result<(Running, String)> {
    let Settings { name, .. } = settings;
    let folder = Folder { path: state.join(name) };
    let account = account();
    if settings.throw_away {
        folder.remove()?;
    }
    folder.prepare(tools, &account, name, settings)?;
    let password = folder.password()?;

    let task = console::task(name, "starting");
    let port = ports.choose(name)?;
    let mut program = Program::new(tools.postgres.program("postgres"))
        .arg("-D")
        .arg(folder.data())
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
        // No socket: its path has to be shorter than 108 bytes, which a checkout's path may not be.
        .args(["-c", "unix_socket_directories=", "-c", "max_connections=300", "-c", "shared_buffers=128MB"])
        .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "max_wal_size=2GB"]);
    if settings.timescale {
        program = program
            .args(["-c", "shared_preload_libraries=timescaledb", "-c", "timescaledb.telemetry_level=off"])
            .args(["-c", "timescaledb.license=apache", "-c", "timescaledb.max_background_workers=2"]);
    }
    if settings.throw_away {
        program = program.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]);
    }
    // A fresh open by the server's own account: the log stays ours.
    let mut running = process::start(Plan {
        name,
        program,
        log: state.join(format!("{name}.log")),
        progress: None,
        pid_file: state.join(format!("{name}.pid")),
        stop: Stop::Interrupt,
        account,
    })?;
    let ready = tools.postgres.program("pg_isready");
    let port_text = port.to_string();
    running.wait_ready(Duration::from_secs(60), || {
        Program::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port_text]).succeeds()
    })?;
    let with = if settings.timescale { " with TimescaleDB (Apache edition)" } else { "" };
    task.done(&format!("ready on 127.0.0.1:{port}{with}"));
    Ok((running, format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")))
}

/// The server refuses to run as root.
fn account() -> Account {
    if process::is_root() { Account::Other("postgres".to_owned()) } else { Account::Own }
}

/// What one instance keeps on disk: `data/`, `password` and the marker.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn marker(&self) -> PathBuf {
        self.path.join("complete")
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| {
                format!("cannot remove {}\n  it may belong to another user: remove it as root", self.path.display())
            }),
            _ => Ok(()),
        }
    }

    /// Makes the data folder unless a finished one of the same kind is there.
    fn prepare(&self, tools: &Tools, account: &Account, name: &'static str, settings: Settings) -> Result<()> {
        let kind = format!("{LAYOUT} postgresql {} timescaledb {}", tools.postgres.major, settings.timescale);
        match fs::read_to_string(self.marker()) {
            Ok(found) if found == kind => return Ok(()),
            Ok(found) => {
                // Data of another kind may be precious: it is set aside, never removed.
                let aside = self.path.with_extension("old");
                let _ = fs::remove_dir_all(&aside);
                fs::rename(&self.path, &aside).with_context(|| format!("cannot set {} aside", self.path.display()))?;
                console::note(
                    name,
                    &format!("the database was made for another server ({found}); set aside as {}", aside.display()),
                );
            }
            Err(_) if self.path.exists() => {
                console::note(
                    name,
                    &format!("{} is half-written (a start was cut short), making it anew", self.path.display()),
                );
                self.remove()?;
            }
            Err(_) => {}
        }
        let task = console::task(name, "creating the database");
        fs::create_dir_all(self.data()).with_context(|| format!("cannot create {}", self.data().display()))?;
        let password = random_hex().context("cannot make a password")?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path.join("password"))?;
        file.write_all(password.as_bytes()).context("cannot write the password")?;
        if let Account::Other(user) = account {
            let owner = format!("{user}:");
            Program::new("chown").arg(owner).arg(self.data()).arg(self.path.join("password")).output()?;
        }
        account
            .wrap(tools.postgres.program("initdb"))
            .arg("-D")
            .arg(self.data())
            .args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"])
            .args(["-A", "password", "--pwfile"])
            .arg(self.path.join("password"))
            .output()
            .context("PostgreSQL could not create its data folder")?;
        fs::write(self.marker(), &kind).with_context(|| format!("cannot write {}", self.marker().display()))?;
        task.done("created");
        Ok(())
    }

    fn password(&self) -> Result<String> {
        let path = self.path.join("password");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ() {
        let (one, other) = (random_hex().unwrap(), random_hex().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
