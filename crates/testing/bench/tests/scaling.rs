//! The page about scaling is what its figures and assumptions say.

use std::path::Path;

use guildhall_bench::scaling::{Measured, PAGE, model};

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
fn costs_grow_with_guilds_and_events_and_shrink_by_the_event() {
    let measured = Measured::load(&docs()).expect("the figures behind the page");
    for guilds in model::GUILDS.windows(2) {
        for (_, events) in model::LEVELS {
            let (few, many) = (model::month(&measured, guilds[0], events), model::month(&measured, guilds[1], events));
            assert!(many.total() > few.total() && many.for_a_million() < few.for_a_million());
        }
    }
    let shares: f64 = model::CLASSES.iter().map(|(_, share, _)| share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "every event is of one class");
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
