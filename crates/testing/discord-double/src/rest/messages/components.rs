//! Message components of both versions: their rules, and how Discord gives them back.
//!
//! **Invariant:** every component of an answer has an `id` that is unique in its message.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::embeds::attached;
use crate::rest::error::FormErrors;
use crate::world::message::{Attachment, Message};

/// Components in a message of the second version.
const MOST: usize = 40;
/// Characters of all text displays together.
const TEXT: usize = 4_000;

const ACTION_ROW: u64 = 1;
const BUTTON: u64 = 2;
const STRING_SELECT: u64 = 3;
const SECTION: u64 = 9;
const TEXT_DISPLAY: u64 = 10;
const THUMBNAIL: u64 = 11;
const MEDIA_GALLERY: u64 = 12;
const FILE: u64 = 13;
const SEPARATOR: u64 = 14;
const CONTAINER: u64 = 17;

/// The components as Discord answers with them; what breaks a rule is noted.
pub(super) fn answered(
    components: Vec<Value>,
    flags: u32,
    files: &[Attachment],
    problems: &mut FormErrors,
) -> Vec<Value> {
    let second = flags & Message::COMPONENTS_V2 != 0;
    if !second && components.len() > 5 {
        problems.add("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
    }
    let mut walk = Walk { second, files, problems, next_id: 1, count: 0, text: 0, custom_ids: BTreeSet::new() };
    let answered: Vec<Value> = components
        .into_iter()
        .enumerate()
        .map(|(index, component)| walk.component(component, &format!("components.{index}"), None))
        .collect();
    if walk.count > MOST {
        let message = format!("The total number of components cannot exceed {MOST}");
        walk.problems.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", &message);
    }
    if walk.text > TEXT {
        let message = format!("The displayable text of the components cannot exceed {TEXT} characters");
        walk.problems.add("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", &message);
    }
    answered
}

struct Walk<'a> {
    second: bool,
    files: &'a [Attachment],
    problems: &'a mut FormErrors,
    next_id: u64,
    count: usize,
    text: usize,
    custom_ids: BTreeSet<String>,
}

impl Walk<'_> {
    fn component(&mut self, component: Value, path: &str, inside: Option<u64>) -> Value {
        let Value::Object(mut fields) = component else {
            self.problems.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
            return Value::Null;
        };
        fields.retain(|_, value| !value.is_null());
        self.count += 1;
        let kind = fields.get("type").and_then(Value::as_u64).unwrap_or(0);
        if !self.allowed(kind, inside) {
            let message = "Value of field \"type\" must be one of the types allowed here.";
            self.problems.add(&format!("{path}.type"), "UNION_TYPE_CHOICES", message);
        }
        let id = fields.get("id").and_then(Value::as_u64).filter(|id| *id != 0).unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id) + 1;
        fields.insert("id".to_owned(), id.into());
        match kind {
            BUTTON => self.button(&mut fields, path),
            STRING_SELECT | 5..=8 => self.select(kind, &mut fields, path),
            TEXT_DISPLAY => self.text += length(&fields, "content"),
            SEPARATOR => {
                fields.entry("divider").or_insert(true.into());
                fields.entry("spacing").or_insert(1.into());
            }
            THUMBNAIL => self.media(&mut fields, "media"),
            FILE => {
                let name = fields.get("file").and_then(|file| attached(file["url"].as_str()?, self.files)).cloned();
                self.media(&mut fields, "file");
                fields.remove("description");
                fields.insert("name".to_owned(), json!(name.as_ref().map(|file| &file.filename)));
                fields.insert("size".to_owned(), json!(name.as_ref().map(|file| file.size)));
            }
            MEDIA_GALLERY => {
                for item in fields.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(item) = item.as_object_mut() {
                        self.media(item, "media");
                    }
                }
            }
            CONTAINER => {
                fields.entry("accent_color").or_insert(Value::Null);
                fields.entry("spoiler").or_insert(false.into());
            }
            _ => {}
        }
        self.children(kind, &mut fields, path);
        Value::Object(fields)
    }

    fn children(&mut self, kind: u64, fields: &mut Map<String, Value>, path: &str) {
        if let Some(Value::Array(children)) = fields.get_mut("components") {
            let most = if kind == CONTAINER { MOST } else { 5 };
            if !(1..=most).contains(&children.len()) {
                let message = format!("Must be between 1 and {most} in length.");
                self.problems.add(&format!("{path}.components"), "BASE_TYPE_BAD_LENGTH", &message);
            }
            for (index, child) in children.iter_mut().enumerate() {
                *child = self.component(child.take(), &format!("{path}.components.{index}"), Some(kind));
            }
        } else if matches!(kind, ACTION_ROW | SECTION | CONTAINER) {
            self.problems.add(&format!("{path}.components"), "BASE_TYPE_REQUIRED", "This field is required");
        }
        if let Some(accessory) = fields.get_mut("accessory") {
            *accessory = self.component(accessory.take(), &format!("{path}.accessory"), Some(SECTION));
        }
    }

    fn allowed(&self, kind: u64, inside: Option<u64>) -> bool {
        match inside {
            None if self.second => {
                matches!(kind, ACTION_ROW | SECTION | TEXT_DISPLAY | MEDIA_GALLERY | FILE | SEPARATOR | CONTAINER)
            }
            None => kind == ACTION_ROW,
            Some(ACTION_ROW) => matches!(kind, BUTTON | STRING_SELECT | 5..=8),
            Some(SECTION) => matches!(kind, TEXT_DISPLAY | BUTTON | THUMBNAIL),
            Some(_) => matches!(kind, ACTION_ROW | SECTION | TEXT_DISPLAY | MEDIA_GALLERY | FILE | SEPARATOR),
        }
    }

    fn button(&mut self, fields: &mut Map<String, Value>, path: &str) {
        let style = fields.get("style").and_then(Value::as_u64).unwrap_or(0);
        if !(1..=6).contains(&style) {
            self.problems.add(
                &format!("{path}.style"),
                "BASE_TYPE_CHOICES",
                "Value must be one of (1, 2, 3, 4, 5, 6).",
            );
        }
        // Links (5) and offers (6) are not clicked through to the application.
        if style < 5 {
            self.custom_id(fields, path);
        } else if style == 5 && !fields.contains_key("url") {
            self.problems.add(&format!("{path}.url"), "BASE_TYPE_REQUIRED", "A url is required");
        }
        if length(fields, "label") > 80 {
            self.problems.add(&format!("{path}.label"), "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length.");
        }
    }

    fn select(&mut self, kind: u64, fields: &mut Map<String, Value>, path: &str) {
        self.custom_id(fields, path);
        fields.entry("min_values").or_insert(1.into());
        fields.entry("max_values").or_insert(1.into());
        if length(fields, "placeholder") > 150 {
            let at = format!("{path}.placeholder");
            self.problems.add(&at, "BASE_TYPE_MAX_LENGTH", "Must be 150 or fewer in length.");
        }
        if kind != STRING_SELECT {
            return;
        }
        let options = fields.get("options").and_then(Value::as_array).map_or(0, Vec::len);
        if !(1..=25).contains(&options) {
            let at = format!("{path}.options");
            self.problems.add(&at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.");
        }
    }

    fn custom_id(&mut self, fields: &Map<String, Value>, path: &str) {
        let at = format!("{path}.custom_id");
        match fields.get("custom_id").and_then(Value::as_str) {
            None => self.problems.add(&at, "BASE_TYPE_REQUIRED", "This field is required"),
            Some(id) if !(1..=100).contains(&id.chars().count()) => {
                self.problems.add(&at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.");
            }
            Some(id) => {
                if !self.custom_ids.insert(id.to_owned()) {
                    let message = "Component custom id cannot be duplicated";
                    self.problems.add(&at, "COMPONENT_CUSTOM_ID_DUPLICATED", message);
                }
            }
        }
    }

    /// A file or a picture, with the address under which it was stored.
    fn media(&self, fields: &mut Map<String, Value>, key: &str) {
        fields.entry("description").or_insert(Value::Null);
        fields.entry("spoiler").or_insert(false.into());
        let Some(media) = fields.get_mut(key) else { return };
        let url = media["url"].as_str().unwrap_or_default().to_owned();
        *media = match attached(&url, self.files) {
            Some(file) => json!({
                "id": file.id,
                "url": file.url,
                "proxy_url": file.proxy_url,
                "width": 0,
                "height": 0,
                "content_type": file.content_type,
                "attachment_id": file.id,
            }),
            None => json!({ "id": "0", "url": url, "proxy_url": url, "width": null, "height": null }),
        };
    }
}

fn length(fields: &Map<String, Value>, key: &str) -> usize {
    fields.get(key).and_then(Value::as_str).map_or(0, |text| text.chars().count())
}
