//! Discord's error answers.
//!
//! **Invariant:** every refusal is `{message, code}`, with `errors` where a field is to blame.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::world::Missing;

/// A refusal.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} ({code})")]
pub(crate) struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    errors: Option<Value>,
}

impl ApiError {
    /// A refusal with one of Discord's JSON error codes.
    pub(crate) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: None }
    }

    /// 401: no token, or one that is not known.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 0, "401: Unauthorized")
    }

    /// 404 for a path that does not exist.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, 0, "404: Not Found")
    }

    /// 403: the caller may not see this.
    pub(crate) fn missing_access() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50_001, "Missing Access")
    }

    /// 403: the caller sees it but may not do that.
    pub(crate) fn missing_permissions() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50_013, "Missing Permissions")
    }

    /// 400: the form is wrong at these fields.
    pub(crate) fn invalid_form(fields: FormErrors) -> Self {
        Self { errors: Some(fields.0), ..Self::new(StatusCode::BAD_REQUEST, 50_035, "Invalid Form Body") }
    }

    /// 400: one field is wrong. The path is dotted: `embeds.0.title`.
    pub(crate) fn invalid_field(path: &str, code: &str, message: &str) -> Self {
        let mut fields = FormErrors::default();
        fields.add(path, code, message);
        Self::invalid_form(fields)
    }
}

impl From<Missing> for ApiError {
    fn from(missing: Missing) -> Self {
        let (code, message) = match missing {
            Missing::Guild => (10_004, "Unknown Guild"),
            Missing::Channel => (10_003, "Unknown Channel"),
            Missing::Message => (10_008, "Unknown Message"),
            Missing::Member => (10_007, "Unknown Member"),
            Missing::User => (10_013, "Unknown User"),
            Missing::Role => (10_011, "Unknown Role"),
            Missing::Ban => (10_026, "Unknown Ban"),
            Missing::Invite => (10_006, "Unknown Invite"),
            Missing::Webhook => (10_015, "Unknown Webhook"),
            Missing::Overwrite => (10_009, "Unknown permission overwrite"),
            Missing::VoiceState => (10_065, "Unknown Voice State"),
        };
        Self::new(StatusCode::NOT_FOUND, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        (self.status, axum::Json(body)).into_response()
    }
}

/// The fields of a form that are wrong, nested like the form itself.
#[derive(Debug, Clone)]
pub(crate) struct FormErrors(Value);

impl Default for FormErrors {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl FormErrors {
    /// Notes a problem of the field at a dotted path; an empty path is the whole form.
    pub(crate) fn add(&mut self, path: &str, code: &str, message: &str) {
        let mut place = &mut self.0;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            place = &mut place[part];
        }
        let problem = json!({ "code": code, "message": message });
        match place["_errors"].as_array_mut() {
            Some(list) => list.push(problem),
            None => place["_errors"] = json!([problem]),
        }
    }

    /// Nothing, or the refusal.
    ///
    /// # Errors
    /// When a problem was noted.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.0.as_object().is_some_and(Map::is_empty) { Ok(()) } else { Err(ApiError::invalid_form(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_nested_like_the_form() {
        let mut fields = FormErrors::default();
        fields.add("options.0.name", "X", "bad");
        fields.add("options.0.name", "Y", "worse");
        let errors = &fields.0["options"]["0"]["name"]["_errors"];
        assert_eq!((errors[0]["code"].as_str(), errors[1]["message"].as_str()), (Some("X"), Some("worse")));
        assert!(fields.finish().is_err());
        assert!(FormErrors::default().finish().is_ok());
    }
}
