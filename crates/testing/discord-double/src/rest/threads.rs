//! Threads.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use guildhall_domain::{ChannelId, GuildId, MessageId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiError, FormErrors};
use super::extract::{Answer, Answered, Bot, Form, Ids};
use super::{Api, access};
use crate::world::{ChannelKind, Missing, Permissions, ThreadDraft};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/channels/{channel}/threads", post(start))
        .route("/channels/{channel}/messages/{message}/threads", post(start_from_message))
        .route("/guilds/{guild}/threads/active", get(active))
        .route("/channels/{channel}/thread-members", get(members))
        .route("/channels/{channel}/thread-members/@me", put(join).delete(leave))
}

#[derive(Debug, Deserialize)]
struct ThreadForm {
    name: String,
    #[serde(rename = "type")]
    kind: Option<ChannelKind>,
    auto_archive_duration: Option<u32>,
}

impl ThreadForm {
    fn draft(self, kind: ChannelKind, starter: Option<MessageId>) -> Result<ThreadDraft, ApiError> {
        let mut problems = FormErrors::default();
        if !(1..=100).contains(&self.name.chars().count()) {
            problems.add("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.");
        }
        let archive_after = self.auto_archive_duration.unwrap_or(4_320);
        if !matches!(archive_after, 60 | 1_440 | 4_320 | 10_080) {
            let message = "Value must be one of (60, 1440, 4320, 10080).";
            problems.add("auto_archive_duration", "BASE_TYPE_CHOICES", message);
        }
        problems.finish()?;
        Ok(ThreadDraft { name: self.name, kind, archive_after, starter })
    }
}

async fn start(
    State(api): State<Api>,
    bot: Bot,
    Ids(channel): Ids<ChannelId>,
    Form(form): Form<ThreadForm>,
) -> Answered {
    // Without a type a private thread is made, a relic of how threads began.
    let kind = form.kind.unwrap_or(ChannelKind::PrivateThread);
    let draft = form.draft(kind, None)?;
    let needed = match kind {
        ChannelKind::PrivateThread => Permissions::CREATE_PRIVATE_THREADS,
        _ => Permissions::CREATE_PUBLIC_THREADS,
    };
    create(&api, &bot, channel, &draft, needed)
}

async fn start_from_message(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, message)): Ids<(ChannelId, MessageId)>,
    Form(form): Form<ThreadForm>,
) -> Answered {
    let draft = form.draft(ChannelKind::PublicThread, Some(message))?;
    if api.guild_of(channel)?.channel(ChannelId::from_db(message.get().cast_signed())).is_ok() {
        let message = "A thread has already been created for this message";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 160_004, message));
    }
    create(&api, &bot, channel, &draft, Permissions::CREATE_PUBLIC_THREADS)
}

fn create(api: &Api, bot: &Bot, channel: ChannelId, draft: &ThreadDraft, needed: Permissions) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), needed, api.now())?;
    if !matches!(guild.channel(channel)?.kind, ChannelKind::Text | ChannelKind::Announcement) || !draft.kind.is_thread()
    {
        let message = "Cannot execute action on this channel type";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_024, message));
    }
    let thread = guild.thread_create(channel, draft, bot.by(), api.now())?;
    Answer::created(&guild.channel(thread)?.json(guild.id))
}

async fn active(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    let active = guild.active_threads();
    let threads: Vec<_> =
        active.iter().filter_map(|thread| guild.channel(*thread).ok()).map(|thread| thread.json(id)).collect();
    let joined: Vec<_> = active
        .iter()
        .filter_map(|thread| guild.channel(*thread).ok()?.thread.as_ref().map(|state| (*thread, state)))
        .flat_map(|(thread, state)| state.members_of(thread))
        .filter(|member| member.user() == bot.user())
        .collect();
    Answer::json(&json!({ "threads": threads, "members": joined, "has_more": false }))
}

async fn members(State(api): State<Api>, bot: Bot, Ids(thread): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(thread)?;
    access::in_channel(&guild, thread, bot.user(), Permissions::NONE, api.now())?;
    let state = guild.channel(thread)?.thread.as_ref().ok_or(Missing::Channel)?;
    Answer::json(&state.members_of(thread).collect::<Vec<_>>())
}

async fn join(State(api): State<Api>, bot: Bot, Ids(thread): Ids<ChannelId>) -> Answered {
    let mut guild = api.guild_of(thread)?;
    access::in_channel(&guild, thread, bot.user(), Permissions::NONE, api.now())?;
    guild.thread_member(thread, bot.user(), true, api.now())?;
    Answer::empty()
}

async fn leave(State(api): State<Api>, bot: Bot, Ids(thread): Ids<ChannelId>) -> Answered {
    let mut guild = api.guild_of(thread)?;
    access::in_channel(&guild, thread, bot.user(), Permissions::NONE, api.now())?;
    guild.thread_member(thread, bot.user(), false, api.now())?;
    Answer::empty()
}
