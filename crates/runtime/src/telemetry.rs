//! Structured logs.
//!
//! **Invariant:** logs carry ids and durations, never a message body or a secret.

use tracing_subscriber::EnvFilter;

use crate::Environment;

/// Starts logging: JSON lines, or readable lines with `LOG_FORMAT=text`; `LOG_LEVEL` filters (default `info`).
///
/// A second call does nothing, so that several handlers can share a process.
pub fn init(environment: &Environment) {
    let filter = EnvFilter::try_new(environment.optional("LOG_LEVEL").unwrap_or("info"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(true);
    // A subscriber that is already there stays; that is what a process with several handlers wants.
    let _already_set = if environment.optional("LOG_FORMAT") == Some("text") {
        builder.with_writer(std::io::stderr).try_init().is_err()
    } else {
        builder.json().flatten_event(true).with_writer(std::io::stderr).try_init().is_err()
    };
}

/// The error and every cause behind it, on one line, for the place that logs a failure once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
