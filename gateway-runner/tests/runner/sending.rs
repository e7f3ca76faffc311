//! From the journal to a real queue.

use guildhall_domain::{PriorityClass, ShardId};
use guildhall_gateway_runner::journal::{Entry, Journal};
use guildhall_gateway_runner::send::Sender;
use guildhall_gateway_runner::watermark::{Mark, Watermarks};
use guildhall_queue::{MAX_BATCH_BYTES, Sqs};
use guildhall_test_kit::until;
use tokio::task::JoinSet;

use crate::support::{Aws, PATIENCE, at};

const MARK: Mark = Mark { seq: 1_000, at: at(1) };

#[tokio::test]
async fn an_envelope_that_is_too_long_holds_up_no_other() {
    let aws = Aws::new("too-long").await;
    let queue = aws.create_queue("0").await;
    let disk = tempfile::tempdir().expect("a folder");
    let (journal, _, _thread) = Journal::open(disk.path(), 1 << 24, "me", 1, at(1)).expect("opens");
    let marks = Watermarks::default();
    let session = "s".into();
    marks.begin(&session, Mark { seq: 0, at: at(1) });
    for id in 1..=3_i64 {
        let first_event = Some(id.cast_unsigned());
        marks.submitted(&session, id, first_event, at(1), Some(MARK));
        let body = if id == 1 { "x".repeat(MAX_BATCH_BYTES + 1) } else { format!("short {id}") };
        let entry = Entry {
            id,
            class: PriorityClass::High,
            shard: ShardId { id: 0, count: 1 },
            session: session.clone(),
            first_event,
            first_at: at(1),
            body,
        };
        journal.append(entry, MARK).await.expect("kept");
    }
    let sender = Sender {
        sqs: Sqs::from_config(&aws.config),
        queue_url: queue.clone(),
        partition: 0,
        journal: journal.clone(),
        marks: marks.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(sender.run());
    let mut bodies = std::collections::BTreeSet::new();
    while bodies.len() < 2 {
        bodies.extend(tokio::time::timeout(PATIENCE, aws.receive(&queue)).await.expect("the queue answers"));
    }
    assert_eq!(bodies.into_iter().collect::<Vec<_>>(), ["short 2", "short 3"]);
    until("the others to be forgotten", PATIENCE, || async {
        let waiting = journal.fetch(0, 10, 1 << 24, vec![]).await.expect("usable");
        (waiting.iter().map(|entry| entry.id).collect::<Vec<_>>() == [1]).then_some(())
    })
    .await;
    assert_eq!(marks.mark("s").map(|mark| mark.seq), Some(0));
}

#[tokio::test]
async fn what_waited_for_the_queue_is_sent_most_urgent_first_and_then_forgotten() {
    let aws = Aws::new("sending").await;
    let disk = tempfile::tempdir().expect("a folder");
    let (journal, _, _thread) = Journal::open(disk.path(), 1 << 20, "me", 1, at(1)).expect("opens");
    let marks = Watermarks::default();
    let session = "s".into();
    marks.begin(&session, Mark { seq: 0, at: at(1) });
    for id in 1..=35_i64 {
        let class = PriorityClass::ALL[usize::try_from(id % 4).expect("small")];
        let first_event = Some(id.cast_unsigned());
        marks.submitted(&session, id, first_event, at(1), Some(MARK));
        let entry = Entry {
            id,
            class,
            shard: ShardId { id: 0, count: 1 },
            session: session.clone(),
            first_event,
            first_at: at(1),
            body: format!("{}:{id:03}", class.code()),
        };
        journal.append(entry, MARK).await.expect("kept");
    }
    // The queue does not exist yet: everything waits in the journal.
    let missing =
        format!("{}/000000000000/{}-late", guildhall_test_kit::services::service("GUILDHALL_TEST_AWS"), aws.name);
    let failures = || {
        let text = guildhall_runtime::metrics::install().expect("one recorder").render();
        text.lines().any(|line| line.starts_with("sqs_send_failures_total ") && !line.ends_with(" 0"))
    };
    let mut tasks = JoinSet::new();
    let sender = |queue_url| Sender {
        sqs: Sqs::from_config(&aws.config),
        queue_url,
        partition: 0,
        journal: journal.clone(),
        marks: marks.clone(),
    };
    let _recorder = failures();
    tasks.spawn(sender(missing).run());
    until("a failure", PATIENCE, || async { failures().then_some(()) }).await;
    assert_eq!(marks.mark("s").map(|mark| mark.seq), Some(0), "nothing was accepted");

    let queue = aws.create_queue("late").await;
    let mut bodies = Vec::new();
    while bodies.len() < 35 {
        let received = tokio::time::timeout(PATIENCE, aws.receive(&queue)).await.expect("the queue answers");
        bodies.extend(received);
    }
    let classes: Vec<_> = bodies.iter().map(|body| body.as_bytes()[0]).collect();
    // A standard queue keeps no order, so only what cannot be chance is compared: the first batch is all critical.
    assert_eq!(bodies.iter().collect::<std::collections::BTreeSet<_>>().len(), 35);
    assert!(classes[..8].iter().all(|class| *class == b'0'), "{bodies:?}");
    until("everything accepted", PATIENCE, || async { (marks.mark("s") == Some(MARK)).then_some(()) }).await;
    assert_eq!(journal.fetch(0, 10, 1 << 20, vec![]).await.expect("usable"), []);
}
