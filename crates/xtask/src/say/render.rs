//! Draws an answer as plain text: content, embeds, components of either version.

use std::fmt::Write;

use serde_json::Value;

/// What the member sees, with buttons and menus numbered for `--click` and `--select`.
pub(super) fn answer(answer: &Value) -> String {
    let mut text = String::new();
    let facts = facts(answer);
    if !facts.is_empty() {
        let _ = writeln!(text, "  ({})", facts.join(", "));
    }
    let mut number = 0;
    draw_message(&mut text, answer, &mut number);
    for follow_up in list(&answer["follow_ups"]) {
        text.push_str("  ── and then\n");
        // Only the answer's own parts can be pressed: these go without numbers that would mean another.
        draw_message(&mut text, follow_up, &mut { usize::MAX });
    }
    if answer["modal"].is_object() {
        let _ = writeln!(text, "  a form opens: {}", answer["modal"]["title"].as_str().unwrap_or_default());
        for component in list(&answer["modal"]["components"]) {
            draw_field(&mut text, component, "");
        }
    }
    for choice in list(&answer["choices"]) {
        let _ = writeln!(text, "  - {}", choice["name"].as_str().unwrap_or_default());
    }
    text
}

fn facts(answer: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    if answer["ephemeral"].as_bool() == Some(true) {
        facts.push("only this member sees it".to_owned());
    }
    let millis = |key: &str| answer[key].as_f64().map(|millis| format!("{millis:.0} ms"));
    facts.extend(millis("elapsed_ms"));
    let edits = list(&answer["edits"]).len();
    if edits > 0 {
        let times = if edits == 1 { "once".to_owned() } else { format!("{edits} times") };
        let first = millis("first_response_ms").map(|first| format!(" after {first}")).unwrap_or_default();
        facts.push(format!("deferred{first}, edited {times}"));
    }
    if answer["pending"].as_bool() == Some(true) {
        facts.push("still waiting for the real answer".to_owned());
    }
    facts.extend(answer["reason"].as_str().map(|reason| format!("because {reason}")));
    facts
}

fn draw_message(text: &mut String, message: &Value, number: &mut usize) {
    block(text, "  ", message["content"].as_str().unwrap_or_default());
    for embed in list(&message["embeds"]) {
        draw_embed(text, embed);
    }
    for component in list(&message["components"]) {
        draw_component(text, component, number);
    }
}

/// A part of a form: what `--fill` can name.
fn draw_field(text: &mut String, component: &Value, label: &str) {
    let label = component["label"].as_str().unwrap_or(label);
    if let Some(name) = component["custom_id"].as_str() {
        let options: Vec<&str> =
            list(&component["options"]).iter().filter_map(|option| option["value"].as_str()).collect();
        let choice = if options.is_empty() { String::new() } else { format!(" (of {})", options.join(", ")) };
        let value = component["value"].as_str().map(|value| format!(" [{value}]")).unwrap_or_default();
        let _ = writeln!(text, "  {name}: {label}{choice}{value}");
    }
    block(text, "  ", component["content"].as_str().unwrap_or_default());
    for child in list(&component["components"]) {
        draw_field(text, child, label);
    }
    if component["component"].is_object() {
        draw_field(text, &component["component"], label);
    }
}

/// The buttons and menus in the order of their numbers.
pub(super) fn interactive(answer: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for component in list(&answer["components"]) {
        collect(component, &mut found);
    }
    found
}

fn collect<'a>(component: &'a Value, found: &mut Vec<&'a Value>) {
    if is_interactive(component) {
        found.push(component);
    }
    for child in list(&component["components"]) {
        collect(child, found);
    }
    for key in ["accessory", "component"] {
        if component[key].is_object() {
            collect(&component[key], found);
        }
    }
}

/// Buttons (2) that are no links, and the five kinds of select menus (3, 5-8).
fn is_interactive(component: &Value) -> bool {
    matches!(component["type"].as_u64(), Some(2 | 3 | 5..=8)) && component["custom_id"].is_string()
}

fn draw_embed(text: &mut String, embed: &Value) {
    for key in ["title", "description"] {
        block(text, "  │ ", embed[key].as_str().unwrap_or_default());
    }
    for field in list(&embed["fields"]) {
        let value = field["value"].as_str().unwrap_or_default();
        let name = field["name"].as_str().unwrap_or_default();
        if value.contains('\n') {
            let _ = writeln!(text, "  │ {name}");
            block(text, "  │   ", value);
        } else {
            let _ = writeln!(text, "  │ {name}: {value}");
        }
    }
    if let Some(url) = embed["image"]["url"].as_str() {
        let _ = writeln!(text, "  │ [picture {}]", file_name(url));
    }
    block(text, "  │ ", embed["footer"]["text"].as_str().unwrap_or_default());
}

fn draw_component(text: &mut String, component: &Value, number: &mut usize) {
    let label = ["label", "placeholder"].into_iter().find_map(|key| component[key].as_str()).unwrap_or_default();
    let emoji = component["emoji"]["name"].as_str().map(|name| format!("{name} ")).unwrap_or_default();
    let off = if component["disabled"].as_bool() == Some(true) { " (off)" } else { "" };
    if is_interactive(component) {
        *number = number.saturating_add(1);
    }
    let mark = if *number == usize::MAX { "-".to_owned() } else { format!("{number}.") };
    match component["type"].as_u64() {
        Some(2) if component["url"].is_string() => {
            let _ = writeln!(text, "  link [{label}] {}", component["url"].as_str().unwrap_or_default());
        }
        Some(2) => {
            let _ = writeln!(text, "  {mark} [{emoji}{label}]{off}");
        }
        Some(3) => {
            let options: Vec<String> = list(&component["options"])
                .iter()
                .map(|option| {
                    let chosen = if option["default"].as_bool() == Some(true) { "*" } else { "" };
                    let value = option["value"].as_str().unwrap_or_default();
                    format!("{chosen}{value} ({})", option["label"].as_str().unwrap_or_default())
                })
                .collect();
            let _ = writeln!(text, "  {mark} choose {label}: {}{off}", options.join(", "));
        }
        Some(5..=8) => {
            let _ = writeln!(text, "  {mark} choose {label}, by id{off}");
        }
        Some(10) => block(text, "  ", component["content"].as_str().unwrap_or_default()),
        Some(12) => {
            for item in list(&component["items"]) {
                let url = item["media"]["url"].as_str().unwrap_or_default();
                let _ = writeln!(text, "  [picture {}]", file_name(url));
            }
        }
        Some(14) => text.push_str("  ────\n"),
        _ => {}
    }
    for child in list(&component["components"]) {
        draw_component(text, child, number);
    }
    for key in ["accessory", "component"] {
        if component[key].is_object() {
            draw_component(text, &component[key], number);
        }
    }
}

fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn block(text: &mut String, margin: &str, content: &str) {
    for line in content.lines() {
        let _ = writeln!(text, "{margin}{line}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "status": 200, "ephemeral": true, "elapsed_ms": 84.4, "first_response_ms": 12.2, "edits": [{}], "content": "two\nlines",
            "embeds": [{
                "title": "Harbor", "fields": [{"name": "Messages", "value": "1,204"}, {"name": "Top", "value": "a\nb"}],
                "image": {"url": "attachment://chart.png"}, "footer": {"text": "as of now"},
            }],
            "components": [
                {"type": 1, "components": [
                    {"type": 2, "label": "Docs", "url": "https://example.org"},
                    {"type": 2, "label": "Next", "custom_id": "n"},
                    {"type": 2, "label": "Back", "custom_id": "b", "disabled": true},
                ]},
                {"type": 17, "components": [
                    {"type": 10, "content": "inside"},
                    {"type": 9, "components": [{"type": 10, "content": "beside"}],
                     "accessory": {"type": 3, "placeholder": "Language", "custom_id": "l", "options": [
                        {"label": "English", "value": "en", "default": true}, {"label": "Français", "value": "fr"}]}},
                ]},
            ],
        })
    }

    #[test]
    fn an_answer_is_drawn_as_it_would_be_read() {
        let expected = "  (only this member sees it, 84 ms, deferred after 12 ms, edited once)
  two
  lines
  │ Harbor
  │ Messages: 1,204
  │ Top
  │   a
  │   b
  │ [picture chart.png]
  │ as of now
  link [Docs] https://example.org
  1. [Next]
  2. [Back] (off)
  inside
  beside
  3. choose Language: *en (English), fr (Français)
";
        assert_eq!(answer(&sample()), expected);
    }

    #[test]
    fn forms_and_failures_are_drawn() {
        let form = json!({"modal": {"title": "Zone", "components": [
            {"type": 18, "label": "Time zone", "component": {"type": 4, "custom_id": "zone", "value": "UTC"}},
            {"type": 1, "components": [{"type": 3, "custom_id": "lang", "label": "Language", "options": [{"value": "en"}]}]},
        ]}});
        assert_eq!(answer(&form), "  a form opens: Zone\n  zone: Time zone [UTC]\n  lang: Language (of en)\n");
        let failed = json!({"status": 504, "content": "The application did not respond", "reason": "it was late"});
        assert_eq!(answer(&failed), "  (because it was late)\n  The application did not respond\n");
    }

    #[test]
    fn what_follows_up_has_no_numbers() {
        let follow_up =
            json!({"components": [{"type": 1, "components": [{"type": 2, "label": "Undo", "custom_id": "u"}]}]});
        assert_eq!(answer(&json!({"follow_ups": [follow_up]})), "  ── and then\n  - [Undo]\n");
    }

    #[test]
    fn numbers_mean_the_same_when_drawn_and_when_pressed() {
        let sample = sample();
        let ids: Vec<&str> = interactive(&sample).iter().filter_map(|part| part["custom_id"].as_str()).collect();
        assert_eq!(ids, ["n", "b", "l"]);
    }
}
