//! Roles.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use guildhall_domain::{GuildId, RoleId};
use http::StatusCode;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{Answer, Answered, Bot, Form, Ids};
use super::{Api, access};
use crate::world::role::Role;
use crate::world::{Guild, Permissions, RoleDraft, present};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}/roles", get(list).post(create).patch(positions))
        .route("/guilds/{guild}/roles/member-counts", get(member_counts))
        .route("/guilds/{guild}/roles/{role}", get(one).patch(update).delete(delete))
}

#[derive(Debug, Deserialize)]
struct RoleForm {
    name: Option<String>,
    permissions: Option<Permissions>,
    color: Option<i32>,
    colors: Option<ColorsForm>,
    hoist: Option<bool>,
    mentionable: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    unicode_emoji: Option<Option<String>>,
}

#[derive(Debug, Deserialize)]
struct ColorsForm {
    primary_color: i32,
}

impl RoleForm {
    fn draft(self) -> Result<RoleDraft, ApiError> {
        if self.name.as_ref().is_some_and(|name| name.chars().count() > 100) {
            return Err(ApiError::invalid_field("name", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length."));
        }
        Ok(RoleDraft {
            name: self.name,
            permissions: self.permissions,
            color: self.colors.map(|colors| colors.primary_color).or(self.color),
            hoist: self.hoist,
            mentionable: self.mentionable,
            unicode_emoji: self.unicode_emoji,
        })
    }
}

async fn list(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    Answer::json(&sorted(&guild))
}

/// How many members each role has, @everyone aside.
async fn member_counts(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    let everyone = guild.everyone();
    let mut counts: BTreeMap<String, usize> =
        guild.roles().filter(|role| role.id != everyone).map(|role| (role.id.to_string(), 0)).collect();
    for role in guild.members().flat_map(|member| &member.roles) {
        *counts.entry(role.to_string()).or_default() += 1;
    }
    Answer::json(&counts)
}

async fn one(State(api): State<Api>, bot: Bot, Ids((id, role)): Ids<(GuildId, RoleId)>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    Answer::json(guild.role(role)?)
}

async fn create(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Form(form): Form<RoleForm>) -> Answered {
    let draft = form.draft()?;
    let now = api.now();
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_ROLES, now)?;
    access::holds(&guild, bot.user(), draft.permissions.unwrap_or_default(), now)?;
    if guild.roles().count() >= 250 {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 30_005, "Maximum number of server roles reached (250)"));
    }
    let role = guild.role_create(draft, bot.by(), now);
    Answer::json(guild.role(role)?)
}

async fn update(
    State(api): State<Api>,
    bot: Bot,
    Ids((id, role)): Ids<(GuildId, RoleId)>,
    Form(form): Form<RoleForm>,
) -> Answered {
    let draft = form.draft()?;
    let now = api.now();
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_ROLES, now)?;
    access::above_role(&guild, bot.user(), role)?;
    if let Some(granted) = draft.permissions {
        access::holds(&guild, bot.user(), granted.without(guild.role(role)?.permissions), now)?;
    }
    guild.role_update(role, draft, bot.by(), now)?;
    Answer::json(guild.role(role)?)
}

#[derive(Debug, Deserialize)]
struct Position {
    id: RoleId,
    position: Option<i32>,
}

async fn positions(
    State(api): State<Api>,
    bot: Bot,
    Ids(id): Ids<GuildId>,
    Form(wanted): Form<Vec<Position>>,
) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_ROLES, api.now())?;
    let wanted: Vec<(RoleId, i32)> = wanted.into_iter().filter_map(|entry| Some((entry.id, entry.position?))).collect();
    for (role, position) in &wanted {
        access::above_role(&guild, bot.user(), *role)?;
        if *position >= guild.rank(bot.user()) {
            return Err(ApiError::missing_permissions());
        }
    }
    guild.role_positions(&wanted)?;
    Answer::json(&sorted(&guild))
}

async fn delete(State(api): State<Api>, bot: Bot, Ids((id, role)): Ids<(GuildId, RoleId)>) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_ROLES, api.now())?;
    access::above_role(&guild, bot.user(), role)?;
    if role == guild.everyone() || guild.role(role)?.managed {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_028, "Invalid role"));
    }
    guild.role_delete(role, bot.by(), api.now())?;
    Answer::empty()
}

fn sorted(guild: &Guild) -> Vec<&Role> {
    let mut roles: Vec<&Role> = guild.roles().collect();
    roles.sort_by_key(|role| (role.position, role.id));
    roles
}
