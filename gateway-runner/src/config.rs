//! The runner's configuration.
//!
//! **Invariant:** it is read once, at start; each problem names its variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use guildhall_domain::ClassMap;
use guildhall_runtime::{ConfigError, Environment};
use secrecy::SecretString;

use crate::reshard::Timing;

/// What a term must be.
const MILLISECONDS: &str = "a number of milliseconds";

/// Two sessions' deliveries of one event may well be this far apart: a shorter quiet proves nothing.
const LEAST_QUIET_MILLIS: u64 = 500;

/// What a runner needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DISCORD_TOKEN`.
    pub token: SecretString,
    /// `DISCORD_APPLICATION_ID`, which owns the budget of IDENTIFYs.
    pub application: String,
    /// `DISCORD_API_URL`, without a path.
    pub api_url: String,
    /// `EVENT_QUEUE_URLS`: shard id modulo their number chooses the queue.
    pub queue_urls: Vec<String>,
    /// `COORDINATION_TABLE`.
    pub table: String,
    /// `RUNNER_JOURNAL_DIR`.
    pub journal_dir: PathBuf,
    /// `RUNNER_JOURNAL_MAX_BYTES`.
    pub journal_max_bytes: u64,
    /// `RUNNER_ADMIN_ADDR`.
    pub admin_addr: SocketAddr,
    /// `RUNNER_SHARD_COUNT`; Discord's recommendation without it.
    pub shard_count: Option<u32>,
    /// `RUNNER_LEASE_TERM_MS`.
    pub lease_term: Duration,
    /// `RUNNER_RESHARD_QUIET_MS`: longer than two sessions' deliveries of one event are ever apart, and
    /// `RUNNER_RESHARD_FORCE_MS`: after how long guilds are cut over with a gap.
    pub reshard: Timing,
    /// `RUNNER_HOLDER_ID`: a name for this runner; the process adds what makes it unique.
    pub holder: String,
    /// `RUNNER_RETRY`: any text. A new one has shards tried again that Discord closed for good.
    pub retry: String,
    /// The mapping from kinds to classes that new sessions begin under.
    pub class_map: ClassMap,
    /// `RUNNER_MEMBERS_INTENT`: whether to ask for the privileged intent that joins and leaves need.
    pub members_intent: bool,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When a variable is missing or unusable.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let term: u64 = env.parsed_or("RUNNER_LEASE_TERM_MS", MILLISECONDS, 10_000)?;
        let shard_count = match env.optional("RUNNER_SHARD_COUNT") {
            None => None,
            Some(_) => Some(env.parsed::<std::num::NonZeroU32>("RUNNER_SHARD_COUNT", "a positive number")?.get()),
        };
        Ok(Self {
            token: env.secret("DISCORD_TOKEN")?,
            application: env.required("DISCORD_APPLICATION_ID")?.to_owned(),
            api_url: env.optional("DISCORD_API_URL").unwrap_or("https://discord.com").to_owned(),
            queue_urls: env.list("EVENT_QUEUE_URLS")?,
            table: env.required("COORDINATION_TABLE")?.to_owned(),
            journal_dir: env.required("RUNNER_JOURNAL_DIR")?.into(),
            journal_max_bytes: env.parsed_or("RUNNER_JOURNAL_MAX_BYTES", "a number of bytes", 1 << 30)?,
            admin_addr: admin_addr(env)?,
            shard_count,
            reshard: timing(env)?,
            lease_term: Duration::from_millis(term.max(200)),
            holder: env.optional("RUNNER_HOLDER_ID").unwrap_or("runner").to_owned(),
            retry: env.optional("RUNNER_RETRY").unwrap_or_default().to_owned(),
            class_map: ClassMap::CURRENT,
            members_intent: env.parsed_or("RUNNER_MEMBERS_INTENT", "true or false", true)?,
        })
    }
}

/// Where probes and metrics are served.
///
/// # Errors
/// When the variable is unusable.
pub fn admin_addr(env: &Environment) -> Result<SocketAddr, ConfigError> {
    let default = SocketAddr::from(([127, 0, 0, 1], 9_100));
    env.parsed_or("RUNNER_ADMIN_ADDR", "an address such as 127.0.0.1:9100", default)
}

fn timing(env: &Environment) -> Result<Timing, ConfigError> {
    let at_least = |name: &str, millis: u64, least: u64, expected| {
        if millis < least { Err(ConfigError::Invalid { name: name.to_owned(), expected }) } else { Ok(millis) }
    };
    let expected = "a number of milliseconds, 500 at least";
    let quiet: u64 = env.parsed_or("RUNNER_RESHARD_QUIET_MS", expected, 10_000)?;
    let quiet = at_least("RUNNER_RESHARD_QUIET_MS", quiet, LEAST_QUIET_MILLIS, expected)?;
    let expected = "a number of milliseconds, RUNNER_RESHARD_QUIET_MS at least";
    let force: u64 = env.parsed_or("RUNNER_RESHARD_FORCE_MS", expected, quiet.max(300_000))?;
    let force = at_least("RUNNER_RESHARD_FORCE_MS", force, quiet, expected)?;
    Ok(Timing { quiet: Duration::from_millis(quiet), force: Duration::from_millis(force) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let pairs =
            [("DISCORD_TOKEN", "t"), ("DISCORD_APPLICATION_ID", "1"), ("EVENT_QUEUE_URLS", "http://q/1,http://q/2")];
        let error = Config::from_environment(&Environment::from_pairs(pairs)).expect_err("no table");
        assert_eq!(error.to_string(), "the environment variable COORDINATION_TABLE is not set");
        let all = pairs.into_iter().chain([("COORDINATION_TABLE", "c"), ("RUNNER_JOURNAL_DIR", "/tmp/j")]);
        let config = Config::from_environment(&Environment::from_pairs(all)).expect("complete");
        assert_eq!(config.queue_urls.len(), 2);
        assert_eq!(config.lease_term, Duration::from_secs(10));
        assert!(!format!("{config:?}").contains("\"t\""), "the token is never printed");
    }

    #[test]
    fn a_quiet_that_proves_nothing_is_refused() {
        let timing = |pairs: &[(&str, &str)]| {
            timing(&Environment::from_pairs(pairs.iter().copied())).map_err(|error| error.to_string())
        };
        let (quiet, force) = ("RUNNER_RESHARD_QUIET_MS", "RUNNER_RESHARD_FORCE_MS");
        let seconds = Duration::from_secs;
        assert_eq!(timing(&[]), Ok(Timing { quiet: seconds(10), force: seconds(300) }));
        assert_eq!(timing(&[(quiet, "600000")]), Ok(Timing { quiet: seconds(600), force: seconds(600) }));
        assert!(timing(&[(quiet, "499")]).is_err_and(|error| error.contains(quiet)));
        assert!(timing(&[(force, "9999")]).is_err_and(|error| error.contains(force)));
        assert_eq!(timing(&[(force, "10000")]), Ok(Timing { quiet: seconds(10), force: seconds(10) }));
    }
}
