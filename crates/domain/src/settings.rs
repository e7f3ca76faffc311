//! What an administrator can set for a guild: one definition that validates and documents itself.
//!
//! **Invariant:** unknown fields are refused, so that a misspelt setting is an error and never silently ignored.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::TimeZone;

/// A language of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// French.
    #[serde(rename = "fr")]
    French,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// The ISO 639-1 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// The language for a Discord locale such as `fr` or `en-GB`; English where there is no translation.
    pub fn from_locale(locale: &str) -> Self {
        if locale == "fr" || locale.starts_with("fr-") { Self::French } else { Self::English }
    }
}

impl FromStr for Language {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|language| language.code() == text).ok_or(UnknownName)
    }
}

/// A part of Guildhall that a guild can switch on or off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Module {
    /// Exact counts and charts.
    Analytics,
    /// Cases, warnings, bans.
    Moderation,
    /// Support tickets.
    Tickets,
    /// Rules: trigger, conditions, actions.
    Automations,
}

impl Module {
    /// Every module.
    pub const ALL: [Self; 4] = [Self::Analytics, Self::Moderation, Self::Tickets, Self::Automations];

    /// The module's name in settings files and component ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::Moderation => "moderation",
            Self::Tickets => "tickets",
            Self::Automations => "automations",
        }
    }
}

impl FromStr for Module {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|module| module.name() == text).ok_or(UnknownName)
    }
}

/// The text names none of the known values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// The settings of one guild.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuildSettings {
    /// The language of answers that everyone sees.
    #[serde(default)]
    pub language: Language,
    /// Where the guild's days begin and end. A change applies to days counted from then on.
    pub time_zone: TimeZone,
    /// What is switched on.
    #[serde(default)]
    pub modules: BTreeSet<Module>,
}

impl Default for GuildSettings {
    fn default() -> Self {
        Self { language: Language::English, time_zone: TimeZone::UTC, modules: BTreeSet::from([Module::Analytics]) }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_json() {
        let settings = GuildSettings {
            language: Language::French,
            time_zone: "Asia/Kathmandu".parse().expect("a zone"),
            modules: BTreeSet::from([Module::Analytics, Module::Tickets]),
        };
        let text = serde_json::to_string(&settings).expect("serialises");
        assert_eq!(text, r#"{"language":"fr","time_zone":"Asia/Kathmandu","modules":["analytics","tickets"]}"#);
        assert_eq!(serde_json::from_str::<GuildSettings>(&text).expect("reads"), settings);
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let text = r#"{"language":"en","time_zone":"UTC","modules":[],"langauge":"fr"}"#;
        assert!(serde_json::from_str::<GuildSettings>(text).is_err());
    }
}
