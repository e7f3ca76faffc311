//! What the user sees: progress lines with times, and failures with what to do about them.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use crate::ambient::Stopwatch;

/// One line of progress: `  postgres     ready on 127.0.0.1:21432 (1.2 s)`.
pub(crate) fn note(subject: &str, text: &str) {
    println!("  {subject:<12} {text}");
    flush();
}

pub(crate) fn heading(text: &str) {
    println!("{}", bold(text));
    flush();
}

/// Text as it is, for commands whose output may be cut off by the reader (`| head`), which is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    flush();
}

/// Something is not as it should be, but the command goes on.
pub(crate) fn warn(subject: &str, text: &str) {
    println!("  {subject:<12} {} {text}", bold("warning:"));
    flush();
}

/// Says that something long begins; [`Task::done`] says how long it took.
pub(crate) fn task(subject: &'static str, text: &str) -> Task {
    note(subject, &format!("{text} …"));
    Task { subject, watch: Stopwatch::start() }
}

#[derive(Debug)]
pub(crate) struct Task {
    subject: &'static str,
    watch: Stopwatch,
}

impl Task {
    pub(crate) fn done(self, text: &str) {
        note(self.subject, &format!("{text} ({})", seconds(self.watch.elapsed())));
    }
}

pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// The chain, outermost first: each line adds what the one above does not say.
pub(crate) fn failure(error: &anyhow::Error) {
    flush();
    eprintln!("\n{} {error}", bold("error:"));
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
}

pub(crate) fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn flush() {
    // A closed terminal must not end the command half-way: the services would be left to the kernel.
    let _ = std::io::stdout().flush();
}
