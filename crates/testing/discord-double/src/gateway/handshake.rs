//! IDENTIFY and RESUME.
//!
//! **Invariant:** an IDENTIFY is booked against the daily budget once its contents are valid, whether its bucket is open
//! or not; a RESUME never is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use guildhall_domain::{GuildId, ShardId};
use serde_json::json;
use tokio::time::Instant;

use super::limits::Admission;
use super::link::{End, Link};
use super::protocol::{CloseCode, Identify, Resume, bare_token};
use super::session::{Refused, Session};
use super::{Gateway, frame, intents, lock};
use crate::dispatch::Dispatch;

impl Gateway {
    pub(super) fn identify(&self, link: &Arc<Link>, identify: &Identify) -> Result<(), CloseCode> {
        let plan = &self.0.plan;
        self.check_token(&identify.token)?;
        let (id, count) = identify.shard.unwrap_or((0, 1));
        if id >= count {
            return Err(CloseCode::InvalidShard);
        }
        if identify.intents & !intents::KNOWN != 0 {
            return Err(CloseCode::InvalidIntents);
        }
        if identify.intents & intents::PRIVILEGED & !plan.settings.privileged_intents != 0 {
            return Err(CloseCode::DisallowedIntents);
        }
        let guilds: Vec<_> = (self.0.community.guild_ids)()
            .into_iter()
            .filter(|guild| ShardId::for_guild(*guild, count).id == id)
            .collect();
        if guilds.len() > plan.settings.max_guilds_per_shard {
            return Err(CloseCode::ShardingRequired);
        }
        match lock(&self.0.limits).admit(id, Instant::now()) {
            Admission::Granted => {}
            Admission::TooSoon => {
                self.count(|counts| counts.identifies_too_soon += 1);
                link.send(frame::invalid_session(false));
                return Ok(());
            }
            Admission::Exhausted => {
                self.reset_token();
                return Err(CloseCode::AuthenticationFailed);
            }
        }
        self.count(|counts| counts.identifies += 1);

        let number = self.next_number();
        let capacity = plan.settings.session_buffer.max(1);
        let session = Session::new(self.session_id(number), number, ShardId { id, count }, identify.intents, capacity);
        session.attach(link);
        self.append(&session, self.ready(&session, &guilds));
        link.set_session(Some(Arc::clone(&session)));
        let guilds = if session.wants(intents::GUILDS) { guilds } else { Vec::new() };
        let large = identify.large_threshold;
        session.await_guilds(&guilds);
        self.hub_mut().add(Arc::clone(&session));
        for guild in guilds {
            (self.0.community.guild_create)(guild, large, &mut |mut event| {
                session.open_guild(guild);
                if self.is_known_elsewhere(guild, count) {
                    event.counts.clear();
                }
                self.append(&session, event);
            });
            session.open_guild(guild);
        }
        Ok(())
    }

    /// Whether another set of shards is being told of the guild's events: then a GUILD_CREATE that introduces the guild to
    /// a session beside it is nothing that happened.
    fn is_known_elsewhere(&self, guild: GuildId, count: u32) -> bool {
        let hub = self.hub();
        hub.receivers(Some(guild)).any(|session| session.shard.count != count && session.is_connected())
    }

    /// `address` is the number in the address the connection was opened at, if it was a session's.
    pub(super) fn resume(&self, link: &Arc<Link>, resume: &Resume, address: Option<u64>) -> Result<(), CloseCode> {
        self.check_token(&resume.token)?;
        let session = self.hub().session(&resume.session_id);
        let attached = match &session {
            Some(session) => session.resume(link, resume.seq, address != Some(session.number)),
            None => Err(Refused::Over),
        };
        match (attached, session) {
            (Ok(previous), Some(session)) => {
                self.count(|counts| counts.resumes += 1);
                if let Some(previous) = previous {
                    // Half-open on the client's side: it would not have come back otherwise.
                    previous.set_session(None);
                    previous.end(End::Abort);
                }
                link.set_session(Some(Arc::clone(&session)));
                let data = r#"{"_trace":[]}"#.into();
                let resumed =
                    Dispatch { guild: None, event: "RESUMED", data, intents: 0, counts: Vec::new(), at: None };
                self.append(&session, resumed);
                Ok(())
            }
            (refusal, session) => {
                self.count(|counts| counts.resumes_refused += 1);
                let sequence = matches!(refusal, Err(Refused::Sequence));
                if let Some(session) = session {
                    let reason = if sequence { "resumed at an invalid sequence" } else { "resumed too late" };
                    self.end_session(&session, reason, Some(resume.seq));
                }
                if sequence {
                    return Err(CloseCode::InvalidSequence);
                }
                link.send(frame::invalid_session(false));
                Ok(())
            }
        }
    }

    fn check_token(&self, token: &str) -> Result<(), CloseCode> {
        if self.token_revoked() || bare_token(token) != bare_token(&self.0.plan.token) {
            return Err(CloseCode::AuthenticationFailed);
        }
        Ok(())
    }

    /// What Discord does to an application that exceeds its identify budget.
    fn reset_token(&self) {
        self.0.token_revoked.store(true, Ordering::Relaxed);
        self.count(|counts| counts.token_resets += 1);
        let sessions: Vec<_> = self.hub().sessions().cloned().collect();
        for link in self.hub().links(None) {
            link.end(CloseCode::AuthenticationFailed.into());
        }
        for session in sessions {
            self.end_session(&session, "identify budget exceeded", None);
        }
    }

    /// Unique across restarts, because those who keep what a session delivered keep it longer than a gateway lives.
    fn session_id(&self, number: u64) -> String {
        let mut id = String::with_capacity(32);
        // Writing to a String cannot fail.
        let _ = write!(id, "{:016x}{number:016x}", self.0.plan.clock.now().as_millis());
        id
    }

    fn ready(&self, session: &Session, guilds: &[GuildId]) -> Dispatch {
        let (application, flags) = self.0.community.application;
        let data = json!({
            "v": 10,
            "user": (self.0.community.bot_user)(),
            "guilds": guilds.iter().map(|id| json!({"id": id, "unavailable": true})).collect::<Vec<_>>(),
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": format!("{}/gateway/resume/{}", self.0.plan.address, session.number),
            "shard": [session.shard.id, session.shard.count],
            "application": {"id": application, "flags": flags},
            "private_channels": [],
            "presences": [],
            "relationships": [],
            "user_settings": {},
            "geo_ordered_rtc_regions": [],
            "guild_join_requests": [],
            "_trace": [],
        });
        Dispatch {
            guild: None,
            event: "READY",
            data: data.to_string().into(),
            intents: 0,
            counts: Vec::new(),
            at: None,
        }
    }
}
