//! What a function tells CloudWatch is what the same code tells Prometheus: names, labels, values.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use guildhall_runtime::Environment;
use guildhall_runtime::metrics::catalogue::{CATALOGUE, Kind, Metric, Source};
use guildhall_runtime::metrics::{install_embedded, prometheus, write_embedded};
use metrics::Label;
use serde_json::Value;

/// A series: its name and its labels.
type Series = (String, BTreeMap<String, String>);

fn of_functions() -> impl Iterator<Item = &'static Metric> {
    CATALOGUE.iter().filter(|metric| metric.sources.contains(&Source::Functions))
}

fn labels(metric: &Metric, variant: &'static str) -> Vec<Label> {
    metric.labels.iter().map(|label| Label::new(*label, variant)).collect()
}

/// Records every metric of the functions under two sets of labels, with values that tell the series apart.
fn work() {
    for (metric, n) in of_functions().zip(1_u32..) {
        for (variant, factor) in [("one", 1_u32), ("two", 1_000)] {
            let labels = labels(metric, variant);
            match metric.kind {
                Kind::Counter => metrics::counter!(metric.name, labels).increment(u64::from(n * factor)),
                Kind::Gauge => metrics::gauge!(metric.name, labels).set(f64::from(n) + 0.5),
                Kind::Histogram(_) => {
                    let histogram = metrics::histogram!(metric.name, labels);
                    [0.25, 0.5, f64::from(n * factor)].into_iter().for_each(|seconds| histogram.record(seconds));
                }
            }
        }
    }
}

/// What CloudWatch extracts: for each metric its dimensions, and the sum and number of its values.
fn extracted(text: &str) -> BTreeMap<Series, (f64, usize)> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        assert!(document["_aws"]["Timestamp"].as_u64().is_some(), "{line}");
        for directive in document["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "Guildhall");
            let names = directive["Dimensions"][0].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let dimensions: BTreeMap<String, String> =
                names.map(|name| (name.to_owned(), document[name].as_str().unwrap().to_owned())).collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                let declared = CATALOGUE.iter().find(|declared| declared.name == name).unwrap();
                let unit = match declared.unit {
                    metrics::Unit::Seconds => "Seconds",
                    metrics::Unit::Bytes => "Bytes",
                    _ => "Count",
                };
                assert_eq!(metric["Unit"], unit, "{name}");
                let values: Vec<f64> = match &document[name] {
                    Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
                    value => vec![value.as_f64().unwrap()],
                };
                let previous = found.insert((name.to_owned(), dimensions.clone()), (values.iter().sum(), values.len()));
                assert_eq!(previous, None, "{name} is written once for each set of labels");
            }
        }
    }
    found
}

/// The same of an exposition, where a histogram's sum and count are series of their own.
fn exposed(text: &str) -> BTreeMap<Series, (f64, usize)> {
    let mut found: BTreeMap<Series, (f64, usize)> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
        let labels: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        let value: f64 = value.parse().unwrap();
        if name.ends_with("_bucket") {
            continue;
        } else if let Some(name) = name.strip_suffix("_sum") {
            found.entry((name.to_owned(), labels)).or_default().0 = value;
        } else if let Some(name) = name.strip_suffix("_count") {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
            let count = value as usize;
            found.entry((name.to_owned(), labels)).or_default().1 = count;
        } else {
            found.insert((name.to_owned(), labels), (value, 1));
        }
    }
    found
}

#[test]
fn cloudwatch_and_prometheus_are_told_the_same() {
    // The global recorder is a function's; Prometheus's stands in for it for a moment.
    install_embedded(&Environment::default()).unwrap();
    work();
    let mut written = Vec::new();
    write_embedded(&mut written).unwrap();
    let written = String::from_utf8(written).unwrap();

    let recorder = prometheus().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, work);
    let scraped = recorder.handle().render();

    let expected = exposed(&scraped);
    assert!(expected.len() > of_functions().count(), "{scraped}");
    assert_eq!(extracted(&written), expected);

    // The next invocation's figures are its own: nothing is written twice.
    let mut again = Vec::new();
    write_embedded(&mut again).unwrap();
    assert_eq!(extracted(&String::from_utf8(again).unwrap()), BTreeMap::new());
}
