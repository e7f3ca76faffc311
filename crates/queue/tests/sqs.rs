//! Sending against an emulator of SQS: what is accepted arrives, and what is not is reported as what it is.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use guildhall_queue::{MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Sqs};
use guildhall_test_kit::services::{AWS, service};

async fn config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(service(AWS))
        .load()
        .await
}

/// A queue of one test's own, for messages of up to `max_bytes`.
struct Queue {
    sqs: Sqs,
    client: Client,
    url: String,
}

impl Queue {
    async fn create(max_bytes: usize) -> Self {
        let config = config().await;
        let client = Client::new(&config);
        // The emulator is shared and remembers.
        let name = format!("queue-{:016x}", RandomState::new().hash_one(max_bytes));
        let created = client
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::MaximumMessageSize, max_bytes.to_string())
            .send()
            .await
            .expect("the queue is created");
        Self { sqs: Sqs::from_config(&config), client, url: created.queue_url.expect("it has a URL") }
    }

    /// What lies in the queue, all of which one answer holds.
    async fn bodies(&self) -> BTreeSet<String> {
        let received = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10).send().await;
        let messages = received.expect("the queue answers").messages.unwrap_or_default();
        messages.into_iter().map(|message| message.body.expect("a message has a body")).collect()
    }
}

fn entries(bodies: &[&str]) -> Vec<(String, String)> {
    // Such ids are not allowed to SQS: the caller's own never reach it.
    bodies.iter().map(|body| (format!("session/{body}"), (*body).to_owned())).collect()
}

fn set(bodies: &[&str]) -> BTreeSet<String> {
    bodies.iter().map(|body| (*body).to_owned()).collect()
}

#[tokio::test]
async fn a_message_that_was_accepted_arrives_as_it_was() {
    let queue = Queue::create(MAX_BATCH_BYTES).await;
    queue.sqs.send(&queue.url, "{\"é\":\"\u{1f3db}\"}").await.expect("accepted");
    assert_eq!(queue.bodies().await, set(&["{\"é\":\"\u{1f3db}\"}"]));
}

#[tokio::test]
async fn a_full_batch_arrives_whole() {
    let queue = Queue::create(MAX_BATCH_BYTES).await;
    let bodies = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    assert_eq!(bodies.len(), MAX_BATCH_ENTRIES);
    assert_eq!(queue.sqs.send_batch(&queue.url, &entries(&bodies)).await.expect("accepted"), []);
    assert_eq!(queue.bodies().await, set(&bodies));
}

#[tokio::test]
async fn what_a_batch_could_not_deliver_is_named_and_the_rest_arrives() {
    let queue = Queue::create(1_024).await;
    let long = "x".repeat(1_025);
    let rejected = queue.sqs.send_batch(&queue.url, &entries(&["a", &long, "b"])).await.expect("accepted in part");
    let [one] = rejected.as_slice() else { panic!("one is too long: {rejected:?}") };
    assert_eq!(one.id, format!("session/{long}"));
    assert!(one.sender_fault && !one.code.is_empty(), "{one:?}");
    assert_eq!(queue.bodies().await, set(&["a", "b"]));
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let config = config().await;
    let sqs = Sqs::from_config(&config);
    let absent = format!("{}/000000000000/never-created", service(AWS));
    for error in [
        sqs.send(&absent, "a").await.expect_err("no such queue"),
        sqs.send_batch(&absent, &entries(&["a"])).await.expect_err("no such queue"),
    ] {
        assert!(error.is_missing_queue(), "{error:?}");
    }

    // Port 1 of this machine: nothing listens there.
    let nowhere = config.into_builder().endpoint_url("http://127.0.0.1:1").build();
    let error = Sqs::from_config(&nowhere).send("http://127.0.0.1:1/000000000000/q", "a").await.expect_err("no answer");
    assert_eq!((error.code.as_str(), error.is_missing_queue()), ("unreachable", false));
}
