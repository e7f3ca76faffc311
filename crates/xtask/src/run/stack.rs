//! The project's own processes: the devstack (the Discord double and all functions) and the gateway runner.
//!
//! The devstack announces where it is and what a runner needs by writing `devstack.json` into the state folder when it is
//! ready.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::discord::{self, Discord};
use crate::{
    ambient::Stopwatch,
    checkout::Checkout,
    console,
    exec::Program,
    http, monitoring,
    ports::Ports,
    process::{self, Account, Plan, Stop},
    services::{Endpoints, Services},
};

pub(super) const ANNOUNCEMENT: &str = "devstack.json";

/// What the devstack says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Announcement {
    /// The double's address; none when the real Discord is used.
    #[serde(default, rename = "discord_url")]
    pub(crate) double_url: Option<String>,
    pub(crate) interactions_url: String,
    /// What a runner or a function started as a binary needs to join.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Announcement {
    /// That of the running system with the simulated Discord.
    pub(crate) fn of_simulated(checkout: &Checkout) -> Result<Self> {
        if let Some(announcement) = Self::read(&Discord::Double.state(checkout)?)? {
            return Ok(announcement);
        }
        match discord::running(checkout)?.as_slice() {
            [] => bail!("the system is not running in this checkout\n  start it in another terminal: cargo xtask run"),
            _ => bail!("the running system talks to the real Discord: use a Discord client there"),
        }
    }

    fn read(state: &Path) -> Result<Option<Self>> {
        match fs::read(state.join(ANNOUNCEMENT)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).context("the devstack's announcement is damaged")?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot read the devstack's announcement"),
        }
    }
}

/// Forgets the data of earlier starts.
pub(super) fn forget(state: &Path) -> Result<()> {
    for name in ["postgres", "journal"] {
        let path = state.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Starts both and waits until they are ready.
pub(super) fn start(
    checkout: &Checkout,
    state: &Path,
    services: &mut Services,
    ports: &mut Ports,
    discord: &Discord,
    settings: &[(String, String)],
) -> Result<Announcement> {
    let _ = fs::remove_file(state.join(ANNOUNCEMENT));
    let binaries = checkout.target().join("debug");
    let endpoints = services.endpoints().clone();
    let mut environment = discord.variables(settings);
    environment.extend([
        ("DATABASE_URL".to_owned(), endpoints.postgres),
        ("REDIS_URL".to_owned(), endpoints.redis),
        ("AWS_ENDPOINT_URL".to_owned(), endpoints.aws),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
        ("GUILDHALL_STATE_DIR".to_owned(), state.display().to_string()),
        ("DEVSTACK_INTERACTIONS_ADDR".to_owned(), format!("127.0.0.1:{}", ports.choose("interactions")?)),
        ("DEVSTACK_DOUBLE_ADDR".to_owned(), format!("127.0.0.1:{}", ports.choose("discord")?)),
    ]);

    let task = console::task("devstack", "starting the functions");
    let progress = state.join("devstack.progress");
    let mut devstack = process::start(Plan {
        name: "devstack",
        program: Program::new(binaries.join("devstack")).envs(&environment).current_dir(checkout.root()),
        log: state.join("devstack.log"),
        progress: Some(progress.clone()),
        pid_file: state.join("devstack.pid"),
        stop: Stop::Terminate,
        account: Account::Own,
    })?;
    // Migrations and a past for the simulated guilds are part of becoming ready.
    let mut shown = Shown { watch: Stopwatch::start(), line: String::new() };
    let ready = devstack.wait_ready(Duration::from_secs(600), || {
        shown.look(&progress);
        matches!(Announcement::read(state), Ok(Some(_)))
    });
    ready.context("the functions could not be started\n  if the data of an earlier start is in the way, `cargo xtask run --fresh` forgets it")?;
    services.adopt(devstack);
    let announcement = Announcement::read(state)?.context("the functions do not say where they are")?;
    task.done("ready");

    let task = console::task("runner", "starting");
    let journal = state.join("journal");
    fs::create_dir_all(&journal).with_context(|| format!("cannot create {}", journal.display()))?;
    let admin = format!("127.0.0.1:{}", ports.choose("runner")?);
    let mut environment = discord.variables(settings);
    environment.extend(announcement.environment.clone());
    let mut runner = process::start(Plan {
        name: "runner",
        program: Program::new(binaries.join("gateway-runner"))
            .envs(&environment)
            .env("RUNNER_JOURNAL_DIR", &journal)
            .env("RUNNER_ADMIN_ADDR", &admin)
            .current_dir(checkout.root()),
        log: state.join("runner.log"),
        progress: None,
        pid_file: state.join("runner.pid"),
        stop: Stop::Terminate,
        account: Account::Own,
    })?;
    let ready = format!("http://{admin}/readyz");
    let mut condition = Condition::Starting;
    let reached = runner.wait_ready(Duration::from_secs(60), || {
        condition =
            http::get(&ready, Duration::from_secs(2)).map_or(Condition::Starting, |answer| Condition::of(&answer));
        condition != Condition::Starting
    });
    if reached.is_err() && runner.last_words().contains(discord::TOKEN_REFUSED) {
        bail!("Discord does not accept the token: {}", discord::NEW_TOKEN);
    }
    reached?;
    if let Condition::Refused(code) = condition {
        bail!("{}", discord::refusal(code));
    }
    services.adopt(runner);
    monitoring::announce(state, &announcement.interactions_url, &admin)?;
    task.done(&format!("ready; metrics on http://{admin}/metrics"));
    Ok(announcement)
}

/// How far a runner is, as `/readyz` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Starting,
    /// It has shards, and all of them receive events.
    Ready,
    /// Discord has closed a shard for good, with this code.
    Refused(u16),
}

impl Condition {
    fn of(answer: &http::Answer) -> Self {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let shards: Vec<_> = body["shards"].as_object().map(|shards| shards.values().collect()).unwrap_or_default();
        let refused = shards.iter().find(|shard| shard["state"] == "fatal");
        match refused.and_then(|shard| u16::try_from(shard["code"].as_u64()?).ok()) {
            Some(code) => Self::Refused(code),
            // A runner that has not looked for shards yet lacks none.
            None if answer.status == 200 && !shards.is_empty() => Self::Ready,
            None => Self::Starting,
        }
    }
}

/// The devstack's progress, as far as the user has seen it.
struct Shown {
    watch: Stopwatch,
    line: String,
}

impl Shown {
    /// Shows the last line when it is new and the one before has stood for a while.
    fn look(&mut self, progress: &Path) {
        if self.watch.elapsed() < Duration::from_secs(3) {
            return;
        }
        let text = fs::read_to_string(progress).unwrap_or_default();
        if let Some(line) = text.lines().last().filter(|line| *line != self.line) {
            console::note("devstack", line);
            *self = Self { watch: Stopwatch::start(), line: line.to_owned() };
        }
    }
}

/// Where everything is and what to try next.
pub(super) fn print_guide(
    announcement: &Announcement,
    discord: &Discord,
    endpoints: &Endpoints,
    state: &Path,
    took: Duration,
) {
    console::heading(&format!("\nGuildhall is running ({})", console::seconds(took)));
    console::note("database", &endpoints.postgres);
    console::note("cache", &endpoints.redis);
    console::note("queues", &format!("{} (any credentials, us-east-1)", endpoints.aws));
    console::note("interactions", &announcement.interactions_url);
    match (&announcement.double_url, discord) {
        (Some(url), _) => console::note("discord", &format!("{url} (simulated)")),
        (None, Discord::Real { .. }) => console::note("discord", "the real one, with the application of .env"),
        (None, Discord::Double) => {}
    }
    console::note("logs", &format!("{}/*.log", state.display()));
    match discord {
        Discord::Double => {
            console::heading("\ntry, in another terminal");
            println!("  cargo xtask say \"/stats server\"");
            println!("  cargo xtask say --who                    (who there is)");
            println!("  cargo xtask say \"/setup\"");
        }
        Discord::Real { .. } => {
            console::heading("\nnext");
            if let Some(url) = discord.invitation() {
                println!("  invite the bot: {url}");
            }
            println!("  cargo xtask register-commands --guild <id>");
            println!(
                "  let Discord reach {} by HTTPS: the address of a tunnel to it goes",
                announcement.interactions_url
            );
            println!("  into \"Interactions Endpoint URL\" of the developer portal");
        }
    }
    println!("\nCtrl-C stops everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: u16, body: &str) -> Condition {
        Condition::of(&http::Answer { status, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn a_runner_is_ready_when_its_shards_are() {
        assert_eq!(condition(200, r#"{"ready":true,"shards":{"0":{"state":"active"}}}"#), Condition::Ready);
        assert_eq!(condition(503, r#"{"ready":false,"shards":{"0":{"state":"connecting"}}}"#), Condition::Starting);
        assert_eq!(condition(200, r#"{"ready":true,"shards":{}}"#), Condition::Starting);
    }

    #[test]
    fn a_shard_closed_for_good_is_seen_beside_others() {
        let body = r#"{"ready":false,"shards":{"0":{"state":"active"},"1":{"state":"fatal","code":4014}}}"#;
        assert_eq!(condition(503, body), Condition::Refused(4014));
        assert_eq!(condition(503, "not JSON"), Condition::Starting);
    }
}
