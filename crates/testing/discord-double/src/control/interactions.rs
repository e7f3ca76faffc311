//! `POST /_double/interactions`: a member uses a command, a component or a form, and sees what comes of it;
//! `POST /_double/interactions/probe`: whether the endpoint notices bad signatures.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::interactions::{self, Refusal, Wanted};
use crate::rest::Api;

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/_double/interactions", post(send))
        .route("/_double/interactions/probe", post(probe))
        .with_state(api)
}

async fn send(State(api): State<Api>, Json(wanted): Json<Wanted>) -> Result<Response, Refused> {
    Ok(Json(interactions::send(&api, wanted).await?).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    endpoint: Option<String>,
}

async fn probe(State(api): State<Api>, body: Option<Json<Endpoint>>) -> Result<Response, Refused> {
    let Json(wanted) = body.unwrap_or_default();
    Ok(Json(interactions::probe(&api, wanted.endpoint.as_deref()).await?).into_response())
}

/// A member could not do that.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}
