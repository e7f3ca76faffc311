//! The page about scaling is what its figures and assumptions say.

use std::path::Path;

use guildhall_bench::scaling::communities::GAUGES_A_MONTH;
use guildhall_bench::scaling::{Measured, PAGE, assumed, model};
use guildhall_domain::PriorityClass;
use guildhall_queue::MAX_BATCH_ENTRIES;
use guildhall_wire::MAX_EVENTS;

fn docs() -> std::path::PathBuf {
    Path::new("../../../docs").to_owned()
}

#[test]
fn the_page_is_the_one_that_the_figures_make() {
    let measured = Measured::load(&docs()).expect("the figures behind the page");
    let page = std::fs::read_to_string(docs().join(PAGE)).expect("the page");
    assert!(
        page == measured.page(),
        "docs/{PAGE} is out of date: write it with `cargo xtask bench scaling --write-docs`"
    );
}

#[test]
fn costs_grow_with_guilds_and_shrink_by_the_event() {
    let measured = Measured::load(&docs()).expect("the figures behind the page");
    for (community, months) in model::months(&measured) {
        for pair in months.windows(2) {
            let (few, many) = (&pair[0], &pair[1]);
            assert!(many.total() > few.total() && many.for_a_million() < few.for_a_million(), "{}", community.name);
            assert!(many.growth_gb > few.growth_gb && few.growth_gb > 0.0, "counters are kept for ever");
        }
    }
    let shares: f64 = assumed::CLASSES.iter().map(|(_, share, _)| share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "every event is of one class");
}

#[test]
fn what_the_product_decides_is_what_the_model_assumes() {
    let waits: Vec<_> = PriorityClass::ALL.iter().map(|class| (class.name(), class.flush_after_millis())).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    let millis = |seconds: f64| (seconds * 1_000.0) as u64;
    let assumed_waits: Vec<_> = assumed::CLASSES.iter().map(|(name, _, wait)| (*name, millis(*wait))).collect();
    assert_eq!(assumed_waits, waits);
    assert_eq!(millis(assumed::FULL_ENVELOPE), MAX_EVENTS as u64 * 1_000);
    assert_eq!(millis(assumed::FULL_CALL), MAX_BATCH_ENTRIES as u64 * 1_000);
    assert_eq!(GAUGES_A_MONTH, millis(model::SECONDS / assumed::SLOT) / 1_000);

    let infra = docs().join("../infra");
    let count = |file: &str, line: &str| {
        let text = std::fs::read_to_string(infra.join(file)).expect("a part of the template");
        text.lines().filter(|found| found.trim() == line).count() as u64
    };
    assert_eq!(count("alarms.yaml", "Type: AWS::CloudWatch::Alarm") * 1_000, millis(assumed::ALARMS));
    let sources = count("functions/stats-ingest.yaml", "Type: SQS") + count("functions/worker.yaml", "Type: SQS");
    assert_eq!(sources * 1_000, millis(assumed::QUEUES));
    assert_eq!(count("functions/stats-ingest.yaml", "BatchSize: 200") * 1_000, millis(assumed::PARTITIONS));
}

#[test]
fn what_was_measured_is_met_by_the_parts_it_is_split_into() {
    let measured = Measured::load(&docs()).expect("the figures behind the page");
    let (own, message, event) = model::ingest_parts(&measured);
    for (messages, events, millis) in &measured.ingest_ms {
        let events = f64::from(*messages) * f64::from(*events);
        let parts = own + f64::from(*messages) * message + events * event;
        assert!((parts - millis).abs() < 0.25 * millis, "{messages} messages take {millis} ms, not {parts}");
    }
    for (events, bytes) in &measured.envelope_bytes {
        let between = model::envelope_bytes(&measured, f64::from(*events));
        assert!((between - bytes).abs() < 1e-6, "{events} events take {bytes} bytes, not {between}");
    }
}
