//! What tests share: the services they talk to, databases of their own, waiting for conditions, and a local Lambda.
//!
//! **Invariant:** nothing here stands in for a part of the product; it only finds, starts and waits for real parts.

pub mod lambda;
pub mod postgres;
pub mod services;
pub mod wait;

pub use lambda::LambdaHost;
pub use postgres::TestDatabase;
pub use wait::until;
