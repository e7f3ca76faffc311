//! Dead letters on a real queue.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use guildhall_devstack::provision::{Aws, Queue, Resources};
use guildhall_devstack::redrive::{Redrive, Report};
use guildhall_domain::{PriorityClass, ShardId, Timestamp};
use guildhall_test_kit::services;
use guildhall_wire::{Envelope, encode};

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

fn envelope(session: &str, class_map: u16) -> String {
    encode(&Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: session.to_owned(),
        session_started: NOW,
        class: PriorityClass::High,
        class_map,
        range: None,
        events: Vec::new(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    })
}

async fn bodies(aws: &Aws, url: &str) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    while (bodies.len() as u64) < aws.waiting(url).await.unwrap() {
        let received = aws.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        bodies.extend(received.messages.unwrap_or_default().into_iter().map(|message| message.body.unwrap()));
    }
    bodies
}

/// An event queue and its dead-letter queue.
async fn queue(name: &str) -> (Aws, Queue) {
    let aws = Aws::connect(&services::service(services::AWS)).await;
    let name = format!("redrive-{name}-{}", std::process::id());
    let mut resources = Resources::create(&aws, &name, 1, 30).await.unwrap();
    (aws, resources.event_queues.remove(0))
}

/// How many messages a receive could bring.
async fn visible(aws: &Aws, url: &str) -> u64 {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let asked = aws.sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await.unwrap();
    asked.attributes().unwrap()[&name].parse().unwrap()
}

async fn put(aws: &Aws, url: &str, body: &str) {
    aws.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

#[tokio::test]
async fn what_is_whole_or_mended_goes_back_and_the_rest_stays() {
    let (aws, queue) = queue("whole").await;
    let folder = tempfile::tempdir().unwrap();
    let mut dead: BTreeSet<String> = (0..12).map(|number| envelope(&format!("s{number}"), 1)).collect();
    let whole = dead.clone();
    let (garbage, foreign) = ("not an envelope".to_owned(), envelope("foreign", 0));
    dead.extend([garbage.clone(), foreign.clone()]);
    for body in &dead {
        put(&aws, &queue.dead_letter_url, body).await;
    }
    let redrive = |dry_run| Redrive {
        from: queue.dead_letter_url.clone(),
        to: queue.url.clone(),
        folder: Some(folder.path().join("mended")),
        dry_run,
    };
    let mut lines = Vec::new();
    let looked = redrive(true).run(&aws.sqs, NOW, |line| lines.push(line)).await.unwrap();
    assert_eq!((looked, lines.len()), (Report { whole: 12, mended: 0, left: 2 }, 14), "{lines:?}");
    assert_eq!(aws.waiting(&queue.url).await.unwrap(), 0, "a dry run changes nothing");
    assert!(!folder.path().join("mended").exists(), "nor does it write anything");
    assert_eq!(visible(&aws, &queue.dead_letter_url).await, 14, "and others see the messages again");
    assert_eq!(redrive(false).run(&aws.sqs, NOW, drop).await.unwrap(), looked);

    // Somebody mends one of the two that were written down.
    let files: Vec<_> =
        std::fs::read_dir(folder.path().join("mended")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    let of = |body: &str| files.iter().find(|file| std::fs::read_to_string(file).unwrap() == body).unwrap();
    let mended = envelope("foreign", 1);
    std::fs::write(of(&foreign), format!("{mended}\n")).unwrap();
    assert_eq!(redrive(false).run(&aws.sqs, NOW, drop).await.unwrap(), Report { whole: 0, mended: 1, left: 1 });

    assert_eq!(bodies(&aws, &queue.dead_letter_url).await, BTreeSet::from([garbage]));
    let back: BTreeSet<String> = whole.into_iter().chain([mended]).collect();
    assert_eq!(bodies(&aws, &queue.url).await, back);
}

#[tokio::test]
async fn queues_that_do_not_belong_together_are_refused_before_anything_is_received() {
    let ((aws, one), (_, other)) = (queue("one").await, queue("other").await);
    let good = envelope("s", 1);
    for url in [&one.url, &one.dead_letter_url] {
        put(&aws, url, &good).await;
    }
    for (from, to, why) in [
        (&one.url, &one.url, "is both"),
        (&one.dead_letter_url, &one.dead_letter_url, "is both"),
        (&one.url, &one.dead_letter_url, "swapped"),
        (&one.dead_letter_url, &other.url, "is not the dead-letter queue of"),
    ] {
        let redrive = Redrive { from: from.clone(), to: to.clone(), folder: None, dry_run: false };
        let refused = redrive.run(&aws.sqs, NOW, drop).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!((visible(&aws, &one.url).await, visible(&aws, &one.dead_letter_url).await), (1, 1));
    assert_eq!(aws.waiting(&other.url).await.unwrap(), 0);
}

/// Receives a message so often that it is given up.
async fn give_up(aws: &Aws, queue: &Queue) {
    loop {
        let receive = aws.sqs.receive_message().queue_url(&queue.url).visibility_timeout(0).max_number_of_messages(10);
        receive.send().await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_back_while_the_run_goes_on_is_put_back_once() {
    let (aws, queue) = queue("returns").await;
    for number in 0..3 {
        put(&aws, &queue.dead_letter_url, &envelope(&format!("s{number}"), 1)).await;
    }
    let redrive = Redrive { from: queue.dead_letter_url.clone(), to: queue.url.clone(), folder: None, dry_run: false };
    let mut lines = Vec::new();
    let run = tokio::time::timeout(Duration::from_secs(60), redrive.run(&aws.sqs, NOW, |line| lines.push(line)));
    let report = tokio::select! {
        report = run => report.expect("it ends").unwrap(),
        () = give_up(&aws, &queue) => unreachable!("it goes on for ever"),
    };
    assert_eq!(report, Report { whole: 3, mended: 0, left: 3 }, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("came back")).count(), 3);
    assert_eq!(visible(&aws, &queue.dead_letter_url).await, 3);
}

#[tokio::test]
async fn a_run_that_is_cut_off_has_lost_nothing_and_said_what_it_moved() {
    let (aws, queue) = queue("cut-off").await;
    let dead: BTreeSet<String> = (0..5).map(|number| envelope(&format!("s{number}"), 1)).collect();
    for body in &dead {
        put(&aws, &queue.dead_letter_url, body).await;
    }
    let redrive = Redrive { from: queue.dead_letter_url.clone(), to: queue.url.clone(), folder: None, dry_run: false };
    // Cut off as soon as it has said something: after a message was sent, and before it is surely deleted.
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let said = tokio::select! {
        biased;
        said = hearing.recv() => said.unwrap(),
        report = redrive.run(&aws.sqs, NOW, |line| heard.send(line).unwrap()) => panic!("it ended: {report:?}"),
    };
    assert!(said.starts_with("put back"), "{said}");
    assert_eq!(aws.waiting(&queue.url).await.unwrap(), 1, "as many as it said");
    let left = aws.waiting(&queue.dead_letter_url).await.unwrap();
    assert!((4..=5).contains(&left), "{left} are still there");
}
