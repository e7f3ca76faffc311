//! Probes and metrics over HTTP.
//!
//! **Invariant:** the liveness probe depends on nothing, from the first moment on: a runner that waits for Discord, SQS or DynamoDB is alive, and
//! restarting it would cost a RESUME.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::journal::{Health, Journal};
use crate::status::{Phase, Status};

/// What the probes look at.
#[derive(Clone)]
pub struct Admin {
    /// The shards.
    pub status: Status,
    /// The journal, once it is open.
    pub journal: Arc<OnceLock<Journal>>,
    /// Renders the metrics.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    journal: &'static str,
    journal_free_bytes: usize,
    shards: BTreeMap<String, Phase>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(|State(admin): State<Admin>| async move { (admin.render)() }))
        .with_state(admin)
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, Json<Readiness>) {
    let (shards, connected) = admin.status.report();
    let health = admin.journal.get().map(Journal::health);
    let journal = match health {
        None => "not open yet",
        Some(Health::Writable) => "writable",
        Some(Health::Failing) => "failing",
        Some(Health::Damaged) => "damaged",
    };
    let ready = connected && health == Some(Health::Writable);
    let journal_free_bytes = admin.journal.get().map_or(0, Journal::free_bytes);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, journal, journal_free_bytes, shards }))
}
