//! Counts each request against its limits and tells the caller in headers.
//!
//! **Invariant:** a request above a limit never reaches its handler.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::Api;
use crate::rate_limit::{Refused, Route, Standing};

/// The middleware in front of every route.
pub(super) async fn limit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let path = path.strip_prefix("/api/v10").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    let route = Route::of(request.method(), path);
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let standing = api.limiter.take(token, &route, api.now());
    let mut response = match standing.refused {
        None => next.run(request).await,
        Some(refused) => too_many(refused, &standing),
    };
    if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        api.limiter.note_refused(api.now());
    }
    if !matches!(standing.refused, Some(Refused::Banned(_))) {
        tell(response.headers_mut(), &standing);
    }
    response
}

fn too_many(refused: Refused, standing: &Standing) -> Response {
    let (millis, global) = match refused {
        Refused::Bucket => (standing.reset_after_millis, false),
        Refused::Global(millis) => (millis, true),
        Refused::Banned(millis) => {
            // Such an answer comes from Cloudflare, in front of Discord: no JSON, no rate limit headers.
            let headers = [(header::RETRY_AFTER, whole_seconds(millis)), (header::SERVER, "cloudflare".to_owned())];
            return (StatusCode::TOO_MANY_REQUESTS, headers, "error code: 1015").into_response();
        }
    };
    let body = json!({
        "message": "You are being rate limited.",
        "retry_after": seconds(millis),
        "global": global,
        "code": 0,
    });
    let mut response = (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    put(headers, "retry-after", &whole_seconds(millis));
    put(headers, "x-ratelimit-scope", if global { "global" } else { "user" });
    if global {
        put(headers, "x-ratelimit-global", "true");
    }
    response
}

fn tell(headers: &mut HeaderMap, standing: &Standing) {
    let reset = standing.reset.as_millis();
    put(headers, "x-ratelimit-limit", &standing.limit.to_string());
    put(headers, "x-ratelimit-remaining", &standing.remaining.to_string());
    put(headers, "x-ratelimit-reset", &format!("{}.{:03}", reset.div_euclid(1_000), reset.rem_euclid(1_000)));
    put(headers, "x-ratelimit-reset-after", &format!("{:.3}", seconds(standing.reset_after_millis)));
    put(headers, "x-ratelimit-bucket", &standing.bucket);
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Windows last minutes at most, so the milliseconds fit an `i32`.
fn seconds(millis: i64) -> f64 {
    f64::from(i32::try_from(millis).unwrap_or(i32::MAX)) / 1_000.0
}

/// `Retry-After` is in whole seconds, rounded up.
fn whole_seconds(millis: i64) -> String {
    millis.div_euclid(1_000).saturating_add(i64::from(millis.rem_euclid(1_000) > 0)).to_string()
}
