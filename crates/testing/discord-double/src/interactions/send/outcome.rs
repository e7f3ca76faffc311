//! What the member sees in the end.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::session::Session;
use crate::rest::Api;
use crate::world::message::Message;

/// What Discord shows when the application does not answer in time, or wrongly.
const NO_RESPONSE: &str = "The application did not respond";

/// The outcome for the one who sent it.
pub(super) fn tell(
    api: &Api,
    session: &Session,
    status: &Result<u16, (Option<u16>, String)>,
    first: Duration,
) -> Value {
    let state = session.state();
    let (original, follow_ups) = (state.original.clone(), state.follow_ups.clone());
    let (answered, edits) = (state.answered, state.edits.clone());
    let (form, choices) = (state.form.clone(), state.choices.clone());
    drop(state);
    let shown = original.as_ref().and_then(|shown| session.render(api, shown).ok());
    let follow_ups: Vec<Value> = follow_ups
        .iter()
        .filter_map(|shown| session.render(api, shown).ok())
        .map(|message| seen(api, &message))
        .collect();
    let pending = status.is_ok() && session.is_pending(api);
    let mut outcome = shown.as_ref().map_or_else(|| json!({}), |message| seen(api, message));
    outcome["interaction_id"] = json!(session.id);
    outcome["type"] = json!(answered);
    outcome["elapsed_ms"] = millis(session.started.elapsed());
    outcome["first_response_ms"] = millis(first);
    outcome["edits"] = json!(edits);
    outcome["follow_ups"] = json!(follow_ups);
    outcome["modal"] = json!(form);
    outcome["choices"] = json!(choices);
    outcome["pending"] = json!(pending);
    match status {
        Ok(status) => outcome["status"] = json!(status),
        Err((status, reason)) => {
            outcome["status"] = json!(status.unwrap_or(504));
            outcome["content"] = json!(NO_RESPONSE);
            outcome["ephemeral"] = json!(true);
            outcome["reason"] = json!(reason);
        }
    }
    outcome
}

/// A message as someone sees it, files included.
fn seen(api: &Api, message: &Value) -> Value {
    let flags = message["flags"].as_u64().unwrap_or(0);
    let attachments: Vec<Value> = message["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|attachment| {
            let id = attachment["id"].as_str().and_then(|id| id.parse().ok());
            let bytes = id.and_then(|id| api.files.get(id)).map(|(_, bytes)| bytes).unwrap_or_default();
            json!({
                "filename": attachment["filename"],
                "content_type": attachment["content_type"],
                "description": attachment["description"],
                "url": attachment["url"],
                "base64": STANDARD.encode(bytes),
            })
        })
        .collect();
    json!({
        "message_id": message["id"],
        "content": message["content"],
        "embeds": message["embeds"],
        "components": message["components"],
        "ephemeral": flags & u64::from(Message::EPHEMERAL) != 0,
        "attachments": attachments,
    })
}

/// Milliseconds with a fraction.
fn millis(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 100_000.0).round() / 100.0)
}
