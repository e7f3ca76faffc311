//! What Lambda's event source mapping does: receives messages, invokes the function, deletes what it handled.
//!
//! **Invariant:** a message is deleted only after the function has handled it and did not name it as failed.
//! **Invariant:** at most one batch is in flight for each source, and no larger than an invocation may be, so memory is
//! bounded by it.

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

/// The most that Lambda hands to an invocation.
const MOST_BYTES: usize = 6 * 1_024 * 1_024;

/// What an event says of a message beside its body, about.
const RECORD_BYTES: usize = 800;

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

impl Received {
    /// What it takes of an invocation.
    fn bytes(&self) -> usize {
        RECORD_BYTES + self.delivery.body.len()
    }
}

/// Messages for one invocation, and those that it has no room for.
#[derive(Default)]
struct Gathered {
    batch: Vec<Received>,
    bytes: usize,
    next: Vec<Received>,
}

impl Gathered {
    /// Begins with what the last one had no room for.
    fn after(last: Vec<Received>) -> Self {
        let mut gathered = Self::default();
        gathered.take(last);
        gathered
    }

    fn take(&mut self, messages: impl IntoIterator<Item = Received>) {
        for message in messages {
            if self.bytes + message.bytes() > MOST_BYTES && !self.batch.is_empty() {
                self.next.push(message);
            } else {
                self.bytes += message.bytes();
                self.batch.push(message);
            }
        }
    }
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
        Self { queue_url: queue_url.into(), batch: 200, window: Duration::from_secs(1), deliver_twice: false }
    }

    /// Receives and hands on until `stop`, and then until the queue is empty, which the emulator's is for good when it
    /// ends.
    pub async fn run<H, F>(self, sqs: Client, stop: CancellationToken, handler: H)
    where
        H: Fn(Vec<Delivery>) -> F,
        F: Future<Output = Vec<Failure>>,
    {
        let mut stopping = None;
        let mut next = Vec::new();
        loop {
            // Not interrupted: messages received and dropped would be hidden until their visibility times out.
            let gathered = self.gather(&sqs, next).await;
            let batch = gathered.batch;
            next = gathered.next;
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

    async fn gather(&self, sqs: &Client, last: Vec<Received>) -> Gathered {
        let mut gathered = Gathered::after(last);
        let mut deadline: Option<Instant> = None;
        while gathered.batch.len() < self.batch && gathered.next.is_empty() {
            let wait = if gathered.batch.is_empty() { 1 } else { 0 };
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
            let none = messages.is_empty();
            gathered.take(messages.into_iter().filter_map(received));
            if gathered.batch.is_empty() || deadline.is_some_and(|at| Instant::now() >= at) {
                break;
            }
            if none {
                tokio::time::sleep(PAUSE).await;
            }
            deadline.get_or_insert_with(|| Instant::now() + self.window);
        }
        gathered
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Received {
        let delivery = Delivery { message_id: "1".to_owned(), body: "x".repeat(bytes), receive_count: 1 };
        Received { delivery, receipt: String::new() }
    }

    #[test]
    fn an_invocation_takes_what_it_has_room_for_and_the_next_one_the_rest() {
        let mut gathered = Gathered::after(vec![message(MOST_BYTES / 2)]);
        gathered.take([message(MOST_BYTES / 2), message(10), message(MOST_BYTES / 2)]);
        assert_eq!((gathered.batch.len(), gathered.next.len()), (2, 2));
        let gathered = Gathered::after(gathered.next);
        assert_eq!((gathered.batch.len(), gathered.next.len()), (1, 1));
    }

    #[test]
    fn what_no_invocation_has_room_for_comes_alone() {
        let mut gathered = Gathered::after(vec![message(MOST_BYTES * 2)]);
        gathered.take([message(1)]);
        assert_eq!((gathered.batch.len(), gathered.next.len()), (1, 1));
    }
}
