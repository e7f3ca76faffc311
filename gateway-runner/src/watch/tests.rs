//! What is said, and how often, while the clock is moved by hand.

use super::*;

const SHARD: ShardId = ShardId { id: 3, count: 8 };
const SECOND: Duration = Duration::from_secs(1);

/// Looks every five seconds for so long; gives back when something was said, in seconds from the beginning.
async fn said(watch: &mut Watch, secs: u64, figures: impl Fn(u64) -> Figures) -> Vec<(u64, Complaint)> {
    let mut said = Vec::new();
    for second in (0..=secs).step_by(5) {
        said.extend(watch.look(&figures(second), Instant::now()).into_iter().map(|complaint| (second, complaint)));
        tokio::time::advance(5 * SECOND).await;
    }
    said
}

fn well() -> Figures {
    Figures {
        journal: (100, 1_000),
        read: BTreeMap::from([(SHARD, (50_000, 200))]),
        identifies: (Some(900), 8),
        ..Figures::default()
    }
}

fn silent() -> Figures {
    Figures { silent: BTreeSet::from([SHARD]), ..well() }
}

#[tokio::test(start_paused = true)]
async fn while_all_is_well_nothing_is_said() {
    assert_eq!(said(&mut Watch::default(), 3_600, |_| well()).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_receives_nothing_for_three_minutes_is_named_once_a_minute_until_it_does() {
    let mut watch = Watch::default();
    let offline = Complaint::Offline(vec![SHARD]);
    let long = said(&mut watch, 300, |_| silent()).await;
    assert_eq!(long, [180, 240, 300].map(|at| (at, offline.clone())));
    assert_eq!(said(&mut watch, 600, |_| well()).await, []);
    // One that is handed over now and then is never silent for so long.
    let handed_over = |second| if second % 100 < 60 { silent() } else { well() };
    assert_eq!(said(&mut watch, 1_000, handed_over).await, []);
}

#[tokio::test(start_paused = true)]
async fn one_line_a_minute_tells_of_all_silent_shards() {
    let other = ShardId { id: 5, count: 8 };
    let figures = |second| {
        let mut figures = silent();
        figures.silent.extend((second >= 30).then_some(other));
        figures
    };
    let said = said(&mut Watch::default(), 240, figures).await;
    assert_eq!(said, [(180, Complaint::Offline(vec![SHARD])), (240, Complaint::Offline(vec![SHARD, other]))]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_more_than_half_full_for_two_minutes_is_complained_of() {
    let filling = |held| move |_| Figures { journal: (held, 1_000), ..well() };
    let mut watch = Watch::default();
    assert_eq!(said(&mut watch, 600, filling(500)).await, []);
    let said_of = said(&mut watch, 180, filling(730)).await;
    assert_eq!(said_of, [(120, Complaint::JournalFilling(73)), (180, Complaint::JournalFilling(73))]);
}

#[tokio::test(start_paused = true)]
async fn the_lag_that_counts_grows_with_what_is_read() {
    let mut watch = Watch::default();
    // A hundred a second, of which a minute's worth is on the way: that is a busy runner.
    let busy = |second| Figures { read: BTreeMap::from([(SHARD, (100 * second, 6_000.min(100 * second)))]), ..well() };
    assert_eq!(said(&mut watch, 900, busy).await, []);
    let late = |second| Figures { read: BTreeMap::from([(SHARD, (90_500 + 100 * second, 20_000))]), ..well() };
    let said_of = said(&mut watch, 180, late).await;
    assert_eq!(said_of, [(120, Complaint::Lag(20_000)), (180, Complaint::Lag(20_000))]);
    // Another session begins, whose sequences do too.
    let anew = |second| Figures { read: BTreeMap::from([(SHARD, (second, 1))]), ..well() };
    assert_eq!(said(&mut watch, 600, anew).await, []);
}

#[tokio::test(start_paused = true)]
async fn few_identifies_are_told_at_once_and_no_longer_when_the_window_is_over() {
    let mut watch = Watch::default();
    let left = |left| move |_| Figures { identifies: (left, 8), ..well() };
    assert_eq!(said(&mut watch, 60, left(Some(15))).await, [0, 60].map(|at| (at, Complaint::BudgetLow(15))));
    assert_eq!(said(&mut watch, 600, left(Some(1_000))).await, []);
    assert_eq!(said(&mut watch, 600, left(None)).await, [], "nobody has asked Discord yet");
}
