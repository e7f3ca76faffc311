//! Faults on demand.
//!
//! **Invariant:** a fault does what Discord itself is known to do; it never breaks an invariant of the streams.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::link::{End, Link};
use super::{Gateway, frame, lock};

/// Something the gateway is told to do wrong. A fault without a shard befalls all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GatewayFault {
    /// The sockets go away without a close frame.
    DropConnections {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
    },
    /// Opcode 7.
    Reconnect {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
    },
    /// Opcode 9. The session is lost for good unless it is resumable.
    InvalidSession {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
        /// Whether the session can be resumed.
        #[serde(default)]
        resumable: bool,
    },
    /// A close frame.
    Close {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
        /// The close code.
        code: u16,
    },
    /// Opcode 1: a heartbeat is asked for.
    RequestHeartbeat {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
    },
    /// Nothing is sent or acknowledged, and the connection stays open.
    Silence {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
        /// For how long.
        seconds: u64,
    },
    /// The session is lost for good and the connection cut.
    DropSession {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
    },
    /// A rest after each event; 0 ends it.
    Slow {
        /// The shard's number.
        #[serde(default)]
        shard: Option<u32>,
        /// How long.
        millis: u64,
    },
    /// Leaves this many IDENTIFYs in the present window.
    IdentifyBudget {
        /// How many.
        remaining: u32,
    },
    /// All connections are cut and none is accepted.
    GatewayDown {
        /// For how long.
        seconds: u64,
    },
}

impl Gateway {
    /// Misbehaves as told. Answers with the number of connections or sessions it befell.
    pub fn misbehave(&self, fault: GatewayFault) -> usize {
        let now = Instant::now();
        match fault {
            GatewayFault::DropConnections { shard } => self.tell(shard, |link| link.end(End::Abort)),
            GatewayFault::Reconnect { shard } => self.tell(shard, |link| link.send(frame::reconnect())),
            GatewayFault::RequestHeartbeat { shard } => self.tell(shard, |link| link.send(frame::heartbeat_request())),
            GatewayFault::Close { shard, code } => self.tell(shard, |link| link.end(End::Close(code, "Asked for."))),
            GatewayFault::InvalidSession { shard, resumable } => self.tell(shard, |link| {
                if let Some(session) = link.session() {
                    session.detach(link);
                    link.set_session(None);
                    if !resumable {
                        self.end_session(&session, "invalidated", None);
                    }
                }
                link.send(frame::invalid_session(resumable));
            }),
            GatewayFault::Silence { shard, seconds } => {
                self.tell(shard, |link| link.silence(now + Duration::from_secs(seconds)))
            }
            GatewayFault::Slow { shard, millis } => {
                self.tell(shard, |link| link.slow_down(Duration::from_millis(millis)))
            }
            GatewayFault::DropSession { shard } => {
                let sessions: Vec<_> = {
                    let hub = self.hub();
                    hub.sessions().filter(|own| shard.is_none_or(|id| id == own.shard.id)).cloned().collect()
                };
                for session in &sessions {
                    self.end_session(session, "dropped on demand", None);
                }
                sessions.len()
            }
            GatewayFault::IdentifyBudget { remaining } => {
                lock(&self.0.limits).set_remaining(remaining, now);
                1
            }
            GatewayFault::GatewayDown { seconds } => {
                *lock(&self.0.down_until) = Some(now + Duration::from_secs(seconds));
                self.tell(None, |link| link.end(End::Abort))
            }
        }
    }

    fn tell(&self, shard: Option<u32>, what: impl Fn(&Link)) -> usize {
        let links = self.hub().links(shard);
        for link in &links {
            what(link);
        }
        links.len()
    }
}
