//! Members: who belongs to a guild, with what nickname, roles and timeout.
//!
//! **Invariant:** a member's rendered fragment is forgotten whenever the member changes.

use std::sync::{Arc, OnceLock};

use guildhall_domain::{ChannelId, EventKind, GuildId, RoleId, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::audit::{Action, By, Entry, change};
use super::ban::UserEvent;
use super::guild::Guild;
use super::ids::Iso;
use super::permissions::{self, Permissions, Subject};
use super::user::User;
use super::{Missing, counted, intents};

/// Someone's membership of one guild.
#[derive(Debug)]
pub struct Member {
    /// The account.
    pub user: Arc<User>,
    /// The nickname.
    pub nick: Option<Box<str>>,
    /// The roles, @everyone not named.
    pub roles: Vec<RoleId>,
    /// When they joined.
    pub joined_at: Timestamp,
    /// The end of a timeout, which may have passed.
    pub timeout_until: Option<Timestamp>,
    /// Muted by a moderator.
    pub mute: bool,
    /// Deafened by a moderator.
    pub deaf: bool,
    fragment: OnceLock<Box<RawValue>>,
}

/// What of a member changes; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct MemberChange {
    /// The nickname, `Some(None)` to remove it.
    pub nick: Option<Option<String>>,
    /// The roles.
    pub roles: Option<Vec<RoleId>>,
    /// The end of the timeout, `Some(None)` to lift it.
    pub timeout_until: Option<Option<Timestamp>>,
    /// Whether they are muted in voice.
    pub mute: Option<bool>,
    /// Whether they are deafened in voice.
    pub deaf: Option<bool>,
}

/// Discord's member object with the parts that only some places show.
#[derive(Serialize)]
pub(crate) struct MemberJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<GuildId>,
    avatar: Option<&'a str>,
    avatar_decoration_data: Option<()>,
    banner: Option<&'a str>,
    collectibles: Option<()>,
    communication_disabled_until: Option<Iso>,
    flags: u32,
    joined_at: Iso,
    nick: Option<&'a str>,
    pending: bool,
    premium_since: Option<Iso>,
    roles: &'a [RoleId],
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a RawValue>,
    mute: bool,
    deaf: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
}

impl Member {
    /// A new membership.
    pub fn new(user: Arc<User>, joined_at: Timestamp, roles: Vec<RoleId>) -> Self {
        Self {
            user,
            nick: None,
            roles,
            joined_at,
            timeout_until: None,
            mute: false,
            deaf: false,
            fragment: OnceLock::new(),
        }
    }

    /// The member with the account inside, as REST shows it.
    pub(crate) fn full(&self) -> MemberJson<'_> {
        MemberJson { user: Some(self.user.raw()), ..self.bare() }
    }

    /// The member as interactions carry it, with permissions computed.
    pub(crate) fn with_permissions(&self, permissions: Permissions) -> MemberJson<'_> {
        MemberJson { permissions: Some(permissions), ..self.full() }
    }

    /// The member as member events carry it.
    pub(crate) fn with_guild(&self, guild: GuildId) -> MemberJson<'_> {
        MemberJson { guild_id: Some(guild), ..self.full() }
    }

    /// The member without the account, as interactions' resolved data shows it.
    pub(crate) fn resolved(&self, permissions: Permissions) -> MemberJson<'_> {
        MemberJson { permissions: Some(permissions), ..self.bare() }
    }

    /// The member without the account, as message events carry it; rendered once until it changes.
    pub(crate) fn fragment(&self) -> &RawValue {
        self.fragment.get_or_init(|| serde_json::value::to_raw_value(&self.bare()).unwrap_or_default())
    }

    /// Whether the nickname or one of the account's names begins with `query`, in any case.
    pub(crate) fn named(&self, query: &str) -> bool {
        let begins = |name: &str| name.get(..query.len()).is_some_and(|start| start.eq_ignore_ascii_case(query));
        self.names().any(begins)
    }

    /// Whether the nickname or one of the account's names is `name`, in any case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [self.nick.as_deref(), self.user.global_name.as_deref(), Some(&*self.user.username)].into_iter().flatten()
    }

    /// Whether a timeout is in force.
    pub fn in_timeout(&self, now: Timestamp) -> bool {
        self.timeout_until.is_some_and(|end| end > now)
    }

    /// Changes the member and forgets what was rendered of it.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.fragment = OnceLock::new();
    }

    fn bare(&self) -> MemberJson<'_> {
        MemberJson {
            guild_id: None,
            avatar: None,
            avatar_decoration_data: None,
            banner: None,
            collectibles: None,
            communication_disabled_until: self.timeout_until.map(Iso),
            flags: 0,
            joined_at: Iso(self.joined_at),
            nick: self.nick.as_deref(),
            pending: false,
            premium_since: None,
            roles: &self.roles,
            user: None,
            mute: self.mute,
            deaf: self.deaf,
            permissions: None,
        }
    }
}

impl Guild {
    /// The ids of all members, ascending.
    pub fn member_ids(&self) -> impl Iterator<Item = UserId> + '_ {
        self.members.keys().copied()
    }

    /// How many members there are, the bot included.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// A member.
    ///
    /// # Errors
    /// When the account does not belong to the guild.
    pub fn member(&self, user: UserId) -> Result<&Member, Missing> {
        self.members.get(&user).ok_or(Missing::Member)
    }

    /// All members, by ascending id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The members whose ids are above `after`, by ascending id.
    pub fn members_after(&self, after: UserId) -> impl Iterator<Item = &Member> {
        let beyond = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.members.range(beyond).map(|(_, member)| member)
    }

    /// A member's permissions in the guild as a whole.
    pub fn permissions(&self, user: UserId, now: Timestamp) -> Permissions {
        let Some(member) = self.members.get(&user) else { return Permissions::NONE };
        let subject = self.subject(member, now);
        let base = permissions::base(subject, |role| self.permissions_of(role));
        // Without a channel there are no overwrites, but a timeout still takes everything but reading away.
        permissions::in_channel(subject, base, &[])
    }

    /// A member's permissions in a channel; a thread has those of its parent.
    pub fn channel_permissions(&self, channel: ChannelId, user: UserId, now: Timestamp) -> Permissions {
        let (Some(member), Some(channel)) = (self.members.get(&user), self.channels.get(&channel)) else {
            return Permissions::NONE;
        };
        let governing = match (&channel.thread, channel.parent) {
            (Some(_), Some(parent)) => self.channels.get(&parent).unwrap_or(channel),
            _ => channel,
        };
        let subject = self.subject(member, now);
        let base = permissions::base(subject, |role| self.permissions_of(role));
        permissions::in_channel(subject, base, &governing.overwrites)
    }

    /// The position of a member's highest role, which decides whom they may act upon; the owner stands above all.
    pub fn rank(&self, user: UserId) -> i32 {
        if user == self.owner {
            return i32::MAX;
        }
        let Some(member) = self.members.get(&user) else { return -1 };
        member.roles.iter().filter_map(|role| self.roles.get(role)).map(|role| role.position).max().unwrap_or(0)
    }

    /// Someone joins.
    ///
    /// # Errors
    /// When the account does not exist; whoever is a member already stays as they are.
    pub fn member_join(&mut self, user: UserId, at: Timestamp) -> Result<(), Missing> {
        let account = self.shared.user(user).ok_or(Missing::User)?;
        if self.members.contains_key(&user) {
            return Ok(());
        }
        let member = Member::new(account, at, Vec::new());
        let counts = vec![counted(EventKind::MemberJoin, None, Some(user))];
        self.emit_at(at, "GUILD_MEMBER_ADD", intents::GUILD_MEMBERS, &member.with_guild(self.id), counts);
        self.members.insert(user, member);
        Ok(())
    }

    /// Someone leaves; their voice connection ends first.
    ///
    /// # Errors
    /// When the account does not belong to the guild.
    pub fn member_leave(&mut self, user: UserId) -> Result<(), Missing> {
        self.voice_leave_if_present(user);
        let member = self.members.remove(&user).ok_or(Missing::Member)?;
        let event = UserEvent { guild_id: self.id, user: member.user.raw() };
        let counts = vec![counted(EventKind::MemberLeave, None, Some(user))];
        self.emit("GUILD_MEMBER_REMOVE", intents::GUILD_MEMBERS, &event, counts);
        Ok(())
    }

    /// Someone is kicked.
    ///
    /// # Errors
    /// When the account does not belong to the guild.
    pub fn member_kick(&mut self, user: UserId, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        self.member_leave(user)?;
        self.audit(Entry::new(Action::MemberKick, user.get()), by, at);
        Ok(())
    }

    /// Changes a member. The audit log gets an entry for what others did, and one of its own for roles.
    ///
    /// # Errors
    /// When the account does not belong to the guild.
    pub fn member_update(
        &mut self,
        user: UserId,
        wanted: MemberChange,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<(), Missing> {
        let member = self.members.get_mut(&user).ok_or(Missing::Member)?;
        let (mut changes, mut role_changes) = (Vec::new(), Vec::new());
        let voice_flags = wanted.mute.is_some() || wanted.deaf.is_some();
        member.edit(|member| {
            if let Some(nick) = wanted.nick {
                changes.push(change("nick", json!(member.nick), json!(nick)));
                member.nick = nick.map(String::into_boxed_str);
            }
            if let Some(until) = wanted.timeout_until {
                let (old, new) = (member.timeout_until.map(Iso), until.map(Iso));
                changes.push(change("communication_disabled_until", json!(old), json!(new)));
                member.timeout_until = until;
            }
            if let Some(mute) = wanted.mute {
                changes.push(change("mute", json!(member.mute), json!(mute)));
                member.mute = mute;
            }
            if let Some(deaf) = wanted.deaf {
                changes.push(change("deaf", json!(member.deaf), json!(deaf)));
                member.deaf = deaf;
            }
            if let Some(roles) = wanted.roles {
                role_changes = role_difference(&member.roles, &roles);
                member.roles = roles;
            }
        });
        let member = &self.members[&user];
        let counts = vec![counted(EventKind::MemberUpdate, None, Some(user))];
        self.emit("GUILD_MEMBER_UPDATE", intents::GUILD_MEMBERS, &member.with_guild(self.id), counts);
        if voice_flags {
            self.voice_refresh(user);
        }
        for (action, changes) in [(Action::MemberUpdate, changes), (Action::MemberRoleUpdate, role_changes)] {
            if !changes.is_empty() {
                self.audit(Entry { changes, ..Entry::new(action, user.get()) }, by, at);
            }
        }
        Ok(())
    }

    fn subject<'a>(&self, member: &'a Member, now: Timestamp) -> Subject<'a> {
        let user = member.user.id;
        let owner = user == self.owner;
        Subject { guild: self.id, user, roles: &member.roles, owner, in_timeout: member.in_timeout(now) }
    }

    fn permissions_of(&self, role: RoleId) -> Permissions {
        self.roles.get(&role).map_or(Permissions::NONE, |role| role.permissions)
    }
}

/// The roles given and taken, in the audit log's own keys.
fn role_difference(old: &[RoleId], new: &[RoleId]) -> Vec<serde_json::Value> {
    let list = |from: &[RoleId], without: &[RoleId]| -> Vec<serde_json::Value> {
        from.iter().filter(|role| !without.contains(role)).map(|role| json!({ "id": role, "name": "" })).collect()
    };
    let (added, removed) = (list(new, old), list(old, new));
    let mut changes = Vec::new();
    if !added.is_empty() {
        changes.push(change("$add", serde_json::Value::Null, json!(added)));
    }
    if !removed.is_empty() {
        changes.push(change("$remove", serde_json::Value::Null, json!(removed)));
    }
    changes
}
