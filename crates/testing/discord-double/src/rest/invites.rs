//! Invites.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use guildhall_domain::{ChannelId, GuildId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::{Api, access};
use crate::world::ids::Iso;
use crate::world::invite::Invite;
use crate::world::{Guild, Missing, Permissions};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}/invites", get(of_guild))
        .route("/channels/{channel}/invites", get(of_channel).post(create))
        .route("/invites/{code}", get(one).delete(delete))
}

async fn of_guild(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_GUILD, api.now())?;
    Answer::json(&guild.invites().map(|invite| json(&api, &guild, invite, true, false)).collect::<Vec<_>>())
}

async fn of_channel(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_CHANNELS, api.now())?;
    let invites = guild.invites().filter(|invite| invite.channel == channel);
    Answer::json(&invites.map(|invite| json(&api, &guild, invite, true, false)).collect::<Vec<_>>())
}

#[derive(Debug, Deserialize)]
struct InviteForm {
    max_age: Option<u32>,
    max_uses: Option<u32>,
}

async fn create(
    State(api): State<Api>,
    bot: Bot,
    Ids(channel): Ids<ChannelId>,
    Form(form): Form<InviteForm>,
) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::CREATE_INSTANT_INVITE, api.now())?;
    let (age, uses) = (form.max_age.unwrap_or(86_400), form.max_uses.unwrap_or(0));
    let code = guild.invite_create(channel, age, uses, bot.by(), api.now())?;
    let invite = guild.invites().find(|invite| invite.code == code).ok_or(Missing::Invite)?;
    Answer::json(&json(&api, &guild, invite, true, false))
}

#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default)]
    with_counts: bool,
}

async fn one(State(api): State<Api>, Ids(code): Ids<String>, Asked(counts): Asked<Counts>) -> Answered {
    for id in api.world.guild_ids() {
        let Some(guild) = api.world.guild(id) else { continue };
        let found = guild.invites().find(|invite| invite.code == code);
        if let Some(invite) = found.filter(|invite| invite.expires_at().is_none_or(|end| end > api.now())) {
            return Answer::json(&json(&api, &guild, invite, false, counts.with_counts));
        }
    }
    Err(Missing::Invite.into())
}

async fn delete(State(api): State<Api>, bot: Bot, Ids(code): Ids<String>) -> Answered {
    for id in api.world.guild_ids() {
        let Ok(mut guild) = api.guild(id) else { continue };
        let Some(channel) = guild.invites().find(|invite| invite.code == code).map(|invite| invite.channel) else {
            continue;
        };
        let sufficient = [Permissions::MANAGE_CHANNELS, Permissions::MANAGE_GUILD];
        access::any_in_channel(&guild, channel, bot.user(), &sufficient, api.now())?;
        let invite = guild.invites().find(|invite| invite.code == code).ok_or(Missing::Invite)?;
        let gone = json(&api, &guild, invite, false, false);
        guild.invite_delete(&code, bot.by(), api.now())?;
        return Answer::json(&gone);
    }
    Err(Missing::Invite.into())
}

/// Discord's invite object; `metadata` is what only those who manage invites see.
fn json(api: &Api, guild: &Guild, invite: &Invite, metadata: bool, counts: bool) -> Value {
    let channel = guild.channel(invite.channel);
    let mut body = json!({
        "type": 0,
        "code": invite.code,
        "inviter": api.world.user(invite.inviter).as_deref(),
        "expires_at": invite.expires_at().map(Iso),
        "guild": {
            "id": guild.id,
            "name": guild.name,
            "splash": null,
            "banner": null,
            "description": guild.description,
            "icon": null,
            "features": [],
            "verification_level": guild.verification_level,
            "vanity_url_code": null,
            "nsfw_level": 0,
            "nsfw": false,
            "premium_subscription_count": 0,
        },
        "guild_id": guild.id,
        "channel": channel.map_or(Value::Null, |channel| {
            json!({ "id": channel.id, "type": channel.kind, "name": channel.name })
        }),
    });
    let more = if metadata {
        json!({
            "uses": invite.uses,
            "max_uses": invite.max_uses,
            "max_age": invite.max_age,
            "temporary": invite.temporary,
            "created_at": Iso(invite.created_at),
        })
    } else if counts {
        json!({
            "approximate_member_count": guild.member_count(),
            "approximate_presence_count": guild.online(),
        })
    } else {
        Value::Null
    };
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}
