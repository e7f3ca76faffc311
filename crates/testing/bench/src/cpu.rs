//! Which core does what, and how much CPU time another process took.
//!
//! Whoever is measured and whoever drives it are kept on different cores where there are two, so that neither takes the
//! other's cache or turn.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this process may use, as it was started.
static USABLE: LazyLock<CpuSet> = LazyLock::new(|| sched_getaffinity(None).unwrap_or_default());

/// A role that has a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// Where the measured work is done: the last core.
    Measured,
    /// Where the driver of another process runs: the first core.
    Driver,
}

impl Core {
    /// The core's number on this machine.
    fn number(self) -> Option<usize> {
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| USABLE.is_set(*core));
        match self {
            Self::Driver => cores.next(),
            Self::Measured => cores.next_back(),
        }
    }
}

/// How many cores this process may use.
pub fn count() -> u32 {
    USABLE.count()
}

/// Runs `work` with this thread on one core. Threads and processes that `work` starts stay on it for good.
///
/// # Errors
/// When the kernel refuses, or `work` fails.
pub fn on<T>(core: Core, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None).context("the thread's cores are unknown")?;
    let mut one = CpuSet::new();
    if let Some(number) = core.number() {
        one.set(number);
        sched_setaffinity(None, &one).context("the thread cannot be kept on one core")?;
    }
    let result = work();
    sched_setaffinity(None, &before).context("the thread cannot be let go from its core")?;
    result
}

/// The CPU time that a process has taken so far, by all its threads that still run.
///
/// # Errors
/// When there is no such process.
pub fn of_process(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))? {
        // A thread may end while the list is read.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            nanos += text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// The memory of a process that is in use and shared with nobody, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn private_memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("the memory of process {pid} is unknown"))?;
    let kilobytes = text.lines().filter(|line| line.starts_with("Private_")).filter_map(|line| {
        let (_, amount) = line.split_once(':')?;
        amount.trim().trim_end_matches(" kB").parse::<u64>().ok()
    });
    Ok(kilobytes.sum::<u64>() * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_on_one_core_and_let_go() {
        let before = sched_getaffinity(None).expect("known").count();
        let during = on(Core::Measured, || Ok(sched_getaffinity(None)?.count())).expect("allowed");
        assert_eq!((during, sched_getaffinity(None).expect("known").count()), (1, before));
    }

    #[test]
    fn this_process_takes_time_and_memory() {
        let pid = std::process::id();
        assert!(of_process(pid).expect("alive") > Duration::ZERO);
        assert!(private_memory(pid).expect("alive") > 100_000);
    }
}
