//! `cargo xtask say "/stats server period:7d"`: a slash command as a simulated member, and what that member then sees.
//!
//! The running double signs and sends the interaction, waits for deferred edits and answers with the outcome; this side
//! finds the people and places, and draws. Names are matched loosely: ids work too.

mod mentions;
mod pictures;
mod render;
mod who;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ambient, checkout::Checkout, cli::Arguments, console, http, run::Announcement};

pub(crate) const OPTIONS: &[&str] = &["as", "guild", "channel", "out", "click", "select", "fill"];
pub(crate) const FLAGS: &[&str] = &["who", "json", "help"];

const HELP: &str = "\
usage: cargo xtask say \"/command [subcommand] [option:value …]\" [options]

  --as NAME|ID        who speaks (otherwise somebody who may do everything)
  --guild NAME|ID     where (otherwise the first guild)
  --channel NAME|ID   (otherwise the first text channel)
  --click N           presses button N of the last answer
  --select N=a,b      chooses in menu N of the last answer
  --fill \"name=text\"  fills in the form that the last answer opened (more fields after ;)
  --out DIR           where pictures are saved
  --json              the double's whole answer
  --who               the guilds, channels and some members";

/// Enough members to put a name to any of them.
const EVERYBODY: u32 = 100_000;

/// Longer than the double waits for deferred edits.
const PATIENCE: Duration = Duration::from_secs(60);

/// The last answer: what `--click` and `--select` refer to.
#[derive(Debug, Deserialize, Serialize)]
struct Last {
    place: who::Place,
    answer: Value,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.flag("help") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let checkout = Checkout::find()?;
    let announcement = Announcement::of_simulated(&checkout)?;
    let Some(double) = announcement.double_url else {
        bail!("the running system has no simulated Discord");
    };
    let community =
        ask(&format!("{double}/_double/guilds?members={}", if arguments.flag("who") { 25 } else { EVERYBODY }), None)?;
    if arguments.flag("who") {
        console::print(&who::listing(&community));
        return Ok(ExitCode::SUCCESS);
    }
    let state = checkout.state("say")?;
    let (place, request) = request(arguments, &community, &state)?;
    let answer = ask(&format!("{double}/_double/interactions"), Some(&request))?;

    if arguments.flag("json") {
        let json = serde_json::to_string_pretty(&answer).context("cannot encode the answer")?;
        console::print(&format!("{json}\n"));
    } else {
        let drawn = mentions::resolve(&render::answer(&answer), &who::names(&community), ambient::unix_seconds());
        console::print(&format!("{}\n{drawn}", who::caption(&community, &place)));
    }
    let out = arguments.option("out").map_or_else(|| state.clone(), PathBuf::from);
    for picture in pictures::save(&answer, &out)? {
        console::print(&format!("  picture: {}\n", picture.display()));
    }
    let succeeded = answer["status"].as_u64().is_none_or(|status| status < 300);
    remember(&state, &Last { place, answer })?;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn request(arguments: &Arguments, community: &Value, state: &Path) -> Result<(who::Place, Value)> {
    let component = match (arguments.option("click"), arguments.option("select"), arguments.option("fill")) {
        (Some(number), _, _) => Some((number, Vec::new())),
        (None, Some(choice), _) => {
            let (number, values) = choice.split_once('=').context("--select takes N=value,value")?;
            Some((number, values.split(',').map(str::to_owned).collect()))
        }
        (None, None, Some(_)) => None,
        (None, None, None) => {
            let command = arguments.words().join(" ");
            if command.is_empty() {
                bail!("what should be said?\n{HELP}");
            }
            let command = if command.starts_with('/') { command } else { format!("/{command}") };
            let place =
                who::find(community, arguments.option("guild"), arguments.option("channel"), arguments.option("as"))?;
            let request = json!({
                "guild_id": place.guild, "channel_id": place.channel, "user_id": place.user, "command": command,
            });
            return Ok((place, request));
        }
    };
    let last = recall(state)?;
    let mut place = last.place;
    if arguments.option("as").is_some() {
        place = who::find(community, Some(&place.guild), Some(&place.channel), arguments.option("as"))?;
    }
    let mut request = json!({ "guild_id": place.guild, "channel_id": place.channel, "user_id": place.user });
    match component {
        Some((number, values)) => {
            let number: usize = number.parse().with_context(|| format!("\"{number}\" is not a number"))?;
            let parts = render::interactive(&last.answer);
            let Some(part) = number.checked_sub(1).and_then(|index| parts.get(index)) else {
                bail!("the last answer has {} buttons and menus, and no number {number}", parts.len());
            };
            request["custom_id"] = part["custom_id"].clone();
            request["message_id"] = last.answer["message_id"].clone();
            request["values"] = values.into();
        }
        None => {
            let mut fields = serde_json::Map::new();
            for field in arguments.option("fill").unwrap_or_default().split(';') {
                let (name, text) = field.split_once('=').context("--fill takes name=text, and more after ;")?;
                fields.insert(name.trim().to_owned(), text.trim().into());
            }
            request["custom_id"] = last.answer["modal"]["custom_id"].clone();
            request["fields"] = fields.into();
        }
    }
    Ok((place, request))
}

fn ask(url: &str, body: Option<&Value>) -> Result<Value> {
    let answer = match body {
        Some(body) => http::post_json(url, body, PATIENCE),
        None => http::get(url, PATIENCE),
    };
    let answer = answer.context("the Discord double does not answer\n  is `cargo xtask run` still running?")?;
    let value: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into());
    if answer.status >= 300 {
        let reason = value["error"].as_str().or_else(|| value["message"].as_str()).or_else(|| value.as_str());
        bail!("the double refuses this ({}): {}", answer.status, reason.unwrap_or("without a reason"));
    }
    Ok(value)
}

fn remember(state: &Path, last: &Last) -> Result<()> {
    let path = state.join("last.json");
    let json = serde_json::to_vec(last).context("cannot encode the answer")?;
    std::fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
}

fn recall(state: &Path) -> Result<Last> {
    let bytes =
        std::fs::read(state.join("last.json")).context("nothing has been said yet: there is no answer to press on")?;
    serde_json::from_slice(&bytes).context("the last answer is damaged: say something first")
}
