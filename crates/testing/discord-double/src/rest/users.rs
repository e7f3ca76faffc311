//! The caller's own account and guilds, for the bot and for people who authorized the application.
//!
//! **Invariant:** a person's token opens only what its scopes name.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use guildhall_domain::{GuildId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Caller, Ids};
use crate::oauth2::Scope;
use crate::world::ids::Iso;
use crate::world::{Missing, Presence};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/users/@me", get(me))
        .route("/users/@me/guilds", get(my_guilds))
        .route("/users/@me/guilds/{guild}", axum::routing::delete(leave))
        .route("/users/@me/guilds/{guild}/member", get(my_member))
        .route("/users/{user}", get(user))
        .route("/oauth2/@me", get(authorization))
}

async fn me(State(api): State<Api>, caller: Caller) -> Answered {
    let (id, email) = match &caller {
        Caller::Bot(bot) => (bot.user(), false),
        Caller::Person(access) => {
            access.requires(Scope::Identify)?;
            (access.user, access.scopes.contains(&Scope::Email))
        }
    };
    let user = api.world.user(id).ok_or(Missing::User)?;
    let mut body = json!(*user);
    body["mfa_enabled"] = (!user.locale.is_empty()).into();
    body["locale"] = user.locale.into();
    body["premium_type"] = 0.into();
    if email {
        body["email"] = format!("{}@example.com", user.username).into();
        body["verified"] = true.into();
    }
    Answer::json(&body)
}

async fn user(State(api): State<Api>, _: Bot, Ids(user): Ids<UserId>) -> Answered {
    Answer::json(&*api.world.user(user).ok_or(Missing::User)?)
}

/// The page of a list of guilds.
#[derive(Debug, Deserialize)]
struct GuildPage {
    before: Option<GuildId>,
    after: Option<GuildId>,
    limit: Option<usize>,
    #[serde(default)]
    with_counts: bool,
}

async fn my_guilds(State(api): State<Api>, caller: Caller, Asked(page): Asked<GuildPage>) -> Answered {
    let id = match &caller {
        Caller::Bot(bot) => bot.user(),
        Caller::Person(access) => access.requires(Scope::Guilds)?.user,
    };
    let limit = page.limit.unwrap_or(200);
    if !(1..=200).contains(&limit) {
        return Err(ApiError::invalid_field("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 200."));
    }
    let mut guilds = Vec::new();
    for guild in api.world.guild_ids() {
        let wanted = page.before.is_none_or(|before| guild < before) && page.after.is_none_or(|after| guild > after);
        let Some(guild) = wanted.then(|| api.world.guild(guild)).flatten() else { continue };
        // People see their guilds whether or not the bot belongs to them.
        if guild.member(id).is_err() || (matches!(caller, Caller::Bot(_)) && guild.presence == Presence::Left) {
            continue;
        }
        let mut entry = json!({
            "id": guild.id,
            "name": guild.name,
            "icon": null,
            "banner": null,
            "owner": guild.owner == id,
            "permissions": guild.permissions(id, api.now()),
            "features": [],
        });
        if page.with_counts {
            entry["approximate_member_count"] = guild.member_count().into();
            entry["approximate_presence_count"] = guild.online().into();
        }
        guilds.push(entry);
    }
    // Before a guild, the nearest ones are wanted.
    if page.before.is_some() && guilds.len() > limit {
        guilds.drain(..guilds.len() - limit);
    }
    guilds.truncate(limit);
    Answer::json(&guilds)
}

async fn my_member(State(api): State<Api>, caller: Caller, Ids(guild): Ids<GuildId>) -> Answered {
    let Caller::Person(access) = &caller else { return Err(ApiError::unauthorized()) };
    access.requires(Scope::GuildsMembersRead)?;
    let guild = api.world.guild(guild).ok_or(Missing::Guild)?;
    let member = guild.member(access.user).map_err(|_| Missing::Guild)?;
    Answer::json(&member.with_permissions(guild.permissions(access.user, api.now())))
}

async fn leave(State(api): State<Api>, _: Bot, Ids(guild): Ids<GuildId>) -> Answered {
    api.guild(guild)?.leave();
    Answer::empty()
}

async fn authorization(State(api): State<Api>, caller: Caller) -> Answered {
    let Caller::Person(access) = &caller else { return Err(ApiError::unauthorized()) };
    let mut body = json!({
        "application": api.application_json(),
        "expires": Iso(access.expires),
        "scopes": access.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
    });
    if access.scopes.contains(&Scope::Identify) {
        body["user"] = api.world.user(access.user).map_or(Value::Null, |user| json!(*user));
    }
    Answer::json(&body)
}
