//! The smallest HTTP client for the control API.

use axum::body::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Sends JSON, or nothing, and answers with the status and the JSON that came back (a string if it was not JSON).
pub(crate) async fn call(method: &str, address: &str, body: Option<&Value>) -> (u16, Value) {
    let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let request = Request::builder()
        .method(method)
        .uri(address)
        .header("content-type", "application/json")
        .body(Full::new(bytes))
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
