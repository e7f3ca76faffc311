//! twilight's full model: every field of every event, in types.

use anyhow::{Context as _, Result};
use twilight_gateway::{Event, EventTypeFlags};

use super::Reader;
use crate::digest::Digest;

#[derive(Default)]
pub(super) struct Twilight(Digest);

impl Reader for Twilight {
    fn frame(&mut self, text: &str) -> Result<()> {
        let parsed = twilight_gateway::parse(text.to_owned(), EventTypeFlags::all())?;
        count(&mut self.0, &Event::from(parsed.context("a type that twilight does not know")?));
        Ok(())
    }

    fn digest(&self) -> Result<Option<Digest>> {
        Ok(Some(self.0.clone()))
    }
}

/// Counts an event of twilight's.
pub(crate) fn count(digest: &mut Digest, event: &Event) {
    let (Some(name), Some(guild)) = (event.kind().name(), event.guild_id()) else { return };
    let (bot, events) = match event {
        Event::MessageCreate(message) => (message.webhook_id.is_some() || message.author.bot, 1),
        Event::MessageDeleteBulk(deleted) => (false, deleted.ids.len()),
        _ => (false, 1),
    };
    digest.dispatch(name, bot, guild.get(), events);
}
