//! Invites and webhooks: the two ways into a channel that have a secret.
//!
//! **Invariant:** an invite's code and a webhook's token come from the world's ids, so they repeat under a seed.

use guildhall_domain::{ChannelId, EventKind, GuildId, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::audit::{Action, By, Entry, change};
use super::guild::Guild;
use super::ids::{Iso, Snowflake};
use super::{Missing, counted, intents};

/// An invite.
#[derive(Debug, Clone)]
pub struct Invite {
    /// What is typed after `discord.gg/`.
    pub code: String,
    /// Where it leads.
    pub channel: ChannelId,
    /// Who made it.
    pub inviter: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Seconds it lives; 0 is for ever.
    pub max_age: u32,
    /// How often it may be used; 0 is without limit.
    pub max_uses: u32,
    /// Whether those who come by it are only guests.
    pub temporary: bool,
    /// How often it was used.
    pub uses: u32,
}

/// An incoming webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The webhook's id.
    pub id: Snowflake,
    /// The name its messages show.
    pub name: String,
    /// Where it writes.
    pub channel: ChannelId,
    /// Who made it.
    pub user: UserId,
    /// What one must know to use it.
    pub token: String,
    /// The application whose bot made it.
    pub application: Option<guildhall_domain::ApplicationId>,
}

#[derive(Serialize)]
struct InviteMade<'a> {
    #[serde(rename = "type")]
    kind: u8,
    code: &'a str,
    channel_id: ChannelId,
    guild_id: GuildId,
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<&'a RawValue>,
    created_at: Iso,
    expires_at: Option<Iso>,
    max_age: u32,
    max_uses: u32,
    temporary: bool,
    uses: u32,
}

#[derive(Serialize)]
struct InviteGone<'a> {
    code: &'a str,
    channel_id: ChannelId,
    guild_id: GuildId,
}

impl Invite {
    /// When it stops working.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.max_age > 0).then(|| self.created_at.plus_millis(i64::from(self.max_age) * 1_000))
    }
}

impl Guild {
    /// The invites, by code.
    pub fn invites(&self) -> impl Iterator<Item = &Invite> {
        self.invites.values()
    }

    /// Makes an invite to a channel.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn invite_create(
        &mut self,
        channel: ChannelId,
        max_age: u32,
        max_uses: u32,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<String, Missing> {
        self.channel(channel)?;
        let code = readable(self.shared.ids.next(at).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let invite = Invite {
            code: code.clone(),
            channel,
            inviter: by.user,
            created_at: at,
            max_age,
            max_uses,
            temporary: false,
            uses: 0,
        };
        let inviter = self.shared.user(by.user);
        let event = InviteMade {
            kind: 0,
            code: &code,
            channel_id: channel,
            guild_id: self.id,
            inviter: inviter.as_deref().map(super::user::User::raw),
            created_at: Iso(at),
            expires_at: invite.expires_at().map(Iso),
            max_age,
            max_uses,
            temporary: false,
            uses: 0,
        };
        let counts = vec![counted(EventKind::InviteCreate, Some(channel), Some(by.user))];
        self.emit("INVITE_CREATE", intents::GUILD_INVITES, &event, counts);
        self.invites.insert(code.clone(), invite);
        let changes = vec![change("code", serde_json::Value::Null, json!(code))];
        self.audit(Entry { target: None, changes, ..Entry::new(Action::InviteCreate, 0) }, by, at);
        Ok(code)
    }

    /// Revokes an invite.
    ///
    /// # Errors
    /// When there is no such invite.
    pub fn invite_delete(&mut self, code: &str, by: By<'_>, at: Timestamp) -> Result<Invite, Missing> {
        let invite = self.invites.remove(code).ok_or(Missing::Invite)?;
        let event = InviteGone { code, channel_id: invite.channel, guild_id: self.id };
        let counts = vec![counted(EventKind::InviteDelete, Some(invite.channel), None)];
        self.emit("INVITE_DELETE", intents::GUILD_INVITES, &event, counts);
        let changes = vec![change("code", json!(code), serde_json::Value::Null)];
        self.audit(Entry { target: None, changes, ..Entry::new(Action::InviteDelete, 0) }, by, at);
        Ok(invite)
    }

    /// The webhooks, in no order.
    pub fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.values()
    }

    /// A webhook.
    ///
    /// # Errors
    /// When the guild has no such webhook.
    pub fn webhook(&self, id: Snowflake) -> Result<&Webhook, Missing> {
        self.webhooks.get(&id).ok_or(Missing::Webhook)
    }

    /// Makes a webhook that writes into a channel.
    ///
    /// # Errors
    /// When the guild has no such channel.
    pub fn webhook_create(
        &mut self,
        channel: ChannelId,
        name: &str,
        by: By<'_>,
        at: Timestamp,
    ) -> Result<Snowflake, Missing> {
        self.channel(channel)?;
        let id: Snowflake = self.shared.ids.id(at);
        let application = (by.user == self.shared.bot.id).then_some(self.shared.application_id);
        let token = format!("double-webhook-{}", readable(id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let webhook = Webhook { id, name: name.to_owned(), channel, user: by.user, token, application };
        self.webhooks.insert(id, webhook);
        self.shared.place_webhook(id, self.id);
        self.webhooks_changed(channel);
        let changes = vec![change("name", serde_json::Value::Null, json!(name))];
        self.audit(Entry { changes, ..Entry::new(Action::WebhookCreate, id.0) }, by, at);
        Ok(id)
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    /// When the guild has no such webhook.
    pub fn webhook_delete(&mut self, id: Snowflake, by: By<'_>, at: Timestamp) -> Result<(), Missing> {
        let gone = self.webhooks.remove(&id).ok_or(Missing::Webhook)?;
        self.webhooks_changed(gone.channel);
        let changes = vec![change("name", json!(gone.name), serde_json::Value::Null)];
        self.audit(Entry { changes, ..Entry::new(Action::WebhookDelete, id.0) }, by, at);
        Ok(())
    }

    fn webhooks_changed(&self, channel: ChannelId) {
        let event = json!({ "guild_id": self.id, "channel_id": channel });
        self.emit("WEBHOOKS_UPDATE", intents::GUILD_WEBHOOKS, &event, Vec::new());
    }
}

/// A number in the 62 digits of invite codes.
fn readable(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut code = String::new();
    while code.len() < 10 {
        code.push(char::from(DIGITS[usize::try_from(number % 62).unwrap_or(0)]));
        number /= 62;
    }
    code
}
