//! Streams of one order, shown with any skew.

use guildhall_domain::{ChannelId, Timestamp, UserId};
use proptest::prelude::*;

use super::*;

const GUILD: GuildId = GuildId::from_db(7);

/// An event of the guild's one order: every so often it has an id of its own, and the others repeat themselves.
fn event(number: u64, id: bool) -> Event {
    let kind = if id { EventKind::MessageCreate } else { EventKind::VoiceState };
    let body = EventBody::Count {
        kind,
        channel: Some(ChannelId::from_db(3)),
        member: Some(UserId::from_db(5)),
        target: id.then_some(number + 1),
    };
    Event { seq: number, index: 0, guild: GUILD, at: Timestamp::from_secs(0), body }
}

fn trace(number: u64, id: bool) -> Trace {
    Trace::of(&[event(number, id)]).expect("of a guild")
}

#[test]
fn streams_without_a_common_id_are_never_aligned() {
    let mut track = Track::default();
    for number in 0..20 {
        track.note(Which::Old, &trace(number, false));
        track.note(Which::New, &trace(number, false));
        assert!(!track.is_aligned());
    }
    track.note(Which::Old, &trace(20, true));
    assert!(!track.is_aligned());
    track.note(Which::New, &trace(20, true));
    assert!(track.is_aligned());
    track.note(Which::New, &trace(21, false));
    assert!(!track.is_aligned(), "one is ahead");
    track.note(Which::Old, &trace(21, false));
    assert!(track.is_aligned());
}

#[test]
fn an_introduction_begins_the_stream_anew() {
    let introduction = Event {
        body: EventBody::Count { kind: EventKind::GuildCreate, channel: None, member: None, target: None },
        ..event(0, false)
    };
    let introduction = Trace::of(&[introduction]).expect("of a guild");
    let mut track = Track::default();
    track.note(Which::Old, &trace(1, true));
    track.note(Which::New, &introduction);
    assert!(!track.is_aligned());
    track.note(Which::New, &trace(1, true));
    assert!(track.is_aligned());
    track.note(Which::Old, &introduction);
    assert!(!track.is_aligned());
}

#[test]
fn a_stream_that_lacks_an_event_is_not_aligned_until_the_next_id() {
    let mut track = Track::default();
    for number in 0..5 {
        track.note(Which::Old, &trace(number, true));
        if number != 3 {
            track.note(Which::New, &trace(number, true));
        }
    }
    assert!(!track.is_aligned(), "the last events differ, though an id has been seen since");
}

/// The number of events that are forwarded when the guild is cut at the first moment the streams are aligned, after
/// `wait` steps: the old stream's up to the cut and the new one's after it.
fn forwarded(ids: &[bool], begins: usize, steps: &[bool], wait: usize) -> Vec<usize> {
    let (mut old, mut new) = (0, begins.min(ids.len()));
    let mut track = Track::default();
    let mut counts = vec![0; ids.len()];
    let mut cut = false;
    let rest = std::iter::repeat_n(true, ids.len()).chain(std::iter::repeat_n(false, ids.len()));
    for (step, is_old) in steps.iter().copied().chain(rest).enumerate() {
        let at = if is_old { &mut old } else { &mut new };
        if *at == ids.len() {
            continue;
        }
        let number = *at;
        *at += 1;
        if is_old != cut {
            counts[number] += 1;
        }
        track.note(if is_old { Which::Old } else { Which::New }, &trace(number as u64, ids[number]));
        cut = cut || (step >= wait && track.is_aligned());
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_is_forwarded_exactly_once(
        ids in proptest::collection::vec(proptest::bool::weighted(0.3), 1..80),
        begins in 0_usize..40,
        steps in proptest::collection::vec(any::<bool>(), 0..200),
        wait in 0_usize..200,
    ) {
        let counts = forwarded(&ids, begins, &steps, wait);
        prop_assert!(counts.iter().all(|count| *count == 1), "{:?}", counts);
    }
}
