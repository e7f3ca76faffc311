//! What every binary needs around its handler: configuration, telemetry, the clock, problem+json, and the adapters that
//! run one handler on Lambda, under a local Lambda runtime and inside the development stack.
//!
//! **Invariant:** this is the only crate that reads the environment and the system clock.
//! **Invariant:** handlers know neither Lambda nor SQS: they take [`Request`]s, [`Delivery`]s or ticks.

pub mod clock;
pub mod config;
pub mod delivery;
pub mod lambda;
pub mod metrics;
pub mod problem;
pub mod telemetry;

pub use clock::system_clock;
pub use config::{ConfigError, Environment};
pub use delivery::{Delivery, Failure, Verdict};
pub use lambda::Lambda;
pub use problem::Problem;

/// An HTTP request whose body was read whole, within the caller's limit.
pub type Request = http::Request<bytes::Bytes>;
/// An HTTP response with its whole body.
pub type Response = http::Response<bytes::Bytes>;
