//! Interactions: what members do with the application's commands, components and forms, and what comes back.
//!
//! The double signs like Discord, sends to the application's endpoint, and keeps a session for each token, through
//! which the application answers later.
//!
//! **Invariant:** a token works for 15 minutes, and only once the interaction was answered in time.
//! **Invariant:** a session is locked before its guild, and never across an await.

mod answer;
mod command_line;
mod component;
mod form;
mod options;
mod payload;
mod send;
mod session;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::SigningKey;
use guildhall_domain::{InteractionId, MessageId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::send::Refusal;
pub(crate) use self::send::{Wanted, probe, send};
pub(crate) use self::session::Session;
use self::session::Shown;
use crate::config::Config;
use crate::rest::Api;
use crate::rest::error::ApiError;
use crate::rest::extract::{Answer, Answered, Ids, read};
use crate::rest::messages::body::{MessageForm, read_body};
use crate::world::Missing;

/// Sessions kept; the oldest go first.
const KEPT: usize = 4_096;
/// Milliseconds a token works.
const TOKEN_MILLIS: i64 = 15 * 60_000;

/// The sessions, and what they are signed with.
#[derive(Debug)]
pub(crate) struct Interactions {
    key: SigningKey,
    sessions: Mutex<VecDeque<Arc<Session>>>,
}

impl Interactions {
    pub(crate) fn new(config: &Config) -> Self {
        Self { key: config.signing_key(), sessions: Mutex::default() }
    }

    fn keep(&self, session: Arc<Session>) {
        let mut sessions = self.sessions();
        if sessions.len() == KEPT {
            sessions.pop_front();
        }
        sessions.push_back(session);
    }

    /// The sessions, newest first.
    fn newest(&self) -> Vec<Arc<Session>> {
        self.sessions().iter().rev().cloned().collect()
    }

    fn by_token(&self, token: &str) -> Option<Arc<Session>> {
        self.sessions().iter().rev().find(|session| session.token == token).cloned()
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/interactions/{interaction}/{token}/callback", post(callback))
}

#[derive(Debug, Deserialize)]
struct Callback {
    #[serde(default)]
    with_response: bool,
}

/// The other way to answer: by a request instead of by the response.
async fn callback(
    State(api): State<Api>,
    Ids((id, token)): Ids<(InteractionId, String)>,
    Query(query): Query<Callback>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, uploads) = read_body(request, &api).await?;
    let session = api.interactions.by_token(&token).filter(|session| session.id == id).ok_or_else(unknown)?;
    let callback: Value = read(&body)?;
    session.answer(&api, callback, uploads)?;
    if !query.with_response {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Answer::json(&session.callback_response(&api))?.into_response())
}

/// A further message of the application.
pub(crate) fn follow_up(api: &Api, token: &str, form: MessageForm) -> Answered {
    Answer::json(&live(api, token)?.follow_up(api, form)?)
}

/// One of the session's messages: `@original` or an id.
pub(crate) fn show(api: &Api, token: &str, which: &str) -> Answered {
    Answer::json(&live(api, token)?.show(api, which)?)
}

/// Changes one of the session's messages.
pub(crate) fn edit(api: &Api, token: &str, which: &str, form: MessageForm) -> Answered {
    Answer::json(&live(api, token)?.edit(api, which, form)?)
}

/// Deletes one of the session's messages.
pub(crate) fn delete(api: &Api, token: &str, which: &str) -> Answered {
    live(api, token)?.delete(api, which)?;
    Answer::empty()
}

/// The session of a token that still works.
fn live(api: &Api, token: &str) -> Result<Arc<Session>, ApiError> {
    let session = api.interactions.by_token(token).ok_or(Missing::Webhook)?;
    if api.now().millis_since(session.created_at) >= TOKEN_MILLIS || session.is_void() {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, 50_027, "Invalid Webhook Token"));
    }
    if !session.is_answered() {
        return Err(Missing::Webhook.into());
    }
    Ok(session)
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, 10_062, "Unknown interaction")
}

/// The messages of all sessions, or the one wanted, newest first, as kept and as shown.
fn messages(api: &Api, wanted: Option<MessageId>) -> Vec<(Shown, Value)> {
    let sessions = api.interactions.newest();
    let all = sessions.iter().flat_map(|session| {
        let mut shown = session.all_shown();
        shown.retain(|shown| wanted.is_none_or(|wanted| shown.id() == wanted));
        shown.into_iter().rev().filter_map(move |shown| Some((shown.clone(), session.render(api, &shown).ok()?)))
    });
    all.collect()
}
