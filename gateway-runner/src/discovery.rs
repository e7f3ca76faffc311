//! What Discord says about connecting: `GET /gateway/bot`.
//!
//! **Invariant:** this is the runner's only use of Discord's REST API.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use twilight_http::Client;
use twilight_http::api_error::ApiError;
use twilight_http::error::ErrorType;

/// The limits on starting sessions (Discord documentation, "Session start limit object").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartLimit {
    /// Sessions one may start in a window.
    pub total: u32,
    /// Those left.
    pub remaining: u32,
    /// Milliseconds until the window ends.
    pub reset_after: u64,
    /// Sessions one may start at the same time.
    pub max_concurrency: u16,
}

/// Where to connect, and with how many shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// The gateway's address.
    pub url: String,
    /// The number of shards Discord recommends.
    pub shards: u32,
    /// The limits on starting sessions.
    pub limit: StartLimit,
}

/// Discord did not say.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The token is wrong; trying again does not help.
    #[error("Discord refuses the token (DISCORD_TOKEN)")]
    Unauthorized,
    /// It did not a moment ago.
    #[error("Discord's REST API did not answer GET /gateway/bot a moment ago")]
    Away,
    /// The request failed.
    #[error("Discord's REST API does not answer GET /gateway/bot")]
    Request(#[source] twilight_http::Error),
    /// The answer has another shape than documented.
    #[error("Discord's answer to GET /gateway/bot has an unknown shape")]
    Shape(#[source] twilight_http::response::DeserializeBodyError),
}

/// How long a call that failed is not repeated: many shards that start together must not queue up behind its timeout.
const FAILED_FOR: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Last {
    answer: Option<(Instant, Gateway)>,
    failed: Option<Instant>,
}

/// A client for the one call.
#[derive(Clone)]
pub struct Discovery {
    client: Arc<Client>,
    last: Arc<Mutex<Last>>,
}

impl Discovery {
    /// A client for the API at `base`, such as `https://discord.com`.
    pub fn new(base: &str, token: &SecretString) -> Self {
        let mut builder = Client::builder().token(token.expose_secret().to_owned());
        let base = base.trim_end_matches('/');
        if let Some(host) = base.strip_prefix("http://") {
            builder = builder.proxy(host.to_owned(), true);
        } else if let Some(host) = base.strip_prefix("https://")
            && host != "discord.com"
        {
            builder = builder.proxy(host.to_owned(), false);
        }
        Self { client: Arc::new(builder.build()), last: Arc::default() }
    }

    /// Asks Discord, unless it answered less than `good_for` ago, or failed to a moment ago.
    ///
    /// # Errors
    /// When Discord refuses or does not answer.
    pub async fn fetch(&self, good_for: Duration) -> Result<Gateway, DiscoveryError> {
        let mut last = self.last.lock().await;
        if let Some((at, gateway)) = &last.answer
            && at.elapsed() < good_for
        {
            // The window goes on while the answer is kept.
            let age = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            let left = gateway.limit.reset_after;
            let reset_after = if left == 0 { 0 } else { left.saturating_sub(age).max(1) };
            return Ok(Gateway { limit: StartLimit { reset_after, ..gateway.limit }, ..gateway.clone() });
        }
        if last.failed.is_some_and(|at| at.elapsed() < FAILED_FOR) {
            return Err(DiscoveryError::Away);
        }
        match self.ask().await {
            Ok(gateway) => {
                *last = Last { answer: Some((Instant::now(), gateway.clone())), failed: None };
                Ok(gateway)
            }
            Err(error) => {
                last.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<Gateway, DiscoveryError> {
        let response = self.client.gateway().authed().await.map_err(|error| match error.kind() {
            ErrorType::Unauthorized => DiscoveryError::Unauthorized,
            ErrorType::Response { error: ApiError::General(_), status, .. } if status.get() == 401 => {
                DiscoveryError::Unauthorized
            }
            _ => DiscoveryError::Request(error),
        })?;
        let info = response.model().await.map_err(DiscoveryError::Shape)?;
        Ok(Gateway {
            url: info.url,
            shards: info.shards,
            limit: StartLimit {
                total: info.session_start_limit.total,
                remaining: info.session_start_limit.remaining,
                reset_after: info.session_start_limit.reset_after,
                max_concurrency: info.session_start_limit.max_concurrency,
            },
        })
    }
}
