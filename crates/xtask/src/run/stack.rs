//! The project's own processes: the devstack (the Discord double and all functions) and the gateway runner.
//!
//! The devstack announces where it is and what a runner needs by writing `devstack.json` into the state folder when it is
//! ready.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    ambient::Stopwatch,
    checkout::Checkout,
    console,
    exec::Program,
    http,
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
    /// That of the running system.
    pub(crate) fn of(checkout: &Checkout) -> Result<Self> {
        Self::read(&checkout.state("run")?)?
            .context("the system is not running in this checkout\n  start it in another terminal: cargo xtask run")
    }

    fn read(state: &Path) -> Result<Option<Self>> {
        match fs::read(state.join(ANNOUNCEMENT)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).context("the devstack's announcement is damaged")?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot read the devstack's announcement"),
        }
    }
}

/// Which Discord is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Discord {
    Double,
    /// With these variables.
    Real(Vec<(String, String)>),
}

impl Discord {
    /// A token decides for the real one; the rest must then be there too.
    pub(super) fn from_settings(settings: &[(String, String)]) -> Result<Self> {
        let has = |name: &str| settings.iter().any(|(known, value)| known == name && !value.is_empty());
        if !has("DISCORD_TOKEN") {
            return Ok(Self::Double);
        }
        let missing: Vec<&str> =
            ["DISCORD_PUBLIC_KEY", "DISCORD_APPLICATION_ID"].into_iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            bail!(
                ".env has DISCORD_TOKEN but not {}\n  both are on the page \"General Information\" of the application in Discord's developer portal",
                missing.join(" and ")
            );
        }
        Ok(Self::Real(settings.to_vec()))
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
) -> Result<Announcement> {
    let _ = fs::remove_file(state.join(ANNOUNCEMENT));
    let binaries = checkout.target().join("debug");
    let endpoints = services.endpoints().clone();
    let mut environment = vec![
        ("DATABASE_URL".to_owned(), endpoints.postgres),
        ("REDIS_URL".to_owned(), endpoints.redis),
        ("AWS_ENDPOINT_URL".to_owned(), endpoints.aws),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
        ("GUILDHALL_STATE_DIR".to_owned(), state.display().to_string()),
        ("DEVSTACK_INTERACTIONS_ADDR".to_owned(), format!("127.0.0.1:{}", ports.choose("interactions")?)),
        ("DEVSTACK_DOUBLE_ADDR".to_owned(), format!("127.0.0.1:{}", ports.choose("discord")?)),
    ];
    if let Discord::Real(settings) = discord {
        environment.extend(settings.iter().cloned());
    }

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
    let announcement = Announcement::of(checkout)?;
    task.done("ready");

    let task = console::task("runner", "starting");
    let journal = state.join("journal");
    fs::create_dir_all(&journal).with_context(|| format!("cannot create {}", journal.display()))?;
    let admin = format!("127.0.0.1:{}", ports.choose("runner")?);
    let runner = announcement
        .environment
        .iter()
        .fold(Program::new(binaries.join("gateway-runner")), |program, (name, value)| program.env(name, value));
    let mut runner = process::start(Plan {
        name: "runner",
        program: runner
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
    runner.wait_ready(Duration::from_secs(60), || {
        http::get(&ready, Duration::from_secs(2)).is_ok_and(|answer| answer.status == 200)
    })?;
    services.adopt(runner);
    task.done(&format!("ready; metrics on http://{admin}/metrics"));
    Ok(announcement)
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
        (None, Discord::Real(_)) => console::note("discord", "the real one, with the application of .env"),
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
        Discord::Real(_) => {
            console::heading("\nnext");
            println!("  cargo xtask register-commands");
            println!(
                "  then let Discord reach {}: a tunnel's address, with /interactions,",
                announcement.interactions_url
            );
            println!("  goes into \"Interactions Endpoint URL\" of the developer portal");
        }
    }
    println!("\nCtrl-C stops everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_token_means_the_real_discord() {
        assert_eq!(Discord::from_settings(&[]).unwrap(), Discord::Double);
        assert_eq!(Discord::from_settings(&settings(&[("DISCORD_TOKEN", "")])).unwrap(), Discord::Double);
        let all = settings(&[("DISCORD_TOKEN", "t"), ("DISCORD_PUBLIC_KEY", "k"), ("DISCORD_APPLICATION_ID", "1")]);
        assert_eq!(Discord::from_settings(&all).unwrap(), Discord::Real(all));
    }

    #[test]
    fn half_of_an_application_is_refused() {
        let error = Discord::from_settings(&settings(&[("DISCORD_TOKEN", "secret"), ("DISCORD_PUBLIC_KEY", "k")]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("not DISCORD_APPLICATION_ID") && !error.contains("secret"), "{error}");
    }
}
