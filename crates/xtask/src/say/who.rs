//! Who speaks where: finds guilds, channels and members in the double's listing.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Ids, as Discord writes them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Place {
    pub(super) guild: String,
    pub(super) channel: String,
    pub(super) user: String,
}

/// Guild text channels, of which the first is where people speak unless told otherwise.
const TEXT: u64 = 0;

pub(super) fn find(community: &Value, guild: Option<&str>, channel: Option<&str>, user: Option<&str>) -> Result<Place> {
    let guilds = entries(community);
    let guild = match guild {
        Some(wanted) => pick(&guilds, wanted, "guild")?,
        None => guilds.first().copied().context("the double has no guild")?,
    };
    let channels = entries(&guild["channels"]);
    let channel = match channel {
        Some(wanted) => pick(&channels, wanted, "channel")?,
        None => channels
            .iter()
            .copied()
            .find(|channel| channel["type"].as_u64().unwrap_or(TEXT) == TEXT)
            .context("the guild has no text channel")?,
    };
    let members = entries(&guild["members"]);
    let user = match user {
        // The listing holds a sample: any other member is known by id.
        Some(wanted) => match pick(&members, wanted, "member") {
            Ok(member) => id(member),
            Err(_) if is_id(wanted) => wanted.to_owned(),
            Err(error) => return Err(error),
        },
        None => match guild["owner_id"].as_str() {
            Some(owner) => owner.to_owned(),
            None => members.first().map(|member| id(member)).context("the guild has no member")?,
        },
    };
    Ok(Place { guild: id(guild), channel: id(channel), user })
}

/// What ids of channels and members stand for.
pub(super) fn names(community: &Value) -> BTreeMap<String, String> {
    let lists = entries(community).into_iter().flat_map(|guild| [&guild["channels"], &guild["members"]]);
    lists.flat_map(entries).map(|entry| (id(entry), name(entry))).collect()
}

/// The one line over an answer.
pub(super) fn caption(community: &Value, place: &Place) -> String {
    let guilds = entries(community);
    let guild = guilds.iter().copied().find(|guild| id(guild) == place.guild);
    let named = |list: &Value, wanted: &str| {
        entries(list).into_iter().find(|entry| id(entry) == wanted).map_or_else(|| wanted.to_owned(), name)
    };
    let (channel, user) = match guild {
        Some(guild) => (named(&guild["channels"], &place.channel), named(&guild["members"], &place.user)),
        None => (place.channel.clone(), place.user.clone()),
    };
    format!("{user} in #{channel} of {}", guild.map_or_else(|| place.guild.clone(), name))
}

/// Everything there is to name.
pub(super) fn listing(community: &Value) -> String {
    let mut text = String::new();
    for guild in entries(community) {
        let count = guild["member_count"].as_u64().map(|count| format!(", {count} members")).unwrap_or_default();
        let _ = writeln!(text, "{} ({}{count})", name(guild), id(guild));
        let channels: Vec<String> = entries(&guild["channels"]).into_iter().map(name).collect();
        let _ = writeln!(text, "  channels: {}", channels.join(", "));
        for member in entries(&guild["members"]) {
            let rank = member["rank"].as_str().unwrap_or_default();
            let _ = writeln!(text, "  {rank:<14} {:<24} {}", name(member), id(member));
        }
    }
    text
}

fn entries(list: &Value) -> Vec<&Value> {
    list.as_array().map(|list| list.iter().collect()).unwrap_or_default()
}

fn id(entry: &Value) -> String {
    entry["id"].as_str().unwrap_or_default().to_owned()
}

fn name(entry: &Value) -> String {
    entry["name"].as_str().map_or_else(|| id(entry), str::to_owned)
}

fn is_id(text: &str) -> bool {
    text.len() >= 15 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// By id, by name, then by the beginning of a name; `#` and `@` may lead.
fn pick<'a>(entries: &[&'a Value], wanted: &str, what: &str) -> Result<&'a Value> {
    let wanted = wanted.trim_start_matches(['#', '@']).to_lowercase();
    let is_called = |entry: &Value| {
        let username = entry["username"].as_str().unwrap_or_default();
        id(entry) == wanted || username == wanted || name(entry).to_lowercase() == wanted
    };
    let exact = entries.iter().find(|entry| is_called(entry));
    if let Some(found) = exact {
        return Ok(found);
    }
    let starting: Vec<&&Value> =
        entries.iter().filter(|entry| name(entry).to_lowercase().starts_with(&wanted)).collect();
    match starting.as_slice() {
        [one] => Ok(one),
        several => {
            let from =
                if several.is_empty() { entries } else { &several.iter().map(|entry| **entry).collect::<Vec<_>>() };
            let names: Vec<String> = from.iter().take(15).map(|entry| name(entry)).collect();
            let count = if several.is_empty() { "no" } else { "more than one" };
            bail!("{count} {what} is called \"{wanted}\"; there are: {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn community() -> Value {
        json!([{
            "id": "100", "name": "Harbor", "owner_id": "301", "member_count": 3,
            "channels": [{"id": "201", "name": "Voice", "type": 2}, {"id": "202", "name": "general", "type": 0}],
            "members": [
                {"id": "301", "name": "Mira", "username": "mira.h", "rank": "owner"},
                {"id": "302", "name": "Milo", "username": "milo", "rank": "member"},
            ],
        }])
    }

    #[test]
    fn defaults_can_do_everything() {
        let place = find(&community(), None, None, None).unwrap();
        assert_eq!(place, Place { guild: "100".into(), channel: "202".into(), user: "301".into() });
        assert_eq!(caption(&community(), &place), "Mira in #general of Harbor");
    }

    #[test]
    fn people_and_places_are_found_by_name_beginning_and_id() {
        let find = |channel, user| find(&community(), Some("harb"), channel, user);
        assert_eq!(find(Some("#general"), Some("@milo")).unwrap().user, "302");
        assert_eq!(find(None, Some("mira.h")).unwrap().user, "301");
        assert_eq!(find(Some("voi"), Some("302")).unwrap().channel, "201");
        assert_eq!(find(None, Some("123456789012345678")).unwrap().user, "123456789012345678");
    }

    #[test]
    fn an_unclear_name_lists_the_choices() {
        let error = find(&community(), None, None, Some("mi")).unwrap_err().to_string();
        assert!(error.contains("more than one member") && error.contains("Mira, Milo"), "{error}");
        let error = find(&community(), Some("x"), None, None).unwrap_err().to_string();
        assert!(error.contains("no guild") && error.contains("Harbor"), "{error}");
    }

    #[test]
    fn the_listing_says_who_is_what() {
        let listing = listing(&community());
        assert!(listing.starts_with("Harbor (100, 3 members)\n  channels: Voice, general\n"), "{listing}");
        assert!(listing.contains("  owner          Mira                     301\n"), "{listing}");
    }
}
