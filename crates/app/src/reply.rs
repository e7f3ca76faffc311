//! Answers to interactions (Discord documentation, "Interaction Response Object").
//!
//! **Invariant:** no answer ever notifies anybody: mentions show names, and `allowed_mentions` is empty.

use guildhall_domain::InteractionId;
use serde_json::{Value, json};

/// The flag of a message that only its addressee sees.
const EPHEMERAL: u32 = 1 << 6;

/// What the endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The answer to a ping.
    Pong,
    /// A new message.
    Message(Message),
    /// The message whose component was used, changed.
    Update(Message),
    /// An answer only its addressee sees will follow.
    DeferredEphemeral,
    /// A form: `custom_id`, `title`, `components`.
    Modal(Value),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The text.
    pub content: Option<String>,
    /// Embeds as Discord takes them.
    pub embeds: Vec<Value>,
    /// Action rows as Discord takes them.
    pub components: Vec<Value>,
    /// Whether only its addressee sees it.
    pub ephemeral: bool,
    /// A picture; embeds refer to it as `attachment://` and its name.
    pub picture: Option<Picture>,
}

/// A PNG picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its file name.
    pub filename: &'static str,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// The file.
    pub png: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.filename, self.png.len())
    }
}

/// A reply as bytes.
#[derive(Debug)]
pub struct Rendered {
    /// The value of the header `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// A text that only its addressee sees.
    pub fn ephemeral(text: impl Into<String>) -> Self {
        Self { content: Some(text.into()), ephemeral: true, ..Self::default() }
    }

    /// The message as the `data` of a response, or as the body of an edit.
    pub fn to_json(&self) -> Value {
        let mut data = json!({
            "allowed_mentions": { "parse": [] },
            "content": self.content.as_deref().unwrap_or_default(),
            "embeds": self.embeds,
            "components": self.components,
        });
        if self.ephemeral {
            data["flags"] = json!(EPHEMERAL);
        }
        if let Some(picture) = &self.picture {
            data["attachments"] =
                json!([{ "id": "0", "filename": picture.filename, "description": picture.description }]);
        }
        data
    }
}

impl Reply {
    /// A text that only its addressee sees.
    pub fn ephemeral(text: impl Into<String>) -> Self {
        Self::Message(Message::ephemeral(text))
    }

    /// The reply as Discord's JSON, without its picture.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Pong => json!({ "type": 1 }),
            Self::Message(message) => json!({ "type": 4, "data": message.to_json() }),
            Self::Update(message) => json!({ "type": 7, "data": message.to_json() }),
            Self::DeferredEphemeral => json!({ "type": 5, "data": { "flags": EPHEMERAL } }),
            Self::Modal(modal) => json!({ "type": 9, "data": modal }),
        }
    }

    /// The picture that goes with the reply.
    pub const fn picture(&self) -> Option<&Picture> {
        match self {
            Self::Message(message) | Self::Update(message) => message.picture.as_ref(),
            _ => None,
        }
    }

    /// The reply as an HTTP body: JSON, or a multipart form when there is a picture ("Uploading Files").
    pub fn render(&self, id: InteractionId) -> Rendered {
        let json = self.to_json().to_string();
        let Some(picture) = self.picture() else {
            return Rendered { content_type: "application/json".to_owned(), body: json.into_bytes() };
        };
        // Compressed pictures do not contain this by chance.
        let boundary = format!("guildhall-{id}-boundary");
        let mut body = Vec::with_capacity(json.len() + picture.png.len() + 512);
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
                 Content-Type: application/json\r\n\r\n{json}\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"{}\"\r\n\
                 Content-Type: image/png\r\n\r\n",
                picture.filename
            )
            .as_bytes(),
        );
        body.extend_from_slice(&picture.png);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Rendered { content_type: format!("multipart/form-data; boundary={boundary}"), body }
    }
}
