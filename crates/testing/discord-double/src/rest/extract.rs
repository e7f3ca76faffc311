//! What handlers take from a request: who asks, which ids the path names, what the body says.
//!
//! **Invariant:** a request that cannot be read is refused in Discord's words, never in those of the web framework.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::error::ApiError;
use crate::oauth2::Access;
use crate::world::By;

/// What handlers answer.
pub(crate) type Answered = Result<Answer, ApiError>;

/// An answer that worked.
#[derive(Debug)]
pub(crate) struct Answer(StatusCode, Option<String>);

impl Answer {
    /// 200 with a body.
    ///
    /// # Errors
    /// When the body cannot be written as JSON.
    pub(crate) fn json<T: Serialize + ?Sized>(body: &T) -> Answered {
        Self::status(StatusCode::OK, body)
    }

    /// 201 with a body.
    ///
    /// # Errors
    /// When the body cannot be written as JSON.
    pub(crate) fn created<T: Serialize + ?Sized>(body: &T) -> Answered {
        Self::status(StatusCode::CREATED, body)
    }

    /// 204.
    #[expect(clippy::unnecessary_wraps, reason = "the last expression of handlers that otherwise answer with a body")]
    pub(crate) fn empty() -> Answered {
        Ok(Self(StatusCode::NO_CONTENT, None))
    }

    fn status<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Answered {
        let body = serde_json::to_string(body)
            .map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, 0, "500: Internal Server Error"))?;
        Ok(Self(status, Some(body)))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.1 {
            Some(body) => (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            None => self.0.into_response(),
        }
    }
}

/// Whoever sent a request with a token.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The application's bot.
    Bot(Bot),
    /// A person who authorized the application.
    Person(Access),
}

/// The application's bot.
#[derive(Debug, Clone)]
pub(crate) struct Bot {
    user: guildhall_domain::UserId,
    reason: Option<String>,
}

impl Bot {
    /// The bot's account.
    pub(crate) fn user(&self) -> guildhall_domain::UserId {
        self.user
    }

    /// The bot, with the reason it gave for the audit log.
    pub(crate) fn by(&self) -> By<'_> {
        By { user: self.user, reason: self.reason.as_deref() }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or_else(ApiError::unauthorized)?;
        match scheme {
            "Bot" if token == api.config.bot_token && !api.gateway.token_revoked() => {
                Ok(Self::Bot(Bot { user: api.world.bot_id(), reason: reason(&parts.headers)? }))
            }
            "Bearer" => api.oauth2.access(token, api.now()).map(Self::Person).ok_or_else(ApiError::unauthorized),
            _ => Err(ApiError::unauthorized()),
        }
    }
}

impl FromRequestParts<Api> for Bot {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, api).await? {
            Caller::Bot(bot) => Ok(bot),
            Caller::Person(_) => Err(ApiError::unauthorized()),
        }
    }
}

/// The reason for the audit log: URL-encoded, 1 to 512 characters.
fn reason(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("x-audit-log-reason") else { return Ok(None) };
    let encoded = value.to_str().unwrap_or_default();
    // Form decoding would turn a plus into a space, which Discord's decoding leaves alone.
    let pair = format!("r={}", encoded.replace('+', "%2B"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, text)| text.into_owned());
    let reason = decoded.unwrap_or_default();
    if reason.chars().count() > 512 {
        let message = "Must be between 1 and 512 in length.";
        return Err(ApiError::invalid_field("reason", "BASE_TYPE_BAD_LENGTH", message));
    }
    Ok((!reason.is_empty()).then_some(reason))
}

/// The ids and codes in the path.
#[derive(Debug)]
pub(crate) struct Ids<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let message = "Value is not snowflake.";
        let Path(ids) = Path::from_request_parts(parts, api)
            .await
            .map_err(|_| ApiError::invalid_field("", "NUMBER_TYPE_COERCE", message))?;
        Ok(Self(ids))
    }
}

/// The query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Query(query) = Query::from_request_parts(parts, api)
            .await
            .map_err(|problem| ApiError::invalid_field("", "NUMBER_TYPE_COERCE", &problem.body_text()))?;
        Ok(Self(query))
    }
}

/// A JSON body. An empty one counts as `{}`, because several of Discord's routes take none.
#[derive(Debug)]
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, api).await.map_err(|_| invalid_json())?;
        read(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

/// Reads JSON: what is no JSON is 50109, what has the wrong shape 50035.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| invalid_json())?;
    serde_json::from_value(value)
        .map_err(|problem| ApiError::invalid_field("", "BASE_TYPE_INVALID", &problem.to_string()))
}

pub(crate) fn invalid_json() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, 50_109, "The request body contains invalid JSON.")
}
