//! From the journal to a real queue.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
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

/// What speaks SQS's protocol, slowly, and keeps book of its calls.
#[derive(Default)]
struct SlowQueue {
    under_way: AtomicUsize,
    most: AtomicUsize,
    calls: Mutex<Vec<Vec<String>>>,
    refusing: AtomicBool,
}

impl SlowQueue {
    async fn answer(State(queue): State<Arc<Self>>, call: String) -> Response {
        let call: serde_json::Value = serde_json::from_str(&call).expect("JSON");
        let under_way = queue.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        queue.most.fetch_max(under_way, Ordering::SeqCst);
        tokio::time::timeout(Duration::from_millis(40), std::future::pending::<()>())
            .await
            .expect_err("it takes a while");
        queue.under_way.fetch_sub(1, Ordering::SeqCst);
        if queue.refusing.load(Ordering::SeqCst) {
            return (StatusCode::SERVICE_UNAVAILABLE, "away").into_response();
        }
        let entries = call["Entries"].as_array().expect("entries");
        let bodies = entries.iter().map(|entry| entry["MessageBody"].as_str().expect("a body").to_owned()).collect();
        queue.calls.lock().expect("not poisoned").push(bodies);
        let taken: Vec<_> = entries
            .iter()
            .map(|entry| serde_json::json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0" }))
            .collect();
        Json(serde_json::json!({ "Successful": taken, "Failed": [] })).into_response()
    }

    async fn listen(self: Arc<Self>, tasks: &mut JoinSet<()>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().fallback(Self::answer).with_state(self);
        tasks.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        url
    }
}

#[tokio::test]
async fn a_backlog_is_drained_by_several_calls_at_a_time_and_an_outage_meets_one() {
    const ENVELOPES: i64 = 1_200;
    let queue = Arc::new(SlowQueue::default());
    let mut tasks = JoinSet::new();
    let url = queue.clone().listen(&mut tasks).await;
    let disk = tempfile::tempdir().expect("a folder");
    let (journal, _, _thread) = Journal::open(disk.path(), 1 << 24, "me", 1, at(1)).expect("opens");
    let marks = Watermarks::default();
    let session = "s".into();
    marks.begin(&session, Mark { seq: 0, at: at(1) });
    for id in 1..=ENVELOPES {
        let class = PriorityClass::ALL[usize::try_from(id % 4).expect("small")];
        let first_event = Some(id.cast_unsigned());
        marks.submitted(&session, id, first_event, at(1), Some(MARK));
        let (shard, session, body) =
            (ShardId { id: 0, count: 1 }, session.clone(), format!("{}:{id:04}", class.code()));
        journal
            .append(Entry { id, class, shard, session, first_event, first_at: at(1), body }, MARK)
            .await
            .expect("kept");
    }
    let aws = aws_config::from_env()
        .endpoint_url(&url)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"))
        .load()
        .await;
    let sender = Sender {
        sqs: Sqs::from_config(&aws),
        queue_url: format!("{url}/q"),
        partition: 0,
        journal: journal.clone(),
        marks: marks.clone(),
    };
    queue.refusing.store(true, Ordering::SeqCst);
    let mut sending = JoinSet::new();
    sending.spawn(sender.run());
    until("an outage to be noticed", PATIENCE, || async { (queue.most.load(Ordering::SeqCst) > 1).then_some(()) })
        .await;
    until("one call at a time", PATIENCE, || async {
        // Those that were under way when it began have ended, with the client's own repetitions.
        queue.most.store(0, Ordering::SeqCst);
        let seen = tokio::time::timeout(Duration::from_secs(2), async {
            until("a call", PATIENCE, || async { (queue.most.load(Ordering::SeqCst) > 1).then_some(()) }).await;
        });
        seen.await.is_err().then_some(())
    })
    .await;
    queue.refusing.store(false, Ordering::SeqCst);
    tokio::time::timeout(PATIENCE, marks.drained("s")).await.expect("everything is accepted");
    assert_eq!(journal.fetch(0, 10, 1 << 20, vec![]).await.expect("usable"), []);
    let most = queue.most.load(Ordering::SeqCst);
    assert!((4..=8).contains(&most), "{most} calls at a time");
    let calls = std::mem::take(&mut *queue.calls.lock().expect("not poisoned"));
    let bodies: Vec<_> = calls.iter().flatten().collect();
    assert_eq!(bodies.iter().collect::<std::collections::BTreeSet<_>>().len(), bodies.len(), "nothing twice");
    assert_eq!((bodies.len(), calls.len()), (1_200, 120), "in whole batches");
    // The most urgent first, but for the calls that were under way together.
    let classes: Vec<_> = calls.iter().map(|call| call[0].as_bytes()[0]).collect();
    for (place, class) in classes.iter().enumerate() {
        let earlier = classes[..place.saturating_sub(8)].iter().all(|before| before <= class);
        assert!(earlier, "{} went before {}", char::from(classes[place]), place);
    }
}
