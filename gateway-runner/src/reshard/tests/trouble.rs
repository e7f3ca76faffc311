//! What holds a cut-over up, and what is not known of it.

use super::*;

/// A cut-over of which neither the record nor any session of the new set is there yet.
fn unknown() -> (Arc<Cutover>, Arc<Side>) {
    let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
    let old = Side::old(&cutover);
    (cutover, old)
}

#[tokio::test(start_paused = true)]
async fn an_old_shard_begins_no_session_before_it_is_known_that_there_is_no_record() {
    let (cutover, old) = unknown();
    assert!(!old.may_identify(), "there may be a record, which a new session would count beside");
    assert!(!cutover.lock().old_lost, "nor is it lost yet");
    cutover.vacate();
    assert!(old.may_identify(), "without a session there is nothing to be cut over from");
    cutover.apply(Record::new("old".into()));
    assert!(!old.may_identify());
}

#[tokio::test(start_paused = true)]
async fn whether_the_new_shards_were_ever_read_beside_a_lost_session_is_asked_and_not_assumed() {
    for (untouched, complete) in [(true, true), (false, false)] {
        let (cutover, old) = unknown();
        cutover.apply(Record::new("old".into()));
        assert!(!cutover.is_in_doubt() && !old.may_identify() && cutover.is_in_doubt());
        let decide = || cutover.decide(Instant::now(), Timestamp::from_secs(1_000), None);
        assert_eq!(decide(), None, "not before that is known");
        assert!(!cutover.may_begin());
        cutover.settle(untouched);
        assert!(!cutover.is_in_doubt());
        assert_eq!(decide().expect("decided").is_complete(), complete);
        assert_eq!(cutover.may_begin(), !untouched, "beside the one that is stopped, or once the record is written");
    }
    // One that begins here while another is asked counts.
    let (cutover, old) = unknown();
    cutover.apply(Record::new("old".into()));
    old.may_identify();
    Side::new(&cutover, 1).session(&"new-1".into(), 1, None, Duration::ZERO);
    cutover.settle(true);
    assert!(!cutover.decide(Instant::now(), Timestamp::from_secs(1_000), None).expect("decided").is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_until_it_is_sent_and_told_anew_when_it_has_grown() {
    let record = |from| {
        let mut record = Record::new("old".into());
        let before = [0, 1].map(|shard| (shard, record::Position { session: format!("new-{shard}").into(), seq: 50 }));
        let (from, to) = (Timestamp::from_secs(from), Timestamp::from_secs(100));
        let gap = record::Gap { after: 500, from, to, lost: true, shards: [0, 1].into() };
        record.rest = Some(record::Rest { after: 500, before: before.into(), gap: Some(gap) });
        record
    };
    let (cutover, old) = unknown();
    cutover.apply(record(90));
    let marks = crate::watermark::Watermarks::default();
    old.session(&"old".into(), 600, None, Duration::ZERO);
    let new = [0, 1].map(|shard| Side::new(&cutover, shard));
    for (side, name) in new.iter().zip(["new-0", "new-1"]) {
        side.session(&name.into(), 60, None, Duration::ZERO);
        side.live(true);
    }
    let first = new[0].gap().expect("a gap");
    assert_eq!(new[0].gap(), Some(first.clone()), "whoever was interrupted is told again");
    assert_eq!(cutover.is_read(&marks), None);
    cutover.apply(record(80));
    new[0].gap_sent(first, vec![1]);
    let larger = new[0].gap().expect("what was sent is no longer all of it");
    assert_eq!(larger.from, Timestamp::from_secs(80));
    new[1].gap_sent(new[1].gap().expect("a gap"), vec![2]);
    assert_eq!(cutover.is_read(&marks), None, "one of them is not sent");
    new[0].gap_sent(larger, vec![3]);
    assert_eq!((new[0].gap(), cutover.is_read(&marks)), (None, Some(500)));
}

#[tokio::test(start_paused = true)]
async fn a_new_shard_that_is_closed_for_good_holds_the_cut_over_up_while_the_old_session_lives() {
    let mut play = Play::begin();
    tokio::time::advance(TIMING.quiet).await;
    assert_eq!(play.cutover.is_held_up(), None);
    play.cutover.refused(1, 4014);
    assert_eq!(play.cutover.is_held_up(), Some((1, 4014)));
    for id in 1..60 {
        assert!(play.arrives(0, GUILD, Some(id)), "the old session goes on counting");
        assert!(!play.arrives(1, GUILD, Some(id)));
        play.heartbeats();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(play.decide(), None);
    }
    // What was wrong is mended, and the shard begins.
    play.new[1].session(&"new-1".into(), 0, Some(HashSet::new()), Duration::ZERO);
    play.new[1].live(true);
    assert_eq!(play.cutover.is_held_up(), None);
    play.heartbeats();
    tokio::time::advance(TIMING.quiet).await;
    assert!(play.decide().expect("aligned").cuts.contains_key(&GUILD));
}

#[tokio::test(start_paused = true)]
async fn without_the_old_session_the_others_go_on_beside_a_new_shard_that_is_closed_for_good() {
    let mut play = Play::begin();
    play.cutover.lock().new.entry(1).and_modify(|stream| *stream = Stream::default());
    play.cutover.refused(1, 4011);
    assert!(!play.old.may_identify());
    play.old.live(false);
    assert!(!play.decide().expect("stopped").is_complete());
    tokio::time::advance(TIMING.quiet).await;
    play.heartbeats();
    let record = play.decide().expect("complete");
    assert!(record.is_complete() && record.is_replaced(1) && !record.is_replaced(0));
    assert!(play.arrives(1, GUILD, None));
    assert_eq!(play.new[0].gap().expect("a gap").lost_session, "old");
    assert_eq!(play.new[1].gap(), None, "its first session tells by itself, up to where it begins");
    assert_eq!(play.cutover.is_held_up(), Some((1, 4011)), "and the end waits for it");
}
