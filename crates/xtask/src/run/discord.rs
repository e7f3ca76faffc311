//! Which Discord is talked to, and what `.env` has to do with it.
//!
//! **Invariant:** what was counted of the simulated Discord and what was counted of a real application never share a
//! folder, so that neither turns up in the other's numbers.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{checkout::Checkout, lock};

/// What the variables that `.env` may set for a start begin with. Where services are, `run` decides itself: a database
/// of somewhere else in `.env` must not be migrated by accident.
const TAKEN: &[&str] = &["DISCORD_", "RUNNER_", "LOG_", "DEVSTACK_"];

/// What the folder of a real application is called, before its id.
const REAL: &str = "discord-";

/// View Channels, without which there is nothing to count, and View Audit Log and Manage Server, which `/sync` asks for
/// analytics. Whatever else a module needs, `/sync` says.
const PERMISSIONS: u64 = (1 << 10) | (1 << 7) | (1 << 5);

/// Which Discord is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Discord {
    Double,
    /// With this application.
    Real {
        application: String,
    },
}

impl Discord {
    /// A token decides for the real one; the rest must then be there too.
    pub(super) fn from_settings(settings: &[(String, String)]) -> Result<Self> {
        let value = |name: &str| {
            settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value).filter(|v| !v.is_empty())
        };
        if value("DISCORD_TOKEN").is_none() {
            return Ok(Self::Double);
        }
        let missing: Vec<&str> =
            ["DISCORD_PUBLIC_KEY", "DISCORD_APPLICATION_ID"].into_iter().filter(|name| value(name).is_none()).collect();
        let Some(application) = value("DISCORD_APPLICATION_ID").filter(|_| missing.is_empty()) else {
            bail!(
                ".env has DISCORD_TOKEN but not {}\n  both are on the page \"General Information\" of the application in Discord's developer portal",
                missing.join(" and ")
            );
        };
        // It names a folder.
        if !application.bytes().all(|byte| byte.is_ascii_digit()) {
            bail!("DISCORD_APPLICATION_ID in .env is not an id: it consists of digits");
        }
        Ok(Self::Real { application: application.clone() })
    }

    /// The folder of everything that is kept between two starts.
    pub(super) fn state(&self, checkout: &Checkout) -> Result<PathBuf> {
        checkout.state(&self.folder())
    }

    fn folder(&self) -> String {
        match self {
            Self::Double => "run".to_owned(),
            Self::Real { application } => format!("{REAL}{application}"),
        }
    }

    /// The variables of `.env` that what is started gets.
    pub(super) fn variables(&self, settings: &[(String, String)]) -> Vec<(String, String)> {
        let mut variables: Vec<_> = settings.iter().filter(|(name, _)| is_taken(name)).cloned().collect();
        if *self == Self::Double {
            variables.retain(|(name, _)| !name.starts_with("DISCORD_"));
            // Empty counts as absent: a token in the terminal's environment must not change which Discord it is.
            variables.push(("DISCORD_TOKEN".to_owned(), String::new()));
        }
        variables
    }

    /// Where the bot is invited to a guild, when it is a real one.
    pub(super) fn invitation(&self) -> Option<String> {
        match self {
            Self::Double => None,
            Self::Real { application } => Some(format!(
                "https://discord.com/oauth2/authorize?client_id={application}&scope=bot%20applications.commands&permissions={PERMISSIONS}"
            )),
        }
    }
}

/// The variables of `.env` that a start has no use for.
pub(super) fn unused(settings: &[(String, String)]) -> Vec<&str> {
    settings.iter().map(|(name, _)| name.as_str()).filter(|name| !is_taken(name)).collect()
}

fn is_taken(name: &str) -> bool {
    TAKEN.iter().any(|prefix| name.starts_with(prefix))
}

/// The processes of this checkout's `run`s, simulated first.
pub(super) fn running(checkout: &Checkout) -> Result<Vec<i32>> {
    let folders = std::fs::read_dir(checkout.path(".guildhall")).into_iter().flatten();
    let mut names: Vec<_> =
        folders.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| *name == Discord::Double.folder() || name.starts_with(REAL));
    names.sort_by_key(|name| name.starts_with(REAL));
    let mut holders = Vec::new();
    for name in names {
        holders.extend(lock::holder(&checkout.state(&name)?.join("lock")));
    }
    Ok(holders)
}

/// What a runner says when Discord's REST refuses the token, before there is a gateway to be closed.
pub(super) const TOKEN_REFUSED: &str = "Discord refuses the token";

pub(super) const NEW_TOKEN: &str =
    "it is not valid\n  take a new one (developer portal, Bot, Reset Token) and put it into .env as DISCORD_TOKEN";

/// What a gateway close code that forbids connecting again means to whoever has started this (Discord documentation,
/// "Gateway Close Event Codes").
pub(super) fn refusal(code: u16) -> String {
    let remedy = match code {
        4004 => return format!("Discord does not accept the token (close code 4004): {NEW_TOKEN}"),
        4010 | 4011 => {
            "the number of shards is not right\n  remove RUNNER_SHARD_COUNT from .env: Discord then recommends one"
        }
        4014 => {
            "the application may not be told of members who join and leave\n  enable Server Members Intent (developer portal, Bot), or set RUNNER_MEMBERS_INTENT=false in .env"
        }
        _ => "see \"Gateway Close Event Codes\" in Discord's documentation",
    };
    format!("Discord has closed the gateway for good, with code {code}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn real() -> Discord {
        Discord::Real { application: "42".to_owned() }
    }

    #[test]
    fn a_token_means_the_real_discord() {
        assert_eq!(Discord::from_settings(&[]).unwrap(), Discord::Double);
        assert_eq!(Discord::from_settings(&settings(&[("DISCORD_TOKEN", "")])).unwrap(), Discord::Double);
        let all = settings(&[("DISCORD_TOKEN", "t"), ("DISCORD_PUBLIC_KEY", "k"), ("DISCORD_APPLICATION_ID", "42")]);
        assert_eq!(Discord::from_settings(&all).unwrap(), real());
    }

    #[test]
    fn half_of_an_application_is_refused() {
        let error = Discord::from_settings(&settings(&[("DISCORD_TOKEN", "secret"), ("DISCORD_PUBLIC_KEY", "k")]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("not DISCORD_APPLICATION_ID") && !error.contains("secret"), "{error}");
        let odd =
            settings(&[("DISCORD_TOKEN", "t"), ("DISCORD_PUBLIC_KEY", "k"), ("DISCORD_APPLICATION_ID", "../run")]);
        assert!(Discord::from_settings(&odd).unwrap_err().to_string().contains("is not an id"));
    }

    #[test]
    fn each_discord_keeps_its_data_apart() {
        assert_eq!(Discord::Double.folder(), "run");
        assert_eq!(real().folder(), "discord-42");
    }

    #[test]
    fn a_start_gets_its_own_variables_and_no_others() {
        let given = settings(&[
            ("DISCORD_TOKEN", "t"),
            ("RUNNER_MEMBERS_INTENT", "false"),
            ("LOG_LEVEL", "debug"),
            ("DATABASE_URL", "postgres://elsewhere"),
        ]);
        assert_eq!(real().variables(&given), given[..3]);
        assert_eq!(
            Discord::Double.variables(&given),
            settings(&[("RUNNER_MEMBERS_INTENT", "false"), ("LOG_LEVEL", "debug"), ("DISCORD_TOKEN", "")])
        );
        assert_eq!(unused(&given), ["DATABASE_URL"]);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert!(
            refusal(4014).contains("Server Members Intent") && refusal(4014).contains("RUNNER_MEMBERS_INTENT=false")
        );
        assert!(refusal(4004).contains("DISCORD_TOKEN"));
        assert!(refusal(4999).contains("4999"));
    }

    #[test]
    fn the_bot_is_invited_with_its_commands() {
        let url = real().invitation().unwrap();
        assert!(url.contains("client_id=42&scope=bot%20applications.commands&permissions=1184"), "{url}");
        assert_eq!(Discord::Double.invitation(), None);
    }
}
