//! Bodies of the shapes Discord documents, and others.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(body: &Value) -> Result<Interaction, Malformed> {
    Interaction::parse(body.to_string().as_bytes())
}

fn body(kind: u8, data: &Value) -> Value {
    json!({
        "id": "1", "application_id": "2", "type": kind, "token": "hunter2", "version": 1,
        "guild_id": "3", "channel_id": "4", "locale": "fr", "guild_locale": "en-US",
        "member": { "user": { "id": "5", "username": "someone" }, "permissions": "32", "roles": [] },
        "data": data,
    })
}

#[test]
fn a_command_with_a_subcommand_and_resolved_channels() {
    let interaction = parse(&body(
        2,
        &json!({
            "id": "9", "name": "stats", "type": 1,
            "options": [{ "name": "channel", "type": 1, "options": [
                { "name": "channel", "type": 7, "value": "77" },
                { "name": "share", "type": 5, "value": false },
                { "name": "limit", "type": 4, "value": 3 },
            ]}],
            "resolved": { "channels": { "77": { "id": "77", "type": 0, "name": "x", "permissions": "1024" } } },
        }),
    ))
    .expect("an interaction");
    let Action::Command(command) = &interaction.action else { panic!("a command") };
    assert_eq!((command.name.as_str(), command.subcommand.as_deref()), ("stats", Some("channel")));
    assert_eq!(command.text("channel"), Some("77"));
    assert_eq!(command.flag("share"), Some(false));
    assert_eq!((command.text("limit"), command.flag("limit")), (None, None));
    let seen = command.channel_permissions.values().next().copied();
    assert_eq!(seen, Some(Permissions::VIEW_CHANNEL));
    assert_eq!(interaction.language, Language::French);
    let invoker = interaction.invoker.expect("somebody");
    assert_eq!((invoker.user.get(), invoker.permissions), (5, Permissions::MANAGE_GUILD));
    assert!(!format!("{interaction:?}").contains("hunter2"), "the token does not print");
}

#[test]
fn a_modal_in_its_old_and_new_shape() {
    let field = json!({ "type": 4, "custom_id": "zone", "value": "Paris" });
    for components in
        [json!([{ "type": 1, "components": [field] }]), json!([{ "type": 18, "id": 1, "component": field }])]
    {
        let parsed = parse(&body(5, &json!({ "custom_id": "m", "components": components }))).expect("an interaction");
        let Action::Modal { fields, .. } = parsed.action else { panic!("a modal") };
        assert_eq!(fields.get("zone").map(String::as_str), Some("Paris"));
    }
}

#[test]
fn a_ping_has_nobody_behind_it_and_everything_else_has() {
    let ping = json!({ "id": "1", "application_id": "2", "type": 1, "token": "t", "version": 1 });
    assert_eq!(parse(&ping).expect("a ping").action, Action::Ping);
    let mut nobody = body(3, &json!({ "custom_id": "x", "component_type": 2 }));
    nobody.as_object_mut().expect("an object").remove("member");
    assert!(parse(&nobody).is_err());
}

#[test]
fn what_lacks_its_essentials_is_refused() {
    for text in ["", "[]", "null", "{}", r#"{"type":2}"#] {
        assert!(Interaction::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse(&body(2, &Value::Null)).is_err(), "a command without data");
    assert_eq!(parse(&body(99, &Value::Null)).expect("of later years").action, Action::Unknown(99));
}

proptest! {
    #[test]
    fn options_of_any_shape_are_read_or_refused_and_never_panic(
        name in "[a-z]{1,8}",
        kind in 0u8..12,
        value in prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            Just(Value::Null),
            Just(json!({"a": [1]})),
        ],
    ) {
        let data = json!({ "name": "stats", "options": [{ "name": name, "type": kind, "value": value }] });
        if let Ok(parsed) = parse(&body(2, &data)) {
            let Action::Command(command) = parsed.action else { return Err(TestCaseError::fail("no command")) };
            prop_assert!(command.text(&name).is_none() || value.is_string());
            prop_assert!(command.flag(&name).is_none() || value.is_boolean());
        }
    }
}
