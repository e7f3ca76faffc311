//! Gateway v10: sessions, their numbered streams, and the WebSocket connections that carry them.
//!
//! **Invariant:** an event enters the stream of every session that is subscribed to it, whether a connection carries the
//! session or not; it is counted in the ledger if there was at least one.
//! **Invariant:** locks are taken in the order community, hub, session, link, and never across an await.

mod community;
mod connection;
mod content;
mod frame;
mod handshake;
mod hub;
pub mod intents;
mod limits;
mod link;
mod members;
mod misbehave;
mod protocol;
mod session;
mod settings;
mod transport;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use guildhall_domain::{Clock, GuildId};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::community::{Community, GuildCreate, MemberQuery, Members};
pub use self::connection::routes;
use self::hub::Hub;
use self::limits::IdentifyLimits;
pub use self::limits::{IdentifyWindow, SessionStartLimit};
use self::link::End;
pub use self::misbehave::GatewayFault;
pub use self::protocol::CloseCode;
pub use self::session::SessionInfo;
use self::session::{Pushed, Session};
pub use self::settings::GatewaySettings;
use crate::dispatch::Dispatch;
use crate::ledger::Ledger;

/// How the gateway is set up.
#[derive(Debug, Clone)]
pub struct GatewayPlan {
    /// The token that IDENTIFY and RESUME must carry.
    pub token: String,
    /// The number of IDENTIFY buckets.
    pub max_concurrency: u32,
    /// IDENTIFYs allowed per window.
    pub identify_budget: u32,
    /// Limits and intervals.
    pub settings: GatewaySettings,
    /// The present: it makes session ids that no earlier run has used.
    pub clock: Clock,
    /// The address clients reach this gateway at, such as `ws://127.0.0.1:8080`, without a trailing slash.
    pub address: String,
}

/// How often things happened, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct GatewayCounts {
    /// WebSocket connections.
    pub connections: u64,
    /// IDENTIFYs that began a session.
    pub identifies: u64,
    /// IDENTIFYs refused because their bucket was closed.
    pub identifies_too_soon: u64,
    /// RESUMEs that were accepted.
    pub resumes: u64,
    /// RESUMEs that were refused.
    pub resumes_refused: u64,
    /// How often the identify budget was exceeded and the token reset.
    pub token_resets: u64,
}

/// The gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plan: GatewayPlan,
    community: Community,
    ledger: Arc<Ledger>,
    hub: RwLock<Hub>,
    limits: Mutex<IdentifyLimits>,
    counts: Mutex<GatewayCounts>,
    /// When all members of a guild were last requested.
    members_asked: Mutex<HashMap<GuildId, Instant>>,
    down_until: Mutex<Option<Instant>>,
    token_revoked: AtomicBool,
    next_number: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// A gateway without sessions. Its housekeeping runs until [`Gateway::stop`].
    pub fn start(plan: GatewayPlan, community: Community, ledger: Arc<Ledger>) -> Self {
        let limits = IdentifyLimits::new(
            plan.identify_budget,
            plan.settings.identify_window,
            plan.settings.identify_interval,
            plan.max_concurrency,
        );
        let gateway = Self(Arc::new(Inner {
            plan,
            community,
            ledger,
            hub: RwLock::default(),
            limits: Mutex::new(limits),
            counts: Mutex::default(),
            members_asked: Mutex::default(),
            down_until: Mutex::default(),
            token_revoked: AtomicBool::new(false),
            next_number: AtomicU64::new(1),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }));
        gateway.0.tasks.spawn(gateway.clone().expire_sessions());
        gateway
    }

    /// Ends every connection and waits until the last has gone. Sessions die with the gateway.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Ends every connection without waiting.
    pub(crate) fn cancel(&self) {
        self.0.stop.cancel();
    }

    /// Puts an event into the streams of the sessions subscribed to it.
    pub fn dispatch(&self, event: Dispatch) {
        let (event, now) = (Arc::new(event), self.0.plan.clock.now());
        let mut kept = false;
        let mut overflowing = Vec::new();
        {
            let hub = self.hub();
            for session in hub.receivers(event.guild).filter(|session| session.wants(event.intents)) {
                match session.push(&event, now) {
                    Pushed::Kept => kept = true,
                    Pushed::Overflow => overflowing.push(Arc::clone(session)),
                    Pushed::Refused => {}
                }
            }
        }
        if kept {
            self.0.ledger.record(&event);
        }
        for session in overflowing {
            self.end_session(&session, "buffer overflow", None);
        }
    }

    /// Puts an event into one session's stream.
    fn append(&self, session: &Arc<Session>, event: Dispatch) {
        let event = Arc::new(event);
        match session.push(&event, self.0.plan.clock.now()) {
            Pushed::Kept => self.0.ledger.record(&event),
            Pushed::Overflow => self.end_session(session, "buffer overflow", None),
            Pushed::Refused => {}
        }
    }

    /// The most events that wait for one connection. Connections told to misbehave are left out.
    pub fn backlog(&self) -> u64 {
        self.hub().sessions().map(|session| session.backlog()).max().unwrap_or(0)
    }

    /// How many events a session can hold.
    pub fn capacity(&self) -> u64 {
        self.0.plan.settings.session_buffer as u64
    }

    /// `session_start_limit` of `GET /gateway/bot`.
    pub fn session_start_limit(&self) -> SessionStartLimit {
        lock(&self.0.limits).state(Instant::now())
    }

    /// What each window of the IDENTIFY budget granted and what came of it, the present one last.
    pub fn identify_windows(&self) -> Vec<IdentifyWindow> {
        lock(&self.0.limits).windows()
    }

    /// The `url` of `GET /gateway` and `GET /gateway/bot`.
    pub fn url(&self) -> String {
        format!("{}/gateway", self.0.plan.address)
    }

    /// Whether the identify budget was exceeded, so that the token no longer works anywhere.
    pub fn token_revoked(&self) -> bool {
        self.0.token_revoked.load(Ordering::Relaxed)
    }

    /// The sessions that live, by id.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.hub().sessions().map(|session| session.info()).collect()
    }

    /// How often things happened.
    pub fn counts(&self) -> GatewayCounts {
        *lock(&self.0.counts)
    }

    fn count(&self, change: impl FnOnce(&mut GatewayCounts)) {
        change(&mut lock(&self.0.counts));
    }

    fn hub(&self) -> RwLockReadGuard<'_, Hub> {
        self.0.hub.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn hub_mut(&self) -> RwLockWriteGuard<'_, Hub> {
        self.0.hub.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a session for good and cuts its connection.
    fn end_session(&self, session: &Arc<Session>, reason: &'static str, after: Option<u64>) {
        self.hub_mut().remove(session);
        if let Some((lost, link)) = session.end(reason, after) {
            self.0.ledger.record_loss(lost);
            if let Some(link) = link {
                link.set_session(None);
                link.end(End::Abort);
            }
        }
    }

    /// Ends sessions that waited for a RESUME too long.
    async fn expire_sessions(self) {
        let ttl = self.0.plan.settings.session_ttl;
        let mut ticks = tokio::time::interval((ttl / 10).max(std::time::Duration::from_millis(10)));
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            let expired: Vec<_> = {
                let hub = self.hub();
                let waited = |session: &&Arc<Session>| session.detached_at().is_some_and(|since| now - since >= ttl);
                hub.sessions().filter(waited).cloned().collect()
            };
            for session in expired {
                self.end_session(&session, "expired", None);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
