//! The body of a message: JSON, or a form with `payload_json` and files.
//!
//! **Invariant:** what [`MessageForm::draft`] and [`MessageForm::edit`] return is valid: lengths, counts and the rules of
//! components are checked here, for messages, webhooks and the answers to interactions alike.

use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use guildhall_domain::{ChannelId, MessageId};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{components, embeds};
use crate::rest::Api;
use crate::rest::error::{ApiError, FormErrors};
use crate::rest::extract::{invalid_json, read};
use crate::rest::files::Upload;
use crate::world::message::{Attachment, Extras, Message};
use crate::world::{Draft, Edit, present};

/// The longest text of a bot, in characters.
const TEXT: usize = 2_000;
/// The flags a sender may set: no embeds, no notification, components only.
const SETTABLE: u32 = 1 << 2 | 1 << 12 | Message::COMPONENTS_V2;

/// A message as it was sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MessageForm {
    #[serde(deserialize_with = "present")]
    content: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    embeds: Option<Option<Vec<Value>>>,
    #[serde(deserialize_with = "present")]
    components: Option<Option<Vec<Value>>>,
    #[serde(deserialize_with = "present")]
    attachments: Option<Option<Vec<AttachmentForm>>>,
    flags: Option<u32>,
    tts: bool,
    nonce: Option<Value>,
    message_reference: Option<ReferenceForm>,
    /// The name a webhook shows.
    pub(crate) username: Option<String>,
    #[serde(skip)]
    uploads: Vec<Upload>,
}

#[derive(Debug, Clone, Deserialize)]
struct AttachmentForm {
    id: Value,
    filename: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct ReferenceForm {
    message_id: MessageId,
    channel_id: Option<ChannelId>,
    #[serde(default = "yes")]
    fail_if_not_exists: bool,
}

fn yes() -> bool {
    true
}

impl FromRequest<Api> for MessageForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (json, uploads) = read_body(request, api).await?;
        Ok(Self { uploads, ..read(&json)? })
    }
}

/// The JSON of a request that may bring files.
pub(crate) async fn read_body(request: Request, api: &Api) -> Result<(Bytes, Vec<Upload>), ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with("multipart/form-data")) {
        let body = Bytes::from_request(request, api).await.map_err(|_| invalid_json())?;
        return Ok((if body.is_empty() { Bytes::from_static(b"{}") } else { body }, Vec::new()));
    }
    let mut form = Multipart::from_request(request, api).await.map_err(|_| invalid_json())?;
    let (mut json, mut uploads) = (Bytes::from_static(b"{}"), Vec::new());
    while let Some(field) = form.next_field().await.map_err(|_| invalid_json())? {
        let name = field.name().unwrap_or_default().to_owned();
        let number = name.strip_prefix("files[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        if name == "payload_json" {
            json = field.bytes().await.map_err(|_| invalid_json())?;
        } else if let Some(number) = number {
            let filename = field.file_name().unwrap_or("file").to_owned();
            let content_type = field.content_type().map(str::to_owned);
            let bytes = field.bytes().await.map_err(|_| invalid_json())?;
            uploads.push(Upload { number, filename, content_type, bytes });
        }
    }
    Ok((json, uploads))
}

impl MessageForm {
    /// The form with this JSON and these files.
    pub(crate) fn new(json: Value, uploads: Vec<Upload>) -> Result<Self, ApiError> {
        let form: Self = serde_json::from_value(json)
            .map_err(|problem| ApiError::invalid_field("", "BASE_TYPE_INVALID", &problem.to_string()))?;
        Ok(Self { uploads, ..form })
    }

    /// Whether files are attached.
    pub(crate) fn has_files(&self) -> bool {
        !self.uploads.is_empty()
    }

    /// Whether it answers another message.
    pub(crate) fn is_reply(&self) -> bool {
        self.message_reference.is_some()
    }

    /// Whether only one member is to see it.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.flags.unwrap_or(0) & Message::EPHEMERAL != 0
    }

    /// The message it makes in a channel.
    pub(crate) fn draft(self, api: &Api, channel: ChannelId) -> Result<Draft, ApiError> {
        let content = self.content.flatten().unwrap_or_default();
        let flags = self.flags.unwrap_or(0) & SETTABLE;
        let attachments = attach(api, channel, &[], self.attachments.flatten().as_deref(), self.uploads)?;
        let mut problems = FormErrors::default();
        let embeds = embeds::answered(self.embeds.flatten().unwrap_or_default(), &attachments, &mut problems);
        let given = self.components.flatten().unwrap_or_default();
        let components = components::answered(given, flags, &attachments, &mut problems);
        check(&content, &embeds, flags, &mut problems);
        problems.finish()?;
        if content.is_empty() && embeds.is_empty() && components.is_empty() && attachments.is_empty() {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message"));
        }
        let reference = self.message_reference.filter(|reference| reference.fail_if_not_exists);
        let reference =
            reference.map(|reference| (reference.channel_id.unwrap_or(channel), Some(reference.message_id)));
        Ok(Draft {
            content,
            kind: if reference.is_some() { Message::REPLY } else { 0 },
            flags,
            reference,
            extras: Extras { embeds, components, attachments, nonce: self.nonce, tts: self.tts, ..Extras::default() },
        })
    }

    /// The change it makes to a message.
    pub(crate) fn edit(self, api: &Api, channel: ChannelId, message: &Message) -> Result<Edit, ApiError> {
        let extras = message.extras.as_deref().cloned().unwrap_or_default();
        let flags = (message.flags & !(1 << 2)) | (self.flags.unwrap_or(message.flags) & SETTABLE);
        let attachments = match (&self.attachments, self.uploads.is_empty()) {
            (None, true) => None,
            (None, false) => Some(attach(api, channel, &extras.attachments, None, self.uploads)?),
            (Some(listed), _) => {
                let listed = listed.clone().unwrap_or_default();
                Some(attach(api, channel, &extras.attachments, Some(&listed), self.uploads)?)
            }
        };
        let known = attachments.as_ref().unwrap_or(&extras.attachments);
        let mut problems = FormErrors::default();
        let embeds = self.embeds.map(|given| embeds::answered(given.unwrap_or_default(), known, &mut problems));
        let components =
            self.components.map(|given| components::answered(given.unwrap_or_default(), flags, known, &mut problems));
        let content = self.content.map(Option::unwrap_or_default);
        check(
            content.as_deref().unwrap_or(&message.content),
            embeds.as_ref().unwrap_or(&extras.embeds),
            flags,
            &mut problems,
        );
        problems.finish()?;
        let empty = content.as_deref().unwrap_or(&message.content).is_empty()
            && embeds.as_ref().unwrap_or(&extras.embeds).is_empty()
            && components.as_ref().unwrap_or(&extras.components).is_empty()
            && known.is_empty();
        if empty {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message"));
        }
        Ok(Edit { content, embeds, components, attachments, flags: Some(flags), unmarked: false })
    }
}

fn check(content: &str, embeds: &[Value], flags: u32, problems: &mut FormErrors) {
    if content.chars().count() > TEXT {
        problems.add("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.");
    }
    if flags & Message::COMPONENTS_V2 != 0 {
        let message = "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2";
        if !content.is_empty() {
            problems.add("content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message);
        }
        if !embeds.is_empty() {
            let message = message.replace("content", "embeds");
            problems.add("embeds", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", &message);
        }
    }
}

/// The attachments after a message or an edit: those of `old` that are listed (all, when there is no list), then the new
/// files, with the names and descriptions the list gives them.
fn attach(
    api: &Api,
    channel: ChannelId,
    old: &[Attachment],
    listed: Option<&[AttachmentForm]>,
    uploads: Vec<Upload>,
) -> Result<Vec<Attachment>, ApiError> {
    let id = |form: &AttachmentForm| match &form.id {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    let entry = |number: u64| listed.into_iter().flatten().find(|form| id(form) == Some(number));
    let mut kept: Vec<Attachment> =
        old.iter().filter(|old| listed.is_none() || entry(old.id.0).is_some()).cloned().collect();
    for upload in uploads {
        let form = entry(upload.number);
        let filename = form.and_then(|form| form.filename.clone()).unwrap_or_else(|| upload.filename.clone());
        let description = form.and_then(|form| form.description.clone());
        kept.push(api.attach(channel, Upload { filename, ..upload }, description));
    }
    if kept.len() > 10 {
        return Err(ApiError::invalid_field("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length."));
    }
    Ok(kept)
}
