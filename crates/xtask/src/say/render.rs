//! Draws an answer as plain text: content, embeds, components of either version.

use std::fmt::Write;

use serde_json::Value;

/// What the member sees, with buttons and menus numbered for `--click` and `--select`.
pub(super) fn answer(answer: &Value) -> String {
    let mut text = String::new();
    let mut facts = Vec::new();
    if answer["ephemeral"].as_bool() == Some(true) {
        facts.push("only this member sees it".to_owned());
    }
    if let Some(millis) = answer["elapsed_ms"].as_f64() {
        facts.push(format!("{millis:.0} ms"));
    }
    if let Some(edits) = answer["edits"].as_array().map(Vec::len).filter(|&edits| edits > 0) {
        facts.push(format!("deferred, edited {edits} times"));
    }
    if let Some(status) = answer["status"].as_u64().filter(|&status| status >= 300) {
        facts.push(format!("refused with status {status}"));
    }
    if !facts.is_empty() {
        let _ = writeln!(text, "  ({})", facts.join(", "));
    }
    block(&mut text, "  ", answer["content"].as_str().unwrap_or_default());
    for embed in list(&answer["embeds"]) {
        draw_embed(&mut text, embed);
    }
    let mut number = 0;
    for component in list(&answer["components"]) {
        draw_component(&mut text, component, &mut number);
    }
    if answer["modal"].is_object() {
        let _ = writeln!(text, "  a form opens: {}", answer["modal"]["title"].as_str().unwrap_or_default());
        for component in list(&answer["modal"]["components"]) {
            draw_component(&mut text, component, &mut number);
        }
    }
    text
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
        let _ = writeln!(text, "  │ [picture {}]", url.trim_start_matches("attachment://"));
    }
    block(text, "  │ ", embed["footer"]["text"].as_str().unwrap_or_default());
}

fn draw_component(text: &mut String, component: &Value, number: &mut usize) {
    let label = ["label", "placeholder"].into_iter().find_map(|key| component[key].as_str()).unwrap_or_default();
    let emoji = component["emoji"]["name"].as_str().map(|name| format!("{name} ")).unwrap_or_default();
    let off = if component["disabled"].as_bool() == Some(true) { " (off)" } else { "" };
    if is_interactive(component) {
        *number += 1;
    }
    match component["type"].as_u64() {
        Some(2) if component["url"].is_string() => {
            let _ = writeln!(text, "  link [{label}] {}", component["url"].as_str().unwrap_or_default());
        }
        Some(2) => {
            let _ = writeln!(text, "  {number}. [{emoji}{label}]{off}");
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
            let _ = writeln!(text, "  {number}. choose {label}: {}{off}", options.join(", "));
        }
        Some(5..=8) => {
            let _ = writeln!(text, "  {number}. choose {label}, by id{off}");
        }
        Some(4) => {
            let _ = writeln!(text, "  field {}: {label}", component["custom_id"].as_str().unwrap_or_default());
        }
        Some(10) => block(text, "  ", component["content"].as_str().unwrap_or_default()),
        Some(12) => {
            for item in list(&component["items"]) {
                let url = item["media"]["url"].as_str().unwrap_or_default();
                let _ = writeln!(text, "  [picture {}]", url.trim_start_matches("attachment://"));
            }
        }
        Some(14) => text.push_str("  ────\n"),
        Some(18) => {
            let _ = writeln!(text, "  {label}:");
        }
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
            "status": 200, "ephemeral": true, "elapsed_ms": 84.4, "edits": [{}], "content": "two\nlines",
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
        let expected = "  (only this member sees it, 84 ms, deferred, edited 1 times)
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
    fn numbers_mean_the_same_when_drawn_and_when_pressed() {
        let sample = sample();
        let ids: Vec<&str> = interactive(&sample).iter().filter_map(|part| part["custom_id"].as_str()).collect();
        assert_eq!(ids, ["n", "b", "l"]);
    }
}
