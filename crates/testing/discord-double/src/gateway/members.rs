//! REQUEST_GUILD_MEMBERS and its chunks.

use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;

use super::community::MemberQuery;
use super::protocol::{CloseCode, RequestMembers, op};
use super::session::Session;
use super::{Gateway, intents, lock};
use crate::dispatch::Dispatch;

/// Members per chunk (Discord documentation, "Request Guild Members").
const CHUNK: usize = 1_000;
/// The most members a request by prefix gets.
const MAX_BY_PREFIX: usize = 100;

impl Gateway {
    pub(super) fn members(&self, session: &Arc<Session>, request: RequestMembers) -> Result<(), CloseCode> {
        let guild = request.guild_id;
        let nonce = request.nonce.filter(|nonce| nonce.len() <= 32);
        let all = request.user_ids.is_none() && request.query.as_deref() == Some("") && request.limit == 0;
        if all && !session.wants(intents::GUILD_MEMBERS) {
            return Err(CloseCode::DisallowedIntents);
        }
        if request.query.is_none() && request.user_ids.is_none() {
            return Err(CloseCode::DecodeError);
        }
        if all && let Some(wait) = self.members_asked_again(guild) {
            let data = json!({
                "opcode": op::REQUEST_GUILD_MEMBERS,
                "retry_after": wait.as_secs_f64(),
                "meta": {"guild_id": guild, "nonce": nonce},
            });
            self.append(session, event("RATE_LIMITED", &data));
            return Ok(());
        }
        let users = request.user_ids.map(super::protocol::OneOrMany::into_vec);
        let limit = match (&users, all) {
            (_, true) => 0,
            (Some(users), _) => users.len().clamp(1, MAX_BY_PREFIX),
            (None, _) => request.limit.clamp(1, MAX_BY_PREFIX),
        };
        let asked = users.clone().unwrap_or_default();
        let found =
            (self.0.community.members)(&MemberQuery { guild, prefix: request.query.unwrap_or_default(), limit, users });
        let missing: Vec<_> =
            asked.iter().filter(|id| !found.iter().any(|member| member["user"]["id"] == json!(id))).collect();
        let chunks = found.chunks(CHUNK).collect::<Vec<_>>();
        let chunks = if chunks.is_empty() { vec![&[][..]] } else { chunks };
        for (index, members) in chunks.iter().enumerate() {
            let mut data = json!({
                "guild_id": guild,
                "members": members,
                "chunk_index": index,
                "chunk_count": chunks.len(),
                "not_found": missing,
            });
            if request.presences {
                data["presences"] = json!([]);
            }
            if let Some(nonce) = &nonce {
                data["nonce"] = json!(nonce);
            }
            self.append(session, event("GUILD_MEMBERS_CHUNK", &data));
        }
        Ok(())
    }

    /// How long this guild's members may not be requested, `None` when they may, which is then booked.
    fn members_asked_again(&self, guild: guildhall_domain::GuildId) -> Option<std::time::Duration> {
        let now = Instant::now();
        let mut asked = lock(&self.0.members_asked);
        let wait = asked
            .get(&guild)
            .map_or(std::time::Duration::ZERO, |at| self.0.plan.settings.members_interval.saturating_sub(now - *at));
        if wait.is_zero() {
            asked.insert(guild, now);
            return None;
        }
        Some(wait)
    }
}

fn event(name: &'static str, data: &serde_json::Value) -> Dispatch {
    Dispatch { guild: None, event: name, data: data.to_string().into(), intents: 0, counts: Vec::new(), at: None }
}
