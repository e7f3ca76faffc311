//! A local Lambda runtime: starts a function's real binary and invokes it over the runtime API.
//!
//! **Invariant:** what the binary sees is the documented runtime API (AWS documentation, "Building a custom runtime"):
//! one invocation at a time, answered under its request id.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// What a function may take to answer before the host gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

type Answer = Result<Bytes, String>;

struct Invocation {
    id: String,
    payload: Bytes,
}

struct Shared {
    next: Mutex<mpsc::Receiver<Invocation>>,
    waiting: std::sync::Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    init_error: std::sync::Mutex<Option<String>>,
}

impl Shared {
    fn answer(&self, id: &str, answer: Answer) -> StatusCode {
        let waiting = self.waiting.lock().ok().and_then(|mut waiting| waiting.remove(id));
        match waiting {
            // The invoker may have given up; the function's answer is then of no use to anybody.
            Some(waiting) => drop(waiting.send(answer)),
            None => return StatusCode::BAD_REQUEST,
        }
        StatusCode::ACCEPTED
    }
}

/// A running function.
pub struct LambdaHost {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Invocation>,
    ids: AtomicU64,
    id: Option<u32>,
    child: Mutex<Child>,
    _server: AbortOnDropHandle<()>,
}

impl LambdaHost {
    /// Starts `binary` with these variables and no others of the caller's.
    ///
    /// # Errors
    /// When no port can be bound or the binary cannot be started.
    pub async fn start(binary: impl AsRef<Path>, environment: &[(&str, String)]) -> anyhow::Result<Self> {
        Self::start_with(binary.as_ref(), environment, None).await
    }

    /// As [`LambdaHost::start`], with all that the function prints in this file.
    ///
    /// # Errors
    /// When the file cannot be written either.
    pub async fn start_logged(
        binary: impl AsRef<Path>,
        environment: &[(&str, String)],
        log: impl AsRef<Path>,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log).context("the log cannot be written")?;
        Self::start_with(binary.as_ref(), environment, Some(log)).await
    }

    async fn start_with(
        binary: &Path,
        environment: &[(&str, String)],
        log: Option<std::fs::File>,
    ) -> anyhow::Result<Self> {
        let (queue, next) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            next: Mutex::new(next),
            waiting: std::sync::Mutex::default(),
            init_error: std::sync::Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(axum::extract::DefaultBodyLimit::max(8 * 1_048_576))
            .with_state(Arc::clone(&shared));
        // A host that cannot serve any more shows as a function that does not answer.
        let server = async move { drop(axum::serve(listener, router).await) };
        let server = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(server));
        let (output, errors) = match log {
            Some(log) => (log.try_clone()?.into(), log.into()),
            // Figures go to standard output; logs, which help to understand a failure, do not.
            None => (Stdio::null(), Stdio::inherit()),
        };
        let child = Command::new(binary)
            .stdout(output)
            .stderr(errors)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", binary.file_name().unwrap_or_default())
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        Ok(Self { shared, queue, ids: AtomicU64::new(1), id: child.id(), child: Mutex::new(child), _server: server })
    }

    /// The id of the function's process, for whoever sends it signals.
    pub const fn id(&self) -> Option<u32> {
        self.id
    }

    /// Invokes the function once and returns its answer.
    ///
    /// # Errors
    /// When the function answers with an error, ends, or takes longer than a minute.
    pub async fn invoke(&self, payload: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let id = format!("00000000-0000-4000-8000-{:012}", self.ids.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        if let Ok(mut waiting) = self.shared.waiting.lock() {
            waiting.insert(id.clone(), sender);
        }
        let payload = Bytes::from(serde_json::to_vec(payload)?);
        self.queue.send(Invocation { id, payload }).await.context("the host has stopped")?;
        let mut child = self.child.lock().await;
        tokio::select! {
            answer = receiver => match answer.context("the invocation was dropped")? {
                Ok(body) => serde_json::from_slice(&body).context("the function's answer is not JSON"),
                Err(message) => bail!("the function failed: {message}"),
            },
            status = child.wait() => {
                let reason = self.shared.init_error.lock().ok().and_then(|reason| reason.clone());
                bail!("the function ended with {}: {}", status?, reason.unwrap_or_default())
            }
            () = tokio::time::sleep(PATIENCE) => bail!("the function did not answer within {PATIENCE:?}"),
        }
    }

    /// Ends the function as Lambda does when it needs the room: without warning.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub async fn kill(self) -> anyhow::Result<()> {
        self.child.lock().await.kill().await?;
        Ok(())
    }
}

async fn next_invocation(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let Some(invocation) = shared.next.lock().await.recv().await else {
        return (StatusCode::GONE, HeaderMap::new(), Bytes::new());
    };
    let mut headers = HeaderMap::new();
    if let Ok(id) = HeaderValue::from_str(&invocation.id) {
        headers.insert("lambda-runtime-aws-request-id", id);
    }
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    headers.insert("lambda-runtime-trace-id", HeaderValue::from_static(trace));
    headers.insert("lambda-runtime-deadline-ms", HeaderValue::from_static("4102444800000"));
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static("arn:aws:lambda:us-east-1:000000000000:function:local"),
    );
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    (StatusCode::OK, headers, invocation.payload)
}

async fn response(State(shared): State<Arc<Shared>>, UrlPath(id): UrlPath<String>, body: Bytes) -> StatusCode {
    shared.answer(&id, Ok(body))
}

async fn error(State(shared): State<Arc<Shared>>, UrlPath(id): UrlPath<String>, body: String) -> StatusCode {
    shared.answer(&id, Err(body))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: String) -> StatusCode {
    if let Ok(mut reason) = shared.init_error.lock() {
        *reason = Some(body);
    }
    StatusCode::ACCEPTED
}
