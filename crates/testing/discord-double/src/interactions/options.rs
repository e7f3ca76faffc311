//! The options of a command: typed text becomes values, ids bring what they stand for.
//!
//! **Invariant:** a registered command decides the types; only without any registered command are they guessed.

use guildhall_domain::{ChannelId, RoleId, UserId};
use serde_json::{Map, Value, json};

use super::command_line::Typed;
use super::payload::resolved_channel;
use super::send::Refusal;
use crate::rest::Api;
use crate::world::Guild;

const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;
const STRING: u64 = 3;
const INTEGER: u64 = 4;
const BOOLEAN: u64 = 5;
const USER: u64 = 6;
const CHANNEL: u64 = 7;
const ROLE: u64 = 8;
const MENTIONABLE: u64 = 9;
const NUMBER: u64 = 10;

/// Makes the options of a payload, and collects what they name.
pub(super) struct Options<'a> {
    api: &'a Api,
    guild: &'a Guild,
    user: UserId,
    /// The option the member is typing, when autocomplete is asked for.
    focused: Option<&'a str>,
    resolved: Map<String, Value>,
}

impl<'a> Options<'a> {
    pub(super) fn new(api: &'a Api, guild: &'a Guild, user: UserId, focused: Option<&'a str>) -> Self {
        Self { api, guild, user, focused, resolved: Map::new() }
    }

    /// What the ids stand for, unless there are none.
    pub(super) fn resolved(self) -> Option<Value> {
        (!self.resolved.is_empty()).then_some(Value::Object(self.resolved))
    }

    /// The options of a typed command, by its definition where there is one.
    pub(super) fn typed(&mut self, typed: &Typed, definition: Option<&Value>) -> Result<Value, Refusal> {
        self.level(&typed.path[1..], &typed.options, definition)
    }

    fn level(
        &mut self,
        path: &[String],
        options: &[(String, String)],
        definition: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let known = definition.map(|definition| definition["options"].as_array().cloned().unwrap_or_default());
        if let Some((word, rest)) = path.split_first() {
            let nested = known.as_ref().map(|known| {
                let is_it = |option: &&Value| {
                    option["name"] == word.as_str() && option["type"].as_u64().is_some_and(|kind| kind <= GROUP)
                };
                known.iter().find(is_it).cloned().ok_or_else(|| Refusal::new(format!("there is no subcommand {word}")))
            });
            let nested = nested.transpose()?;
            let guess = if rest.is_empty() { SUBCOMMAND } else { GROUP };
            let kind = nested.as_ref().and_then(|nested| nested["type"].as_u64()).unwrap_or(guess);
            let children = self.level(rest, options, nested.as_ref())?;
            return Ok(json!([{ "name": word, "type": kind, "options": children }]));
        }
        let Some(known) = known else {
            let guessed = options.iter().map(|(name, text)| self.value(name, guess(name), text, None));
            return Ok(Value::Array(guessed.collect::<Result<_, _>>()?));
        };
        if let Some(missing) = known.iter().find(|option| option["type"].as_u64().is_some_and(|kind| kind <= GROUP)) {
            return Err(Refusal::new(format!("a subcommand is needed, such as {}", missing["name"])));
        }
        for option in known.iter().filter(|option| option["required"] == true && self.focused.is_none()) {
            if !options.iter().any(|(name, _)| option["name"] == name.as_str()) {
                return Err(Refusal::new(format!("the option {} is required", option["name"])));
            }
        }
        let mut values = Vec::new();
        for (name, text) in options {
            let option = known.iter().find(|option| option["name"] == name.as_str());
            let option = option.ok_or_else(|| Refusal::new(format!("there is no option {name}")))?;
            values.push(self.value(name, option["type"].as_u64().unwrap_or(STRING), text, Some(option))?);
        }
        Ok(Value::Array(values))
    }

    fn value(&mut self, name: &str, kind: u64, text: &str, definition: Option<&Value>) -> Result<Value, Refusal> {
        if self.focused == Some(name) {
            return Ok(json!({ "name": name, "type": kind, "value": text, "focused": true }));
        }
        let wrong = |what: &str| Refusal::new(format!("{name}: {text} is not {what}"));
        let value = match kind {
            STRING => json!(text),
            INTEGER => json!(text.parse::<i64>().map_err(|_| wrong("a whole number"))?),
            NUMBER => json!(text.parse::<f64>().map_err(|_| wrong("a number"))?),
            BOOLEAN => json!(text.to_lowercase().parse::<bool>().map_err(|_| wrong("true or false"))?),
            USER => json!(self.user(text).ok_or_else(|| wrong("a member"))?),
            CHANNEL => json!(self.channel(text).ok_or_else(|| wrong("a channel"))?),
            ROLE => json!(self.role(text).ok_or_else(|| wrong("a role"))?),
            MENTIONABLE => match (self.user(text), self.role(text)) {
                (Some(user), _) => json!(user),
                (None, Some(role)) => json!(role),
                (None, None) => return Err(wrong("a member or a role")),
            },
            _ => return Err(wrong("something that can be typed")),
        };
        let value = match definition {
            Some(definition) => within(name, value, definition)?,
            None => value,
        };
        Ok(json!({ "name": name, "type": kind, "value": value }))
    }

    /// A member by id, mention or name.
    pub(super) fn user(&mut self, text: &str) -> Option<UserId> {
        let id = find_member(self.guild, text)?;
        let member = self.guild.member(id).ok()?;
        let permissions = self.guild.permissions(id, self.api.now());
        self.put("members", &id.to_string(), json!(member.resolved(permissions)));
        self.put("users", &id.to_string(), json!(*member.user));
        Some(id)
    }

    /// A channel by id, mention or name.
    pub(super) fn channel(&mut self, text: &str) -> Option<ChannelId> {
        let plain = text.trim_matches(|c| matches!(c, '<' | '#' | '>'));
        let by_id = plain.parse().ok().filter(|id| self.guild.channel(*id).is_ok());
        let by_name = || self.guild.channels().find(|channel| channel.name.eq_ignore_ascii_case(plain)).map(|c| c.id);
        let id = by_id.or_else(by_name)?;
        self.put("channels", &id.to_string(), resolved_channel(self.api, self.guild, id, self.user));
        Some(id)
    }

    /// A role by id, mention or name.
    pub(super) fn role(&mut self, text: &str) -> Option<RoleId> {
        let plain = text.trim_matches(|c| matches!(c, '<' | '@' | '&' | '>'));
        let by_id = plain.parse().ok().filter(|id| self.guild.role(*id).is_ok());
        let by_name = || self.guild.roles().find(|role| role.name.trim_matches('@').eq_ignore_ascii_case(plain));
        let id = by_id.or_else(|| by_name().map(|role| role.id))?;
        self.put("roles", &id.to_string(), self.guild.role(id).map(|role| json!(role)).unwrap_or_default());
        Some(id)
    }

    fn put(&mut self, list: &str, id: &str, value: Value) {
        let list = self.resolved.entry(list).or_insert_with(|| json!({}));
        list[id] = value;
    }
}

/// A member by id, mention or name.
pub(super) fn find_member(guild: &Guild, text: &str) -> Option<UserId> {
    let plain = text.trim_matches(|c| matches!(c, '<' | '@' | '!' | '>'));
    let by_id = plain.parse().ok().filter(|id| guild.member(*id).is_ok());
    by_id.or_else(|| guild.members().find(|member| member.is_called(plain)).map(|member| member.user.id))
}

/// The value, when the definition allows it. A choice may be typed by its name, as it is shown.
fn within(name: &str, value: Value, definition: &Value) -> Result<Value, Refusal> {
    if let Some(choices) = definition["choices"].as_array() {
        let chosen = choices.iter().find(|choice| choice["value"] == value || choice["name"] == value);
        let names = || choices.iter().filter_map(|choice| choice["name"].as_str()).collect::<Vec<_>>().join(", ");
        return chosen
            .map(|choice| choice["value"].clone())
            .ok_or_else(|| Refusal::new(format!("{name}: choose one of {}", names())));
    }
    let size =
        value.as_str().map_or_else(|| value.as_f64(), |text| u32::try_from(text.chars().count()).ok().map(f64::from));
    let bounds = if value.is_string() { ["min_length", "max_length"] } else { ["min_value", "max_value"] };
    let [least, most] = bounds.map(|bound| definition[bound].as_f64());
    let fits = size.is_none_or(|size| least.is_none_or(|least| size >= least) && most.is_none_or(|most| size <= most));
    if fits { Ok(value) } else { Err(Refusal::new(format!("{name}: the value is out of bounds"))) }
}

/// The type of an option no registered command describes.
fn guess(name: &str) -> u64 {
    match name {
        "user" | "member" => USER,
        "channel" => CHANNEL,
        "role" => ROLE,
        _ => STRING,
    }
}
