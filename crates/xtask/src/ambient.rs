//! What the process is given by its surroundings: environment variables, the clock, signals.
//!
//! **Invariant:** no other module reads the environment or the clock.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// The variable's value; an empty one counts as absent.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment in this binary")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Measures elapsed time for progress lines and deadlines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the one reader of the clock in this binary")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The present, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one reader of the clock in this binary")]
pub(crate) fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The first SIGINT, SIGTERM or SIGHUP asks for an orderly end; a second one ends the process at once, and the kernel
/// then ends its children (see `process`).
pub(crate) fn install_signal_handlers() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Order matters: the conditional shutdown must see the flag of an *earlier* signal.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&STOP)).context("cannot handle signals")?;
        flag::register(signal, Arc::clone(&STOP)).context("cannot handle signals")?;
    }
    Ok(())
}

pub(crate) fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Fails when the user asked to stop: called between steps that may take long.
pub(crate) fn check_stop() -> Result<()> {
    if stop_requested() {
        bail!("stopped on request");
    }
    Ok(())
}

/// Polls `condition` until it holds (`Ok(true)`), the deadline passes (`Ok(false)`), it fails, or the user asks to stop.
pub(crate) fn wait_until(deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let watch = Stopwatch::start();
    loop {
        check_stop()?;
        if condition()? {
            return Ok(true);
        }
        if watch.elapsed() >= deadline {
            return Ok(false);
        }
        pause(Duration::from_millis(50));
    }
}

/// Between two looks at a condition; never a substitute for one.
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
