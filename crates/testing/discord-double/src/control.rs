//! The control API under `/_double`: what tests and developers see of the double and do to it.
//!
//! **Invariant:** nothing here is part of Discord; the program under test never calls it.

pub mod faults;
pub mod guilds;
pub(crate) mod interactions;
pub mod ledger;
pub mod traffic;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use self::faults::RestFaults;
use crate::gateway::Gateway;
use crate::ledger::Ledger;
use crate::traffic::TrafficControl;
use crate::world::World;

/// What the control API controls.
#[derive(Debug, Clone)]
pub struct Controls {
    /// The simulated Discord.
    pub world: Arc<World>,
    /// Its gateway.
    pub gateway: Gateway,
    /// What was dispatched.
    pub ledger: Arc<Ledger>,
    /// Scripted traffic.
    pub traffic: TrafficControl,
    /// Errors that REST is told to answer with.
    pub rest_faults: RestFaults,
}

/// The routes.
pub fn routes(controls: Controls) -> Router {
    Router::new()
        .route("/_double/guilds", get(guilds::list))
        .route("/_double/ledger", get(ledger::rows))
        .route("/_double/ledger/totals", get(ledger::totals))
        .route("/_double/ledger/sessions", get(ledger::sessions))
        .route("/_double/traffic", get(traffic::status).post(traffic::start).delete(traffic::stop))
        .route("/_double/faults", post(faults::inject))
        .with_state(controls)
}
