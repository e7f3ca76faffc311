//! The catalogue of metrics, the sources that record them, the page that explains them and the files that use them agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use guildhall_house::{repository, rust_source};
use guildhall_runtime::metrics::catalogue::{CATALOGUE, Kind, LABELS, Metric, Source};

/// A place where a metric is recorded.
#[derive(Debug, PartialEq)]
struct Recorded {
    kind: String,
    name: String,
    labels: Vec<String>,
}

/// The metrics that a file records.
fn recorded(text: &str) -> Vec<Recorded> {
    let mut found = Vec::new();
    for kind in ["counter", "gauge", "histogram"] {
        // Spelled in two parts, so that this file records nothing.
        for (at, opening) in text.match_indices(&format!("metrics::{kind}{}", "!(")) {
            let call = arguments(&text[at + opening.len()..]);
            let mut strings = call.split('"').skip(1).step_by(2);
            let name = strings.next().unwrap_or("(not a literal)").to_owned();
            let mut labels: Vec<String> = call
                .match_indices("=>")
                .filter_map(|(arrow, _)| {
                    Some(call[..arrow].trim_end().strip_suffix('"')?.rsplit('"').next()?.to_owned())
                })
                .collect();
            labels.sort();
            found.push(Recorded { kind: kind.to_owned(), name, labels });
        }
    }
    found
}

/// The text up to the parenthesis that closes it.
fn arguments(text: &str) -> &str {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The file up to its inline tests; a module of tests that is a file of its own ends nothing.
fn product(text: &str) -> &str {
    const ATTRIBUTE: &str = "\n#[cfg(test)]\n";
    let inline = |at: &usize| text[at + ATTRIBUTE.len()..].lines().next().is_some_and(|line| line.ends_with('{'));
    let end = text.match_indices(ATTRIBUTE).map(|(at, _)| at).find(inline);
    &text[..end.unwrap_or(text.len())]
}

fn source_of(path: &str) -> Source {
    match path {
        _ if path.starts_with("gateway-runner/") => Source::Runner,
        _ if path.starts_with("crates/testing/") => Source::Devstack,
        _ => Source::Functions,
    }
}

fn declared(name: &str) -> Option<&'static Metric> {
    CATALOGUE.iter().find(|metric| metric.name == name)
}

#[test]
fn what_is_recorded_is_declared_and_the_other_way_round() {
    let root = repository::root();
    let mut offences = Vec::new();
    let mut seen: BTreeSet<(&str, Source)> = BTreeSet::new();
    for path in repository::files(&root).expect("git") {
        // The catalogue itself speaks of all of them at once.
        let records = path.ends_with(".rs") && !path.ends_with("metrics/catalogue.rs");
        if !records || rust_source::is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).expect("readable");
        for Recorded { kind, name, labels } in recorded(product(&text)) {
            let Some(metric) = declared(&name) else {
                offences.push(format!("{path} records {name}, which the catalogue does not have"));
                continue;
            };
            if kind != metric.kind.name() || labels != metric.labels {
                offences.push(format!("{path} records {name} as a {kind} with {labels:?}"));
            }
            seen.insert((metric.name, source_of(&path)));
        }
    }
    let expected = CATALOGUE.iter().flat_map(|metric| metric.sources.iter().map(|source| (metric.name, *source)));
    let expected: BTreeSet<_> = expected.collect();
    offences.extend(expected.difference(&seen).map(|(name, by)| format!("{name} is not recorded by {}", by.name())));
    offences.extend(seen.difference(&expected).map(|(name, by)| format!("{name} is also recorded by {}", by.name())));
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn names_follow_the_convention_and_labels_are_bounded() {
    let mut names = BTreeSet::new();
    let mut used = BTreeSet::new();
    for metric in CATALOGUE {
        assert!(names.insert(metric.name), "{} is declared twice", metric.name);
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        for (unit, suffix) in [(metrics::Unit::Seconds, "_seconds"), (metrics::Unit::Bytes, "_bytes")] {
            assert_eq!(metric.unit == unit, metric.name.ends_with(suffix), "{} and its unit", metric.name);
        }
        assert!(metric.labels.is_sorted(), "{}", metric.name);
        used.extend(metric.labels);
        if let Kind::Histogram(buckets) = metric.kind {
            assert!(buckets.is_sorted() && buckets.contains(&0.5), "{}: 500 ms is a bound", metric.name);
        }
    }
    let known: BTreeSet<_> = LABELS.iter().map(|(name, _)| *name).collect();
    assert_eq!(used, known, "a label is on the list with what bounds it, and is used");
    for forbidden in ["guild", "channel", "member", "user", "session", "interaction"] {
        assert!(!known.contains(forbidden), "{forbidden} has as many values as there are communities");
    }
}

#[test]
fn the_page_explains_each_metric() {
    let page = fs::read_to_string(repository::root().join("docs/monitoring.md")).expect("docs/monitoring.md");
    let expected: Vec<String> = CATALOGUE
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let sources: Vec<_> = metric.sources.iter().map(|source| source.name()).collect();
            let (labels, sources) = (labels.join(", "), sources.join(", "));
            format!("| `{}` | {} | {labels} | {sources} | {} |", metric.name, metric.kind.name(), metric.help)
        })
        .collect();
    let table: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("| metric |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(table, expected, "the table should be:\n{}", expected.join("\n"));
}

/// The words of an expression that could be metrics: names with an underscore that no parenthesis follows.
fn names_in(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let word_end = rest[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let end = word_end.map_or(rest.len(), |length| start + length);
        names.insert(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    names
}

/// The expressions of rules and dashboards, with the file they stand in.
fn expressions() -> Vec<(String, String)> {
    let root = repository::root();
    let mut found = Vec::new();
    for path in repository::files(&root).expect("git") {
        if !path.starts_with("infra/monitoring/rules/") && !path.starts_with("infra/monitoring/dashboards/") {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).expect("readable");
        found.push((path, text));
    }
    assert!(found.iter().any(|(path, _)| path.contains("/rules/")), "there are rules");
    assert!(found.iter().any(|(path, _)| path.contains("/dashboards/")), "there are dashboards");
    found
}

#[test]
fn rules_and_dashboards_use_metrics_that_exist() {
    let files = expressions();
    let mut series: BTreeMap<String, &str> = BTreeMap::new();
    for metric in CATALOGUE {
        series.insert(metric.name.to_owned(), metric.name);
        if matches!(metric.kind, Kind::Histogram(_)) {
            for suffix in ["_bucket", "_sum", "_count"] {
                series.insert(format!("{}{suffix}", metric.name), metric.name);
            }
        }
        // As the exporter of CloudWatch's figures calls it.
        for statistic in ["sum", "average", "maximum", "p95"] {
            series.insert(format!("aws_guildhall_{}_{statistic}", metric.name), metric.name);
        }
    }
    let recorded: BTreeSet<String> = files
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("record: "))
        .map(str::to_owned)
        .collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut offences = Vec::new();
    for (path, text) in &files {
        for name in names_in(text) {
            if let Some(metric) = series.get(&name) {
                used.insert(metric);
            } else if name.starts_with("guildhall:") {
                if !recorded.contains(&name) {
                    offences.push(format!("{path} uses {name}, which no rule records"));
                }
            } else if ["_total", "_seconds", "_bytes", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
                offences.push(format!("{path} uses {name}, which is not in the catalogue"));
            }
        }
    }
    let gauges = CATALOGUE.iter().filter(|metric| metric.kind == Kind::Gauge).map(|metric| metric.name);
    offences.extend(gauges.filter(|name| !used.contains(name)).map(|name| format!("nobody looks at {name}")));
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_exporter_brings_what_the_rules_use_and_nothing_else() {
    let monitoring = repository::root().join("infra/monitoring");
    let rules = fs::read_to_string(monitoring.join("rules/recording.yml")).expect("the rules");
    let exporter =
        fs::read_to_string(monitoring.join("cloudwatch-exporter.yml")).expect("the exporter's configuration");
    let (_, own) = exporter.split_once("namespace: Guildhall").expect("the namespace");
    let mut brought = BTreeSet::new();
    for metric in own.split("- name: ").skip(1) {
        let name = metric.lines().next().expect("a name");
        let (_, statistic) = metric.split_once("statistics: [").expect("statistics");
        let statistic = statistic.split(']').next().expect("one statistic").to_lowercase();
        assert_eq!(
            statistic == "sum",
            metric.contains("nilToZero: true"),
            "{name}: where nothing happened the sum is 0"
        );
        let declared = declared(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert!(declared.sources.contains(&Source::Functions), "{name} is not in CloudWatch");
        brought.insert(format!("aws_guildhall_{name}_{statistic}"));
    }
    let used: BTreeSet<_> = names_in(&rules).into_iter().filter(|name| name.starts_with("aws_guildhall_")).collect();
    assert_eq!(brought, used);
    let recorded_by_functions = CATALOGUE.iter().filter(|metric| metric.sources.contains(&Source::Functions));
    for metric in recorded_by_functions {
        let prefix = format!("aws_guildhall_{}_", metric.name);
        assert!(used.iter().any(|name| name.starts_with(&prefix)), "{} does not reach the dashboards", metric.name);
    }
}

#[test]
fn calls_are_read_whole() {
    let text = format!(
        "metrics::counter{0}\"a_total\", \"b\" => name(1), \"a\" => \"x\".to_owned()).increment(1);\nmetrics::gauge{0}\"g\").set(1.0);",
        "!("
    );
    let expected = [
        Recorded { kind: "counter".into(), name: "a_total".into(), labels: vec!["a".into(), "b".into()] },
        Recorded { kind: "gauge".into(), name: "g".into(), labels: vec![] },
    ];
    assert_eq!(recorded(&text), expected);
}
