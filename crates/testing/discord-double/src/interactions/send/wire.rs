//! Signatures and HTTP.
//!
//! **Invariant:** what is signed is the timestamp followed by the very bytes of the body.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use guildhall_domain::Timestamp;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::rest::Api;
use crate::rest::files::Upload;
use crate::rest::messages::body::read_body;

/// A body with its signature.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    body: String,
    /// Timestamp and signature; absent to see what happens.
    headers: Option<(String, String)>,
}

/// What the endpoint answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    content_type: Option<header::HeaderValue>,
    body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the endpoint's address is not valid")]
    Address(#[source] http::Error),
    #[error("the endpoint cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the endpoint's answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Signed {
    /// The same with a signature that does not fit.
    pub(super) fn spoiled(&self) -> Self {
        let spoil =
            |signature: &str| signature.replacen(|_: char| true, if signature.starts_with('0') { "1" } else { "0" }, 1);
        let headers = self.headers.as_ref().map(|(timestamp, signature)| (timestamp.clone(), spoil(signature)));
        Self { headers, body: self.body.clone() }
    }

    /// The same without a signature.
    pub(super) fn unsigned(&self) -> Self {
        Self { headers: None, body: self.body.clone() }
    }
}

/// Signs a body.
pub(super) fn sign(key: &SigningKey, now: Timestamp, body: String) -> Signed {
    let timestamp = now.as_secs().to_string();
    let signature = key.sign(format!("{timestamp}{body}").as_bytes());
    Signed { headers: Some((timestamp, hex::encode(signature.to_bytes()))), body }
}

/// A token nobody can guess without the key, and the same again under the same seed.
pub(super) fn token(key: &SigningKey, id: &str) -> String {
    let secret = key.sign(format!("interaction:{id}").as_bytes());
    URL_SAFE_NO_PAD.encode(format!("interaction:{id}:{}", hex::encode(secret.to_bytes())))
}

/// Posts to an endpoint.
pub(super) async fn post(endpoint: &str, signed: &Signed) -> Result<Response, Unanswered> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "Discord-Interactions/1.0 (+https://discord.com)");
    if let Some((timestamp, signature)) = &signed.headers {
        request = request.header("x-signature-timestamp", timestamp).header("x-signature-ed25519", signature);
    }
    let request = request.body(Full::new(Bytes::from(signed.body.clone()))).map_err(Unanswered::Address)?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.map_err(Unanswered::Unreachable)?.into_parts();
    let body = body.collect().await.map_err(|problem| Unanswered::Broken(problem.into()))?.to_bytes();
    let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
    Ok(Response { status: parts.status.as_u16(), content_type, body })
}

impl Response {
    /// The callback in the response, with its files.
    pub(super) async fn callback(self, api: &Api) -> Result<(Value, Vec<Upload>), String> {
        let mut request = Request::new(axum::body::Body::from(self.body));
        if let Some(content_type) = self.content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        let (json, uploads) = read_body(request, api).await.map_err(|problem| problem.to_string())?;
        let callback = serde_json::from_slice(&json).map_err(|_| "the endpoint's answer is not JSON".to_owned())?;
        Ok((callback, uploads))
    }
}
