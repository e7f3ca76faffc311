//! The audit log.
//!
//! **Invariant:** an entry is announced after the events of the change it describes.

use guildhall_domain::{EventKind, GuildId, Timestamp, UserId};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::guild::Guild;
use super::ids::Snowflake;
use super::{counted, intents};

/// Entries kept for each guild.
const KEPT: usize = 2_000;

/// Who does something, and the reason given in `X-Audit-Log-Reason`.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The acting account.
    pub user: UserId,
    /// The reason given.
    pub reason: Option<&'a str>,
}

impl By<'_> {
    /// Someone who gives no reason.
    pub fn user(user: UserId) -> Self {
        Self { user, reason: None }
    }
}

/// Kinds of entries, by Discord's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of Discord's table of audit log events")]
pub enum Action {
    GuildUpdate = 1,
    ChannelCreate = 10,
    ChannelUpdate = 11,
    ChannelDelete = 12,
    OverwriteCreate = 13,
    OverwriteUpdate = 14,
    OverwriteDelete = 15,
    MemberKick = 20,
    MemberBan = 22,
    MemberUnban = 23,
    MemberUpdate = 24,
    MemberRoleUpdate = 25,
    RoleCreate = 30,
    RoleUpdate = 31,
    RoleDelete = 32,
    InviteCreate = 40,
    InviteDelete = 42,
    WebhookCreate = 50,
    WebhookUpdate = 51,
    WebhookDelete = 52,
    MessageDelete = 72,
    MessageBulkDelete = 73,
    MessagePin = 74,
    MessageUnpin = 75,
    ThreadCreate = 110,
    ThreadUpdate = 111,
    ThreadDelete = 112,
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was done.
    pub action: Action,
    /// To whom or what.
    pub target: Option<u64>,
    /// Each changed property, old and new.
    pub changes: Vec<Value>,
    /// Further facts, such as the channel of deleted messages.
    pub options: Map<String, Value>,
}

impl Entry {
    /// An entry about `target` without details.
    pub fn new(action: Action, target: u64) -> Self {
        Self { action, target: Some(target), changes: Vec::new(), options: Map::new() }
    }
}

/// A written entry.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// The entry's id.
    pub id: Snowflake,
    /// Discord's number of the action.
    pub action_type: u8,
    /// The acting account.
    pub user_id: UserId,
    /// To whom or what it was done.
    pub target_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    options: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One changed property.
pub(crate) fn change(key: &str, old: Value, new: Value) -> Value {
    let mut change = json!({ "key": key });
    if !old.is_null() {
        change["old_value"] = old;
    }
    if !new.is_null() {
        change["new_value"] = new;
    }
    change
}

#[derive(Serialize)]
struct Announced<'a> {
    guild_id: GuildId,
    id: Snowflake,
    action_type: u8,
    user_id: UserId,
    target_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    changes: &'a [Value],
    #[serde(skip_serializing_if = "Map::is_empty")]
    options: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Guild {
    /// Writes an entry to the audit log.
    pub fn audit(&mut self, entry: Entry, by: By<'_>, at: Timestamp) {
        let written = Written {
            id: self.shared.ids.id(at),
            action_type: entry.action as u8,
            user_id: by.user,
            target_id: entry.target.map(Snowflake),
            changes: entry.changes,
            options: entry.options,
            reason: by.reason.map(str::to_owned),
        };
        let event = Announced {
            guild_id: self.id,
            id: written.id,
            action_type: written.action_type,
            user_id: written.user_id,
            target_id: written.target_id,
            changes: &written.changes,
            options: &written.options,
            reason: by.reason,
        };
        let counts = vec![counted(EventKind::AuditLogEntry, None, Some(by.user))];
        self.emit_at(at, "GUILD_AUDIT_LOG_ENTRY_CREATE", intents::GUILD_MODERATION, &event, counts);
        if self.audit_log.len() == KEPT {
            self.audit_log.pop_front();
        }
        self.audit_log.push_back(written);
    }

    /// The entries kept, oldest first.
    pub fn audit_log(&self) -> impl DoubleEndedIterator<Item = &Written> {
        self.audit_log.iter()
    }
}
