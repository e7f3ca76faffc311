//! An interaction as Discord sends it (Discord documentation, "Receiving and Responding to Interactions").
//!
//! **Invariant:** only what is used is read, and leniently, so that fields Discord adds or changes elsewhere are harmless.
//! **Invariant:** the token, with which anybody could answer in the bot's name, never prints.

use std::collections::BTreeMap;

use guildhall_domain::{ApplicationId, ChannelId, GuildId, InteractionId, Language, Permissions, UserId};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

/// One use of a command, component or modal.
#[derive(Debug, Clone)]
pub struct Interaction {
    /// Its id, under which it has its effect once.
    pub id: InteractionId,
    /// The application it is for.
    pub application: ApplicationId,
    /// The secret with which it is answered later.
    pub token: SecretString,
    /// The guild it happened in; `None` in direct messages.
    pub guild: Option<GuildId>,
    /// The channel it happened in.
    pub channel: Option<ChannelId>,
    /// Who did it; `None` on a ping.
    pub invoker: Option<Invoker>,
    /// The language of that person's client.
    pub language: Language,
    /// What was done.
    pub action: Action,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invoker {
    /// The person.
    pub user: UserId,
    /// What that person may do in the channel, overwrites included, as Discord computed it.
    pub permissions: Permissions,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Discord asks whether anybody is there.
    Ping,
    /// A slash command.
    Command(CommandUse),
    /// A button or a select.
    Component {
        /// The component's id.
        custom_id: String,
        /// What was selected.
        values: Vec<String>,
    },
    /// A modal was sent.
    Modal {
        /// The modal's id.
        custom_id: String,
        /// The texts by the ids of their fields.
        fields: BTreeMap<String, String>,
    },
    /// Something this version does not know.
    Unknown(u8),
}

/// A slash command with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandUse {
    /// The command's name.
    pub name: String,
    /// The name of its subcommand, where it has some.
    pub subcommand: Option<String>,
    /// The options' values by name.
    pub options: BTreeMap<String, OptionValue>,
    /// What the invoker may do in the channels that options name.
    pub channel_permissions: BTreeMap<ChannelId, Permissions>,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// A text, a choice, or an id.
    Text(String),
    /// A switch.
    Flag(bool),
    /// A number of a kind no command here takes.
    Other,
}

/// The body is not an interaction.
#[derive(Debug, thiserror::Error)]
#[error("the body is not an interaction")]
pub struct Malformed(#[source] Option<serde_json::Error>);

#[derive(Deserialize)]
struct Raw {
    id: InteractionId,
    application_id: ApplicationId,
    #[serde(rename = "type")]
    kind: u8,
    token: SecretString,
    guild_id: Option<GuildId>,
    channel_id: Option<ChannelId>,
    member: Option<RawMember>,
    user: Option<RawUser>,
    #[serde(default)]
    locale: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct RawMember {
    user: RawUser,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize)]
struct RawUser {
    id: UserId,
}

#[derive(Deserialize)]
struct RawCommand {
    name: String,
    #[serde(default)]
    options: Vec<RawOption>,
    #[serde(default)]
    resolved: RawResolved,
}

#[derive(Deserialize)]
struct RawOption {
    name: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    options: Vec<RawOption>,
    #[serde(rename = "type")]
    kind: u8,
}

#[derive(Deserialize, Default)]
struct RawResolved {
    #[serde(default)]
    channels: BTreeMap<ChannelId, RawChannel>,
}

#[derive(Deserialize)]
struct RawChannel {
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize)]
struct RawComponent {
    custom_id: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
struct RawModal {
    custom_id: String,
    #[serde(default)]
    components: Value,
}

/// Discord's number for a subcommand among options.
const SUBCOMMAND: u8 = 1;

impl Interaction {
    /// Reads a body whose signature was checked.
    ///
    /// # Errors
    /// When it is no interaction.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let raw: Raw = serde_json::from_slice(body).map_err(|error| Malformed(Some(error)))?;
        let member = raw.member.map(|member| (member.user.id, member.permissions));
        let invoker = member.or_else(|| raw.user.map(|user| (user.id, Permissions::NONE)));
        let action = match raw.kind {
            1 => Action::Ping,
            2 => Action::Command(read_command(read(raw.data)?)),
            3 => {
                let RawComponent { custom_id, values } = read(raw.data)?;
                Action::Component { custom_id, values }
            }
            5 => {
                let RawModal { custom_id, components } = read(raw.data)?;
                let mut fields = BTreeMap::new();
                collect_fields(&components, &mut fields);
                Action::Modal { custom_id, fields }
            }
            other => Action::Unknown(other),
        };
        if invoker.is_none() && action != Action::Ping {
            return Err(Malformed(None));
        }
        Ok(Self {
            id: raw.id,
            application: raw.application_id,
            token: raw.token,
            guild: raw.guild_id,
            channel: raw.channel_id,
            invoker: invoker.map(|(user, permissions)| Invoker { user, permissions }),
            language: Language::from_locale(&raw.locale),
            action,
        })
    }
}

fn read<T: for<'de> Deserialize<'de>>(data: Value) -> Result<T, Malformed> {
    serde_json::from_value(data).map_err(|error| Malformed(Some(error)))
}

fn read_command(raw: RawCommand) -> CommandUse {
    let channel_permissions = raw.resolved.channels.into_iter().map(|(id, c)| (id, c.permissions)).collect();
    let mut options = raw.options;
    let subcommand = match options.iter().position(|option| option.kind == SUBCOMMAND) {
        Some(position) => {
            let RawOption { name, options: inner, .. } = options.swap_remove(position);
            options = inner;
            Some(name)
        }
        None => None,
    };
    let options = options
        .into_iter()
        .map(|option| {
            let value = match option.value {
                Value::String(text) => OptionValue::Text(text),
                Value::Bool(flag) => OptionValue::Flag(flag),
                _ => OptionValue::Other,
            };
            (option.name, value)
        })
        .collect();
    CommandUse { name: raw.name, subcommand, options, channel_permissions }
}

/// Finds texts with ids at whatever depth: action rows hold `components`, labels hold one `component`.
fn collect_fields(value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_fields(item, fields)),
        Value::Object(object) => {
            if let (Some(Value::String(id)), Some(Value::String(text))) = (object.get("custom_id"), object.get("value"))
            {
                fields.insert(id.clone(), text.clone());
            }
            for inner in ["components", "component"] {
                if let Some(inner) = object.get(inner) {
                    collect_fields(inner, fields);
                }
            }
        }
        _ => {}
    }
}

impl CommandUse {
    /// The text of an option.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.options.get(name)? {
            OptionValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The state of a switch.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.options.get(name)? {
            OptionValue::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
