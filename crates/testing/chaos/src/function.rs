//! The function stats-ingest as Lambda runs it: a process that is handed batches, given up when it takes too long, and
//! replaced when it ends.
//!
//! **Invariant:** a batch counts as handled only when the function's own answer says so.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use guildhall_runtime::lambda::sqs_event;
use guildhall_runtime::{Delivery, Failure};
use guildhall_test_kit::LambdaHost;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;

/// What happens to messages between the queue and the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivering {
    /// Nothing.
    Straight,
    /// Each batch comes twice and shuffled; some of its messages come late, some a third time.
    TwiceAndReordered,
    /// One body in so many is damaged.
    Corrupted(u32),
}

/// After how many deliveries a message is left in peace, so that it is not given up.
const ENOUGH: u32 = 4;

/// One partition's function.
pub struct Function {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    timeout: Duration,
    /// Where what it prints is kept.
    log: PathBuf,
    host: tokio::sync::Mutex<Option<Arc<LambdaHost>>>,
    delivering: Mutex<Delivering>,
    rng: Mutex<StdRng>,
    /// Ends the time of the invocation under way.
    given_up: Notify,
    /// How often the process was replaced.
    replaced: AtomicU64,
    /// Messages handed over, each delivery counted.
    delivered: AtomicU64,
    /// Bodies damaged on the way.
    damaged: AtomicU64,
    /// Invocations without an answer, or that counted nothing of their batch.
    failed: AtomicU64,
    /// Invocations that counted a part of their batch.
    partial: AtomicU64,
    /// Messages handed over once more after they had been handled.
    repeated: AtomicU64,
}

impl Function {
    /// A function that is started when it is first needed.
    pub fn new(
        binary: PathBuf,
        environment: Vec<(String, String)>,
        timeout: Duration,
        log: PathBuf,
        seed: u64,
    ) -> Self {
        Self {
            binary,
            environment,
            timeout,
            log,
            host: tokio::sync::Mutex::default(),
            delivering: Mutex::new(Delivering::Straight),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            given_up: Notify::new(),
            replaced: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            partial: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// Treats messages so from now on.
    pub fn deliver(&self, delivering: Delivering) {
        *self.delivering.lock().unwrap_or_else(PoisonError::into_inner) = delivering;
    }

    /// How often the process ended or was given up.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// How many bodies were damaged on the way.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// How many invocations had no answer, or counted nothing of their batch.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many invocations counted a part of their batch and named the rest as failed.
    pub fn partial(&self) -> u64 {
        self.partial.load(Ordering::Relaxed)
    }

    /// How many events it found counted before, as it says itself.
    pub fn duplicates(&self) -> u64 {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        lines.filter_map(|line| line["events_duplicate_total"].as_f64()).map(|count| count as u64).sum()
    }

    /// How many messages were handed over once more after they had been handled.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The invocation under way has used up its time; later ones have their own.
    pub fn give_up(&self) {
        self.given_up.notify_waiters();
    }

    /// How many messages were handed over, each delivery counted.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// The process that handles batches now. Whoever keeps it keeps it alive.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn process(&self) -> anyhow::Result<Arc<LambdaHost>> {
        let mut host = self.host.lock().await;
        if let Some(host) = &*host {
            return Ok(Arc::clone(host));
        }
        let environment: Vec<_> = self.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let started = Arc::new(LambdaHost::start_logged(&self.binary, &environment, &self.log).await?);
        *host = Some(Arc::clone(&started));
        Ok(started)
    }

    /// Handles a batch, as the event source wants it.
    pub async fn handle(&self, deliveries: Vec<Delivery>) -> Vec<Failure> {
        let delivering = *self.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        match delivering {
            Delivering::Straight => self.invoke(&deliveries).await,
            Delivering::TwiceAndReordered => self.twice(deliveries).await,
            Delivering::Corrupted(one_in) => {
                let damaged: Vec<_> = deliveries.into_iter().map(|delivery| self.damage(delivery, one_in)).collect();
                self.invoke(&damaged).await
            }
        }
    }

    async fn twice(&self, mut deliveries: Vec<Delivery>) -> Vec<Failure> {
        let late = |why: &'static str| move |delivery: Delivery| Failure::retry(delivery.message_id, why);
        let (later, again) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            deliveries.shuffle(&mut *rng);
            let mut chosen = |share: f64| {
                deliveries
                    .iter()
                    .map(|delivery| delivery.receive_count < ENOUGH && rng.random_bool(share))
                    .collect::<Vec<_>>()
            };
            (chosen(0.25), chosen(0.25))
        };
        let mut failures = Vec::new();
        let (mut now, mut acknowledged) = (Vec::new(), Vec::new());
        for ((delivery, later), again) in deliveries.into_iter().zip(later).zip(again) {
            if later {
                failures.push(late("comes late")(delivery));
                continue;
            }
            now.push(delivery.clone());
            if again {
                failures.push(late("its answer is lost")(delivery));
            } else {
                acknowledged.push(delivery.message_id);
            }
        }
        self.invoke(&now).await;
        now.shuffle(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner));
        let second = self.invoke(&now).await;
        self.repeated.fetch_add(now.len() as u64, Ordering::Relaxed);
        failures.extend(second.into_iter().filter(|failure| acknowledged.contains(&failure.message_id)));
        failures
    }

    /// Changes one character of one body in so many.
    fn damage(&self, mut delivery: Delivery, one_in: u32) -> Delivery {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if delivery.body.is_empty() || delivery.receive_count >= ENOUGH || !rng.random_ratio(1, one_in) {
            return delivery;
        }
        let mut bytes = std::mem::take(&mut delivery.body).into_bytes();
        let position = rng.random_range(0..bytes.len());
        // A letter that base64 knows, so that only the checksum can tell.
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        delivery.body = String::from_utf8_lossy(&bytes).into_owned();
        self.damaged.fetch_add(1, Ordering::Relaxed);
        delivery
    }

    /// Hands the batch to the process; when that does not answer in time, or ends, another takes its place.
    async fn invoke(&self, deliveries: &[Delivery]) -> Vec<Failure> {
        if deliveries.is_empty() {
            return Vec::new();
        }
        self.delivered.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        let answered = async {
            let host = self.process().await?;
            let event = sqs_event(deliveries, "arn:aws:sqs:us-east-1:000000000000:events");
            let answer = tokio::select! {
                answer = tokio::time::timeout(self.timeout, host.invoke(&event)) => answer.ok(),
                () = self.given_up.notified() => None,
            };
            let answer = answer.context("the function did not answer in time")??;
            let failures = answer["batchItemFailures"].as_array().context("the function's answer has no failures")?;
            let named = failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str().map(str::to_owned));
            anyhow::Ok(named.collect::<Vec<_>>())
        };
        match answered.await {
            Ok(failed) => {
                let kind = if failed.len() < deliveries.len() { &self.partial } else { &self.failed };
                kind.fetch_add(u64::from(!failed.is_empty()), Ordering::Relaxed);
                failed.into_iter().map(|id| Failure::retry(id, "the function named it as failed")).collect()
            }
            Err(error) => {
                self.replaced.fetch_add(1, Ordering::Relaxed);
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.host.lock().await.take();
                let why = format!("{error:#}");
                deliveries.iter().map(|delivery| Failure::retry(&delivery.message_id, why.clone())).collect()
            }
        }
    }
}
