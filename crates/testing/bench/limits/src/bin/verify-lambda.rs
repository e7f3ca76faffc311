//! The least function that answers a signed PING: hyper on one connection to the runtime API, the fields it needs of the
//! event, the signature. The limit of what the product's function can do.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PONG: &[u8] = br#"{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"type\":1}"}"#;
const REFUSED: &[u8] = br#"{"statusCode":401,"headers":{},"body":""}"#;

/// What is needed of an API Gateway event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    headers: Headers<'a>,
    body: &'a str,
}

#[derive(Deserialize)]
struct Headers<'a> {
    #[serde(rename = "x-signature-ed25519", default)]
    signature: &'a str,
    #[serde(rename = "x-signature-timestamp", default)]
    timestamp: &'a str,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program of its own, without the product's runtime")]
async fn main() -> Result<()> {
    let mut key = [0; 32];
    hex::decode_to_slice(std::env::var("DISCORD_PUBLIC_KEY")?, &mut key)?;
    let key = VerifyingKey::from_bytes(&key)?;
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
    let (mut client, connection) = handshake(TokioIo::new(TcpStream::connect(&api).await?)).await?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    loop {
        let next = Request::get("/2018-06-01/runtime/invocation/next").header("host", &api).body(Full::default())?;
        let (id, event) = send(&mut client, next).await?;
        let id = id.context("an invocation without an id")?;
        let answer = if is_signed(&key, &event) { PONG } else { REFUSED };
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let answer = Request::post(path).header("host", &api).body(Full::from(Bytes::from_static(answer)))?;
        send(&mut client, answer).await?;
    }
}

/// The answer's request id and body.
async fn send(client: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<(Option<String>, Bytes)> {
    client.ready().await?;
    let answer = client.send_request(request).await?;
    let id = answer.headers().get("lambda-runtime-aws-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    Ok((id, answer.into_body().collect().await?.to_bytes()))
}

fn is_signed(key: &VerifyingKey, event: &[u8]) -> bool {
    let Ok(Event { headers, body }) = serde_json::from_slice(event) else { return false };
    let mut signature = [0; 64];
    let mut message = headers.timestamp.as_bytes().to_vec();
    hex::decode_to_slice(headers.signature, &mut signature).is_ok()
        && BASE64.decode_vec(body, &mut message).is_ok()
        && key.verify_strict(&message, &Signature::from_bytes(&signature)).is_ok()
}
