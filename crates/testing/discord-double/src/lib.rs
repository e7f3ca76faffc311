//! A stateful Discord for tests and for the development stack: REST v10, OAuth2, interactions and the gateway.
//!
//! The state lives in [`world`]; every change is announced through one [`dispatch::Sink`], behind which the gateway
//! and the ledger stand.
//!
//! **Invariant:** nothing outside the machine is contacted, and nothing listens on other than the configured address.

pub mod config;
pub mod control;
pub mod dispatch;
mod double;
pub mod gateway;
mod interactions;
pub mod ledger;
mod oauth2;
mod rate_limit;
mod rest;
pub mod traffic;
pub mod world;

pub use config::{Config, GuildPlan};
pub use double::Double;
pub use world::World;
