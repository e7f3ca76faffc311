//! What becomes of ranges, frames and deadlines.

use guildhall_domain::event::CLASS_MAP_VERSION;
use guildhall_domain::{EventKind, GuildId};
use guildhall_wire::EventBody;
use proptest::prelude::*;

use super::*;

fn batcher(safe: u64) -> Batcher {
    let origin = Origin {
        shard: ShardId { id: 0, count: 1 },
        session_id: "session".into(),
        started: Timestamp::from_secs(1),
        class_map: CLASS_MAP_VERSION,
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
async fn critical_events_and_gaps_leave_at_once() {
    let mut batcher = batcher(0);
    let mut out = Vec::new();
    feed(&mut batcher, 1, &[1], &mut out);
    feed(&mut batcher, 2, &[0], &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].envelope.range, Some(SeqRange { first: 1, last: 2 }));
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
