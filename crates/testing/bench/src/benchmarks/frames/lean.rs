//! The limit: one pass of serde over the frame, into one struct for all types of event that borrows and skips.

use anyhow::Result;
use guildhall_domain::{ChannelId, GuildId, MessageId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Reader;
use crate::digest::Digest;

#[derive(Default)]
pub(super) struct Lean(Digest);

#[derive(Deserialize)]
struct Frame<'a> {
    t: Option<&'a str>,
    s: Option<u64>,
    d: Data,
}

#[derive(Deserialize)]
struct Data {
    id: Option<MessageId>,
    guild_id: Option<GuildId>,
    channel_id: Option<ChannelId>,
    user_id: Option<UserId>,
    author: Option<User>,
    user: Option<User>,
    webhook_id: Option<IgnoredAny>,
    ids: Option<Vec<MessageId>>,
}

#[derive(Deserialize)]
struct User {
    id: UserId,
    #[serde(default)]
    bot: bool,
}

impl Reader for Lean {
    fn frame(&mut self, text: &str) -> Result<()> {
        let frame: Frame<'_> = serde_json::from_str(text)?;
        let (Some(name), Some(_)) = (frame.t, frame.s) else { return Ok(()) };
        let data = frame.d;
        let member = data.author.or(data.user);
        // What an event consists of; the limit has nowhere to put it.
        std::hint::black_box((data.channel_id, data.user_id, member.as_ref().map(|user| user.id), data.id));
        let bot = data.webhook_id.is_some() || member.is_some_and(|member| member.bot);
        let guild = match name {
            "GUILD_UPDATE" | "GUILD_DELETE" => data.id.map(MessageId::get),
            _ => data.guild_id.map(GuildId::get),
        };
        let Some(guild) = guild else { return Ok(()) };
        self.0.dispatch(name, bot, guild, data.ids.map_or(1, |ids| ids.len()));
        Ok(())
    }

    fn digest(&self) -> Result<Option<Digest>> {
        Ok(Some(self.0.clone()))
    }
}
