//! What becomes of ranges, frames and deadlines.

use guildhall_domain::{EventKind, GuildId};
use guildhall_wire::EventBody;
use proptest::prelude::*;

use super::*;

fn batcher(safe: u64) -> Batcher {
    let origin = Origin {
        shard: ShardId { id: 0, count: 1 },
        session_id: "session".into(),
        started: Timestamp::from_secs(1),
        class_map: ClassMap::CURRENT,
    };
    Batcher::new(origin, at(safe))
}

fn at(seq: u64) -> Mark {
    Mark { seq, at: Timestamp::from_secs(i64::try_from(seq).expect("small")) }
}

fn event(seq: u64, index: u16, kind: EventKind) -> Event {
    let body = EventBody::Count { kind, channel: None, member: None, target: None };
    Event { seq, index, guild: GuildId::from_db(1), at: Timestamp::from_secs(0), body }
}

const OF_CLASS: [EventKind; 4] =
    [EventKind::BanAdd, EventKind::MessageCreate, EventKind::ReactionAdd, EventKind::RoleUpdate];

/// Feeds one frame with one event of each of these classes.
fn feed(batcher: &mut Batcher, seq: u64, classes: &[usize], out: &mut Vec<Batch>) {
    let mut events: Vec<_> = (0..).zip(classes).map(|(index, class)| event(seq, index, OF_CLASS[*class])).collect();
    batcher.frame(at(seq), &mut events, Instant::now(), out);
}

#[tokio::test(start_paused = true)]
async fn each_class_waits_for_its_deadline_and_no_longer() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    feed(&mut batcher, 1, &[1, 2, 3], &mut out);
    assert_eq!(out, []);
    for (class, millis) in [(PriorityClass::High, 1_000), (PriorityClass::Medium, 5_000), (PriorityClass::Low, 30_000)]
    {
        let deadline = batcher.next_deadline().expect("something is buffered");
        let wait = deadline - Instant::now();
        tokio::time::advance(wait - Duration::from_millis(1)).await;
        batcher.close_due(Instant::now(), &mut out);
        assert_eq!(out, [], "{class} closed early");
        tokio::time::advance(Duration::from_millis(1)).await;
        batcher.close_due(Instant::now(), &mut out);
        let closed: Vec<_> = out.drain(..).map(|batch| batch.envelope.class).collect();
        assert_eq!(closed, [class], "after {millis} ms");
    }
    assert_eq!(batcher.next_deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn while_the_queue_takes_nothing_urgent_events_travel_together() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    batcher.outage(true, Instant::now());
    for seq in 1..=3 {
        feed(&mut batcher, seq, &[0, 1], &mut out);
    }
    assert!(out.is_empty(), "nobody would take them");
    let deadline = batcher.next_deadline().expect("they do not wait for ever");
    assert_eq!(deadline - Instant::now(), Duration::from_secs(5));
    batcher.outage(false, Instant::now());
    batcher.close_due(Instant::now(), &mut out);
    assert_eq!(out.len(), 1, "what is critical leaves when it is back");
    assert_eq!((out[0].envelope.class, out[0].envelope.events.len()), (PriorityClass::Critical, 3));
    assert_eq!(batcher.next_deadline().expect("the others") - Instant::now(), Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    batcher.close_due(Instant::now(), &mut out);
    assert_eq!((out[1].envelope.class, out[1].envelope.events.len()), (PriorityClass::High, 3));
}

#[tokio::test(start_paused = true)]
async fn critical_events_are_due_at_once_and_gaps_leave_at_once() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    feed(&mut batcher, 1, &[1], &mut out);
    feed(&mut batcher, 2, &[0], &mut out);
    // With what is read in the same go.
    feed(&mut batcher, 3, &[0], &mut out);
    assert_eq!((out.len(), batcher.next_deadline()), (0, Some(Instant::now())));
    batcher.close_due(Instant::now(), &mut out);
    assert_eq!((out.len(), out[0].envelope.events.len()), (1, 2));
    assert_eq!(out[0].envelope.range, Some(SeqRange { first: 1, last: 3 }));
    // The message before it is still buffered: nothing from its sequence on is safe.
    assert_eq!(out[0].mark, Mark { seq: 0, at: at(1).at });
    let lost = CoverageGap {
        lost_session: "old".into(),
        after_seq: 9,
        from: Timestamp::from_secs(1),
        to: Timestamp::from_secs(2),
    };
    batcher.gap(lost.clone(), &mut out);
    assert_eq!((&out[1].envelope.gaps[..], out[1].envelope.range), (&[lost][..], None));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_events_close_and_a_frame_is_never_split() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    for seq in 1..=100 {
        feed(&mut batcher, seq, &[1], &mut out);
    }
    assert_eq!((out.len(), out[0].envelope.events.len()), (1, 100));
    out.clear();
    feed(&mut batcher, 101, &[1], &mut out);
    let mut large: Vec<_> = (0..150).map(|index| event(102, index, EventKind::MessageDelete)).collect();
    batcher.frame(at(102), &mut large, Instant::now(), &mut out);
    let shapes: Vec<_> =
        out.iter().map(|batch| (batch.envelope.events.len(), batch.envelope.range.expect("events"))).collect();
    let range = |first, last| SeqRange { first, last };
    assert_eq!(shapes, [(1, range(101, 101)), (150, range(102, 102))]);
}

#[tokio::test(start_paused = true)]
async fn gauges_travel_without_a_range_and_in_bounded_numbers() {
    let mut batcher = batcher(5);
    let mut out = Vec::new();
    let gauge = |id| GuildGauges {
        guild: GuildId::from_db(id),
        slot: Timestamp::from_secs(300),
        members: None,
        online: None,
        in_voice: 0,
    };
    batcher.gauges((1..=750).map(gauge).collect(), Instant::now(), &mut out);
    assert_eq!(out[0].envelope.gauges.len(), MAX_GAUGES);
    batcher.close_all(&mut out);
    assert_eq!((out[1].envelope.gauges.len(), out[1].envelope.range, out[1].first_event), (250, None, None));
    assert_eq!(batcher.mark(), at(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Frames with any mixture of classes, interrupted by deadlines: every event is in exactly one envelope, the ranges
    /// of each class touch and cover their events, and no mark runs ahead of what is still buffered.
    #[test]
    fn ranges_touch_and_every_event_travels_once(
        start in 0_u64..1_000,
        frames in proptest::collection::vec(
            (proptest::collection::vec(0_usize..4, 0..40), 1_u64..4, proptest::bool::weighted(0.2)), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut batcher = batcher(start);
            let (mut out, mut fed) = (Vec::new(), Vec::new());
            let (mut waiting, mut looked_at) = (std::collections::BTreeSet::new(), 0);
            let mut seq = start;
            for (classes, step, tick) in &frames {
                seq += step;
                feed(&mut batcher, seq, classes, &mut out);
                fed.extend((0_u16..).zip(classes).map(|(index, class)| (*class, seq, index)));
                waiting.extend((0_u16..).zip(classes).map(|(index, _)| (seq, index)));
                if *tick {
                    tokio::time::advance(Duration::from_millis(700)).await;
                    batcher.close_due(Instant::now(), &mut out);
                }
                let mark = batcher.mark();
                for batch in &out[looked_at..] {
                    for event in &batch.envelope.events {
                        waiting.remove(&(event.seq, event.index));
                    }
                }
                looked_at = out.len();
                prop_assert!(waiting.first().is_none_or(|(seq, _)| *seq > mark.seq), "mark ahead of a buffered event");
            }
            batcher.close_all(&mut out);
            prop_assert_eq!(batcher.mark().seq, seq);
            let mut covered = [start; 4];
            let mut seen = Vec::new();
            for batch in &out {
                let class = slot(batch.envelope.class);
                let range = batch.envelope.range.expect("only events were fed");
                prop_assert_eq!(range.first, covered[class] + 1);
                covered[class] = range.last;
                prop_assert_eq!(batch.first_event, Some(batch.envelope.events[0].seq));
                for event in &batch.envelope.events {
                    prop_assert!(range.contains(event.seq));
                    seen.push((class, event.seq, event.index));
                }
            }
            seen.sort_unstable();
            fed.sort_unstable();
            prop_assert_eq!(seen, fed);
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// As the shard drives it: frames at any instants, and a timer that is never early and never late. Whatever the
    /// interleaving, an event leaves at its class's deadline at the latest, and no envelope is too large.
    #[test]
    fn every_event_leaves_by_its_deadline(
        frames in proptest::collection::vec((0_u64..3_000, proptest::collection::vec(0_usize..4, 0..60)), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut batcher = batcher(0);
            let mut due = std::collections::BTreeMap::new();
            let mut out = Vec::new();
            let ends = [(40_000, Vec::new())];
            for (seq, (pause, classes)) in (1..).zip(frames.iter().chain(&ends)) {
                let next = Instant::now() + Duration::from_millis(*pause);
                while let Some(deadline) = batcher.next_deadline().filter(|deadline| *deadline <= next) {
                    prop_assert!(deadline >= Instant::now(), "the timer would be late");
                    tokio::time::advance(deadline - Instant::now()).await;
                    batcher.close_due(Instant::now(), &mut out);
                    prop_assert!(batcher.next_deadline().is_none_or(|next| next > deadline), "what is due was closed");
                    left(&mut out, &mut due)?;
                }
                tokio::time::advance(next - Instant::now()).await;
                for (index, class) in (0_u16..).zip(classes) {
                    let wait = PriorityClass::ALL[*class].flush_after_millis();
                    due.insert((u64::try_from(seq).expect("small"), index), Instant::now() + Duration::from_millis(wait));
                }
                feed(&mut batcher, u64::try_from(seq).expect("small"), classes, &mut out);
                left(&mut out, &mut due)?;
            }
            prop_assert!(due.is_empty(), "never left: {due:?}");
            Ok(())
        })?;
    }

    /// From events to calls: whatever comes, no message is larger than a queue's may be, no call carries more than ten
    /// or more bytes than one may, and what is unpacked at the other end is what went in.
    #[test]
    fn what_is_packed_fits_and_is_all_unpacked(
        frames in proptest::collection::vec(
            proptest::collection::vec((0_usize..4, proptest::num::u64::ANY, proptest::num::u64::ANY), 0..130), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut batcher = batcher(0);
            let (mut fed, mut out) = (Vec::new(), Vec::new());
            for (seq, classes) in (1..).zip(&frames) {
                let mut events: Vec<_> = (0..).zip(classes).map(|(index, (class, one, two))| {
                    let body = EventBody::Count {
                        kind: OF_CLASS[*class],
                        channel: guildhall_domain::ChannelId::new(one >> 1),
                        member: guildhall_domain::UserId::new(two >> 1),
                        target: Some(one ^ two).filter(|target| *target != 0),
                    };
                    Event { body, ..event(seq, index, OF_CLASS[*class]) }
                }).collect();
                fed.extend(events.iter().copied());
                batcher.frame(at(seq), &mut events, Instant::now(), &mut out);
            }
            batcher.close_all(&mut out);
            let folder = tempfile::tempdir().expect("a folder");
            let (journal, _, _thread) =
                crate::journal::Journal::open(folder.path(), 1 << 26, "me", 1, Timestamp::from_secs(1)).expect("opens");
            for batch in &out {
                let entry = crate::journal::Entry {
                    id: journal.next_id(),
                    class: batch.envelope.class,
                    shard: batch.envelope.shard,
                    session: "session".into(),
                    first_event: batch.first_event,
                    first_at: batch.first_at,
                    body: guildhall_wire::encode(&batch.envelope),
                };
                prop_assert!(entry.body.len() <= guildhall_queue::MAX_BATCH_BYTES);
                journal.append(entry, batch.mark).await.expect("kept");
            }
            let mut unpacked = Vec::new();
            loop {
                let (most, bytes) = (guildhall_queue::MAX_BATCH_ENTRIES, guildhall_queue::MAX_BATCH_BYTES);
                let call = journal.fetch(0, most, bytes, vec![]).await.expect("usable");
                if call.is_empty() {
                    break;
                }
                prop_assert!(call.len() <= most);
                prop_assert!(call.iter().map(|entry| entry.body.len()).sum::<usize>() <= bytes);
                for entry in &call {
                    unpacked.extend(guildhall_wire::decode(&entry.body).expect("readable").events);
                }
                journal.accepted(call.iter().map(|entry| entry.id).collect()).await.expect("usable");
            }
            unpacked.sort_by_key(|event| (event.seq, event.index));
            prop_assert_eq!(unpacked, fed);
            Ok(())
        })?;
    }
}

/// Takes off the list what has left, and fails for what left too late or in too large an envelope.
fn left(out: &mut Vec<Batch>, due: &mut std::collections::BTreeMap<(u64, u16), Instant>) -> Result<(), TestCaseError> {
    for batch in out.drain(..) {
        prop_assert!(batch.envelope.events.len() <= MAX_EVENTS);
        for event in &batch.envelope.events {
            let by = due.remove(&(event.seq, event.index));
            prop_assert!(
                by.is_some_and(|by| Instant::now() <= by),
                "{} of {:?} left late",
                event.seq,
                batch.envelope.class
            );
        }
    }
    Ok(())
}

/// A frame is never split, and the largest there is, the voice states of a guild, fits a message all the same.
#[test]
fn the_voice_states_of_the_largest_guild_fit_one_message() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    let id = |n: u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1).max(1);
    let present = |index: u16| EventBody::VoicePresent {
        member: guildhall_domain::UserId::new(id(u64::from(index) + 1)).expect("an id"),
        channel: guildhall_domain::ChannelId::new(id(u64::from(index) % 500 + 100_000)).expect("an id"),
    };
    let mut events: Vec<_> =
        (0..u16::MAX).map(|index| Event { body: present(index), ..event(1, index, EventKind::VoiceState) }).collect();
    batcher.frame(at(1), &mut events, Instant::now(), &mut out);
    let body = guildhall_wire::encode(&out[0].envelope);
    assert!(body.len() <= guildhall_queue::MAX_BATCH_BYTES, "{} bytes", body.len());
    assert_eq!(guildhall_wire::decode(&body).expect("readable").events.len(), usize::from(u16::MAX));
}
