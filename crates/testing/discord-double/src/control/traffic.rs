//! `/_double/traffic`: starts, shows and ends scripted traffic.

use axum::Json;
use axum::extract::State;

use super::Controls;
use crate::traffic::{TrafficPlan, TrafficStatus};

/// Starts traffic in place of what runs.
pub(super) async fn start(State(controls): State<Controls>, Json(plan): Json<TrafficPlan>) -> Json<TrafficStatus> {
    controls.traffic.start(plan);
    Json(controls.traffic.status())
}

/// How the traffic stands.
pub(super) async fn status(State(controls): State<Controls>) -> Json<TrafficStatus> {
    Json(controls.traffic.status())
}

/// Ends the traffic. When this answers, the ledger holds its last event.
pub(super) async fn stop(State(controls): State<Controls>) -> Json<TrafficStatus> {
    controls.traffic.stop().await;
    Json(controls.traffic.status())
}
