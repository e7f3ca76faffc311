//! Dead letters on a real queue.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use guildhall_devstack::provision::{Aws, Resources};
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

#[tokio::test]
async fn what_is_whole_or_mended_goes_back_and_the_rest_stays() {
    let aws = Aws::connect(&services::service(services::AWS)).await;
    let resources = Resources::create(&aws, &format!("redrive-{}", std::process::id()), 1, 30).await.unwrap();
    let queue = &resources.event_queues[0];
    let folder = tempfile::tempdir().unwrap();
    let mut dead: BTreeSet<String> = (0..12).map(|number| envelope(&format!("s{number}"), 1)).collect();
    let whole = dead.clone();
    let (garbage, foreign) = ("not an envelope".to_owned(), envelope("foreign", 0));
    dead.extend([garbage.clone(), foreign.clone()]);
    for body in &dead {
        aws.sqs.send_message().queue_url(&queue.dead_letter_url).message_body(body).send().await.unwrap();
    }
    let redrive = |dry_run| Redrive {
        from: queue.dead_letter_url.clone(),
        to: queue.url.clone(),
        folder: Some(folder.path().to_owned()),
        dry_run,
    };
    let mut lines = Vec::new();
    let looked = redrive(true).run(&aws.sqs, NOW, |line| lines.push(line)).await.unwrap();
    assert_eq!((looked, lines.len()), (Report { whole: 12, mended: 0, left: 2 }, 14), "{lines:?}");
    assert_eq!(aws.waiting(&queue.url).await.unwrap(), 0, "a dry run changes nothing");
    assert_eq!(redrive(false).run(&aws.sqs, NOW, drop).await.unwrap(), looked);

    // Somebody mends one of the two that were written down.
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    let of = |body: &str| files.iter().find(|file| std::fs::read_to_string(file).unwrap() == body).unwrap();
    let mended = envelope("foreign", 1);
    std::fs::write(of(&foreign), format!("{mended}\n")).unwrap();
    assert_eq!(redrive(false).run(&aws.sqs, NOW, drop).await.unwrap(), Report { whole: 0, mended: 1, left: 1 });

    assert_eq!(bodies(&aws, &queue.dead_letter_url).await, BTreeSet::from([garbage]));
    let back: BTreeSet<String> = whole.into_iter().chain([mended]).collect();
    assert_eq!(bodies(&aws, &queue.url).await, back);
}
