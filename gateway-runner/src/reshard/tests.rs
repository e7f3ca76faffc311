//! One cut-over, with the readers and the table played by the test.

use guildhall_domain::{ChannelId, EventKind, Timestamp, UserId};
use guildhall_wire::{Event, EventBody};

use super::*;

mod trouble;

const TIMING: Timing = Timing { quiet: Duration::from_secs(10), force: Duration::from_secs(60) };
/// On new shard 0 of 2 by its number: the lowest 22 bits are no part of it.
const GUILD: GuildId = GuildId::from_db(2 << 22);
const OTHER: GuildId = GuildId::from_db(1 << 22);

struct Play {
    cutover: Arc<Cutover>,
    old: Arc<Side>,
    new: [Arc<Side>; 2],
    seqs: [u64; 3],
}

fn event(guild: GuildId, seq: u64, id: Option<u64>) -> Event {
    let kind = if id.is_some() { EventKind::MessageCreate } else { EventKind::VoiceState };
    let body =
        EventBody::Count { kind, channel: Some(ChannelId::from_db(1)), member: Some(UserId::from_db(2)), target: id };
    Event { seq, index: 0, guild, at: Timestamp::from_secs(0), body }
}

impl Play {
    fn begin() -> Self {
        let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
        let (old, new) = (Side::old(&cutover), [0, 1].map(|shard| Side::new(&cutover, shard)));
        cutover.apply(Record::new("old".into()));
        old.session(&"old".into(), 100, None, Duration::ZERO);
        old.live(true);
        for (side, name) in new.iter().zip(["new-0", "new-1"]) {
            side.session(&name.into(), 0, Some(HashSet::new()), Duration::ZERO);
            side.live(true);
        }
        let play = Self { cutover, old, new, seqs: [100, 0, 0] };
        play.heartbeats();
        play
    }

    /// An event arrives: whether it is forwarded.
    fn arrives(&mut self, side: usize, guild: GuildId, id: Option<u64>) -> bool {
        self.seqs[side] += 1;
        let mut events = vec![event(guild, self.seqs[side], id)];
        let (side, session) = match side {
            0 => (&self.old, "old"),
            1 => (&self.new[0], "new-0"),
            _ => (&self.new[1], "new-1"),
        };
        side.arrived(true);
        assert!(side.try_frame(session, events[0].seq, &mut events), "nothing is being written");
        !events.is_empty()
    }

    /// Something arrives that is no event, and then nothing is left to be read.
    fn heartbeats(&self) {
        self.cutover.ask();
        for side in std::iter::once(&self.old).chain(&self.new) {
            side.arrived(true);
            side.drained();
        }
    }

    /// A decision, obeyed at once.
    fn decide(&self) -> Option<Record> {
        let decided = self.cutover.decide(Instant::now(), Timestamp::from_secs(1_000), None);
        if let Some(record) = &decided {
            self.cutover.apply(record.clone());
        }
        decided
    }
}

#[tokio::test(start_paused = true)]
async fn a_guild_is_cut_where_its_streams_meet_and_quiet_ones_follow() {
    let mut play = Play::begin();
    assert_eq!(play.decide(), None, "a replay may still be going on");
    tokio::time::advance(TIMING.quiet).await;
    assert!(play.arrives(0, GUILD, Some(1)));
    assert_eq!(play.decide(), None, "only one stream has shown it");
    assert!(!play.arrives(1, GUILD, Some(1)));
    let cut = play.decide().expect("aligned").cuts[&GUILD].clone();
    assert_eq!((cut.after, cut.before.seq), (101, 1));
    assert!(!play.arrives(0, GUILD, Some(2)));
    assert!(play.arrives(1, GUILD, Some(2)));
    assert!(play.arrives(0, OTHER, None));
    assert!(!play.arrives(2, OTHER, None));
    play.heartbeats();
    assert_eq!(play.decide(), None, "the other is not quiet yet");
    tokio::time::advance(TIMING.quiet).await;
    assert_eq!(play.decide(), None, "no connection has shown to be alive since");
    play.heartbeats();
    let record = play.decide().expect("quiet");
    assert!(record.cuts.contains_key(&OTHER) && record.is_complete());
    assert_eq!(record.rest.as_ref().and_then(|rest| rest.gap.as_ref()), None);
    assert!(!play.arrives(0, GuildId::from_db(4 << 22), None) && play.arrives(1, GuildId::from_db(4 << 22), None));
}

#[tokio::test(start_paused = true)]
async fn a_guild_that_never_rests_and_has_no_ids_is_cut_with_a_gap_and_never_twice() {
    let mut play = Play::begin();
    tokio::time::advance(TIMING.quiet).await;
    let mut forwarded = [0, 0];
    let mut stopped = None;
    for second in 0..120 {
        // The new stream is a step behind.
        forwarded[0] += u32::from(play.arrives(0, GUILD, None));
        tokio::time::advance(Duration::from_secs(1)).await;
        forwarded[1] += u32::from(play.arrives(1, GUILD, None));
        play.heartbeats();
        if let Some(record) = play.decide() {
            if record.is_complete() {
                let gap = play.new[0].gap().expect("a gap");
                assert_eq!((gap.lost_session.as_str(), gap.after_seq), ("old#cut", stopped.expect("stopped before")));
                let told = play.new[1].gap().map(|gap| gap.after_seq);
                assert_eq!(told, stopped, "its guilds were stopped too, if they were silent until then");
                for new in &play.new {
                    new.gap_sent(new.gap().expect("a gap"), vec![1]);
                    assert_eq!(new.gap(), None, "once");
                }
                play.arrives(0, GUILD, None);
                assert!(play.arrives(1, GUILD, None));
                assert!(forwarded[0] + forwarded[1] <= second + 1);
                return;
            }
            stopped = record.rest.map(|rest| rest.after);
        }
    }
    panic!("it is never cut");
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_over_when_nothing_waits_behind_the_last_word_that_ends_one() {
    let mut play = Play::begin();
    play.old.live(false);
    // The RESUMED of an earlier connection, in the middle of what is replayed.
    play.old.live(true);
    tokio::time::advance(TIMING.quiet * 2).await;
    assert!(play.arrives(0, GUILD, Some(1)) && !play.arrives(1, GUILD, Some(1)));
    assert_eq!(play.decide(), None, "the replay goes on");
    play.old.drained();
    tokio::time::advance(TIMING.quiet / 2).await;
    play.old.live(true);
    tokio::time::advance(TIMING.quiet / 2).await;
    assert_eq!(play.decide(), None, "there was more of it");
    play.old.drained();
    tokio::time::advance(TIMING.quiet).await;
    assert!(play.decide().expect("aligned").cuts.contains_key(&GUILD));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stands_still_forces_nothing_and_the_gap_begins_where_it_was_last_seen_to_flow() {
    let mut play = Play::begin();
    tokio::time::advance(TIMING.quiet).await;
    assert!(play.arrives(0, GUILD, None));
    // The old reader waits for the disk.
    for _ in 0..120 {
        tokio::time::advance(Duration::from_secs(1)).await;
        play.arrives(1, GUILD, None);
        play.cutover.ask();
        play.new.iter().for_each(|new| new.drained());
        assert_eq!(play.decide(), None);
    }
    play.arrives(0, GUILD, None);
    play.heartbeats();
    for second in 1..120 {
        tokio::time::advance(Duration::from_secs(1)).await;
        play.arrives(1, GUILD, None);
        play.cutover.ask();
        [&play.old, &play.new[0], &play.new[1]].iter().for_each(|side| side.drained());
        if let Some(record) = play.decide() {
            let gap = record.rest.and_then(|rest| rest.gap).expect("a gap");
            assert_eq!((gap.from, gap.after), (Timestamp::from_secs(1_000 - second - 2), 102));
            return;
        }
    }
    panic!("it is never cut");
}

#[tokio::test(start_paused = true)]
async fn a_guild_that_is_cut_is_no_longer_brought_together() {
    let mut play = Play::begin();
    tokio::time::advance(TIMING.quiet).await;
    play.arrives(0, GUILD, Some(1));
    play.arrives(1, GUILD, Some(1));
    assert!(play.decide().expect("aligned").cuts.contains_key(&GUILD));
    for id in 2..6 {
        play.arrives(1, GUILD, Some(id));
    }
    play.arrives(0, GUILD, Some(2));
    assert_eq!(play.cutover.busy(), None);
    assert!(play.cutover.lock().tracks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_a_busy_guild_are_brought_together() {
    let mut play = Play::begin();
    tokio::time::advance(TIMING.quiet).await;
    let arrives = |side: &Side, session: &str, seq: u64| {
        let mut events = vec![event(GUILD, seq, Some(seq % 1_000))];
        side.try_frame(session, seq, &mut events).then_some(events.len())
    };
    // The old stream is always three events ahead.
    for number in 1..20_u64 {
        assert_eq!(arrives(&play.old, "old", 1_000 + number), Some(1));
        if number > 3 {
            assert_eq!(arrives(&play.new[0], "new-0", number - 3), Some(0));
        }
        assert_eq!(play.decide(), None);
    }
    assert_eq!(play.cutover.busy(), Some((GUILD, Which::Old)));
    play.cutover.turn(Hold::One(Which::Old, GUILD));
    assert_eq!(arrives(&play.old, "old", 1_020), None, "it waits");
    for number in 17..=19 {
        assert_eq!(arrives(&play.new[0], "new-0", number), Some(0), "the other catches up");
    }
    assert_eq!(arrives(&play.new[0], "new-0", 20), None, "they have met");
    assert!(play.decide().expect("aligned").cuts.contains_key(&GUILD));
    play.seqs = [1_019, 19, 0];
    assert!(!play.arrives(0, GUILD, Some(20)) && play.arrives(1, GUILD, Some(20)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_old_session_stops_everything_and_the_new_ones_go_on_after_a_gap() {
    let mut play = Play::begin();
    assert!(play.arrives(0, GUILD, None));
    assert!(!play.old.may_identify() && play.new[0].may_identify());
    play.old.live(false);
    assert!(!play.decide().expect("stopped").is_complete());
    tokio::time::advance(TIMING.quiet).await;
    play.heartbeats();
    let record = play.decide().expect("complete");
    assert!(record.is_complete());
    for new in &play.new {
        assert_eq!(new.gap().expect("a gap").lost_session, "old");
    }
    assert!(play.arrives(1, GUILD, None));
}

#[tokio::test(start_paused = true)]
async fn a_taker_that_cannot_replay_up_to_the_cuts_reports_what_is_missing() {
    let mut record = Record::new("old".into());
    let before = [0, 1].map(|shard| (shard, record::Position { session: format!("new-{shard}").into(), seq: 50 }));
    record.rest = Some(record::Rest { after: 500, before: before.into(), gap: None });
    let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
    cutover.apply(record);
    let (old, new) = (Side::old(&cutover), Side::new(&cutover, 1));
    old.session(&"old".into(), 300, None, Duration::ZERO);
    let decide = || cutover.decide(Instant::now(), Timestamp::from_secs(1_000), Some(Timestamp::from_secs(900)));
    assert_eq!(decide(), None);
    assert!(!old.may_identify());
    cutover.apply(decide().expect("a gap"));
    assert_eq!(decide(), None, "once");
    new.session(&"new-1".into(), 60, None, Duration::ZERO);
    let gap = new.gap().expect("a gap");
    assert_eq!((gap.from, gap.to, gap.after_seq), (Timestamp::from_secs(898), Timestamp::from_secs(1_000), 300));
}

#[tokio::test(start_paused = true)]
async fn new_sessions_that_replace_a_lost_one_tell_of_the_loss_whoever_begins_them() {
    let mut record = Record::new("old".into());
    let nowhere = [0, 1].map(|shard| (shard, record::Position { session: "".into(), seq: 0 }));
    record.rest = Some(record::Rest { after: 500, before: nowhere.into(), gap: None });
    // Another runner began one of them, and died.
    let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
    cutover.apply(record);
    assert!(cutover.may_begin() && cutover.is_replaced(1), "before the old session is refused here too");
    let (old, new) = (Side::old(&cutover), Side::new(&cutover, 1));
    old.session(&"old".into(), 300, None, Duration::ZERO);
    assert!(!old.may_identify());
    new.session(&"new-1".into(), 1, Some(HashSet::new()), Duration::ZERO);
    assert!(cutover.is_replaced(0));
    let decided = cutover.decide(Instant::now(), Timestamp::from_secs(1_000), Some(Timestamp::from_secs(900)));
    assert_eq!((decided, new.gap()), (None, None), "it is told once");
    let mut events = vec![event(OTHER, 2, None)];
    assert!(new.try_frame("new-1", 2, &mut events) && events.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_taker_gives_the_old_session_up_only_when_it_has_replayed_what_that_counts() {
    let mut record = Record::new("old".into());
    let before = [0, 1].map(|shard| (shard, record::Position { session: format!("new-{shard}").into(), seq: 50 }));
    record.rest = Some(record::Rest { after: 500, before: before.into(), gap: None });
    let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
    cutover.apply(record);
    let (old, marks) = (Side::old(&cutover), crate::watermark::Watermarks::default());
    for shard in [0, 1] {
        let new = Side::new(&cutover, shard);
        new.session(&format!("new-{shard}").into(), 60, None, Duration::ZERO);
        new.live(true);
    }
    assert_eq!(cutover.is_read(&marks), None, "nothing is known of the old session yet");
    old.session(&"old".into(), 499, None, Duration::ZERO);
    old.live(true);
    assert_eq!(cutover.is_read(&marks), None);
    assert!(old.try_frame("old", 500, &mut vec![event(GUILD, 500, None)]));
    assert_eq!(cutover.is_read(&marks), Some(500));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_until_the_record_is_known_and_nothing_is_forwarded_when_it_never_will_be() {
    let cutover = Cutover::new(ShardId { id: 0, count: 1 }, 2, TIMING);
    let old = Side::old(&cutover);
    let mut events = vec![event(GUILD, 1, None)];
    assert!(!old.try_frame("old", 1, &mut events));
    cutover.apply(Record::new("old".into()));
    assert!(old.try_frame("old", 1, &mut events) && events.len() == 1);
    cutover.abandon();
    cutover.apply(Record::new("old".into()));
    assert!(!old.frame("old", 2, &mut events).await);
}
