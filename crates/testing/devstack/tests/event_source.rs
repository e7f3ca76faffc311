//! The event source against a real queue: acknowledgement, partial failure, dead letters.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guildhall_devstack::event_source::EventSource;
use guildhall_devstack::provision::{Aws, Resources, WORK_DELIVERIES};
use guildhall_runtime::delivery::{Delivery, Failure};
use guildhall_test_kit::services;
use tokio_util::sync::CancellationToken;

async fn waiting(aws: &Aws, url: &str) -> Vec<String> {
    let answer = aws.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
    answer.messages.unwrap_or_default().into_iter().filter_map(|message| message.body).collect()
}

#[tokio::test]
async fn poison_reaches_the_dead_letter_queue_alone() {
    let aws = Aws::connect(&services::service(services::AWS)).await;
    let resources = Resources::create(&aws, &format!("event-source-{}", std::process::id()), 1, 1).await.unwrap();
    let queue = resources.work_queue.clone();
    for body in ["good", "poison", "also good"] {
        aws.sqs.send_message().queue_url(&queue.url).message_body(body).send().await.unwrap();
    }

    let seen = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let stop = CancellationToken::new();
    let source = EventSource { window: Duration::from_millis(10), deliver_twice: true, ..EventSource::new(&queue.url) };
    let handler = {
        let seen = Arc::clone(&seen);
        move |deliveries: Vec<Delivery>| {
            let seen = Arc::clone(&seen);
            async move {
                let mut seen = seen.lock().unwrap();
                let mut failures = Vec::new();
                for delivery in deliveries {
                    *seen.entry(delivery.body.clone()).or_default() += 1;
                    if delivery.body == "poison" {
                        failures.push(Failure::fail(delivery.message_id, "it is poison"));
                    }
                }
                failures
            }
        }
    };
    let dead = tokio::select! {
        () = source.run(aws.sqs.clone(), stop, handler) => unreachable!("the source runs until it is stopped"),
        dead = guildhall_test_kit::until("the dead letter", Duration::from_secs(30), || async {
            let dead = waiting(&aws, &queue.dead_letter_url).await;
            (!dead.is_empty()).then_some(dead)
        }) => dead,
    };

    assert_eq!(dead, ["poison"]);
    let seen = seen.lock().unwrap();
    assert_eq!((seen["good"], seen["also good"]), (2, 2), "each was delivered twice, once lost, and then deleted");
    assert_eq!(seen["poison"], 2 * WORK_DELIVERIES);
}
