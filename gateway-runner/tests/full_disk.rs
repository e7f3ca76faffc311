//! A disk that refuses, in a process of its own: the limit on the size of files holds for all of it.

use std::path::Path;
use std::time::Duration;

use guildhall_domain::{PriorityClass, ShardId, Timestamp};
use guildhall_gateway_runner::journal::{Entry, Found, Health, Journal, SessionRow};
use guildhall_gateway_runner::watermark::Mark;
use guildhall_test_kit::until;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

const SHARD: ShardId = ShardId { id: 0, count: 1 };
const NOW: Timestamp = Timestamp::from_secs(1);
const MAX_BYTES: u64 = 64 * 1_024 * 1_024;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a process is told that writes beyond the limit; unheard, it ends it.
const SIGXFSZ: i32 = 25;

fn mark(id: i64) -> Mark {
    Mark { seq: id.cast_unsigned(), at: NOW }
}

fn entry(id: i64) -> Entry {
    let first_event = Some(id.cast_unsigned());
    let (class, session, body) = (PriorityClass::High, "s".into(), format!("{id:04000}"));
    Entry { id, class, shard: SHARD, session, first_event, first_at: NOW, body }
}

fn open(folder: &Path) -> (Journal, Found, std::thread::JoinHandle<()>) {
    Journal::open(folder, MAX_BYTES, "holder", 1, NOW).expect("opens")
}

fn limit_files(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a process may limit itself");
}

async fn waiting(journal: &Journal) -> Vec<i64> {
    let fetched = journal.fetch(0, 10_000, usize::MAX, vec![]);
    let fetched = tokio::time::timeout(PATIENCE, fetched).await.expect("answered").expect("usable");
    fetched.iter().map(|entry| entry.id).collect()
}

const FILES: [&str; 2] = ["journal.db", "journal.db-wal"];

/// These files, opened as the next process would.
fn as_found_after_a_kill(files: [Vec<u8>; 2]) -> Found {
    let copy = tempfile::tempdir().expect("a folder");
    for (file, bytes) in FILES.iter().zip(files) {
        std::fs::write(copy.path().join(file), bytes).expect("written");
    }
    open(copy.path()).1
}

#[tokio::test]
async fn a_disk_that_refuses_tears_nothing_is_drained_and_used_again_when_there_is_room() {
    let _heard = signal(SignalKind::from_raw(SIGXFSZ)).expect("the signal can be heard");
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _, thread) = open(folder.path());
    journal.put_session(SessionRow { shard: SHARD, session_id: "s".into(), mark: mark(0) }).await.expect("kept");
    let mut appended = 0;
    for id in 1..=100 {
        journal.append(entry(id), mark(id)).await.expect("kept");
        appended = id;
    }
    assert_eq!(waiting(&journal).await.len(), 100);
    let log = std::fs::metadata(folder.path().join("journal.db-wal")).expect("a log").len();
    limit_files(Some(log + 64 * 1_024));
    // Until one is refused, which then waits in memory. A few were told before that was known.
    while journal.health() == Health::Writable {
        appended += 1;
        journal.append(entry(appended), mark(appended)).await.expect("waits for nothing yet");
        journal.fetch(0, 1, 1, vec![]).await.expect("usable");
    }
    assert!(appended > 100, "the limit left room for a few");
    let shards = journal.clone();
    let mut next = Box::pin(async move { shards.append(entry(appended + 1), mark(appended + 1)).await });
    assert!(futures_util::FutureExt::now_or_never(&mut next).is_none(), "the shards wait");
    let kept = waiting(&journal).await;
    let last = i64::try_from(kept.len()).expect("few");
    assert_eq!(kept, (1..=last).collect::<Vec<_>>());
    let files = FILES.map(|file| std::fs::read(folder.path().join(file)).expect("readable"));

    // SQS takes all of it. What was taken is never offered again, whether or not it could be deleted.
    for some in kept.chunks(10) {
        journal.accepted(some.to_vec()).await.expect("usable");
        let left = waiting(&journal).await;
        assert!(left.iter().all(|id| !some.contains(id)), "offered again");
    }
    limit_files(None);
    let found = as_found_after_a_kill(files);
    assert_eq!(found.pending.len(), kept.len(), "no envelope is half there");
    assert_eq!(found.sessions[0].mark, mark(last), "and its watermark is of the same transaction");
    tokio::time::timeout(PATIENCE, next).await.expect("room came back").expect("kept");
    until("the journal to be whole", PATIENCE, || async { (journal.health() == Health::Writable).then_some(()) }).await;
    let rest = waiting(&journal).await;
    assert_eq!(rest, (last + 1..=appended + 1).collect::<Vec<_>>(), "nothing was lost or came back");

    drop(journal);
    tokio::task::spawn_blocking(move || thread.join().expect("no panic")).await.expect("joined");
    let (_journal, found, _thread) = open(folder.path());
    assert_eq!(found.pending.iter().map(|(_, id, ..)| *id).collect::<Vec<_>>(), rest);
    assert_eq!(found.sessions[0].mark, mark(appended + 1));
}
