//! Traffic at a pace.
//!
//! **Invariant:** at most one traffic runs at a time; starting another ends the one before.
//! **Invariant:** the pace is a ceiling. While a connected client is so far behind that its session's buffer is half
//! full, the traffic waits, because a client that merely reads slowly must not lose its session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guildhall_domain::{Clock, GuildId};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Traffic;
use crate::gateway::Gateway;
use crate::world::World;

/// How often the pace is looked at.
const TICK: Duration = Duration::from_millis(10);
/// Steps between two chances for other tasks.
const BURST: u64 = 256;
/// The most that is made up for after a pause.
const DEBT: Duration = Duration::from_secs(1);

/// What traffic is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficPlan {
    /// How many things happen in a second. Most bring one event.
    pub events_per_second: f64,
    /// Decides what happens.
    #[serde(default)]
    pub seed: u64,
    /// Where; everywhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_ids: Option<Vec<GuildId>>,
    /// Ends after so many things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after_events: Option<u64>,
    /// Ends after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How the traffic stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficStatus {
    /// Whether it runs.
    pub running: bool,
    /// How many things happened in this traffic.
    pub events: u64,
    /// The plan of this traffic, or of the last one.
    pub plan: Option<TrafficPlan>,
}

/// Starts and ends traffic. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TrafficControl(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: Arc<World>,
    gateway: Gateway,
    clock: Clock,
    tasks: TaskTracker,
    present: Mutex<Option<Run>>,
}

#[derive(Debug, Clone)]
struct Run {
    plan: TrafficPlan,
    events: Arc<AtomicU64>,
    stop: CancellationToken,
    over: CancellationToken,
}

impl TrafficControl {
    /// No traffic yet.
    pub fn new(world: Arc<World>, gateway: Gateway, clock: Clock) -> Self {
        let present = Mutex::default();
        Self(Arc::new(Inner { world, gateway, clock, tasks: TaskTracker::new(), present }))
    }

    /// Starts traffic in place of what runs.
    pub fn start(&self, plan: TrafficPlan) {
        let run = Run {
            plan: plan.clone(),
            events: Arc::default(),
            stop: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        let before = self.present().replace(run.clone());
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let _over = run.over.drop_guard();
            if let Some(before) = before {
                before.stop.cancel();
                before.over.cancelled().await;
            }
            let pace = pace(&inner, &plan, &run.events);
            tokio::select! {
                () = run.stop.cancelled() => {}
                () = pace => {}
            }
        });
    }

    /// Ends the traffic and waits for its last event.
    pub async fn stop(&self) {
        let run = self.present().clone();
        if let Some(run) = run {
            run.stop.cancel();
            run.over.cancelled().await;
        }
    }

    /// Ends the traffic without waiting.
    pub(crate) fn cancel(&self) {
        if let Some(run) = self.present().as_ref() {
            run.stop.cancel();
        }
    }

    /// Waits until the traffic ends by itself.
    pub async fn finished(&self) {
        let run = self.present().clone();
        if let Some(run) = run {
            run.over.cancelled().await;
        }
    }

    /// How the traffic stands.
    pub fn status(&self) -> TrafficStatus {
        let present = self.present();
        TrafficStatus {
            running: present.as_ref().is_some_and(|run| !run.over.is_cancelled()),
            events: present.as_ref().map_or(0, |run| run.events.load(Ordering::Relaxed)),
            plan: present.as_ref().map(|run| run.plan.clone()),
        }
    }

    fn present(&self) -> std::sync::MutexGuard<'_, Option<Run>> {
        self.0.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets things happen at the plan's pace until it is fulfilled.
async fn pace(inner: &Inner, plan: &TrafficPlan, events: &AtomicU64) {
    let mut traffic = Traffic::new(plan.seed, &inner.world, plan.guild_ids.as_deref());
    let end = plan.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(|d| Instant::now() + d);
    let most = plan.stop_after_events.unwrap_or(u64::MAX);
    let rate = plan.events_per_second.max(0.0);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last, mut due, mut done) = (Instant::now(), 0.0_f64, 0_u64);
    while done < most && end.is_none_or(|end| Instant::now() < end) {
        let now = ticks.tick().await;
        due = (due + rate * (now - last).as_secs_f64()).min(rate * DEBT.as_secs_f64() + 1.0);
        last = now;
        while due >= 1.0 && done < most && inner.gateway.backlog() <= inner.gateway.capacity() / 2 {
            let mut burst = BURST;
            while burst > 0 && due >= 1.0 && done < most {
                traffic.step(&inner.world, inner.clock.now());
                (burst, due, done) = (burst - 1, due - 1.0, done + 1);
            }
            events.store(done, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    }
}
