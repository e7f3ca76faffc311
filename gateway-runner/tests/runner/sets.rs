//! One set of shards at a time.

use std::collections::BTreeSet;

use guildhall_gateway_runner::lease::Pin;
use guildhall_runtime::system_clock;
use guildhall_test_kit::until;

use crate::support::{Aws, Ingest, PATIENCE, Runner, config, counts, double};

fn lost(ingest: &Ingest) -> BTreeSet<&str> {
    ingest.gaps.iter().map(|gap| gap.lost_session.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_shards_waits_until_all_runners_are_stopped_and_leaves_gaps() {
    let aws = Aws::new("sets").await;
    let queues = [aws.create_queue("0").await];
    let double = double(2, 4).await;
    let (first_disk, other_disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = Runner::start(config(&double, &aws, &queues, first_disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    let table = aws.table(system_clock());
    let pin = || async { table.pin().await.expect("readable") };
    let set = |pin: Option<Pin>| pin.map(|pin| (pin.count, pin.generation));
    assert_eq!(set(pin().await), Some((2, 1)), "what Discord recommends, once");

    let mut resharded = config(&double, &aws, &queues, other_disk.path());
    resharded.shard_count = Some(3);
    let error = Runner::start(resharded.clone(), &aws).failure().await;
    assert!(format!("{error:#}").contains("stop all runners"), "{error:#}");
    assert_eq!((double.gateway().counts().identifies, pin().await.map(|pin| pin.count)), (2, Some(2)));
    assert!(first.is_running());

    first.stop().await;
    let second = Runner::start(resharded, &aws);
    counts("three sessions more", &double, |counts| counts.identifies == 5).await;
    assert_eq!(set(pin().await), Some((3, 2)));
    until("the new sessions to be recorded", PATIENCE, || async {
        let recorded = table.former(3).await.expect("readable");
        (recorded.iter().filter(|(shard, _)| shard.count == 3).count() == 3).then_some(())
    })
    .await;
    let mut ingest = Ingest::default();
    ingest.drain(&aws, &queues, |ingest| lost(ingest).len() == 2).await;
    second.stop().await;

    // Who names no number keeps to what is pinned, whatever Discord recommends.
    let resumed = double.gateway().counts().resumes;
    assert_eq!(resumed, 0, "who stops leaves the session to the next holder");
    let third = Runner::start(config(&double, &aws, &queues, first_disk.path()), &aws);
    counts("the new set's sessions resumed", &double, |counts| counts.resumes == resumed + 3).await;
    assert_eq!(double.gateway().counts().identifies, 5);

    // And who finds the pin replaced in spite of it all ends.
    table.put_pin(pin().await, 8).await.expect("writable");
    let error = third.failure().await;
    assert!(error.to_string().contains("another number of shards"), "{error:#}");
}
