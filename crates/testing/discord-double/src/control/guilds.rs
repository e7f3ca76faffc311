//! `GET /_double/guilds`: the simulated guilds, for people and tools that want to act in one.

use axum::Json;
use axum::extract::{Query, State};
use guildhall_domain::{ChannelId, GuildId, UserId};
use serde::{Deserialize, Serialize};

use super::Controls;
use crate::world::{Guild, Permissions, Presence};

/// Members shown unless more are asked for.
const SAMPLE: usize = 25;

/// The query of `GET /_double/guilds`.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    /// How many members to show of each guild.
    members: Option<usize>,
}

/// A guild.
#[derive(Debug, Serialize)]
pub struct GuildView {
    id: GuildId,
    name: String,
    owner_id: UserId,
    locale: String,
    /// Whether the bot belongs to it and it is available.
    joined: bool,
    member_count: usize,
    channels: Vec<ChannelView>,
    /// The owner, then moderators, people and bots, some of each.
    members: Vec<MemberView>,
}

#[derive(Debug, Serialize)]
struct ChannelView {
    id: ChannelId,
    name: String,
    #[serde(rename = "type")]
    kind: u8,
}

#[derive(Debug, Serialize)]
struct MemberView {
    id: UserId,
    name: String,
    username: String,
    bot: bool,
    /// `owner`, `administrator`, `moderator`, `member` or `bot`.
    rank: Rank,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Rank {
    Owner,
    Administrator,
    Moderator,
    Member,
    Bot,
}

/// All guilds, with a sample of their members.
pub(super) async fn list(State(controls): State<Controls>, Query(options): Query<Options>) -> Json<Vec<GuildView>> {
    let sample = options.members.unwrap_or(SAMPLE);
    let world = &controls.world;
    Json(world.guild_ids().into_iter().filter_map(|id| Some(view(&*world.guild(id)?, sample))).collect())
}

fn view(guild: &Guild, sample: usize) -> GuildView {
    let mut channels: Vec<ChannelView> = guild
        .text_channels()
        .into_iter()
        .chain(guild.voice_channels())
        .filter_map(|id| guild.channel(id).ok())
        .map(|channel| ChannelView { id: channel.id, name: channel.name.clone(), kind: channel.kind.into() })
        .collect();
    channels.sort_by_key(|channel| channel.kind);
    let mut members: Vec<MemberView> = guild
        .members()
        .map(|member| MemberView {
            id: member.user.id,
            name: member.user.global_name.as_deref().unwrap_or(&member.user.username).to_owned(),
            username: member.user.username.to_string(),
            bot: member.user.bot,
            rank: rank(guild, member.user.id, member.user.bot),
        })
        .collect();
    members.sort_by_key(|member| (member.rank, member.id));
    // Bots come last and would fall out of every sample: a few of them are kept.
    let bots = members.iter().position(|member| member.rank == Rank::Bot).unwrap_or(members.len());
    let shown_bots = (members.len() - bots).min(sample / 5);
    let shown_people = bots.min(sample - shown_bots);
    members.drain(bots + shown_bots..);
    members.drain(shown_people..bots);
    GuildView {
        id: guild.id,
        name: guild.name.clone(),
        owner_id: guild.owner,
        locale: guild.locale.clone(),
        joined: guild.presence == Presence::Joined,
        member_count: guild.member_count(),
        channels,
        members,
    }
}

fn rank(guild: &Guild, user: UserId, bot: bool) -> Rank {
    if bot {
        return Rank::Bot;
    }
    if user == guild.owner {
        return Rank::Owner;
    }
    let permissions = guild.permissions(user, guildhall_domain::Timestamp::DISCORD_EPOCH);
    if permissions.has(Permissions::ADMINISTRATOR) {
        Rank::Administrator
    } else if permissions.has(Permissions::BAN_MEMBERS) {
        Rank::Moderator
    } else {
        Rank::Member
    }
}
