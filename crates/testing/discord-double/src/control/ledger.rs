//! `GET /_double/ledger`: what was dispatched, and by which sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Controls;
use crate::gateway::{GatewayCounts, SessionInfo, SessionStartLimit};
use crate::ledger::{LostSession, Row};

/// The counts per guild, channel, member and kind.
pub(super) async fn rows(State(controls): State<Controls>) -> Json<Vec<Row>> {
    Json(controls.ledger.rows())
}

/// The counts per kind.
pub(super) async fn totals(State(controls): State<Controls>) -> Json<BTreeMap<&'static str, u64>> {
    Json(controls.ledger.totals().into_iter().map(|(kind, count)| (kind.name(), count)).collect())
}

/// The answer of `GET /_double/ledger/sessions`.
#[derive(Debug, Serialize)]
pub struct Sessions {
    /// The sessions that live.
    sessions: Vec<SessionInfo>,
    /// Those that were lost for good, with what they held.
    lost: Vec<Arc<LostSession>>,
    /// How often things happened.
    counts: GatewayCounts,
    /// The identify budget.
    session_start_limit: SessionStartLimit,
}

/// The sessions and what became of them.
pub(super) async fn sessions(State(controls): State<Controls>) -> Json<Sessions> {
    Json(Sessions {
        sessions: controls.gateway.sessions(),
        lost: controls.ledger.lost(),
        counts: controls.gateway.counts(),
        session_start_limit: controls.gateway.session_start_limit(),
    })
}
