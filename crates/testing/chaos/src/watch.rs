//! Taps on proxies: acting the moment certain bytes pass, and keeping a record of what was sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guildhall_domain::{PriorityClass, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::proxy::{Act, Flow, Proxy, Requests, Tap};

/// What PostgreSQL says when a transaction is committed (PostgreSQL documentation, "Message Formats", CommandComplete).
pub const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
/// What says that raw events are about to be written, in the middle of ingest's transaction.
pub const COPY: &[u8] = b"COPY ";
/// The target of a batch that is sent to SQS (Amazon SQS, "Making requests using the AWS JSON protocol").
pub const SEND_BATCH: &[u8] = b"AmazonSQS.SendMessageBatch";

/// Waits for bytes to pass a proxy once.
pub struct Trap {
    caught: Arc<Notify>,
}

impl Trap {
    /// Sets a trap for the first chunk in this direction that holds `bytes`. The chunk does not arrive.
    pub fn set(proxy: &Proxy, flow: Flow, bytes: &'static [u8]) -> Self {
        Self::on(proxy, Act::Hold, move |chunk_flow, chunk| chunk_flow == flow && contains(chunk, bytes))
    }

    /// As [`Trap::set`], but the chunk goes on.
    pub fn notice(proxy: &Proxy, flow: Flow, bytes: &'static [u8]) -> Self {
        Self::on(proxy, Act::Pass, move |chunk_flow, chunk| chunk_flow == flow && contains(chunk, bytes))
    }

    /// Sets a trap for the answer to the first request that holds `bytes`: the request arrives, the answer does not.
    pub fn set_for_answer(proxy: &Proxy, bytes: &'static [u8]) -> Self {
        let asked = AtomicBool::new(false);
        Self::on(proxy, Act::Hold, move |flow, chunk| match flow {
            Flow::ToServer => {
                asked.fetch_or(contains(chunk, bytes), Ordering::Relaxed);
                false
            }
            Flow::ToClient => asked.load(Ordering::Relaxed),
        })
    }

    fn on(proxy: &Proxy, act: Act, wanted: impl Fn(Flow, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        let caught = Arc::new(Notify::new());
        let (sprung, notify) = (AtomicBool::new(false), Arc::clone(&caught));
        let tap: Tap = Arc::new(move |chunk| {
            if !wanted(chunk.flow, chunk.bytes) || sprung.swap(true, Ordering::Relaxed) {
                return Act::Pass;
            }
            notify.notify_one();
            act
        });
        proxy.tap(Some(tap));
        Self { caught }
    }

    /// Waits until the bytes came.
    pub async fn sprung(&self) {
        self.caught.notified().await;
    }
}

/// Whether `bytes` are in `chunk`.
fn contains(chunk: &[u8], bytes: &[u8]) -> bool {
    chunk.windows(bytes.len()).any(|window| window == bytes)
}

/// An envelope on its way to SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it passed.
    pub passed: Instant,
    /// Its queue.
    pub queue: String,
    /// Its class.
    pub class: PriorityClass,
    /// How many events it carries.
    pub events: u64,
    /// When the newest of them happened; `None` without events.
    pub newest: Option<Timestamp>,
}

/// Everything a runner sends to SQS, in order.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<Sent>>>);

impl Record {
    /// Records what passes `proxy` from now on.
    pub fn of(proxy: &Proxy) -> Self {
        let record = Self::default();
        let (own, connections) = (record.clone(), Mutex::new(HashMap::<u64, Requests>::new()));
        proxy.tap(Some(Arc::new(move |chunk| {
            if chunk.flow == Flow::ToServer {
                let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
                for body in connections.entry(chunk.connection).or_default().take(chunk.bytes) {
                    own.request(&body);
                }
            }
            Act::Pass
        })));
        record
    }

    fn request(&self, body: &[u8]) {
        let Ok(request) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let (Some(queue), Some(entries)) = (request["QueueUrl"].as_str(), request["Entries"].as_array()) else {
            return;
        };
        let passed = Instant::now();
        for entry in entries {
            let Some(Ok(envelope)) = entry["MessageBody"].as_str().map(guildhall_wire::decode) else { continue };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Sent {
                passed,
                queue: queue.to_owned(),
                class: envelope.class,
                events: envelope.events.len() as u64,
                newest: envelope.events.iter().map(|event| event.at).max(),
            });
        }
    }

    /// What passed up to now.
    pub fn sent(&self) -> Vec<Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
