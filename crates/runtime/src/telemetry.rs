//! Structured logs.
//!
//! **Invariant:** logs carry ids and durations, never a message body or a secret. What other people's crates say below
//! `info` is left out whatever `LOG_LEVEL` asks for, since there they print requests and payloads whole.
//!
//! On Lambda each line says which request it belongs to (`requestId`, and `xrayTraceId` where there is one), in `span`.

use serde_json::error::Category;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::Environment;

/// What the targets of this project's own logs begin with.
const OWN: &str = "guildhall_";

/// Starts logging: JSON lines, or readable lines with `LOG_FORMAT=text`; `LOG_LEVEL` is a level, with exceptions for
/// targets after it (`info,guildhall_store=debug`); `info` when it is neither.
///
/// A second call does nothing, so that several handlers can share a process.
pub fn init(environment: &Environment) {
    let wanted = environment.optional("LOG_LEVEL").and_then(|level| level.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let discreet = filter_fn(|metadata| metadata.target().starts_with(OWN) || *metadata.level() <= LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(filter).with(discreet);
    // A subscriber that is already there stays; that is what a process with several handlers wants.
    let _already_set = if environment.optional("LOG_FORMAT") == Some("text") {
        registry.with(layer().with_writer(std::io::stderr)).try_init().is_err()
    } else {
        let lines = layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr);
        registry.with(lines).try_init().is_err()
    };
}

/// The error and every cause behind it, on one line, for the place that logs a failure once. What JSON held is not
/// repeated: it may be somebody's secret.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = words(error);
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&words(cause));
        source = cause.source();
    }
    text
}

fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let Some(json) = error.downcast_ref::<serde_json::Error>() else { return error.to_string() };
    let what = match json.classify() {
        Category::Io => "cannot be read",
        Category::Syntax => "is not well formed",
        Category::Data => "is not what was expected",
        Category::Eof => "ends too soon",
    };
    format!("JSON {what}, at line {} column {}", json.line(), json.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the body is no job")]
    struct NoJob(#[source] serde_json::Error);

    #[test]
    fn what_json_held_is_not_repeated() {
        let error = serde_json::from_str::<Vec<u8>>("\n\"a secret\"").unwrap_err();
        assert!(error.to_string().contains("a secret"), "otherwise this proves nothing");
        assert_eq!(chain(&NoJob(error)), "the body is no job: JSON is not what was expected, at line 2 column 10");
    }
}
