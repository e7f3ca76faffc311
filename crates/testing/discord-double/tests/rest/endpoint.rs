//! A small interactions endpoint that verifies signatures independently of the double.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::{Signature, VerifyingKey};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// What the endpoint answers with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A callback as JSON.
    Json(Value),
    /// A callback with content type and body of its own.
    Form(&'static str, Vec<u8>),
    /// A status alone.
    Status(u16),
    /// None at all.
    Silence,
}

struct Desk {
    key: Option<VerifyingKey>,
    /// The replies to come; when none is left, PONG.
    replies: Mutex<mpsc::UnboundedReceiver<Reply>>,
    seen: mpsc::UnboundedSender<Value>,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    replies: mpsc::UnboundedSender<Reply>,
    seen: Mutex<mpsc::UnboundedReceiver<Value>>,
    _server: JoinSet<()>,
}

impl Endpoint {
    /// An endpoint that knows this public key; without one it believes everybody.
    pub(crate) async fn start(public_key: Option<&str>) -> Self {
        let key = public_key.map(|key| {
            let bytes: [u8; 32] = hex::decode(key).expect("hexadecimal").try_into().expect("32 bytes");
            VerifyingKey::from_bytes(&bytes).expect("a key")
        });
        let (replies, to_come) = mpsc::unbounded_channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { key, replies: Mutex::new(to_come), seen: tell });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/interactions", listener.local_addr().expect("bound"));
        let app = Router::new().route("/interactions", post(receive)).with_state(desk);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, replies, seen: Mutex::new(seen), _server: server }
    }

    /// The next interaction is answered so.
    pub(crate) fn will(&self, reply: Reply) {
        self.replies.send(reply).expect("the endpoint runs");
    }

    /// The next interaction that arrives.
    pub(crate) async fn received(&self) -> Value {
        self.seen.lock().await.recv().await.expect("the endpoint runs")
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    if desk.key.is_some_and(|key| verify(&key, &headers, &body).is_none()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let interaction: Value = serde_json::from_slice(&body).expect("JSON");
    let _ = desk.seen.send(interaction);
    match desk.replies.lock().await.try_recv() {
        Ok(Reply::Json(callback)) => axum::Json(callback).into_response(),
        Ok(Reply::Form(content_type, body)) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        Ok(Reply::Status(status)) => StatusCode::from_u16(status).expect("a status").into_response(),
        Ok(Reply::Silence) => std::future::pending().await,
        Err(_) => axum::Json(json!({ "type": 1 })).into_response(),
    }
}

fn verify(key: &VerifyingKey, headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let timestamp = header("x-signature-timestamp")?;
    let signature: [u8; 64] = hex::decode(header("x-signature-ed25519")?).ok()?.try_into().ok()?;
    let signed = [timestamp.as_bytes(), body].concat();
    key.verify_strict(&signed, &Signature::from_bytes(&signature)).ok()
}
