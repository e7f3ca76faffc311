//! The journal on a real disk: order, bounds, restarts and damage.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use guildhall_test_kit::until;

use super::*;

const SHARD: ShardId = ShardId { id: 3, count: 4 };
const NOW: Timestamp = Timestamp::from_secs(1);

fn open(folder: &Path, max_bytes: u64) -> (Journal, Found) {
    let (journal, found, _thread) = Journal::open(folder, max_bytes, "holder", 2, NOW).expect("opens");
    (journal, found)
}

fn mark(seq: u64) -> Mark {
    Mark { seq, at: Timestamp::from_secs(i64::try_from(seq).expect("small")) }
}

fn entry(id: i64, class: PriorityClass, bytes: usize) -> Entry {
    Entry {
        id,
        class,
        shard: SHARD,
        session: "session".into(),
        first_event: Some(id.cast_unsigned()),
        first_at: NOW,
        body: format!("{id:0bytes$}"),
    }
}

fn session(seq: u64) -> SessionRow {
    SessionRow { shard: SHARD, session_id: "session".into(), mark: mark(seq) }
}

/// Ends the thread and waits for the lock to be free.
async fn close(journal: Journal, folder: &Path) {
    drop(journal);
    until("the journal's lock", Duration::from_secs(10), || async {
        Store::open_or_set_aside(folder, 1 << 20, "holder", 2, NOW).ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_then_the_oldest() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), 1 << 20);
    let classes = [PriorityClass::Low, PriorityClass::High, PriorityClass::Critical, PriorityClass::High];
    for (id, class) in (1..).zip(classes) {
        journal.append(entry(id, class, 10), mark(1)).await.expect("kept");
    }
    let ids = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    // Shard 3 of two queues goes to queue 1.
    assert_eq!(ids(journal.fetch(1, 10, 1 << 20, vec![]).await.expect("usable")), [3, 2, 4, 1]);
    assert_eq!(ids(journal.fetch(1, 2, 1 << 20, vec![3]).await.expect("usable")), [2, 4]);
    assert_eq!(ids(journal.fetch(1, 10, 25, vec![]).await.expect("usable")), [3, 2], "bounded by bytes");
    assert_eq!(ids(journal.fetch(0, 10, 1 << 20, vec![]).await.expect("usable")), [0_i64; 0]);
    journal.accepted(vec![3, 4]).await.expect("usable");
    assert_eq!(ids(journal.fetch(1, 10, 1 << 20, vec![]).await.expect("usable")), [2, 1]);
}

#[tokio::test]
async fn what_was_appended_survives_with_its_watermark() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, found) = open(folder.path(), 1 << 20);
    assert_eq!(found.predecessors, [""; 0]);
    journal.put_session(session(5)).await.expect("kept");
    journal.append(entry(1, PriorityClass::High, 10), mark(9)).await.expect("kept");
    journal.append(entry(2, PriorityClass::High, 10), mark(12)).await.expect("kept");
    journal.advance(SHARD, "session".into(), mark(20)).await.expect("kept");
    journal.advance(SHARD, "another".into(), mark(99)).await.expect("ignored: not the shard's session");
    journal.accepted(vec![1]).await.expect("kept");
    close(journal, folder.path()).await;
    let (journal, found) = open(folder.path(), 1 << 20);
    assert_eq!(found.sessions, [session(20)]);
    assert_eq!(found.pending, [("session".into(), 2, Some(2), NOW)]);
    assert_eq!(found.predecessors.first().map(String::as_str), Some("holder"));
    assert_eq!(journal.next_id(), 3);
}

#[tokio::test]
async fn a_full_journal_waits_until_sqs_has_taken_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), 4_096);
    for id in 1..=4 {
        journal.append(entry(id, PriorityClass::High, 1_000), mark(1)).await.expect("kept");
    }
    assert_eq!(journal.free_bytes(), 0);
    {
        let fifth = journal.append(entry(5, PriorityClass::High, 1_000), mark(1));
        let mut fifth = std::pin::pin!(fifth);
        assert!(futures_util::FutureExt::now_or_never(&mut fifth).is_none(), "there is no room");
        journal.accepted(vec![2]).await.expect("usable");
        tokio::time::timeout(Duration::from_secs(10), fifth).await.expect("room was made").expect("kept");
    }
    let kept: Vec<_> = journal.fetch(1, 10, 1 << 20, vec![]).await.expect("usable").iter().map(|e| e.id).collect();
    assert_eq!(kept, [1, 3, 4, 5]);
    close(journal, folder.path()).await;
    // The bound also counts what was found on the disk, and a lowered one is paid back first.
    let (journal, _) = open(folder.path(), 2_048);
    assert_eq!(journal.free_bytes(), 0);
    journal.accepted(vec![1, 3, 4]).await.expect("usable");
    until("room", Duration::from_secs(10), || async { (journal.free_bytes() == 1_024).then_some(()) }).await;
}

#[tokio::test]
async fn a_full_disk_stops_appending_and_not_sending_and_heals() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open_or_set_aside(folder.path(), 1 << 20, "holder", 2, NOW).expect("opens");
    store.limit_pages(20).expect("limited");
    let (journal, _thread) = Journal::start(store, 1 << 20).expect("starts");
    let mut appended = 0;
    while journal.health() == Health::Writable {
        appended += 1;
        journal.append(entry(appended, PriorityClass::High, 3_000), mark(1)).await.expect("kept");
        // The reply comes after the commit was tried.
        journal.fetch(1, 1, 1 << 20, vec![]).await.expect("usable");
    }
    let next = journal.append(entry(appended + 1, PriorityClass::High, 3_000), mark(1));
    {
        let mut next = std::pin::pin!(next);
        assert!(futures_util::FutureExt::now_or_never(&mut next).is_none(), "the shards wait");
        let fetched = journal.fetch(1, 4, 1 << 20, vec![]).await.expect("what is on the disk can be sent");
        let ids: Vec<_> = fetched.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
        journal.accepted(ids).await.expect("usable");
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("room was made").expect("kept");
    }
    let kept = journal.fetch(1, 50, 1 << 20, vec![]).await.expect("usable");
    assert_eq!(kept.iter().map(|entry| entry.id).collect::<Vec<_>>(), (5..=appended + 1).collect::<Vec<_>>());
    assert_eq!(journal.health(), Health::Writable);
}

#[tokio::test]
async fn whatever_waits_for_a_full_disk_holds_up_neither_fetching_nor_forgetting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open_or_set_aside(folder.path(), 1 << 20, "holder", 2, NOW).expect("opens");
    store.limit_pages(20).expect("limited");
    let (journal, _thread) = Journal::start(store, 1 << 20).expect("starts");
    let mut appended = 0;
    while journal.health() == Health::Writable {
        appended += 1;
        journal.append(entry(appended, PriorityClass::High, 3_000), mark(1)).await.expect("kept");
        journal.fetch(1, 1, 1 << 20, vec![]).await.expect("usable");
    }
    let patience = Duration::from_secs(10);
    // More than a transaction and the channel hold together.
    for round in 1..=3 {
        for id in 0..400 {
            let advancing = journal.advance(ShardId { id, count: 400 }, "of another shard".into(), mark(round));
            tokio::time::timeout(patience, advancing).await.expect("taken").expect("usable");
        }
    }
    let first = tokio::time::timeout(patience, journal.fetch(1, 3, 1 << 20, vec![])).await.expect("answered");
    let first: Vec<_> = first.expect("usable").iter().map(|entry| entry.id).collect();
    assert_eq!(first, [1, 2, 3]);
    journal.accepted(first).await.expect("usable");
    let rest = tokio::time::timeout(patience, journal.fetch(1, 50, 1 << 20, vec![])).await.expect("answered");
    assert_eq!(rest.expect("usable").first().map(|entry| entry.id), Some(4));
    until("room", patience, || async { (journal.health() == Health::Writable).then_some(()) }).await;
    let kept = journal.fetch(1, 50, 1 << 20, vec![]).await.expect("usable");
    assert_eq!(kept.iter().map(|entry| entry.id).collect::<Vec<_>>(), (4..=appended).collect::<Vec<_>>());
}

#[test]
fn the_reserve_is_kept_given_back_and_kept_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = || fs::metadata(folder.path().join("journal.reserve")).map(|kept| kept.len()).ok();
    let mut reserve = reserve::Reserve::new(folder.path(), 1 << 26);
    assert!(!reserve.release(), "nothing is kept yet");
    reserve.hold(0).expect("there is room");
    assert_eq!(kept(), Some(1 << 22), "a sixteenth of the bound");
    assert!(reserve::Reserve::new(folder.path(), 1 << 26).release(), "the next process knows it");
    assert_eq!(kept(), None);
    let gone = folder.path().join("gone");
    let mut reserve = reserve::Reserve::new(&gone, 1 << 26);
    assert!(reserve.hold(0).is_err(), "there is no file system");
    assert!(reserve.hold_of((1 << 22) - 1, u64::MAX).is_err(), "one byte is missing");
    reserve.hold_of(1 << 22, 0).expect("the database has as much to spare");
}

#[test]
fn a_reserve_that_does_not_fit_is_not_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.reserve");
    let mut reserve = reserve::Reserve::new(folder.path(), 1 << 26);
    assert!(reserve.hold_of(0, (1 << 22) - 1).is_err());
    assert!(!file.exists(), "the last room of the disk was written to");
    reserve.hold_of(1 << 20, 3 << 20).expect("the database spares the rest");
    assert_eq!(fs::metadata(&file).expect("kept").len(), 3 << 20);
    reserve.hold_of(0, 1 << 20).expect("what is there already needs no room");
    assert_eq!(fs::metadata(&file).expect("kept").len(), 1 << 22);
}

#[test]
fn the_log_is_folded_in_before_room_is_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut store, _) = Store::open_or_set_aside(folder.path(), 1 << 20, "holder", 2, NOW).expect("opens");
    store.begin().expect("usable");
    for id in 1..=40 {
        store.append(&entry(id, PriorityClass::High, 3_000), mark(id.cast_unsigned())).expect("usable");
    }
    store.commit().expect("usable");
    let database = || fs::metadata(folder.path().join("journal.db")).expect("there").len();
    let before = database();
    assert!(store.has_room().expect("usable"));
    assert!(database() > before + 100_000, "{before}: what is still in the log is not in the judgement");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_journal, _) = open(folder.path(), 1 << 20);
    let second = Journal::open(folder.path(), 1 << 20, "second", 1, NOW).err().expect("locked");
    assert!(matches!(second, OpenError::InUse(_)), "{second:?}");
    assert!(second.to_string().contains("RUNNER_JOURNAL_DIR"));
}

/// The files as a killed process leaves them, cut at every point a write could have reached.
#[tokio::test]
async fn every_truncation_of_the_log_gives_a_whole_number_of_transactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), 1 << 20);
    journal.put_session(session(0)).await.expect("kept");
    for id in 1..=12 {
        journal.append(entry(id, PriorityClass::High, 700), mark(id.cast_unsigned())).await.expect("kept");
        // A reply means that everything before it is committed: one transaction each.
        let kept = journal.fetch(1, 20, 1 << 20, vec![]).await.expect("usable");
        assert_eq!(kept.len(), usize::try_from(id).expect("small"));
    }
    let database = fs::read(folder.path().join("journal.db")).expect("readable");
    let log = fs::read(folder.path().join("journal.db-wal")).expect("a log that was not folded in yet");
    let mut seen = BTreeSet::new();
    // Each frame's ends and what is just beside them, a walk through what is between, and all of the last bytes; and the
    // same with noise where the next bytes would have been, which is what a torn write may leave.
    let frames = (0..).map(|frame| 32 + frame * (24 + 4_096)).take_while(|end| *end <= log.len());
    let ends = frames.flat_map(|end| [end - 1, end, (end + 1).min(log.len()), (end + 24).min(log.len())]);
    let walk = (0..log.len()).step_by(1_499).chain(log.len().saturating_sub(20)..=log.len());
    let cuts: BTreeSet<_> = ends.chain(walk).collect();
    let noise: Vec<u8> = (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (cut, noisy) in cuts.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join("journal.db"), &database).expect("written");
        let tail = if noisy { &noise[..noise.len().min(log.len() - cut)] } else { &[] };
        fs::write(copy.path().join("journal.db-wal"), [&log[..cut], tail].concat()).expect("written");
        let (_store, found) =
            Store::open_or_set_aside(copy.path(), 1 << 20, "next", 2, NOW).expect("opens or is set aside");
        let pending = found.pending.len() as u64;
        let ids: Vec<_> = found.pending.iter().map(|(_, id, ..)| id.cast_unsigned()).collect();
        assert_eq!(ids, (1..=pending).collect::<Vec<_>>(), "cut at {cut}: a prefix of what was committed");
        let local = found.sessions.first().map_or(0, |row| row.mark.seq);
        assert_eq!(local, pending, "cut at {cut}: the watermark and the envelopes are of one transaction");
        seen.insert(pending);
    }
    assert!(seen.len() >= 12, "the cuts reached the transactions: {seen:?}");
    assert_eq!(seen.last(), Some(&12), "the whole log gives everything");
}

/// Everything an opened journal says, or nothing when it was set aside.
fn says(folder: &Path) -> Option<(Vec<i64>, Vec<SessionRow>, Vec<String>)> {
    let (store, found) = Store::open_or_set_aside(folder, 1 << 20, "next", 2, NOW).expect("opens or is set aside");
    if found.set_aside.is_some() {
        assert!(found.pending.is_empty() && found.sessions.is_empty(), "a new one is empty");
        return None;
    }
    // What fetching finds out, it tells as damage.
    let bodies = store.fetch(1, 1_000, usize::MAX, &Default::default()).ok()?.into_iter().map(|entry| entry.body);
    Some((found.pending.iter().map(|(_, id, ..)| *id).collect(), found.sessions, bodies.collect()))
}

/// A database whose log is folded in, cut at each page, and with single bytes changed all over it.
#[tokio::test]
async fn a_changed_database_is_whole_or_set_aside_but_never_wrong_about_where_to_resume() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), 1 << 20);
    journal.put_session(session(0)).await.expect("kept");
    for id in 1..=40 {
        journal.append(entry(id, PriorityClass::High, 900), mark(id.cast_unsigned())).await.expect("kept");
    }
    close(journal, folder.path()).await;
    let whole = fs::read(folder.path().join("journal.db")).expect("readable");
    let (ids, sessions, bodies) = says(folder.path()).expect("whole");
    assert_eq!((ids.len(), &sessions[..]), (40, &[session(40)][..]));
    let try_with = |bytes: &[u8]| {
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join("journal.db"), bytes).expect("written");
        says(copy.path())
    };
    for pages in 1..whole.len() / 4_096 {
        if let Some(said) = try_with(&whole[..pages * 4_096]) {
            assert_eq!(said, (ids.clone(), sessions.clone(), bodies.clone()), "cut after {pages} pages");
        }
    }
    let mut random = 88_172_645_463_325_252_u64;
    let mut noticed = 0;
    for _ in 0..400 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut changed = whole.clone();
        let at = usize::try_from(random).unwrap_or(usize::MAX) % changed.len();
        changed[at] ^= 1 << (random >> 61);
        match try_with(&changed) {
            // Bodies have a checksum of their own, which ingest looks at.
            Some((found, said, texts)) => {
                assert!(found.iter().all(|id| ids.contains(id)), "byte {at} makes up entries: {found:?}");
                assert!(said.iter().all(|row| sessions.contains(row)), "byte {at} moves the watermark: {said:?}");
                assert_eq!(texts.len(), found.len(), "byte {at} hides entries from sending");
            }
            None => noticed += 1,
        }
    }
    assert!(noticed > 0, "some changes matter");
}

#[tokio::test]
async fn a_damaged_database_is_set_aside_and_work_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), 1 << 20);
    for id in 1..=50 {
        journal.append(entry(id, PriorityClass::High, 2_000), mark(1)).await.expect("kept");
    }
    close(journal, folder.path()).await;
    let path = folder.path().join("journal.db");
    let whole = fs::read(&path).expect("readable");
    for cut in [100, whole.len() / 3, whole.len() / 2, whole.len() - 5_000] {
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join("journal.db"), &whole[..cut]).expect("written");
        let (journal, found) = open(copy.path(), 1 << 20);
        let aside = found.set_aside.expect("found to be damaged");
        assert_eq!(fs::read(&aside).expect("kept").len(), cut);
        journal.append(entry(1, PriorityClass::High, 10), mark(1)).await.expect("kept");
        assert_eq!(journal.fetch(1, 10, 1 << 20, vec![]).await.expect("usable").len(), 1);
    }
    let copy = tempfile::tempdir().expect("a folder");
    fs::write(copy.path().join("journal.db"), b"this was never a database, and is long enough to be looked at")
        .expect("written");
    assert!(open(copy.path(), 1 << 20).1.set_aside.is_some());
}

/// As the first release made it.
const VERSION_1: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (
        shard_id INTEGER NOT NULL, shard_count INTEGER NOT NULL,
        session_id TEXT NOT NULL, local_seq INTEGER NOT NULL, local_at INTEGER NOT NULL,
        PRIMARY KEY (shard_id, shard_count)) WITHOUT ROWID;
    CREATE TABLE pending (
        id INTEGER PRIMARY KEY, class INTEGER NOT NULL, partition INTEGER NOT NULL,
        shard_id INTEGER NOT NULL, shard_count INTEGER NOT NULL, session_id TEXT NOT NULL,
        first_event INTEGER, first_at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX pending_order ON pending (partition, class, id);
    INSERT INTO meta VALUES ('holders', 'the one before');
    INSERT INTO sessions VALUES (3, 4, 'session', 7, 7000);
    INSERT INTO pending VALUES (9, 1, 1, 3, 4, 'session', 6, 1000, 'nine');
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_journal_of_an_earlier_release_is_taken_over_with_all_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = rusqlite::Connection::open(folder.path().join("journal.db")).expect("a database");
    old.execute_batch(VERSION_1).expect("tables");
    drop(old);
    for _start in 0..2 {
        let (journal, found) = open(folder.path(), 1 << 20);
        assert_eq!(found.set_aside, None);
        assert_eq!(found.predecessors.first().map(String::as_str), Some("the one before"));
        assert_eq!(found.sessions, [session(7)]);
        let entries = journal.fetch(1, 10, 1 << 20, vec![]).await.expect("usable");
        assert_eq!(entries.iter().map(|entry| (entry.id, entry.body.as_str())).collect::<Vec<_>>(), [(9, "nine")]);
        close(journal, folder.path()).await;
    }
}

#[test]
fn a_journal_of_a_later_release_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let newer = rusqlite::Connection::open(folder.path().join("journal.db")).expect("a database");
    newer.execute_batch("PRAGMA user_version = 99").expect("written");
    drop(newer);
    let refused = Store::open_or_set_aside(folder.path(), 1 << 20, "holder", 2, NOW).map(drop);
    assert!(matches!(refused, Err(OpenError::Newer(_))), "{refused:?}");
}
