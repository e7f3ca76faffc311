//! The application's first answer to an interaction.
//!
//! **Invariant:** what Discord would refuse is refused: a second answer, a form in answer to a form, an update where there
//! is no message.

use http::StatusCode;
use serde_json::{Value, json};

use super::session::{Kind, Session};
use crate::rest::Api;
use crate::rest::error::{ApiError, FormErrors};
use crate::rest::files::Upload;
use crate::rest::messages::body::MessageForm;
use crate::world::message::Message;

const PONG: u64 = 1;
const MESSAGE: u64 = 4;
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
const UPDATE: u64 = 7;
const CHOICES: u64 = 8;
const FORM: u64 = 9;

impl Session {
    /// Takes the answer.
    pub(super) fn answer(&self, api: &Api, callback: Value, uploads: Vec<Upload>) -> Result<(), ApiError> {
        {
            let mut state = self.state();
            if state.void {
                return Err(super::unknown());
            }
            if state.answering || state.answered.is_some() {
                let message = "Interaction has already been acknowledged.";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, 40_060, message));
            }
            state.answering = true;
        }
        let taken = self.take(api, callback, uploads);
        let mut state = self.state();
        state.answering = false;
        state.answered = taken.as_ref().ok().copied();
        drop(state);
        self.changed.notify_waiters();
        taken.map(drop)
    }

    fn take(&self, api: &Api, mut callback: Value, uploads: Vec<Upload>) -> Result<u64, ApiError> {
        let kind = callback["type"].as_u64().unwrap_or(0);
        if !self.takes(kind) {
            let message = "Value is not an answer to this kind of interaction.";
            return Err(ApiError::invalid_field("type", "BASE_TYPE_CHOICES", message));
        }
        let data = callback["data"].take();
        match kind {
            MESSAGE => {
                let kind = if self.kind == Kind::Command { Message::CHAT_INPUT_COMMAND } else { Message::REPLY };
                let shown = self.write(api, MessageForm::new(data, uploads)?, 0, kind)?;
                self.state().original = Some(shown);
            }
            DEFERRED => {
                // Only EPHEMERAL may be set on a deferral; other flags are ignored.
                let ephemeral = u32::try_from(data["flags"].as_u64().unwrap_or(0)).unwrap_or(0) & Message::EPHEMERAL;
                let kind = if self.kind == Kind::Command { Message::CHAT_INPUT_COMMAND } else { Message::REPLY };
                let shown = self.write(api, MessageForm::default(), Message::LOADING | ephemeral, kind)?;
                self.state().original = Some(shown);
            }
            DEFERRED_UPDATE => self.state().original.clone_from(&self.source),
            UPDATE => {
                let source = self.source.clone().ok_or_else(super::unknown)?;
                self.change(api, &source, MessageForm::new(data, uploads)?)?;
                self.state().original = Some(source);
            }
            CHOICES => self.state().choices = Some(choices(&data)?),
            FORM => self.state().form = Some(form(data)?),
            _ => {}
        }
        Ok(kind)
    }

    fn takes(&self, kind: u64) -> bool {
        match kind {
            PONG => self.kind == Kind::Ping,
            MESSAGE | DEFERRED => matches!(self.kind, Kind::Command | Kind::Component | Kind::Form),
            DEFERRED_UPDATE | UPDATE => matches!(self.kind, Kind::Component | Kind::Form) && self.source.is_some(),
            CHOICES => self.kind == Kind::Autocomplete,
            FORM => matches!(self.kind, Kind::Command | Kind::Component),
            _ => false,
        }
    }

    /// What `with_response` asks for.
    pub(super) fn callback_response(&self, api: &Api) -> Value {
        let state = self.state();
        let (answered, original) = (state.answered.unwrap_or(0), state.original.clone());
        drop(state);
        let message = original.as_ref().and_then(|shown| self.render(api, shown).ok());
        let flags = message.as_ref().and_then(|message| message["flags"].as_u64()).unwrap_or(0);
        let mut interaction = json!({
            "id": self.id,
            "type": self.kind as u8,
            "channel_id": self.channel,
            "guild_id": self.guild,
            "response_message_loading": flags & u64::from(Message::LOADING) != 0,
            "response_message_ephemeral": flags & u64::from(Message::EPHEMERAL) != 0,
        });
        if let Some(shown) = &original {
            interaction["response_message_id"] = json!(shown.id());
        }
        let mut response = json!({ "interaction": interaction });
        // The description knows resources for messages made and messages updated.
        let resource = if matches!(answered, DEFERRED_UPDATE | UPDATE) { UPDATE } else { MESSAGE };
        if let Some(message) = message {
            response["resource"] = json!({ "type": resource, "message": message });
        }
        response
    }

    /// Whether what the member sees is still a placeholder.
    pub(super) fn is_pending(&self, api: &Api) -> bool {
        let state = self.state();
        let (answered, edits, original) = (state.answered, state.edits.len(), state.original.clone());
        drop(state);
        match (answered, original) {
            (Some(DEFERRED), Some(shown)) => self
                .render(api, &shown)
                .is_ok_and(|message| message["flags"].as_u64().unwrap_or(0) & u64::from(Message::LOADING) != 0),
            (Some(DEFERRED_UPDATE), Some(_)) => edits == 0,
            _ => false,
        }
    }
}

fn choices(data: &Value) -> Result<Value, ApiError> {
    let choices = data["choices"].as_array().cloned().unwrap_or_default();
    let bad = |choice: &Value| choice["name"].as_str().is_none_or(|name| !(1..=100).contains(&name.chars().count()));
    if choices.len() > 25 || choices.iter().any(bad) {
        let message = "Must be 25 or fewer in length, with names of 1 to 100 characters.";
        return Err(ApiError::invalid_field("data.choices", "BASE_TYPE_MAX_LENGTH", message));
    }
    Ok(Value::Array(choices))
}

fn form(data: Value) -> Result<Value, ApiError> {
    let mut problems = FormErrors::default();
    for (field, most) in [("custom_id", 100), ("title", 45)] {
        let length = data[field].as_str().map_or(0, |text| text.chars().count());
        if !(1..=most).contains(&length) {
            let message = format!("Must be between 1 and {most} in length.");
            problems.add(&format!("data.{field}"), "BASE_TYPE_BAD_LENGTH", &message);
        }
    }
    let components = data["components"].as_array().map_or(0, Vec::len);
    if !(1..=5).contains(&components) {
        problems.add("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
    }
    for (index, component) in data["components"].as_array().into_iter().flatten().enumerate() {
        // Rows with text inputs, labels around any input, and text.
        if !matches!(component["type"].as_u64(), Some(1 | 10 | 18)) {
            let path = format!("data.components.{index}.type");
            problems.add(&path, "UNION_TYPE_CHOICES", "Value of field \"type\" must be one of (1, 10, 18).");
        }
    }
    problems.finish()?;
    Ok(data)
}
