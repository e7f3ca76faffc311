//! The skipping reader beside serde_json: the same facts from every frame, whole or damaged.

use std::fmt::Debug;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::*;
use crate::project::payload;

/// Frames of every type in the shapes of Discord's documentation, a line each.
const FRAMES: &str = include_str!("frames.jsonl");

/// Reads the frame's data as `T` with both. Where the frame is JSON, they agree, if the quick one reads it at all; elsewhere
/// the quick one may miss what is wrong only where it does not look.
fn agree<'a, T: Deserialize<'a> + PartialEq + Debug>(text: &'a str) {
    let Some(frame) = Frame::peek(text) else {
        assert!(whole::<T>(text).is_err(), "no frame: {text}");
        return;
    };
    let Some(quick) = skim::object::<T>(frame.data) else { return };
    match whole::<T>(text) {
        Ok(whole) => assert_eq!(quick, whole, "{text}"),
        Err(error) => {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            assert!(!is_json, "{quick:?}, where serde_json says {error}: {text}");
        }
    }
}

/// As whatever it may be taken for.
fn agree_in_all(text: &str) {
    agree::<payload::Ready<'_>>(text);
    agree::<payload::Message>(text);
    agree::<payload::MessageDelete>(text);
    agree::<payload::MessageDeleteBulk>(text);
    agree::<payload::Reaction>(text);
    agree::<payload::Member<'_>>(text);
    agree::<payload::VoiceState>(text);
    agree::<payload::AuditLogEntry<'_>>(text);
    agree::<payload::Guild>(text);
    agree::<payload::Channel>(text);
    agree::<payload::Role>(text);
    agree::<payload::Thread>(text);
    agree::<payload::Invite>(text);
}

fn frames() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(FRAMES.lines().collect::<Vec<_>>())
}

/// What may stand in the place of anything.
const TOKENS: &[&str] = &[
    "",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\\"",
    "\\u0031",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "01",
    "-1",
    "1.0",
    "1e3",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\"1\"",
    "[]",
    "{}",
    "[\"5\",true]",
    "{\"id\":\"5\"}",
    "\"id\":\"7\",",
    "\"guild_id\":null,",
    "\"\\u0069d\":\"8\",",
    " \n\t\r",
    "é",
    "\u{1}",
    "\u{2028}",
];

/// A frame in which a few pieces were cut out and replaced.
fn damaged() -> impl Strategy<Value = String> {
    let cut = (any::<proptest::sample::Index>(), 0_usize..24, proptest::sample::select(TOKENS));
    (frames(), proptest::collection::vec(cut, 1..4)).prop_map(|(frame, cuts)| {
        let mut text = frame.to_owned();
        for (place, length, token) in cuts {
            let boundaries: Vec<_> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let from = place.index(boundaries.len());
            let to = (from + length).min(boundaries.len() - 1);
            text.replace_range(boundaries[from]..boundaries[to], token);
        }
        text
    })
}

/// A frame of which one value, however deep, was replaced by another; it stays JSON.
fn altered() -> impl Strategy<Value = String> {
    let values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("10"),
        json!(""),
        json!("\"quoted\" \\ \u{7}"),
        json!([]),
        json!({}),
        json!(["5", true]),
        json!([{ "id": "5" }]),
        json!({ "id": "5", "bot": true }),
        json!({ "id": 5, "a": { "b": [[[{ "c": "]}" }]]] } }),
        json!(u64::MAX),
        json!("9223372036854775808"),
        json!("}]},{:"),
        json!(":{[ id:"),
    ];
    let pretty = any::<bool>();
    (frames(), any::<proptest::sample::Index>(), proptest::sample::select(values), pretty).prop_map(
        |(frame, place, value, pretty)| {
            let mut frame: serde_json::Value = serde_json::from_str(frame).expect("JSON");
            let data = frame["d"].as_object_mut().expect("an object");
            let key = data.keys().nth(place.index(data.len())).expect("one of them").clone();
            data.insert(key, value);
            if pretty { serde_json::to_string_pretty(&frame) } else { serde_json::to_string(&frame) }
                .expect("plain JSON")
        },
    )
}

#[test]
fn every_frame_is_read_alike() {
    for frame in FRAMES.lines() {
        agree_in_all(frame);
    }
    let is_there = |dispatch: &&Dispatch| FRAMES.contains(&format!("\"t\":\"{}\"", dispatch.name()));
    let missing: Vec<_> = Dispatch::ALL.iter().filter(|dispatch| !is_there(dispatch)).collect();
    assert!(missing.is_empty(), "there is no frame of {missing:?}");
}

#[test]
fn only_what_is_out_of_the_ordinary_takes_a_closer_look() {
    let closer: Vec<_> = FRAMES.lines().filter(|text| skim::object::<Empty>(peeked(text).data).is_none()).collect();
    assert!(closer.iter().all(|text| text.contains('\\')), "{closer:?}");
    assert!(!closer.is_empty(), "an escape takes a closer look");
    let read = |data| skim::object::<payload::MessageDelete>(data).is_some();
    assert!(read(r#"{"id":"1","channel_id":"2","guild_id":"3"}}"#));
    for data in [
        r#"{"id":"1","channel_id":"2","guild_id":"3"}"#,
        r#"{"id":"1","channel_id":"2","guild_id":"3"},"x":1}"#,
        r#"{"id":"1","channel_id":"2","guild_id":"3"}}}"#,
        r#"{"id" :"1","channel_id":"2","guild_id":"3"}}"#,
        r#" {"id":"1","channel_id":"2","guild_id":"3"}}"#,
        r#"{"id":"1","id":"1","channel_id":"2","guild_id":"3"}}"#,
        r#"{"id":"1","guild_id":"3"}}"#,
        r#"["1","2","3"]}"#,
        "",
    ] {
        assert!(!read(data), "{data}");
    }
    let joined = |at| format!(r#"{{"guild_id":"1","user":{{"id":"2"}},"joined_at":"{at}"}}}}"#);
    assert!(skim::object::<payload::Member<'_>>(&joined("long ago")).is_some());
    assert!(skim::object::<payload::Member<'_>>(&joined("long\u{1}ago")).is_none(), "JSON has no such strings");
}

/// Of which every member is skipped.
#[derive(Deserialize)]
struct Empty {}

#[test]
fn a_frame_that_was_cut_short_is_never_read() {
    for frame in FRAMES.lines() {
        for end in (0..frame.len()).filter(|end| frame.is_char_boundary(*end)) {
            assert!(skim::object::<Empty>(peeked(&frame[..end]).data).is_none(), "{}", &frame[..end]);
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_frame_is_read_alike_or_refused(text in damaged()) {
        agree_in_all(&text);
    }

    #[test]
    fn whatever_a_value_is_it_is_read_alike(text in altered()) {
        agree_in_all(&text);
    }
}
