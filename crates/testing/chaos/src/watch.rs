//! Taps on proxies: acting the moment certain bytes pass, and keeping a record of what was sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guildhall_domain::{PriorityClass, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::proxy::{Act, Chunk, Flow, Proxy, Request, Requests, Tap};

/// What PostgreSQL says when a transaction is committed (PostgreSQL documentation, "Message Formats", CommandComplete).
pub const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
/// What says that raw events are about to be written, in the middle of ingest's transaction.
pub const COPY: &[u8] = b"COPY events ";
/// The target of a batch that is sent to SQS (Amazon SQS, "Making requests using the AWS JSON protocol").
pub const SEND_BATCH: &[u8] = b"AmazonSQS.SendMessageBatch";

/// Waits for bytes to pass a proxy once.
pub struct Trap {
    caught: Arc<Notify>,
}

impl Trap {
    /// Sets a trap for the first chunk in this direction that holds `bytes`. The chunk does not arrive.
    pub fn set(proxy: &Proxy, flow: Flow, bytes: &'static [u8]) -> Self {
        Self::on(proxy, Act::Hold, move |chunk| chunk.flow == flow && contains(chunk.bytes, bytes))
    }

    /// Sets a trap for the answer to the first request that holds `bytes`: the request arrives, the answer does not.
    pub fn set_for_answer(proxy: &Proxy, bytes: &'static [u8]) -> Self {
        Self::on_answer(proxy, Act::Hold, bytes)
    }

    /// The same, but the answer goes on when the tap is taken off.
    pub fn delay_answer(proxy: &Proxy, bytes: &'static [u8]) -> Self {
        Self::on_answer(proxy, Act::Keep, bytes)
    }

    fn on_answer(proxy: &Proxy, act: Act, bytes: &'static [u8]) -> Self {
        // Connections have numbers from one.
        let asking = AtomicU64::new(0);
        Self::on(proxy, act, move |chunk| {
            if chunk.flow == Flow::ToServer {
                if contains(chunk.bytes, bytes) {
                    let _another_asked_first =
                        asking.compare_exchange(0, chunk.connection, Ordering::Relaxed, Ordering::Relaxed).is_err();
                }
                return false;
            }
            asking.load(Ordering::Relaxed) == chunk.connection
        })
    }

    fn on(proxy: &Proxy, act: Act, wanted: impl Fn(Chunk<'_>) -> bool + Send + Sync + 'static) -> Self {
        let caught = Arc::new(Notify::new());
        let (sprung, notify) = (AtomicBool::new(false), Arc::clone(&caught));
        let tap: Tap = Arc::new(move |chunk| {
            if !wanted(chunk) || sprung.swap(true, Ordering::Relaxed) {
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
    /// The number of the call it was part of, among the calls that passed.
    pub call: usize,
    /// Whether that call had been tried before.
    pub retried: bool,
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
pub struct Record(Arc<Mutex<Vec<Sent>>>, Arc<AtomicUsize>);

impl Record {
    /// Records what passes `proxy` from now on.
    pub fn of(proxy: &Proxy) -> Self {
        let record = Self::default();
        let (own, connections) = (record.clone(), Mutex::new(HashMap::<u64, Requests>::new()));
        proxy.tap(Some(Arc::new(move |chunk| {
            if chunk.flow == Flow::ToServer {
                let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
                for request in connections.entry(chunk.connection).or_default().take(chunk.bytes) {
                    own.request(&request);
                }
            }
            Act::Pass
        })));
        record
    }

    fn request(&self, request: &Request) {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&request.body) else { return };
        let (Some(queue), Some(entries)) = (body["QueueUrl"].as_str(), body["Entries"].as_array()) else {
            return;
        };
        let (passed, call) = (Instant::now(), self.1.fetch_add(1, Ordering::Relaxed));
        for entry in entries {
            let Some(Ok(envelope)) = entry["MessageBody"].as_str().map(guildhall_wire::decode) else { continue };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Sent {
                passed,
                call,
                retried: request.is_retry(),
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
