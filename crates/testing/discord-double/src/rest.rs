//! Discord's REST API, version 10, over the simulated world.
//!
//! **Invariant:** a handler checks what the caller may do and then changes the world, under one lock of the guild.
//! **Invariant:** a handler never waits while it holds that lock.

mod access;
mod applications;
mod bans;
mod channels;
mod commands;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod files;
mod guilds;
mod invites;
mod limits;
mod members;
pub(crate) mod messages;
mod reactions;
mod roles;
mod threads;
mod users;
mod webhooks;

use std::ops::Deref;
use std::sync::{Arc, MutexGuard};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guildhall_domain::{ChannelId, GuildId, Timestamp};

pub(crate) use self::commands::Commands;
use self::error::ApiError;
pub(crate) use self::files::Files;
use crate::config::Config;
use crate::control::RestFaults;
use crate::gateway::Gateway;
use crate::interactions::Interactions;
use crate::oauth2::OAuth2;
use crate::rate_limit::RateLimiter;
use crate::world::{Guild, Missing, Presence, World};

/// Everything a handler needs.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Parts>);

/// The parts of an [`Api`].
#[derive(Debug)]
pub(crate) struct Parts {
    /// How the double is set up.
    pub(crate) config: Config,
    /// Where it listens, such as `http://127.0.0.1:4000`.
    pub(crate) base_url: String,
    /// The simulated Discord.
    pub(crate) world: Arc<World>,
    /// Where its events go.
    pub(crate) gateway: Gateway,
    pub(crate) limiter: RateLimiter,
    pub(crate) oauth2: OAuth2,
    pub(crate) commands: Commands,
    pub(crate) interactions: Interactions,
    pub(crate) files: Files,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// The API of a world that is served at `base_url`.
    pub(crate) fn new(config: Config, base_url: String, world: Arc<World>, gateway: Gateway) -> Self {
        let limiter = RateLimiter::new(config.rate_limits);
        let oauth2 = OAuth2::new(config.seed);
        let interactions = Interactions::new(&config);
        let (commands, files) = (Commands::default(), Files::default());
        Self(Arc::new(Parts { config, base_url, world, gateway, limiter, oauth2, commands, interactions, files }))
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// A guild the bot sees.
    pub(crate) fn guild(&self, guild: GuildId) -> Result<MutexGuard<'_, Guild>, ApiError> {
        let guild = self.world.guild(guild).ok_or(Missing::Guild)?;
        match guild.presence {
            Presence::Left => Err(ApiError::missing_access()),
            Presence::Joined | Presence::Unavailable => Ok(guild),
        }
    }

    /// The guild of a channel or thread.
    pub(crate) fn guild_of(&self, channel: ChannelId) -> Result<MutexGuard<'_, Guild>, ApiError> {
        self.guild(self.world.guild_of(channel).ok_or(Missing::Channel)?)
    }
}

/// The routes under `/api/v10`, with rate limits, and the files Discord's CDN would serve.
pub(crate) fn router(api: Api, faults: RestFaults) -> Router {
    let routes = Router::new()
        .merge(applications::routes())
        .merge(bans::routes())
        .merge(channels::routes())
        .merge(commands::routes())
        .merge(crate::interactions::routes())
        .merge(crate::oauth2::token_routes())
        .merge(guilds::routes())
        .merge(invites::routes())
        .merge(members::routes())
        .merge(messages::routes())
        .merge(reactions::routes())
        .merge(roles::routes())
        .merge(threads::routes())
        .merge(users::routes())
        .merge(webhooks::routes())
        .fallback(async || ApiError::no_route())
        .method_not_allowed_fallback(async || {
            ApiError::new(http::StatusCode::METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed")
        })
        .layer(axum::extract::DefaultBodyLimit::max(25 * 1024 * 1024))
        .layer(middleware::from_fn_with_state(api.clone(), limits::limit))
        .layer(middleware::from_fn_with_state(faults, fail));
    Router::new()
        .nest("/api/v10", routes.clone())
        // Discord answers without a version too; OAuth2 libraries are configured so.
        .nest("/api", routes)
        .route("/attachments/{channel}/{attachment}/{filename}", get(files::fetch))
        .merge(crate::oauth2::page_routes())
        .with_state(api)
}

/// Answers with the error that was ordered, if one was.
async fn fail(State(faults): State<RestFaults>, request: Request, next: Next) -> Response {
    match faults.take() {
        Some(status) => (status, status.canonical_reason().unwrap_or_default()).into_response(),
        None => next.run(request).await,
    }
}
