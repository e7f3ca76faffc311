//! Time in voice, example by example; `model` covers what nobody thought of.

use guildhall_domain::{EventKind, PriorityClass, Span, Timestamp};
use guildhall_store::{PgPool, stats};
use guildhall_wire::{CoverageGap, Envelope, Event, EventBody};

use crate::support::{apply, at, body, channel, database, envelope, event, guild, user};

const STAGE: u64 = 5;
const LOUNGE: u64 = 6;
const OUT: u64 = 0;

fn minute(minute: i64) -> Timestamp {
    at("2026-05-01T12:00:00Z").plus_millis(minute * 60_000)
}

/// Member 7 is in the channel from the minute that is also the sequence.
fn moves(seq: u64, channel: u64) -> Event {
    event(seq, 1, minute(i64::try_from(seq).expect("small")), body(EventKind::VoiceState, channel, 7))
}

fn sent(events: Vec<Event>) -> Envelope {
    envelope("s", PriorityClass::High, events)
}

fn roster(seq: u64, present: &[(u64, u64)]) -> Vec<Event> {
    let instant = minute(i64::try_from(seq).expect("small"));
    let mut events = vec![event(seq, 1, instant, EventBody::VoiceRoster)];
    for (index, (member, place)) in (1..).zip(present) {
        let body = EventBody::VoicePresent { member: user(*member), channel: channel(*place) };
        events.push(Event { index, ..event(seq, 1, instant, body) });
    }
    events
}

async fn minutes(pool: &PgPool, place: u64) -> u64 {
    let mut db = pool.acquire().await.expect("a connection");
    let span = Span { start: minute(-60), end: minute(24 * 60) };
    stats::channel_totals(&mut db, guild(1), channel(place), span).await.expect("totals").voice_minutes()
}

async fn present(pool: &PgPool) -> u64 {
    let mut db = pool.acquire().await.expect("a connection");
    stats::open_voice(&mut db, guild(1)).await.expect("a number")
}

#[tokio::test]
async fn time_passes_between_entering_and_leaving() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(vec![moves(10, STAGE)])]).await;
    assert_eq!((present(pool).await, minutes(pool, STAGE).await), (1, 0), "a running session is not counted yet");
    apply(pool, &[sent(vec![moves(40, LOUNGE)])]).await;
    apply(pool, &[sent(vec![moves(47, OUT)])]).await;
    assert_eq!((minutes(pool, STAGE).await, minutes(pool, LOUNGE).await, present(pool).await), (30, 7, 0));
}

#[tokio::test]
async fn what_comes_late_corrects_what_was_counted() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(vec![moves(10, STAGE)]), sent(vec![moves(47, OUT)])]).await;
    assert_eq!(minutes(pool, STAGE).await, 37);
    apply(pool, &[sent(vec![moves(40, LOUNGE)])]).await;
    assert_eq!((minutes(pool, STAGE).await, minutes(pool, LOUNGE).await), (30, 7));
    // Leaving came before entering.
    apply(pool, &[sent(vec![moves(90, OUT)])]).await;
    apply(pool, &[sent(vec![moves(80, STAGE)])]).await;
    assert_eq!((minutes(pool, STAGE).await, present(pool).await), (40, 0));
}

#[tokio::test]
async fn muting_neither_adds_nor_takes_time() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(vec![moves(10, STAGE), moves(20, STAGE), moves(23, STAGE)])]).await;
    assert_eq!(present(pool).await, 1);
    apply(pool, &[sent(vec![moves(40, OUT)])]).await;
    assert_eq!(minutes(pool, STAGE).await, 30);
}

#[tokio::test]
async fn a_roster_ends_the_time_of_those_it_does_not_name() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(vec![moves(10, STAGE)])]).await;
    apply(pool, &[sent(roster(2, &[(7, LOUNGE), (8, LOUNGE)]))]).await;
    assert_eq!((minutes(pool, LOUNGE).await, present(pool).await), (8, 2), "the roster came late");
    apply(pool, &[sent(roster(30, &[(8, LOUNGE)]))]).await;
    assert_eq!((minutes(pool, STAGE).await, present(pool).await), (20, 1));
    apply(pool, &[sent(vec![event(32, 1, minute(32), body(EventKind::VoiceState, OUT, 8))])]).await;
    assert_eq!((minutes(pool, LOUNGE).await, present(pool).await), (8 + 30, 0));
}

#[tokio::test]
async fn another_guilds_roster_ends_nothing() {
    let database = database().await;
    let pool = database.pool();
    let elsewhere = event(20, 2, minute(20), EventBody::VoiceRoster);
    apply(pool, &[sent(vec![moves(10, STAGE), elsewhere, moves(40, OUT)])]).await;
    assert_eq!(minutes(pool, STAGE).await, 30);
}

#[tokio::test]
async fn a_session_lost_while_a_member_stayed_costs_no_time() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(vec![moves(10, STAGE)])]).await;
    let mut successor = envelope("r", PriorityClass::High, roster(2, &[(7, STAGE)]));
    successor.session_started = minute(50);
    for event in &mut successor.events {
        event.at = minute(50);
    }
    apply(pool, &[successor]).await;
    assert_eq!((minutes(pool, STAGE).await, present(pool).await), (40, 1));
}

#[tokio::test]
async fn an_outage_counts_for_nobody_whenever_it_becomes_known() {
    for late in [false, true] {
        let database = database().await;
        let pool = database.pool();
        let mut lost = envelope("r", PriorityClass::Critical, Vec::new());
        let from = minute(22);
        lost.gaps = vec![CoverageGap { lost_session: "s".to_owned(), after_seq: 10, from, to: minute(50) }];
        let mut successor = envelope("r", PriorityClass::High, roster(50, &[(7, STAGE)]));
        successor.session_started = minute(50);
        let sent = sent(vec![moves(10, STAGE)]);
        let order = if late { [sent, successor, lost] } else { [lost, sent, successor] };
        for envelope in order {
            apply(pool, &[envelope]).await;
        }
        assert_eq!((minutes(pool, STAGE).await, present(pool).await), (12, 1), "late: {late}");
    }
}

#[tokio::test]
async fn losing_the_guild_ends_all_time_in_it() {
    let database = database().await;
    let pool = database.pool();
    let lost = event(25, 1, minute(25), body(EventKind::GuildDelete, 0, 0));
    apply(pool, &[envelope("s", PriorityClass::Critical, vec![lost])]).await;
    apply(pool, &[sent(vec![moves(10, STAGE)])]).await;
    assert_eq!((minutes(pool, STAGE).await, present(pool).await), (15, 0));
}

#[tokio::test]
async fn clocks_that_run_backwards_take_no_time_away() {
    let database = database().await;
    let pool = database.pool();
    let mut back = moves(11, LOUNGE);
    back.at = minute(4);
    apply(pool, &[sent(vec![moves(10, STAGE), back, moves(12, OUT)])]).await;
    assert_eq!((minutes(pool, STAGE).await, minutes(pool, LOUNGE).await), (0, 8));
}
