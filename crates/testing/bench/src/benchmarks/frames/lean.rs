//! The limit: one pass of serde over the frame, into one struct for all types of event that borrows and skips. Beside it,
//! the same struct read as the runner reads: without looking at what is skipped.

use anyhow::{Context as _, Result};
use guildhall_domain::{ChannelId, GuildId, MessageId, UserId};
use guildhall_gateway_runner::project;
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

/// How many events a frame is.
pub(in crate::benchmarks) fn countable(text: &str) -> Result<u64> {
    let mut lean = Lean::default();
    lean.frame(text)?;
    Ok(lean.0.events())
}

impl Lean {
    fn count(&mut self, name: &str, data: Data) {
        let member = data.author.or(data.user);
        // What an event consists of; the limit has nowhere to put it.
        std::hint::black_box((data.channel_id, data.user_id, member.as_ref().map(|user| user.id), data.id));
        let bot = data.webhook_id.is_some() || member.is_some_and(|member| member.bot);
        let guild = match name {
            "GUILD_UPDATE" | "GUILD_DELETE" => data.id.map(MessageId::get),
            _ => data.guild_id.map(GuildId::get),
        };
        let Some(guild) = guild else { return };
        self.0.dispatch(name, bot, guild, data.ids.map_or(1, |ids| ids.len()));
    }
}

impl Reader for Lean {
    fn frame(&mut self, text: &str) -> Result<()> {
        let frame: Frame<'_> = serde_json::from_str(text)?;
        if let (Some(name), Some(_)) = (frame.t, frame.s) {
            self.count(name, frame.d);
        }
        Ok(())
    }

    fn digest(&self) -> Result<Option<Digest>> {
        Ok(Some(self.0.clone()))
    }
}

/// As [`Lean`], with the runner's own way of reading.
#[derive(Default)]
pub(super) struct Skimmed(Lean);

impl Reader for Skimmed {
    fn frame(&mut self, text: &str) -> Result<()> {
        let frame = project::Frame::peek(text).context("the frame is no JSON object")?;
        if let (Some(name), Some(_)) = (frame.name, frame.seq) {
            self.0.count(name, project::data(&frame)?);
        }
        Ok(())
    }

    fn digest(&self) -> Result<Option<Digest>> {
        self.0.digest()
    }
}
