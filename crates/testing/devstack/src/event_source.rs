//! What Lambda's event source mapping does: receives messages, invokes the function, deletes what it handled.
//!
//! **Invariant:** a message is deleted only after the function has handled it and did not name it as failed.
//! **Invariant:** at most one batch is in flight for each source, so memory is bounded by the batch.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use guildhall_runtime::delivery::{Delivery, Failure};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long what is left in a queue may keep a stop waiting.
const DRAIN: Duration = Duration::from_secs(15);

/// Between two looks into a queue that was empty while a batch waits for more: an emulator has other things to do.
const PAUSE: Duration = Duration::from_millis(100);

/// How messages are gathered and handed on.
#[derive(Debug, Clone)]
pub struct EventSource {
    /// The queue.
    pub queue_url: String,
    /// The most messages of one invocation.
    pub batch: usize,
    /// How long a batch waits for more messages after its first.
    pub window: Duration,
    /// Hands every batch to the function twice, as SQS may: once before it is deleted, and once more.
    pub deliver_twice: bool,
}

struct Received {
    delivery: Delivery,
    receipt: String,
}

fn received(message: Message) -> Option<Received> {
    let receive_count = message
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount))
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    let body = message.body.unwrap_or_default();
    let delivery = Delivery { message_id: message.message_id?, body, receive_count };
    Some(Received { delivery, receipt: message.receipt_handle? })
}

impl EventSource {
    /// A source as the template sets it up for events.
    pub fn new(queue_url: impl Into<String>) -> Self {
        Self { queue_url: queue_url.into(), batch: 500, window: Duration::from_millis(500), deliver_twice: false }
    }

    /// Receives and hands on until `stop`, and then until the queue is empty, which the emulator's is for good when it
    /// ends.
    pub async fn run<H, F>(self, sqs: Client, stop: CancellationToken, handler: H)
    where
        H: Fn(Vec<Delivery>) -> F,
        F: Future<Output = Vec<Failure>>,
    {
        let mut stopping = None;
        loop {
            // Not interrupted: messages received and dropped would be hidden until their visibility times out.
            let batch = self.gather(&sqs).await;
            if stop.is_cancelled() {
                let since = *stopping.get_or_insert_with(Instant::now);
                if batch.is_empty() || since.elapsed() > DRAIN {
                    return;
                }
            }
            if !batch.is_empty() {
                self.invoke(&sqs, batch, &handler).await;
            }
        }
    }

    async fn gather(&self, sqs: &Client) -> Vec<Received> {
        let mut batch = Vec::new();
        let mut deadline: Option<Instant> = None;
        while batch.len() < self.batch {
            let wait = if batch.is_empty() { 1 } else { 0 };
            let answer = sqs
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10)
                .wait_time_seconds(wait)
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .send()
                .await;
            let messages = match answer {
                Ok(answer) => answer.messages.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(error = %aws_sdk_sqs::error::DisplayErrorContext(error), "could not receive");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Vec::new()
                }
            };
            if messages.is_empty() && batch.is_empty() || deadline.is_some_and(|at| Instant::now() >= at) {
                batch.extend(messages.into_iter().filter_map(received));
                break;
            }
            if messages.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            deadline.get_or_insert_with(|| Instant::now() + self.window);
            batch.extend(messages.into_iter().filter_map(received));
        }
        batch
    }

    async fn invoke<H, F>(&self, sqs: &Client, batch: Vec<Received>, handler: &H)
    where
        H: Fn(Vec<Delivery>) -> F,
        F: Future<Output = Vec<Failure>>,
    {
        let deliveries: Vec<_> = batch.iter().map(|received| received.delivery.clone()).collect();
        if self.deliver_twice {
            // The first answer is lost, as when a function dies between its commit and its acknowledgement.
            let lost = handler(deliveries.iter().rev().cloned().collect()).await;
            tracing::debug!(failures = lost.len(), "first delivery");
        }
        let failures = handler(deliveries).await;
        guildhall_runtime::lambda::log_failures(&failures);
        let failed: HashSet<_> = failures.into_iter().map(|failure| failure.message_id).collect();
        let handled: Vec<_> =
            batch.into_iter().filter(|received| !failed.contains(&received.delivery.message_id)).collect();
        for chunk in handled.chunks(10) {
            let mut call = sqs.delete_message_batch().queue_url(&self.queue_url);
            for (position, received) in chunk.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(&received.receipt)
                    .build();
                if let Ok(entry) = entry {
                    call = call.entries(entry);
                }
            }
            if let Err(error) = call.send().await {
                // The messages come again and change nothing.
                tracing::warn!(error = %aws_sdk_sqs::error::DisplayErrorContext(error), "could not delete");
            }
        }
    }
}
