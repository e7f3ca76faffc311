//! Buttons and menus: finding the one a member uses, and what Discord says of it.
//!
//! **Invariant:** only a component that is on a message and enabled can be used.

use guildhall_domain::{ChannelId, GuildId, MessageId};
use serde_json::{Value, json};

use super::options::Options;
use super::send::Refusal;
use super::session::Shown;
use crate::rest::Api;

/// Where a component is: the message, as kept and as shown, and the component itself.
pub(super) struct Found {
    pub(super) shown: Shown,
    pub(super) message: Value,
    pub(super) component: Value,
}

/// The component with this custom id, on the message named or else on the newest that has it.
pub(super) fn find(
    api: &Api,
    (guild, channel): (GuildId, Option<ChannelId>),
    wanted: Option<MessageId>,
    custom_id: &str,
) -> Result<Found, Refusal> {
    let mut candidates = super::messages(api, wanted);
    if let (true, Some(id), Some(channel)) = (candidates.is_empty(), wanted, channel) {
        // Not the answer to an interaction, but a message the bot wrote by itself.
        let guild = api.world.guild(guild).ok_or_else(|| Refusal::new("there is no such guild".to_owned()))?;
        if let (Ok(place), Ok(message)) = (guild.channel(channel), guild.message(channel, id)) {
            candidates.push((Shown::Public(channel, id), json!(guild.message_json(place, message))));
        }
    }
    for (shown, message) in candidates {
        if let Some(component) = within(&message["components"], custom_id) {
            if component["disabled"] == true {
                return Err(Refusal::new(format!("the component {custom_id} is disabled")));
            }
            return Ok(Found { shown, message, component });
        }
    }
    Err(Refusal::new(format!("no message has a component {custom_id}")))
}

/// The `data` of the interaction.
pub(super) fn data(options: &mut Options<'_>, component: &Value, values: &[String]) -> Result<Value, Refusal> {
    let kind = component["type"].as_u64().unwrap_or(0);
    let mut data = json!({ "custom_id": component["custom_id"], "component_type": kind, "id": component["id"] });
    if kind == 2 {
        return Ok(data);
    }
    let bound = |key: &str| usize::try_from(component[key].as_u64().unwrap_or(1)).unwrap_or(1);
    if !(bound("min_values")..=bound("max_values")).contains(&values.len()) {
        return Err(Refusal::new("the number of chosen values is out of bounds".to_owned()));
    }
    let mut chosen = Vec::new();
    for value in values {
        let id = match kind {
            3 => component["options"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|option| option["value"] == value.as_str() || option["label"] == value.as_str())
                .and_then(|option| option["value"].as_str().map(str::to_owned)),
            5 => options.user(value).map(|id| id.to_string()),
            6 => options.role(value).map(|id| id.to_string()),
            7 => options.user(value).map(|id| id.to_string()).or_else(|| options.role(value).map(|id| id.to_string())),
            _ => options.channel(value).map(|id| id.to_string()),
        };
        chosen.push(id.ok_or_else(|| Refusal::new(format!("{value} cannot be chosen")))?);
    }
    data["values"] = json!(chosen);
    Ok(data)
}

/// A component by its custom id, at any depth.
fn within(components: &Value, custom_id: &str) -> Option<Value> {
    for component in components.as_array()? {
        if component["custom_id"] == custom_id {
            return Some(component.clone());
        }
        let accessory = &component["accessory"];
        if accessory["custom_id"] == custom_id {
            return Some(accessory.clone());
        }
        if let Some(found) = within(&component["components"], custom_id) {
            return Some(found);
        }
    }
    None
}
