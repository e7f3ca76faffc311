//! Where codes become tokens.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{ACCESS_SECONDS, Denied, Tokens};
use crate::rest::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/oauth2/token", post(token)).route("/oauth2/token/revoke", post(revoke))
}

async fn token(State(api): State<Api>, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    if !authentic(&api, &headers, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", None);
    }
    let field = |name: &str| form.get(name).map(String::as_str);
    let tokens = match field("grant_type") {
        Some("authorization_code") => {
            let (Some(code), Some(redirect_uri)) = (field("code"), field("redirect_uri")) else {
                return refuse(StatusCode::BAD_REQUEST, "invalid_request", Some("Missing code or redirect_uri."));
            };
            api.oauth2.exchange(code, redirect_uri, field("code_verifier"), api.now())
        }
        Some("refresh_token") => api.oauth2.refresh(field("refresh_token").unwrap_or_default(), api.now()),
        _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", None),
    };
    match tokens {
        Ok(tokens) => axum::Json(shown(&tokens)).into_response(),
        Err(Denied::InvalidGrant) => {
            refuse(StatusCode::BAD_REQUEST, "invalid_grant", Some("Invalid \"code\" or \"refresh_token\" in request."))
        }
        Err(Denied::InvalidVerifier) => {
            refuse(StatusCode::BAD_REQUEST, "invalid_grant", Some("Invalid \"code_verifier\" in request."))
        }
    }
}

async fn revoke(State(api): State<Api>, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    if !authentic(&api, &headers, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", None);
    }
    api.oauth2.revoke(form.get("token").map(String::as_str).unwrap_or_default());
    axum::Json(json!({})).into_response()
}

fn shown(tokens: &Tokens) -> serde_json::Value {
    json!({
        "token_type": "Bearer",
        "access_token": tokens.access,
        "expires_in": ACCESS_SECONDS,
        "refresh_token": tokens.refresh,
        "scope": tokens.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
    })
}

/// The application proves itself by HTTP basic authentication or by fields of the form.
fn authentic(api: &Api, headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
    let expected = (api.config.application_id.to_string(), api.config.client_secret.clone());
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
    let given = match basic {
        Some(pair) => pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned())),
        None => form.get("client_id").cloned().zip(form.get("client_secret").cloned()),
    };
    given == Some(expected)
}

fn refuse(status: StatusCode, error: &str, description: Option<&str>) -> Response {
    let mut body = json!({ "error": error });
    if let Some(description) = description {
        body["error_description"] = description.into();
    }
    (status, axum::Json(body)).into_response()
}
