//! Roles and their order.
//!
//! **Invariant:** the role with the guild's id is @everyone, at position 0; it belongs to everyone and is never deleted.

use guildhall_domain::{EventKind, RoleId, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;

use super::audit::{Action, By, Entry, change};
use super::guild::Guild;
use super::ids::Snowflake;
use super::permissions::Permissions;
use super::{Missing, counted, intents};

/// A role.
#[derive(Debug, Clone, Serialize)]
pub struct Role {
    /// The role's id.
    pub id: RoleId,
    /// Its name.
    pub name: String,
    /// What it grants everywhere.
    pub permissions: Permissions,
    /// Its place; higher is more powerful.
    pub position: i32,
    /// Its colour as 0xRRGGBB.
    pub color: i32,
    /// The colours of gradients.
    pub colors: Colors,
    /// Whether its members are listed apart.
    pub hoist: bool,
    /// Whether it belongs to an integration and cannot be given by hand.
    pub managed: bool,
    /// Whether anyone may mention it.
    pub mentionable: bool,
    /// No simulated role has a picture.
    pub icon: Option<String>,
    /// The emoji shown beside it.
    pub unicode_emoji: Option<String>,
    /// Present on the role of a bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Always 0.
    pub flags: i32,
}

/// The colours of a role.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Colors {
    primary_color: i32,
    secondary_color: Option<i32>,
    tertiary_color: Option<i32>,
}

/// What ties a managed role to its owner.
#[derive(Debug, Clone, Serialize)]
pub struct Tags {
    /// The bot the role belongs to.
    pub bot_id: UserId,
}

/// What a role is made of, or what of it changes.
#[derive(Debug, Clone, Default)]
pub struct RoleDraft {
    /// The name.
    pub name: Option<String>,
    /// The permissions.
    pub permissions: Option<Permissions>,
    /// The colour as 0xRRGGBB.
    pub color: Option<i32>,
    /// Whether members are listed apart.
    pub hoist: Option<bool>,
    /// Whether anyone may mention it.
    pub mentionable: Option<bool>,
    /// The emoji beside it.
    pub unicode_emoji: Option<Option<String>>,
}

impl Role {
    /// A role with this name, position and permissions, and nothing else to it.
    pub fn new(id: RoleId, name: &str, position: i32, permissions: Permissions) -> Self {
        Self {
            id,
            name: name.to_owned(),
            permissions,
            position,
            color: 0,
            colors: Colors { primary_color: 0, secondary_color: None, tertiary_color: None },
            hoist: false,
            managed: false,
            mentionable: false,
            icon: None,
            unicode_emoji: None,
            tags: None,
            flags: 0,
        }
    }

    pub(super) fn coloured(mut self, color: i32) -> Self {
        (self.color, self.colors.primary_color) = (color, color);
        self
    }

    fn apply(&mut self, draft: RoleDraft) -> Vec<serde_json::Value> {
        let mut changes = Vec::new();
        macro_rules! set {
            ($field:ident) => {
                if let Some(new) = draft.$field {
                    if self.$field != new {
                        changes.push(change(stringify!($field), json!(self.$field), json!(new)));
                        self.$field = new;
                    }
                }
            };
        }
        set!(name);
        set!(permissions);
        set!(color);
        set!(hoist);
        set!(mentionable);
        set!(unicode_emoji);
        self.colors.primary_color = self.color;
        changes
    }
}

#[derive(Serialize)]
struct RoleEvent<'a> {
    guild_id: guildhall_domain::GuildId,
    role: &'a Role,
}

impl Guild {
    /// The guild's roles, by id.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// A role.
    ///
    /// # Errors
    /// When the guild has no such role.
    pub fn role(&self, role: RoleId) -> Result<&Role, Missing> {
        self.roles.get(&role).ok_or(Missing::Role)
    }

    /// Creates a role just above @everyone.
    pub fn role_create(&mut self, draft: RoleDraft, by: By<'_>, at: Timestamp) -> RoleId {
        let id: RoleId = self.shared.ids.id(at);
        let everyone = self.roles.get(&self.everyone()).map_or(Permissions::NONE, |role| role.permissions);
        let mut role = Role::new(id, "new role", 1, everyone);
        let changes = role.apply(draft);
        for other in self.roles.values_mut().filter(|other| other.position >= 1) {
            other.position += 1;
        }
        self.emit_role("GUILD_ROLE_CREATE", EventKind::RoleCreate, &role);
        self.roles.insert(id, role);
        self.audit(Entry { changes, ..Entry::new(Action::RoleCreate, id.get()) }, by, at);
        id
    }

    /// Changes a role.
    ///
    /// # Errors
    /// When the guild has no such role.
    pub fn role_update(&mut self, role: RoleId, draft: RoleDraft, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        let changes = self.roles.get_mut(&role).ok_or(Missing::Role)?.apply(draft);
        self.emit_role("GUILD_ROLE_UPDATE", EventKind::RoleUpdate, &self.roles[&role]);
        self.audit(Entry { changes, ..Entry::new(Action::RoleUpdate, role.get()) }, by, at);
        Ok(())
    }

    /// Moves roles to new positions; each role whose position changes is announced.
    ///
    /// # Errors
    /// When one of the roles is missing; nothing is moved then.
    pub fn role_positions(&mut self, wanted: &[(RoleId, i32)]) -> Result<(), Missing> {
        if wanted.iter().any(|(role, _)| !self.roles.contains_key(role)) {
            return Err(Missing::Role);
        }
        let everyone = self.everyone();
        let mut order: Vec<RoleId> = self.roles.keys().copied().filter(|role| *role != everyone).collect();
        // A moved role comes before those that already stood at its new position.
        let place = |role: &RoleId| match wanted.iter().find(|(moved, _)| moved == role) {
            Some((_, position)) => (*position, 1),
            None => (self.roles[role].position, 0),
        };
        order.sort_by_key(place);
        for (position, role) in (1..).zip(order) {
            let Some(role) = self.roles.get_mut(&role) else { continue };
            if role.position != position {
                role.position = position;
                let role = role.clone();
                self.emit_role("GUILD_ROLE_UPDATE", EventKind::RoleUpdate, &role);
            }
        }
        Ok(())
    }

    /// Deletes a role and takes it from everyone who has it.
    ///
    /// # Errors
    /// When the guild has no such role.
    pub fn role_delete(&mut self, role: RoleId, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        #[derive(Serialize)]
        struct Deleted {
            guild_id: guildhall_domain::GuildId,
            role_id: RoleId,
        }
        let gone = self.roles.remove(&role).ok_or(Missing::Role)?;
        for member in self.members.values_mut().filter(|member| member.roles.contains(&role)) {
            member.edit(|member| member.roles.retain(|held| *held != role));
        }
        for channel in self.channels.values_mut() {
            channel.overwrites.retain(|overwrite| overwrite.id != Snowflake(role.get()));
        }
        for other in self.roles.values_mut().filter(|other| other.position > gone.position) {
            other.position -= 1;
        }
        let event = Deleted { guild_id: self.id, role_id: role };
        self.emit("GUILD_ROLE_DELETE", intents::GUILDS, &event, vec![counted(EventKind::RoleDelete, None, None)]);
        let changes = vec![change("name", json!(gone.name), serde_json::Value::Null)];
        self.audit(Entry { changes, ..Entry::new(Action::RoleDelete, role.get()) }, by, at);
        Ok(())
    }

    /// The id of @everyone, which is the guild's.
    pub fn everyone(&self) -> RoleId {
        RoleId::from_db(self.id.to_db())
    }

    fn emit_role(&self, event: &'static str, kind: EventKind, role: &Role) {
        let data = RoleEvent { guild_id: self.id, role };
        self.emit(event, intents::GUILDS, &data, vec![counted(kind, None, None)]);
    }
}
