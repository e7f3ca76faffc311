//! Embeds: their limits, and how Discord gives them back.
//!
//! **Invariant:** an `attachment://` address in an answer is the address of the attached file.

use serde_json::{Value, json};

use crate::rest::error::FormErrors;
use crate::world::message::Attachment;

/// Characters in all embeds of a message together.
const TOTAL: usize = 6_000;

/// The embeds as Discord answers with them; what breaks a limit is noted.
pub(super) fn answered(embeds: Vec<Value>, files: &[Attachment], problems: &mut FormErrors) -> Vec<Value> {
    if embeds.len() > 10 {
        problems.add("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.");
    }
    let mut total = 0;
    let answered = (0..).zip(embeds).map(|(index, embed)| one(index, embed, files, &mut total, problems)).collect();
    if total > TOTAL {
        problems.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000");
    }
    answered
}

fn one(index: u32, mut embed: Value, files: &[Attachment], total: &mut usize, problems: &mut FormErrors) -> Value {
    let at = |field: &str| format!("embeds.{index}.{field}");
    let mut limit = |value: &Value, field: &str, most: usize| {
        let length = value.as_str().map_or(0, |text| text.chars().count());
        *total += length;
        if length > most {
            problems.add(&at(field), "BASE_TYPE_MAX_LENGTH", &format!("Must be {most} or fewer in length."));
        }
    };
    limit(&embed["title"], "title", 256);
    limit(&embed["description"], "description", 4_096);
    limit(&embed["footer"]["text"], "footer.text", 2_048);
    limit(&embed["author"]["name"], "author.name", 256);
    let fields = embed["fields"].as_array().cloned().unwrap_or_default();
    for (number, field) in fields.iter().enumerate() {
        limit(&field["name"], &format!("fields.{number}.name"), 256);
        limit(&field["value"], &format!("fields.{number}.value"), 1_024);
    }
    if fields.len() > 25 {
        problems.add(&at("fields"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    for (number, field) in fields.iter().enumerate() {
        for key in ["name", "value"] {
            if field[key].as_str().is_none_or(str::is_empty) {
                problems.add(&at(&format!("fields.{number}.{key}")), "BASE_TYPE_REQUIRED", "This field is required");
            }
        }
    }

    let Some(object) = embed.as_object_mut() else {
        problems.add(&format!("embeds.{index}"), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
        return json!({ "type": "rich" });
    };
    object.retain(|_, value| !value.is_null());
    object.insert("type".to_owned(), "rich".into());
    if let Some(fields) = object.get_mut("fields").and_then(Value::as_array_mut) {
        for field in fields.iter_mut().filter_map(Value::as_object_mut) {
            field.entry("inline").or_insert(false.into());
        }
    }
    for key in ["image", "thumbnail"] {
        if let Some(picture) = object.get_mut(key) {
            *picture = media(picture, files);
        }
    }
    if let Some(timestamp) = object.get_mut("timestamp") {
        let at = timestamp.as_str().and_then(guildhall_domain::Timestamp::parse_rfc3339);
        if let Some(at) = at {
            *timestamp = crate::world::ids::Iso(at).to_string().into();
        }
    }
    embed
}

/// A picture: an attached file by name, or something of the web.
fn media(picture: &Value, files: &[Attachment]) -> Value {
    let url = picture["url"].as_str().unwrap_or_default();
    match attached(url, files) {
        Some(file) => json!({
            "url": file.url,
            "proxy_url": file.proxy_url,
            "width": 0,
            "height": 0,
            "content_type": file.content_type.as_deref().unwrap_or("application/octet-stream"),
            "flags": 0,
        }),
        None => json!({ "url": url, "flags": 0 }),
    }
}

/// The file an `attachment://` address names.
pub(super) fn attached<'a>(url: &str, files: &'a [Attachment]) -> Option<&'a Attachment> {
    let name = url.strip_prefix("attachment://")?;
    files.iter().find(|file| file.filename == name)
}
