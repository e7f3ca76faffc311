//! Long-running children: started in their own process group, ended in order, found again when a start was killed.
//!
//! **Invariant:** no child outlives this process. In order when it ends by itself; by the kernel's parent-death signal
//! when it is killed; and where even that failed, by the next start, which knows its children from their pid files.
//! **Invariant:** a pid is signalled only when the process still is the one that was started: pid *and* start time.

use std::{
    fs::File,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use crate::{
    ambient::{self, Stopwatch},
    console,
    exec::{Program, find, tail},
};

/// How a service is started and stopped.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// Where its standard output goes instead, when that is progress for the user.
    pub(crate) progress: Option<PathBuf>,
    /// Where its pid is kept.
    pub(crate) pid_file: PathBuf,
    /// What asks it to end in order.
    pub(crate) stop: Stop,
    /// Who it runs as.
    pub(crate) account: Account,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `SIGTERM`.
    Terminate,
    /// `SIGINT`: PostgreSQL's "fast shutdown", which does not wait for its clients.
    Interrupt,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
        }
    }

    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }
}

/// Who a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user of this command.
    Own,
    /// Another user, with the right to reach files below folders that are closed to it (a checkout in `/root`).
    Other(String),
}

impl Account {
    /// The arguments that make `setpriv` switch to it.
    fn switches(&self) -> Vec<String> {
        match self {
            Self::Own => Vec::new(),
            Self::Other(user) => vec![
                format!("--reuid={user}"),
                format!("--regid={user}"),
                "--init-groups".to_owned(),
                "--inh-caps=+dac_override".to_owned(),
                "--ambient-caps=+dac_override".to_owned(),
            ],
        }
    }

    /// `program` as run by this account, to its end.
    pub(crate) fn wrap(&self, program: impl AsRef<std::ffi::OsStr>) -> Program {
        match self {
            Self::Own => Program::new(program),
            Self::Other(_) => Program::new("setpriv").args(self.switches()).arg("--").arg(program),
        }
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
    pid_file: PathBuf,
    stop: Stop,
    ended: bool,
}

/// Starts it; the caller then waits for the condition that says it is ready.
///
/// Must be called on the main thread: the parent-death signal follows the *thread* that started the child.
pub(crate) fn start(plan: Plan) -> Result<Running> {
    let log = File::create(&plan.log).with_context(|| format!("cannot write {}", plan.log.display()))?;
    let errors = log.try_clone().context("cannot share the log")?;
    let create = |path: &PathBuf| File::create(path).with_context(|| format!("cannot write {}", path.display()));
    let progress = plan.progress.as_ref().map(create).transpose()?;
    let inner = plan.program.into_command();
    let setpriv = find("setpriv").context(
        "`setpriv` was not found: it ties a service's life to this command\n  install the package util-linux",
    )?;
    let mut program = Program::new(setpriv)
        .args(plan.account.switches())
        .args(["--pdeathsig", plan.stop.name(), "--"])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value) {
            program = program.env(name, value);
        }
    }
    if let Some(directory) = inner.get_current_dir() {
        program = program.current_dir(directory);
    }
    let child = program
        .into_command()
        .stdin(Stdio::null())
        .stdout(progress.unwrap_or(log))
        .stderr(errors)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", plan.name))?;
    let identity = Identity::of(child.id()).map(|identity| identity.to_string()).unwrap_or_default();
    std::fs::write(&plan.pid_file, identity).with_context(|| format!("cannot write {}", plan.pid_file.display()))?;
    Ok(Running { name: plan.name, child, log: plan.log, pid_file: plan.pid_file, stop: plan.stop, ended: false })
}

impl Running {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits for `ready`; fails early, with the end of the log, when the program ends first.
    pub(crate) fn wait_ready(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let reached = ambient::wait_until(patience, || {
            if let Some(how) = self.has_ended()? {
                bail!(
                    "{} ended while starting ({how}); the end of {}:\n{}",
                    self.name,
                    self.log.display(),
                    self.last_words()
                );
            }
            Ok(ready())
        })?;
        if !reached {
            let waited = console::seconds(patience);
            bail!(
                "{} did not become ready within {waited}; the end of {}:\n{}",
                self.name,
                self.log.display(),
                self.last_words()
            );
        }
        Ok(())
    }

    /// How it ended, when it has.
    pub(crate) fn has_ended(&mut self) -> Result<Option<String>> {
        Ok(self.status()?.map(|status| match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => status.to_string(),
        }))
    }

    /// Whether it succeeded, when it has ended.
    pub(crate) fn has_succeeded(&mut self) -> Result<Option<bool>> {
        Ok(self.status()?.map(|status| status.success()))
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().with_context(|| format!("cannot look after {}", self.name))?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default(), 15)
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Asks it to end, then insists.
    fn end(&mut self) {
        if !self.ended
            && matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = Pid::from_raw(self.child.id().cast_signed())
        {
            // Gone already is as good as signalled.
            let _ = kill_process(pid, self.stop.signal());
            if !gone_within(Duration::from_secs(15), || !matches!(self.child.try_wait(), Ok(None))) {
                console::warn(self.name, "did not end when asked, killing it");
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = self.child.wait();
            }
        }
        self.ended = true;
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends what a killed start left behind, by the pid files in `state`. Returns the names of what was still running.
pub(crate) fn end_leftovers(state: &Path) -> Result<Vec<String>> {
    let mut ended = Vec::new();
    let entries = std::fs::read_dir(state).with_context(|| format!("cannot read {}", state.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let identity = std::fs::read_to_string(&path).ok().and_then(|text| Identity::parse(&text));
        if let Some(identity) = identity.filter(Identity::is_alive) {
            identity.end()?;
            ended.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(ended)
}

/// Asks `pid` to end as Ctrl-C would, and waits for it. `Ok(false)` when it does not.
pub(crate) fn ask_to_end(pid: i32) -> Result<bool> {
    let Some(pid) = Pid::from_raw(pid) else { bail!("{pid} is not a process id") };
    kill_process(pid, Signal::TERM).context("cannot signal it")?;
    Ok(gone_within(Duration::from_secs(60), || test_kill_process(pid).is_err()))
}

/// A process, not just its number: numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    pid: i32,
    /// In clock ticks since boot; field 22 of `/proc/<pid>/stat`, see proc(5).
    started: u64,
}

impl Identity {
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = parse_stat(&stat)?;
        // A zombie runs no more; it only waits to be counted.
        (state != 'Z').then_some(Self { pid: pid.cast_signed(), started })
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    fn is_alive(&self) -> bool {
        Self::of(self.pid.cast_unsigned()).as_ref() == Some(self)
    }

    fn end(self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        // INT ends all of them, and PostgreSQL without waiting for its clients.
        for (signal, patience) in [(Signal::INT, 10), (Signal::TERM, 5), (Signal::KILL, 5)] {
            let _ = kill_process(pid, signal);
            if gone_within(Duration::from_secs(patience), || !self.is_alive()) {
                return Ok(());
            }
        }
        bail!("process {} of an earlier start does not end\n  end it yourself: kill -9 {}", self.pid, self.pid)
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid, self.started)
    }
}

/// State and start time. The name before them may contain anything, spaces and parentheses included.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Unlike `ambient::wait_until` this one goes on when the user asks to stop: it is what stopping consists of.
fn gone_within(patience: Duration, mut gone: impl FnMut() -> bool) -> bool {
    let watch = Stopwatch::start();
    loop {
        if gone() {
            return true;
        }
        if watch.elapsed() >= patience {
            return false;
        }
        ambient::pause(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(state: &Path, script: &str) -> Plan {
        Plan {
            name: "probe",
            program: Program::new("sh").args(["-c", script]),
            log: state.join("probe.log"),
            progress: None,
            pid_file: state.join("probe.pid"),
            stop: Stop::Terminate,
            account: Account::Own,
        }
    }

    #[test]
    fn the_stat_line_is_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3";
        assert_eq!(parse_stat(stat), Some(('S', 98765)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn dropping_ends_the_process_and_forgets_it() {
        let state = tempfile::tempdir().unwrap();
        let running = start(plan(state.path(), "exec sleep 600")).unwrap();
        let identity = Identity::of(running.child.id()).unwrap();
        assert!(identity.is_alive());
        drop(running);
        assert!(!identity.is_alive());
        assert!(!state.path().join("probe.pid").exists());
    }

    #[test]
    fn a_program_that_ends_early_is_quoted() {
        let state = tempfile::tempdir().unwrap();
        let mut running = start(plan(state.path(), "echo the disk is full; exit 4")).unwrap();
        let error = running.wait_ready(Duration::from_secs(20), || false).unwrap_err().to_string();
        assert!(error.contains("the disk is full") && error.contains("exit status: 4"), "{error}");
    }

    #[test]
    fn leftovers_are_ended_and_strangers_are_not() {
        let state = tempfile::tempdir().unwrap();
        let mut left = start(plan(state.path(), "exec sleep 600")).unwrap();
        let mut stranger = start(plan(state.path(), "exec sleep 600")).unwrap();
        let identity = Identity::of(left.child.id()).unwrap();
        let stranger_identity = Identity::of(stranger.child.id()).unwrap();
        std::fs::write(state.path().join("probe.pid"), identity.to_string()).unwrap();
        // The number of a process that lives, with the start time of one that died.
        let reused = Identity { started: stranger_identity.started.wrapping_sub(1), ..stranger_identity };
        std::fs::write(state.path().join("reused.pid"), reused.to_string()).unwrap();
        assert_eq!(end_leftovers(state.path()).unwrap(), ["probe"]);
        assert!(left.has_ended().unwrap().is_some());
        assert!(stranger_identity.is_alive());
        assert!(stranger.has_ended().unwrap().is_none());
    }
}
