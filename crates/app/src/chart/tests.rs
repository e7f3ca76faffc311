//! Pictures are checked for what a program can see; `examples/charts.rs` draws some for eyes.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn chart(period: Period, most: u64, gaps: Vec<Span>) -> Chart {
    let zone: TimeZone = "Asia/Kathmandu".parse().expect("a zone");
    let now = Timestamp::parse_rfc3339("2026-11-22T12:31:00Z").expect("an instant");
    let span = period.span(zone, now);
    let bars = slots(period, span, zone)
        .into_iter()
        .zip(0_u64..)
        .map(|(slot, n)| Bar {
            slot,
            messages: most.wrapping_mul(n) % 97,
            bot_messages: most.wrapping_mul(n) % 7,
            voice_millis: most.wrapping_mul(n) % 10_000_000,
        })
        .collect();
    let trend = Trend { text: "12%".to_owned(), direction: Ordering::Greater };
    let tile = |label| Tile { label, value: "1,234".to_owned(), trend: Some(trend.clone()) };
    let tiles = vec![tile("Messages"), tile("Voice")];
    Chart { language: Language::English, zone, period, span, tiles, bars, gaps, updated: Some(now), now }
}

#[test]
fn every_period_becomes_a_png_light_enough_to_send_at_once() {
    for period in Period::ALL {
        let png = png(&chart(period, 1_000, Vec::new()).svg()).expect("drawn");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let (width, height) = (&png[16..20], &png[20..24]);
        assert_eq!((width, height), (&1_000_u32.to_be_bytes()[..], &520_u32.to_be_bytes()[..]));
        assert_eq!((png[24], png[25]), (8, 2), "eight bits each of red, green and blue, and no alpha");
        assert!(png.len() < 110 * 1_024, "{period:?}: {} bytes", png.len());
        let decoded = resvg::tiny_skia::Pixmap::decode_png(&png).expect("decodes");
        let colours: std::collections::BTreeSet<_> =
            decoded.pixels().iter().map(|p| (p.red(), p.green(), p.blue())).collect();
        assert!(colours.len() > 50, "{period:?}: something is drawn");
    }
}

#[test]
fn gaps_are_hatched_and_explained() {
    let whole = chart(Period::Week, 10, Vec::new());
    let gap = Span { start: whole.span.start, end: whole.span.start.plus_millis(60_000) };
    let with = chart(Period::Week, 10, vec![gap]).svg();
    assert_eq!(with.matches("url(#gap)").count(), 2, "one on the chart, one in the legend");
    assert!(with.contains("No data received"));
    assert_eq!(whole.svg().matches("url(#gap)").count(), 0);
}

#[test]
fn numbers_that_are_not_of_today_carry_their_day() {
    let mut chart = chart(Period::Week, 10, Vec::new());
    assert!(chart.svg().contains("as of 18:16<"), "Kathmandu's clock");
    chart.updated = Timestamp::parse_rfc3339("2026-11-21T18:14:00Z");
    assert!(chart.svg().contains("as of Nov 21, 23:59<"));
    chart.language = Language::French;
    assert!(chart.svg().contains("le 21 nov. à 23:59<"));
}

#[test]
fn words_cannot_break_the_document() {
    let mut chart = chart(Period::Day, 1, Vec::new());
    chart.tiles[0].value = "<&\"'>".to_owned();
    assert!(png(&chart.svg()).is_ok());
}

#[test]
fn a_gap_is_cut_to_the_span() {
    let at = Timestamp::from_secs;
    let span = Span { start: at(100), end: at(200) };
    assert_eq!(clip(Span { start: at(0), end: at(150) }, span), Some(Span { start: at(100), end: at(150) }));
    assert_eq!(clip(Span { start: at(0), end: at(100) }, span), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_numbers_the_document_has_only_finite_ones(
        most in prop_oneof![Just(0), Just(1), 0..u64::MAX / 1_000],
        period in prop::sample::select(&Period::ALL),
    ) {
        let svg = chart(period, most, Vec::new()).svg();
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
