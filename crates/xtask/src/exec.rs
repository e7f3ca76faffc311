//! Running other programs to their end: quietly (output shown only when they fail) or in the open.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::ambient;

/// A program to run; a thin layer over [`Command`] that keeps what error messages need.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    shown: String,
}

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let shown = program.as_ref().to_string_lossy().into_owned();
        Self { command: Command::new(program), shown }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(self, pairs: &[(String, String)]) -> Self {
        pairs.iter().fold(self, |program, (name, value)| program.env(name, value))
    }

    pub(crate) fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it and returns what it wrote to standard output; what it wrote is shown only when it fails.
    pub(crate) fn output(mut self) -> Result<String> {
        ambient::check_stop()?;
        let output =
            self.command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", self.shown))?;
        ambient::check_stop()?;
        let written = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let said = format!("{written}\n{}", String::from_utf8_lossy(&output.stderr));
            bail!("`{}` failed ({}):\n{}", self.shown, output.status, tail(&said, 20));
        }
        Ok(written)
    }

    /// Whether it ran and succeeded; nothing is shown.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Runs it on the user's terminal. `Ok(false)` when it failed: it has said why itself.
    pub(crate) fn in_the_open(mut self) -> Result<bool> {
        ambient::check_stop()?;
        let mut child = self.command.spawn().with_context(|| format!("cannot start `{}`", self.shown))?;
        let status = ending_on_request(child.id(), || child.wait());
        ambient::check_stop()?;
        Ok(status.with_context(|| format!("cannot wait for `{}`", self.shown))?.success())
    }

    /// Like [`in_the_open`](Self::in_the_open), and hands each line of standard output to `observe` as well.
    pub(crate) fn observed(mut self, mut observe: impl FnMut(&str)) -> Result<bool> {
        ambient::check_stop()?;
        let mut child =
            self.command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{}`", self.shown))?;
        let stdout = child.stdout.take();
        let status = ending_on_request(child.id(), || {
            if let Some(stdout) = stdout {
                each_line(BufReader::new(stdout), |line| {
                    println!("{line}");
                    observe(line);
                })?;
            }
            child.wait()
        });
        ambient::check_stop()?;
        Ok(status.with_context(|| format!("cannot wait for `{}`", self.shown))?.success())
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

/// Does `work`, which waits for the process `pid`, and asks that process to end when the user asks to stop: a request that
/// comes as a signal to this process alone, not from the terminal, reaches nobody else.
fn ending_on_request<T>(pid: u32, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if let (true, Some(pid)) = (ambient::stop_requested(), Pid::from_raw(pid.cast_signed())) {
                    // Gone already is as good as ended.
                    let _ = kill_process(pid, Signal::TERM);
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        let result = work();
        done.store(true, Ordering::SeqCst);
        watcher.thread().unpark();
        result
    })
}

/// Bytes, not `lines()`: a test may print what is not UTF-8, and that must not end the run.
fn each_line(mut reader: impl BufRead, mut observe: impl FnMut(&str)) -> std::io::Result<()> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        observe(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
    Ok(())
}

/// The full path of a program on PATH or in the places where distributions keep servers.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = ambient::variable("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    std::env::split_paths(&path)
        .chain(usual.into_iter().map(Into::into))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The last lines of a text, blank ones left out.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = kept.len().saturating_sub(lines);
    kept[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error = Program::new("sh").args(["-c", "echo told you; exit 3"]).output().unwrap_err().to_string();
        assert!(error.contains("told you"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::new("no-such-program-here").output().unwrap_err().to_string();
        assert!(error.contains("cannot start `no-such-program-here`"), "{error}");
    }

    #[test]
    fn lines_reach_the_observer_even_when_they_are_not_text() {
        let mut seen = Vec::new();
        let ok = Program::new("sh")
            .args(["-c", "printf 'one\\n\\377two\\nthree'"])
            .observed(|line| seen.push(line.to_owned()))
            .unwrap();
        assert!(ok);
        assert_eq!(seen, ["one", "\u{fffd}two", "three"]);
    }

    #[test]
    fn a_tail_keeps_the_end() {
        assert_eq!(tail("a\n\nb\nc\n", 2), "    b\n    c");
    }
}
