//! What people can do with Guildhall: the commands, and the use cases behind them.
//!
//! **Invariant:** authorization lives here, in the use case, and not in whoever calls it; Discord's own check of a
//! command's default permissions is a courtesy to the menu.
//! **Invariant:** every text exists in every language, by construction.
//! **Invariant:** this crate knows neither Lambda nor HTTP.

pub mod chart;
pub mod commands;
pub mod context;
pub mod error;
pub mod interaction;
pub mod language;
pub mod reply;
pub mod settings;
pub mod setup;
pub mod stats;
pub mod sync;

pub use context::{Ctx, WorkQueue};
pub use error::AppError;
pub use interaction::Interaction;
pub use reply::{Message, Picture, Reply};

/// Discord's REST API, for functions that call it.
pub use guildhall_discord::{Client as Discord, ClientError as DiscordError};
/// The signature check that an endpoint for interactions makes first.
pub use guildhall_discord::{InvalidPublicKey, Verifier};
