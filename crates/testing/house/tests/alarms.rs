//! Alarms of the template: each leads to a runbook and to somebody, and what must be watched is.

use std::collections::BTreeSet;
use std::fs;

use guildhall_house::cloudformation::{Template, referenced, walk};
use guildhall_house::{repository, rust_source};
use serde_json::{Value, json};

fn template() -> Template {
    let text = fs::read_to_string(repository::root().join("template.yaml")).expect("template.yaml is there");
    Template::parse(&text).expect("template.yaml parses")
}

/// The resources that the dimensions of an alarm name, those of its metrics included.
fn watched(alarm: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(alarm, &mut |value| {
        for dimension in value["Dimensions"].as_array().into_iter().flatten() {
            names.extend(referenced(&dimension["Value"]).map(str::to_owned));
        }
    });
    names
}

/// The resources that alarms with this metric watch.
fn watched_by(template: &Template, metric: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for alarm in template.resources("AWS::CloudWatch::Alarm").values() {
        let mut mentions = false;
        walk(alarm, &mut |value| mentions |= value["MetricName"] == metric);
        if mentions {
            names.extend(watched(alarm));
        }
    }
    names
}

#[test]
fn every_alarm_tells_somebody_what_to_do() {
    let template = template();
    let alarms = template.resources("AWS::CloudWatch::Alarm");
    assert!(alarms.len() > 20, "the alarms were found");
    for (name, alarm) in alarms {
        let properties = &alarm["Properties"];
        for action in ["AlarmActions", "OKActions"] {
            assert_eq!(properties[action], json!([{"Ref": "Alarms"}]), "{name}: {action}");
        }
        assert!(properties["TreatMissingData"].is_string(), "{name}: what no data means");
        let description = properties["AlarmDescription"].as_str().expect("a description");
        let runbook = description.split_whitespace().last().expect("a runbook");
        assert!(runbook.starts_with("infra/monitoring/runbooks/"), "{name} ends with its runbook");
        assert!(repository::root().join(runbook).is_file(), "{name}: {runbook} is missing");
    }
}

#[test]
fn queues_and_functions_are_watched() {
    let template = template();
    let queues = template.resources("AWS::SQS::Queue");
    let (dead, alive): (BTreeSet<String>, BTreeSet<String>) =
        queues.keys().map(|name| (*name).to_owned()).partition(|name| name.contains("DeadLetters"));
    assert_eq!(watched_by(&template, "ApproximateNumberOfMessagesVisible"), dead, "every dead-letter queue");
    assert_eq!(watched_by(&template, "ApproximateAgeOfOldestMessage"), alive, "every other queue");

    // `migrate` runs when somebody deploys, who sees its answer.
    let functions = template.functions();
    let expected: BTreeSet<_> =
        functions.iter().map(|function| function.name.clone()).filter(|name| name != "MigrateFunction").collect();
    for metric in ["Errors", "Throttles"] {
        assert_eq!(watched_by(&template, metric), expected, "{metric} of every function");
    }
}

#[test]
fn what_alarms_look_for_in_logs_is_said_somewhere() {
    let root = repository::root();
    let mut sources = String::new();
    for path in repository::files(&root).expect("git") {
        let product = ["crates/", "functions/", "gateway-runner/"].iter().any(|folder| path.starts_with(folder));
        if product && path.ends_with(".rs") && !rust_source::is_test(&path) && !path.starts_with("crates/testing/") {
            sources.push_str(rust_source::without_tests(&fs::read_to_string(root.join(&path)).expect("readable")));
        }
    }
    let template = template();
    let filters = template.resources("AWS::Logs::MetricFilter");
    let mut metrics = BTreeSet::new();
    for (name, filter) in &filters {
        let properties = &filter["Properties"];
        let group = referenced(&properties["LogGroupName"]).expect("a log group");
        assert!(template.resources("AWS::Logs::LogGroup").contains_key(group), "{name}: {group}");
        let pattern = properties["FilterPattern"].as_str().expect("a pattern");
        // `$.message = "…*"` and `$.api_requests_total = *`: the words must be the product's own.
        for message in pattern.split("$.message = \"").skip(1) {
            let message = message.split(['*', '"']).next().expect("a beginning");
            assert!(sources.contains(message), "{name}: nobody says \"{message}\"");
        }
        for field in pattern.split("$.").skip(1) {
            let field = field.split(' ').next().expect("a name");
            let known = ["level", "message"].contains(&field) || sources.contains(&format!("\"{field}\""));
            assert!(known, "{name}: no line has {field}");
        }
        let transformation = &properties["MetricTransformations"][0];
        metrics.extend(transformation["MetricName"].as_str().map(str::to_owned));
    }
    let mut used = BTreeSet::new();
    for alarm in template.resources("AWS::CloudWatch::Alarm").values() {
        walk(alarm, &mut |value| used.extend(value["MetricName"].as_str().map(str::to_owned)));
    }
    assert!(metrics.is_subset(&used), "counted from logs, and in no alarm: {:?}", metrics.difference(&used));
}
