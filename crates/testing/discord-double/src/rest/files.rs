//! Attached files, kept and served where Discord's CDN would be.
//!
//! **Invariant:** only the newest [`KEPT`] files are kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use guildhall_domain::ChannelId;
use http::{StatusCode, header};

use super::Api;
use crate::world::ids::Snowflake;
use crate::world::message::Attachment;

const KEPT: usize = 512;

/// A file as it came with a request.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// The number the request gave it: `files[0]`.
    pub(crate) number: u64,
    pub(crate) filename: String,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Bytes,
}

/// The files kept.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<BTreeMap<Snowflake, (Option<String>, Bytes)>>);

impl Files {
    /// The bytes of a file.
    pub(crate) fn get(&self, id: Snowflake) -> Option<(Option<String>, Bytes)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn put(&self, id: Snowflake, content_type: Option<String>, bytes: Bytes) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(id, (content_type, bytes));
        while files.len() > KEPT {
            files.pop_first();
        }
    }
}

impl Api {
    /// Keeps a file and makes the attachment that names it.
    pub(crate) fn attach(&self, channel: ChannelId, upload: Upload, description: Option<String>) -> Attachment {
        let id: Snowflake = self.world.ids().id(self.now());
        let mut url = url::Url::parse(&self.base_url).ok();
        if let Some(mut parts) = url.as_mut().and_then(|url| url.path_segments_mut().ok()) {
            parts.extend(["attachments", &channel.to_string(), &id.to_string(), &upload.filename]);
        }
        let url = url.map(String::from).unwrap_or_default();
        let attachment = Attachment {
            id,
            filename: upload.filename,
            size: upload.bytes.len(),
            proxy_url: url.clone(),
            url,
            content_type: upload.content_type.clone(),
            description,
            ephemeral: false,
        };
        self.files.put(id, upload.content_type, upload.bytes);
        attachment
    }
}

/// Serves a file.
pub(super) async fn fetch(
    State(api): State<Api>,
    Path((_, attachment, _)): Path<(ChannelId, Snowflake, String)>,
) -> Response {
    match api.files.get(attachment) {
        Some((content_type, bytes)) => {
            let content_type = content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            ([(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
