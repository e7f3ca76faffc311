//! Discord's rules for application commands (Discord documentation, "Application Commands").
//!
//! **Invariant:** a command is rebuilt from the fields that are known; nothing else of a form is stored.

use serde_json::{Map, Value, json};

use crate::rest::error::FormErrors;

/// Characters of all names, descriptions and values of a command together, each in its longest translation.
const TOTAL: usize = 8_000;

const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;
const STRING: u64 = 3;
const INTEGER: u64 = 4;
const NUMBER: u64 = 10;

const LOCALES: [&str; 32] = [
    "id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR",
    "ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko",
];

/// The command a form describes; what breaks a rule is noted below `path`.
pub(super) fn command(form: &Value, path: &str, problems: &mut FormErrors) -> Value {
    let mut check = Check { problems, characters: 0 };
    let kind = form["type"].as_u64().unwrap_or(1);
    let chat = kind == 1;
    let mut command = Map::new();
    command.insert("type".to_owned(), json!(kind));
    check.named(form, path, chat, chat, &mut command);
    if !chat {
        command.insert("description".to_owned(), json!(""));
    }
    if let Some(options) = form["options"].as_array().filter(|options| chat && !options.is_empty()) {
        command.insert("options".to_owned(), check.options(options, path, 0));
    }
    command.insert("default_member_permissions".to_owned(), check.permissions(form, path));
    command.insert("nsfw".to_owned(), json!(form["nsfw"].as_bool().unwrap_or(false)));
    command.insert("dm_permission".to_owned(), json!(form["dm_permission"].as_bool().unwrap_or(true)));
    command.insert("contexts".to_owned(), form["contexts"].clone());
    let installs = if form["integration_types"].is_null() { json!([0]) } else { form["integration_types"].clone() };
    command.insert("integration_types".to_owned(), installs);
    if check.characters > TOTAL {
        let message = format!("Command exceeds maximum size ({TOTAL})");
        check.problems.add(path, "APPLICATION_COMMAND_TOO_LARGE", &message);
    }
    Value::Object(command)
}

struct Check<'a> {
    problems: &'a mut FormErrors,
    characters: usize,
}

impl Check<'_> {
    /// Name, description and their translations.
    fn named(&mut self, form: &Value, path: &str, strict: bool, described: bool, into: &mut Map<String, Value>) {
        let name = form["name"].as_str().unwrap_or_default();
        self.name(name, &at(path, "name"), strict, form["name"].is_null());
        into.insert("name".to_owned(), json!(name));
        let mut longest = name.chars().count();
        for (locale, translation) in self.translations(form, "name_localizations", path) {
            self.name(&translation, &at(path, &format!("name_localizations.{locale}")), strict, false);
            longest = longest.max(translation.chars().count());
        }
        self.characters += longest;
        into.insert("name_localizations".to_owned(), form["name_localizations"].clone());
        if !described {
            return;
        }
        let description = form["description"].as_str().unwrap_or_default();
        self.length(description, 1, 100, &at(path, "description"), form["description"].is_null());
        into.insert("description".to_owned(), json!(description));
        let mut longest = description.chars().count();
        for (locale, translation) in self.translations(form, "description_localizations", path) {
            let at = at(path, &format!("description_localizations.{locale}"));
            self.length(&translation, 1, 100, &at, false);
            longest = longest.max(translation.chars().count());
        }
        self.characters += longest;
        into.insert("description_localizations".to_owned(), form["description_localizations"].clone());
    }

    fn options(&mut self, options: &[Value], path: &str, depth: usize) -> Value {
        if options.len() > 25 {
            self.problems.add(&at(path, "options"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
        }
        let mut seen = Vec::new();
        let mut optional = false;
        let mut answer = Vec::new();
        for (index, option) in options.iter().enumerate() {
            let path = at(path, &format!("options.{index}"));
            let name = option["name"].as_str().unwrap_or_default();
            if seen.contains(&name) {
                let message = "Option names must be unique";
                self.problems.add(&path, "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", message);
            }
            seen.push(name);
            let required = option["required"].as_bool().unwrap_or(false);
            if required && optional {
                let message = "Required options must be placed before non-required options";
                self.problems.add(&path, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message);
            }
            let kind = option["type"].as_u64().unwrap_or(0);
            optional |= !required && kind > GROUP;
            answer.push(self.option(option, &path, depth, kind));
        }
        let nested = |option: &Value| option["type"].as_u64().is_some_and(|kind| kind <= GROUP);
        if options.iter().any(nested) && !options.iter().all(nested) {
            let message = "Sub-command and sub-command group option types are mutually exclusive to all other types";
            self.problems.add(&at(path, "options"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message);
        }
        Value::Array(answer)
    }

    fn option(&mut self, option: &Value, path: &str, depth: usize, kind: u64) -> Value {
        let mut answer = Map::new();
        answer.insert("type".to_owned(), json!(kind));
        self.named(option, path, true, true, &mut answer);
        match kind {
            SUBCOMMAND | GROUP => {
                if (kind == GROUP && depth > 0) || depth > 1 {
                    let message = "Sub-command option types cannot be nested this deep";
                    self.problems.add(&at(path, "type"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message);
                }
                let children = option["options"].as_array().cloned().unwrap_or_default();
                if !children.is_empty() {
                    answer.insert("options".to_owned(), self.options(&children, path, depth + 1));
                }
                return Value::Object(answer);
            }
            3..=11 => {}
            _ => {
                let message = "Value must be one of (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).";
                self.problems.add(&at(path, "type"), "BASE_TYPE_CHOICES", message);
            }
        }
        for key in ["required", "autocomplete", "channel_types", "min_value", "max_value", "min_length", "max_length"] {
            if !option[key].is_null() {
                answer.insert(key.to_owned(), option[key].clone());
            }
        }
        if let Some(choices) = option["choices"].as_array() {
            answer.insert("choices".to_owned(), self.choices(choices, path, kind));
            if option["autocomplete"] == true {
                let message = "Choices and autocomplete are mutually exclusive";
                self.problems.add(path, "APPLICATION_COMMAND_OPTIONS_CHOICES_AND_AUTOCOMPLETE", message);
            }
        }
        Value::Object(answer)
    }

    fn choices(&mut self, choices: &[Value], path: &str, kind: u64) -> Value {
        if choices.len() > 25 || !matches!(kind, STRING | INTEGER | NUMBER) {
            let message = "Must be 25 or fewer in length, on strings, integers and numbers.";
            self.problems.add(&at(path, "choices"), "BASE_TYPE_MAX_LENGTH", message);
        }
        let checked = choices.iter().enumerate().map(|(index, choice)| {
            let path = at(path, &format!("choices.{index}"));
            let name = choice["name"].as_str().unwrap_or_default();
            self.length(name, 1, 100, &at(&path, "name"), choice["name"].is_null());
            self.characters += name.chars().count();
            match (kind, &choice["value"]) {
                (STRING, Value::String(value)) => {
                    self.length(value, 1, 100, &at(&path, "value"), false);
                    self.characters += value.chars().count();
                }
                (INTEGER, value) if value.is_i64() || value.is_u64() => {}
                (NUMBER, value) if value.is_number() => {}
                _ => self.problems.add(&at(&path, "value"), "BASE_TYPE_INVALID", "Value has the wrong type."),
            }
            let mut answer = json!({ "name": name, "value": choice["value"] });
            answer["name_localizations"] = choice["name_localizations"].clone();
            answer
        });
        Value::Array(checked.collect())
    }

    fn permissions(&mut self, form: &Value, path: &str) -> Value {
        let given = &form["default_member_permissions"];
        let bits = match given {
            Value::Null => return Value::Null,
            Value::String(text) => text.parse::<u64>().ok(),
            number => number.as_u64(),
        };
        if bits.is_none() {
            let message = "Value is not a permission.";
            self.problems.add(&at(path, "default_member_permissions"), "PERMISSION_TYPE_CONVERT", message);
        }
        json!(bits.unwrap_or(0).to_string())
    }

    fn translations(&mut self, form: &Value, key: &str, path: &str) -> Vec<(String, String)> {
        let Some(translations) = form[key].as_object() else { return Vec::new() };
        for locale in translations.keys().filter(|locale| !LOCALES.contains(&locale.as_str())) {
            self.problems.add(&at(path, key), "BASE_TYPE_CHOICES", &format!("{locale} is not a locale."));
        }
        let text = |(locale, text): (&String, &Value)| Some((locale.clone(), text.as_str()?.to_owned()));
        translations.iter().filter_map(text).collect()
    }

    fn name(&mut self, name: &str, path: &str, strict: bool, missing: bool) {
        self.length(name, 1, 32, path, missing);
        if strict && !missing && !name.chars().all(in_name) {
            self.problems.add(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid");
        }
    }

    fn length(&mut self, text: &str, least: usize, most: usize, path: &str, missing: bool) {
        if missing {
            self.problems.add(path, "BASE_TYPE_REQUIRED", "This field is required");
        } else if !(least..=most).contains(&text.chars().count()) {
            let message = format!("Must be between {least} and {most} in length.");
            self.problems.add(path, "BASE_TYPE_BAD_LENGTH", &message);
        }
    }
}

/// Letters and digits of any script in lower case where there is one, dashes, underscores and apostrophes: Discord's
/// `^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$`.
fn in_name(c: char) -> bool {
    let script = matches!(c, '\u{900}'..='\u{97f}' | '\u{e00}'..='\u{e7f}');
    (c.is_alphanumeric() && !c.is_uppercase()) || script || matches!(c, '-' | '_' | '\'')
}

fn at(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(form: &Value) -> bool {
        let mut problems = FormErrors::default();
        command(form, "", &mut problems);
        problems.finish().is_ok()
    }

    #[test]
    fn names_follow_discords_rule() {
        for (name, good) in [("stats", true), ("サーバー", true), ("it's-ok_1", true), ("Stats", false), ("a b", false)]
        {
            assert_eq!(accepted(&json!({ "name": name, "description": "x" })), good, "{name}");
        }
        assert!(accepted(&json!({ "name": "Show Stats", "type": 2 })), "menu commands have free names");
        assert!(!accepted(&json!({ "name": "x".repeat(33), "description": "x" })));
    }

    #[test]
    fn options_are_ordered_unique_and_not_mixed() {
        let option = |name: &str, kind: u64, required: bool| json!({ "name": name, "description": "x", "type": kind, "required": required });
        let with = |options: Value| accepted(&json!({ "name": "a", "description": "x", "options": options }));
        assert!(with(json!([option("a", 3, true), option("b", 3, false)])));
        assert!(!with(json!([option("a", 3, false), option("b", 3, true)])));
        assert!(!with(json!([option("a", 3, true), option("a", 3, true)])));
        assert!(!with(json!([option("a", 1, false), option("b", 3, false)])));
        assert!(!with(json!([option("a", 12, false)])));
    }

    #[test]
    fn a_command_has_at_most_eight_thousand_characters() {
        let choice = |n: usize| json!({ "name": format!("{n:0>100}"), "value": format!("{n:0>100}") });
        let option = |name: &str, choices: usize| {
            json!({ "name": name, "description": "x".repeat(100), "type": 3,
                    "choices": (0..choices).map(choice).collect::<Vec<_>>() })
        };
        let size = |options: Value| accepted(&json!({ "name": "a", "description": "x", "options": options }));
        assert!(size(json!([option("a", 25)])));
        assert!(!size(json!([option("a", 25), option("b", 25)])));
    }

    #[test]
    fn translations_name_known_locales() {
        let form = |locale: &str| json!({ "name": "a", "description": "x", "name_localizations": { locale: "b" } });
        assert!(accepted(&form("fr")));
        assert!(!accepted(&form("fr-FR")));
    }
}
