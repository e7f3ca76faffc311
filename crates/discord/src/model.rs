//! The few fields of Discord's objects that the product reads.
//!
//! **Invariant:** fields that are not used are not kept, so that caches hold as little of a community as can be.
//! **Invariant:** a new value of one of Discord's enumerations is never an error.

use guildhall_domain::permissions::{Holder, Overwrite, Subject};
use guildhall_domain::{ChannelId, GuildId, Permissions, RoleId, Timestamp, UserId};
use serde::{Deserialize, Deserializer, Serialize};

/// A guild ("Guild Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guild {
    /// The guild.
    pub id: GuildId,
    /// Whose it is.
    pub owner_id: UserId,
    /// How many members it has, roughly, where Discord was asked to say so.
    #[serde(default)]
    pub approximate_member_count: Option<u64>,
}

/// A channel ("Channel Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The channel.
    pub id: ChannelId,
    /// Discord's number for the type of channel.
    #[serde(rename = "type")]
    pub kind: u8,
    /// The category it lies in, or the channel a thread belongs to.
    #[serde(default)]
    pub parent_id: Option<ChannelId>,
    /// What it changes for roles and members.
    #[serde(default)]
    pub permission_overwrites: Vec<ChannelOverwrite>,
}

impl Channel {
    /// The type of a category, which holds channels and no messages.
    pub const CATEGORY: u8 = 4;
    /// The type of a voice channel.
    pub const VOICE: u8 = 2;
    /// The type of a stage.
    pub const STAGE: u8 = 13;

    /// The overwrites as the permission rules take them; those for subjects of an unknown type have no effect.
    pub fn overwrites(&self) -> Vec<Overwrite> {
        self.permission_overwrites.iter().filter_map(ChannelOverwrite::to_domain).collect()
    }
}

/// A channel's overwrite ("Overwrite Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOverwrite {
    /// The role or member.
    pub id: UserId,
    /// 0 for a role, 1 for a member.
    #[serde(rename = "type")]
    pub kind: u8,
    /// What is given.
    pub allow: Permissions,
    /// What is taken away.
    pub deny: Permissions,
}

impl ChannelOverwrite {
    fn to_domain(&self) -> Option<Overwrite> {
        let subject = match self.kind {
            0 => Subject::Role(RoleId::from_db(self.id.to_db())),
            1 => Subject::Member(self.id),
            _ => return None,
        };
        Some(Overwrite { subject, deny: self.deny, allow: self.allow })
    }
}

/// A role ("Role Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The role; that of everyone has the guild's id.
    pub id: RoleId,
    /// What it grants.
    pub permissions: Permissions,
    /// Its place in the hierarchy.
    #[serde(default)]
    pub position: i64,
}

/// A member ("Guild Member Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who it is.
    pub user: User,
    /// The member's roles, without everyone's.
    #[serde(default)]
    pub roles: Vec<RoleId>,
    /// Until when the member is in a timeout.
    #[serde(default, rename = "communication_disabled_until", deserialize_with = "instant")]
    pub timeout_until: Option<Timestamp>,
}

/// An account ("User Object").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The account.
    pub id: UserId,
}

impl Member {
    /// The member as far as permissions go.
    pub fn holder(&self, guild: &Guild, roles: &[Role], now: Timestamp) -> Holder {
        let everyone = roles.iter().find(|role| role.id.get() == guild.id.get()).map(|role| role.permissions);
        Holder {
            user: self.user.id,
            is_owner: guild.owner_id == self.user.id,
            everyone: everyone.unwrap_or(Permissions::NONE),
            roles: roles
                .iter()
                .filter(|role| self.roles.contains(&role.id))
                .map(|role| (role.id, role.permissions))
                .collect(),
            in_timeout: self.timeout_until.is_some_and(|until| until > now),
        }
    }
}

/// Reads Discord's ISO 8601, and the milliseconds that a cache holds.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Instant {
        Text(String),
        Millis(i64),
    }
    Ok(Option::<Instant>::deserialize(deserializer)?.and_then(|instant| match instant {
        Instant::Text(text) => Timestamp::parse_rfc3339(&text),
        Instant::Millis(millis) => Some(Timestamp::from_millis(millis)),
    }))
}
