//! The declaration against Discord's limits (Discord documentation, "Application Command Object"), and the difference.

use serde_json::{Value, json};

use super::*;

/// What Discord answers after registration: with fields of its own, nulls, and defaults left out.
fn as_discord_lists_it(mut commands: Value) -> Value {
    for (command, id) in commands.as_array_mut().expect("a list").iter_mut().zip(1..) {
        for (field, value) in [
            ("id", json!(id.to_string())),
            ("application_id", json!("1")),
            ("version", json!("9")),
            ("dm_permission", json!(false)),
            ("default_permission", json!(true)),
            ("nsfw", json!(false)),
            ("description_localized", Value::Null),
        ] {
            command[field] = value;
        }
        if command["options"].as_array().is_some_and(Vec::is_empty) {
            command.as_object_mut().expect("an object").remove("options");
        }
        for option in command["options"].as_array_mut().into_iter().flatten() {
            for inner in option["options"].as_array_mut().into_iter().flatten() {
                inner.as_object_mut().expect("an object").remove("required");
            }
        }
    }
    commands
}

#[test]
fn the_registration() {
    insta::assert_json_snapshot!(registration());
}

#[test]
fn names_and_texts_keep_discords_limits() {
    fn check(value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(check),
            Value::Object(fields) => {
                let is_choice = fields.contains_key("value");
                let names =
                    fields.get("name").into_iter().chain(fields.get("name_localizations").and_then(|l| l.get("fr")));
                for name in names.filter_map(Value::as_str) {
                    let length = name.chars().count();
                    if is_choice {
                        assert!((1..=100).contains(&length), "{name}");
                    } else {
                        assert!((1..=32).contains(&length), "{name}");
                        assert!(name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'), "{name}");
                        assert_eq!(name, name.to_lowercase());
                    }
                }
                let texts = fields.get("description").into_iter();
                let texts = texts.chain(fields.get("description_localizations").and_then(|l| l.get("fr")));
                for text in texts.filter_map(Value::as_str) {
                    assert!((1..=100).contains(&text.chars().count()), "{text}");
                }
                fields.values().for_each(check);
            }
            _ => {}
        }
    }
    let registration = registration();
    check(&registration);
    for command in registration.as_array().expect("a list") {
        assert!(command.to_string().chars().count() < 8_000);
    }
}

#[test]
fn every_period_is_a_choice_of_its_own_name() {
    for (name, _) in PERIODS {
        assert_eq!(guildhall_domain::Period::from_name(name).map(guildhall_domain::Period::name), Some(*name));
    }
    assert_eq!(PERIODS.len(), guildhall_domain::Period::ALL.len());
    assert!(!MEMBER_PERIODS.iter().any(|(name, _)| *name == "24h"));
}

#[test]
fn registering_twice_changes_nothing() {
    assert_eq!(diff(&as_discord_lists_it(registration()), &registration()), []);
}

#[test]
fn new_gone_and_changed_commands_are_told() {
    let mut current = as_discord_lists_it(registration());
    let list = current.as_array_mut().expect("a list");
    list.retain(|command| command["name"] != "sync");
    list.push(json!({ "name": "old", "description": "gone" }));
    list[0]["description"] = json!("before");
    list[1]["options"][0]["options"][0]["choices"][0]["name"] = json!("another");
    let changes: Vec<String> = diff(&current, &registration()).iter().map(ToString::to_string).collect();
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert_eq!(changes[0], "- /old");
    assert_eq!(changes[1], r#"~ /setup description: "before" → "Set up Guildhall: language, time zone, modules""#);
    assert!(changes[2].starts_with("~ /stats options/server/options/period/choices: "), "{}", changes[2]);
    assert_eq!(changes[3], "+ /sync");
}

#[test]
fn a_localization_that_is_no_longer_wanted_is_a_change() {
    let mut current = as_discord_lists_it(registration());
    current[0]["name_localizations"]["de"] = json!("einrichten");
    assert_eq!(diff(&current, &registration()).len(), 1);
    current[0]["name_localizations"] = json!({ "fr": "configurer", "de": null });
    assert_eq!(diff(&current, &registration()), []);
}
