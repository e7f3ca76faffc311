//! Permissions that differ in one channel.

use guildhall_domain::{ChannelId, EventKind, Timestamp};
use serde_json::json;

use crate::world::Missing;
use crate::world::audit::{Action, By, Entry};
use crate::world::guild::Guild;
use crate::world::ids::Snowflake;
use crate::world::permissions::Overwrite;

impl Guild {
    /// Sets the overwrite of one role or member in a channel.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn overwrite_set(
        &mut self,
        channel: ChannelId,
        overwrite: Overwrite,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let overwrites = &mut self.channel_mut(channel)?.overwrites;
        let action = match overwrites.iter_mut().find(|existing| existing.id == overwrite.id) {
            Some(existing) => {
                *existing = overwrite;
                Action::OverwriteUpdate
            }
            None => {
                overwrites.push(overwrite);
                Action::OverwriteCreate
            }
        };
        self.overwrite_changed(channel, action, overwrite.id, overwrite.kind, by, at);
        Ok(())
    }

    /// Removes the overwrite of one role or member in a channel.
    ///
    /// # Errors
    /// When the channel or the overwrite is missing.
    pub fn overwrite_remove(
        &mut self,
        channel: ChannelId,
        id: Snowflake,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let overwrites = &mut self.channel_mut(channel)?.overwrites;
        let index = overwrites.iter().position(|existing| existing.id == id).ok_or(Missing::Overwrite)?;
        let gone = overwrites.remove(index);
        self.overwrite_changed(channel, Action::OverwriteDelete, id, gone.kind, by, at);
        Ok(())
    }

    fn overwrite_changed(
        &mut self,
        channel: ChannelId,
        action: Action,
        id: Snowflake,
        kind: u8,
        by: By<'_>,
        at: Timestamp,
    ) {
        self.emit_channel("CHANNEL_UPDATE", EventKind::ChannelUpdate, channel);
        let mut entry = Entry::new(action, channel.get());
        entry.options.insert("id".to_owned(), json!(id));
        entry.options.insert("type".to_owned(), json!(kind.to_string()));
        self.audit(entry, by, at);
    }
}
