//! Members and their roles.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch, put};
use guildhall_domain::{GuildId, RoleId, Timestamp, UserId};
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::{Api, access};
use crate::world::{Guild, MemberChange, Missing, Permissions, present};

/// The longest timeout.
const TIMEOUT_DAYS: i64 = 28;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}/members", get(list))
        .route("/guilds/{guild}/members/search", get(search))
        .route("/guilds/{guild}/members/@me", patch(update_me))
        .route("/guilds/{guild}/members/{user}", get(one).patch(update).delete(kick))
        .route("/guilds/{guild}/members/{user}/roles/{role}", put(add_role).delete(remove_role))
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<usize>,
    after: Option<UserId>,
}

async fn list(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Asked(page): Asked<Page>) -> Answered {
    let limit = between(page.limit.unwrap_or(1), 1_000)?;
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    let after = page.after.unwrap_or(UserId::from_db(0));
    let members: Vec<_> = guild.members_after(after).take(limit).map(|member| member.full()).collect();
    Answer::json(&members)
}

#[derive(Debug, Deserialize)]
struct Search {
    query: String,
    limit: Option<usize>,
}

async fn search(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Asked(search): Asked<Search>) -> Answered {
    let limit = between(search.limit.unwrap_or(1), 1_000)?;
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    Answer::json(&guild.find_members(&search.query, None, limit))
}

async fn one(State(api): State<Api>, bot: Bot, Ids((id, user)): Ids<(GuildId, UserId)>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    Answer::json(&guild.member(user)?.full())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MemberForm {
    #[serde(deserialize_with = "present")]
    nick: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    roles: Option<Option<Vec<RoleId>>>,
    #[serde(deserialize_with = "present")]
    communication_disabled_until: Option<Option<String>>,
    mute: Option<bool>,
    deaf: Option<bool>,
    #[serde(deserialize_with = "present")]
    channel_id: Option<Option<guildhall_domain::ChannelId>>,
}

async fn update(
    State(api): State<Api>,
    bot: Bot,
    Ids((id, user)): Ids<(GuildId, UserId)>,
    Form(form): Form<MemberForm>,
) -> Answered {
    let now = api.now();
    let timeout_until = timeout(form.communication_disabled_until, now)?;
    let mut guild = api.guild(id)?;
    guild.member(user)?;
    let needed = [
        (form.nick.is_some(), Permissions::MANAGE_NICKNAMES),
        (form.roles.is_some(), Permissions::MANAGE_ROLES),
        (timeout_until.is_some(), Permissions::MODERATE_MEMBERS),
        (form.mute.is_some(), Permissions::MUTE_MEMBERS),
        (form.deaf.is_some(), Permissions::DEAFEN_MEMBERS),
        (form.channel_id.is_some(), Permissions::MOVE_MEMBERS),
    ];
    for (_, permission) in needed.into_iter().filter(|(changed, _)| *changed) {
        access::in_guild(&guild, bot.user(), permission, now)?;
    }
    if (form.nick.is_some() || timeout_until.is_some()) && user != bot.user() {
        access::above_member(&guild, bot.user(), user)?;
    }
    // Administrators cannot be silenced.
    if timeout_until.is_some() && guild.permissions(user, now).has(Permissions::ADMINISTRATOR) {
        return Err(ApiError::missing_permissions());
    }
    let roles = form.roles.map(Option::unwrap_or_default);
    if let Some(roles) = &roles {
        may_change_roles(&guild, &bot, user, roles)?;
    }
    if let Some(nick) = form.nick.as_ref().and_then(Option::as_ref) {
        nickname(nick)?;
    }
    if let Some(channel) = form.channel_id {
        match channel {
            Some(channel) => guild.voice_move(user, channel, now)?,
            None => guild.voice_leave(user)?,
        }
    }
    let nick = form.nick.map(|nick| nick.filter(|nick| !nick.is_empty()));
    let change = MemberChange { nick, roles, timeout_until, mute: form.mute, deaf: form.deaf };
    guild.member_update(user, change, bot.by(), now)?;
    Answer::json(&guild.member(user)?.full())
}

async fn update_me(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Form(form): Form<MemberForm>) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::CHANGE_NICKNAME, api.now())?;
    if let Some(nick) = form.nick.as_ref().and_then(Option::as_ref) {
        nickname(nick)?;
    }
    let change = MemberChange { nick: form.nick, ..MemberChange::default() };
    guild.member_update(bot.user(), change, bot.by(), api.now())?;
    Answer::json(&guild.member(bot.user())?.full())
}

async fn kick(State(api): State<Api>, bot: Bot, Ids((id, user)): Ids<(GuildId, UserId)>) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::KICK_MEMBERS, api.now())?;
    guild.member(user)?;
    access::above_member(&guild, bot.user(), user)?;
    guild.member_kick(user, bot.by(), api.now())?;
    Answer::empty()
}

async fn add_role(State(api): State<Api>, bot: Bot, Ids((id, user, role)): Ids<(GuildId, UserId, RoleId)>) -> Answered {
    change_role(&api, &bot, id, user, role, true)
}

async fn remove_role(
    State(api): State<Api>,
    bot: Bot,
    Ids((id, user, role)): Ids<(GuildId, UserId, RoleId)>,
) -> Answered {
    change_role(&api, &bot, id, user, role, false)
}

fn change_role(api: &Api, bot: &Bot, id: GuildId, user: UserId, role: RoleId, add: bool) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_ROLES, api.now())?;
    let held = &guild.member(user)?.roles;
    guild.role(role)?;
    let mut roles: Vec<RoleId> = held.iter().copied().filter(|held| *held != role).collect();
    if add {
        roles.push(role);
    }
    let unchanged = held.contains(&role) == add;
    may_change_roles(&guild, bot, user, &roles)?;
    access::above_role(&guild, bot.user(), role)?;
    if !unchanged {
        let change = MemberChange { roles: Some(roles), ..MemberChange::default() };
        guild.member_update(user, change, bot.by(), api.now())?;
    }
    Answer::empty()
}

/// Each role given or taken must exist, be below the caller's highest, and belong to no integration.
fn may_change_roles(guild: &Guild, bot: &Bot, user: UserId, wanted: &[RoleId]) -> Result<(), ApiError> {
    let held = &guild.member(user)?.roles;
    let given = wanted.iter().filter(|role| !held.contains(role));
    let taken = held.iter().filter(|role| !wanted.contains(role));
    for role in given.chain(taken) {
        if guild.role(*role).map_err(|_| Missing::Role)?.managed || *role == guild.everyone() {
            return Err(ApiError::missing_permissions());
        }
        access::above_role(guild, bot.user(), *role)?;
    }
    Ok(())
}

fn timeout(field: Option<Option<String>>, now: Timestamp) -> Result<Option<Option<Timestamp>>, ApiError> {
    let Some(Some(text)) = field else { return Ok(field.map(|_| None)) };
    let until = Timestamp::parse_rfc3339(&text).ok_or_else(|| {
        ApiError::invalid_field("communication_disabled_until", "DATE_TIME_TYPE_PARSE", "Could not parse it.")
    })?;
    if until.millis_since(now) > TIMEOUT_DAYS * 86_400_000 {
        let message = "Cannot disable communication for more than 28 days";
        return Err(ApiError::invalid_field("communication_disabled_until", "BASE_TYPE_BAD_LENGTH", message));
    }
    Ok(Some(Some(until)))
}

fn nickname(nick: &str) -> Result<(), ApiError> {
    if nick.chars().count() > 32 {
        return Err(ApiError::invalid_field("nick", "BASE_TYPE_MAX_LENGTH", "Must be 32 or fewer in length."));
    }
    Ok(())
}

pub(super) fn between(limit: usize, most: usize) -> Result<usize, ApiError> {
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("int value should be between 1 and {most}.");
    Err(ApiError::invalid_field("limit", "NUMBER_TYPE_MAX", &message))
}
