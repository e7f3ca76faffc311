//! `POST /_double/faults`: makes the double misbehave.
//!
//! **Invariant:** a fault befalls what exists now, or lasts for a stated time or number of requests; none stays for good.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Controls;
use crate::gateway::GatewayFault;

/// Errors that REST answers with before it looks at a request. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RestFaults(Arc<Mutex<Option<(StatusCode, u32)>>>);

impl RestFaults {
    /// The next `count` requests are answered with this status.
    pub fn set(&self, status: StatusCode, count: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((status, count));
    }

    /// The status this request is answered with, if it is one of those. Uses one up.
    pub fn take(&self) -> Option<StatusCode> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, left) = faults.as_mut()?;
        let status = *status;
        *left = left.checked_sub(1)?;
        Some(status)
    }
}

/// `{"kind": "rest_error", …}`.
#[derive(Debug, Deserialize)]
struct RestError {
    status: u16,
    #[serde(default = "one")]
    count: u32,
}

const fn one() -> u32 {
    1
}

/// Injects one fault. Answers with the number of connections, sessions or requests it befalls.
pub(super) async fn inject(State(controls): State<Controls>, Json(fault): Json<Value>) -> Response {
    match read(&controls, fault) {
        Ok(affected) => Json(json!({ "affected": affected })).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

fn read(controls: &Controls, fault: Value) -> Result<usize, String> {
    if fault["kind"] == "rest_error" {
        let error: RestError = serde_json::from_value(fault).map_err(|e| e.to_string())?;
        let status = StatusCode::from_u16(error.status).map_err(|e| e.to_string())?;
        controls.rest_faults.set(status, error.count);
        return Ok(usize::try_from(error.count).unwrap_or(usize::MAX));
    }
    let fault: GatewayFault = serde_json::from_value(fault).map_err(|e| e.to_string())?;
    Ok(controls.gateway.misbehave(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_faults_are_used_up() {
        let faults = RestFaults::default();
        assert_eq!(faults.take(), None);
        faults.set(StatusCode::BAD_GATEWAY, 2);
        let taken = [faults.take(), faults.take(), faults.take()];
        assert_eq!(taken, [Some(StatusCode::BAD_GATEWAY), Some(StatusCode::BAD_GATEWAY), None]);
    }
}
