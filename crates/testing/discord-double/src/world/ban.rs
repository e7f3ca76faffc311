//! Bans.
//!
//! **Invariant:** whoever is banned is not a member.

use std::sync::Arc;

use guildhall_domain::{ChannelId, EventKind, GuildId, MessageId, Timestamp, UserId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::audit::{Action, By, Entry};
use super::guild::Guild;
use super::user::User;
use super::{Missing, counted, intents};

/// A ban.
#[derive(Debug, Clone, Serialize)]
pub struct Ban {
    /// The banned account.
    pub user: Arc<User>,
    /// The reason given.
    pub reason: Option<String>,
}

#[derive(Serialize)]
pub(super) struct UserEvent<'a> {
    pub(super) guild_id: GuildId,
    pub(super) user: &'a RawValue,
}

impl Guild {
    /// Bans an account, member or not; a member leaves. Their messages of the last `delete_seconds` go too.
    ///
    /// # Errors
    /// When the account does not exist.
    pub fn ban(&mut self, user: UserId, delete_seconds: u32, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        let account = self.shared.user(user).ok_or(Missing::User)?;
        if self.bans.contains_key(&user) {
            return Ok(());
        }
        if self.members.contains_key(&user) {
            self.member_leave(user)?;
        }
        let event = UserEvent { guild_id: self.id, user: account.raw() };
        let counts = vec![counted(EventKind::BanAdd, None, Some(user))];
        self.emit("GUILD_BAN_ADD", intents::GUILD_MODERATION, &event, counts);
        self.bans.insert(user, Ban { user: account, reason: by.reason.map(str::to_owned) });
        if delete_seconds > 0 {
            self.purge(user, at.plus_millis(-i64::from(delete_seconds) * 1_000));
        }
        self.audit(Entry::new(Action::MemberBan, user.get()), by, at);
        Ok(())
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// When the account is not banned.
    pub fn unban(&mut self, user: UserId, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        let ban = self.bans.remove(&user).ok_or(Missing::Ban)?;
        let event = UserEvent { guild_id: self.id, user: ban.user.raw() };
        let counts = vec![counted(EventKind::BanRemove, None, Some(user))];
        self.emit("GUILD_BAN_REMOVE", intents::GUILD_MODERATION, &event, counts);
        self.audit(Entry::new(Action::MemberUnban, user.get()), by, at);
        Ok(())
    }

    /// The bans, by the account's id.
    pub fn bans(&self) -> impl Iterator<Item = (UserId, &Ban)> {
        self.bans.iter().map(|(user, ban)| (*user, ban))
    }

    fn purge(&mut self, user: UserId, since: Timestamp) {
        let written: Vec<(ChannelId, Vec<MessageId>)> = self
            .channels
            .values()
            .map(|channel| (channel.id, channel.written_since(user, since)))
            .filter(|(_, messages)| !messages.is_empty())
            .collect();
        for (channel, messages) in written {
            // The channel was just listed, and the guild is locked.
            let _ = self.delete_messages(channel, &messages);
        }
    }
}
