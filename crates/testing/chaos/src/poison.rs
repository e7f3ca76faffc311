//! Messages no function can handle, put in beside the ledger's events.
//!
//! **Invariant:** nothing of them is counted, and nothing but them is given up.

use std::collections::BTreeMap;

use anyhow::Context as _;
use guildhall_devstack::provision::{Aws, Resources};

/// Puts so many into each queue; returns their bodies.
///
/// # Errors
/// When a queue does not take them.
pub async fn put(aws: &Aws, resources: &Resources, each: u32) -> anyhow::Result<Vec<String>> {
    let mut bodies = Vec::new();
    for (number, queue) in (0..).zip(&resources.event_queues) {
        for copy in 0..each {
            let body = format!("poison {} of queue {number}", copy + 1);
            aws.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await.context("no poison")?;
            bodies.push(body);
        }
    }
    Ok(bodies)
}

/// What is wrong with the dead-letter queues, which should hold these bodies and no others. Empties them.
///
/// # Errors
/// When a queue cannot be read.
pub async fn alone(aws: &Aws, resources: &Resources, expected: &[String]) -> anyhow::Result<Vec<String>> {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for body in expected {
        *balance.entry(body.clone()).or_default() -= 1;
    }
    for queue in &resources.event_queues {
        for body in take(aws, &queue.dead_letter_url).await? {
            *balance.entry(body).or_default() += 1;
        }
    }
    let describe = |body: &str| match guildhall_wire::decode(body) {
        Ok(envelope) => format!("a good envelope of {} events", envelope.events.len()),
        Err(_) => body.chars().take(60).collect(),
    };
    Ok(balance
        .into_iter()
        .filter(|(_, left)| *left != 0)
        .map(|(body, left)| format!("in the dead-letter queues {left:+}: {}", describe(&body)))
        .collect())
}

/// Receives and deletes everything in a queue.
async fn take(aws: &Aws, url: &str) -> anyhow::Result<Vec<String>> {
    let mut bodies = Vec::new();
    while aws.waiting(url).await? > 0 {
        let received = aws.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await?;
        for message in received.messages.unwrap_or_default() {
            let handle = message.receipt_handle.context("a message without a handle")?;
            aws.sqs.delete_message().queue_url(url).receipt_handle(handle).send().await?;
            bodies.push(message.body.unwrap_or_default());
        }
    }
    Ok(bodies)
}
