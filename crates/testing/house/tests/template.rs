//! The rules of `template.yaml`: delivery, retention, rights, configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use guildhall_house::cloudformation::{Function, Template, container_variables, referenced, walk};
use guildhall_house::{fragments, repository, rust_source, workspace};
use serde_json::{Value, json};

const FOURTEEN_DAYS: i64 = 14 * 24 * 60 * 60;
const ONE_MEBIBYTE: i64 = 1024 * 1024;
/// What the AWS SDK and Lambda itself read, and what only `runtime` does.
const READ_BY_RUNTIME: [&str; 2] = ["LOG_FORMAT", "LOG_LEVEL"];

fn template() -> Template {
    Template::read(&repository::root()).expect("template.yaml is a template")
}

/// The functions' programs, which are the folders under `functions/`.
fn programs() -> BTreeSet<String> {
    let folders = fs::read_dir(repository::root().join("functions")).expect("functions/ is there");
    folders.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

fn function_of(template: &Template, program: &str) -> Function {
    let functions = template.functions();
    let function = functions.into_iter().find(|function| function.binary().is_ok_and(|binary| binary == program));
    function.unwrap_or_else(|| panic!("no function of the template runs {program}"))
}

#[test]
fn the_committed_template_is_the_merge_of_its_fragments() {
    let root = repository::root();
    let merged = fragments::merge(&fragments::read(&root).expect("fragments are readable")).expect("they merge");
    let committed = fs::read_to_string(root.join("template.yaml")).expect("template.yaml is there");
    assert!(merged == committed, "template.yaml is out of date: run `cargo merge-template`");
}

#[test]
fn each_function_has_a_fragment_of_its_own() {
    let root = repository::root();
    let mut described = BTreeSet::new();
    for (path, text) in fragments::read(&root).expect("fragments are readable") {
        let functions = Template::parse(&text).expect("a fragment is YAML").functions();
        let Some(program) = path.strip_prefix("infra/functions/").and_then(|name| name.strip_suffix(".yaml")) else {
            assert!(functions.is_empty(), "{path} describes a function: it belongs under infra/functions/");
            continue;
        };
        assert_eq!(functions.len(), 1, "{path} describes one function");
        assert_eq!(functions[0].binary().expect("a binary"), program, "{path} is named after its program");
        assert_eq!(functions[0].properties["CodeUri"], json!(format!("functions/{program}")), "{path}");
        assert_eq!(functions[0].metadata["BuildMethod"], "rust-cargolambda", "{path}");
        described.insert(program.to_owned());
    }
    assert_eq!(described, programs(), "infra/functions/ and functions/ name the same functions");
}

#[test]
fn each_function_has_an_event_that_can_be_replayed_and_the_answer_to_it() {
    let folder = repository::root().join("infra/events");
    let expected: BTreeSet<_> = programs().into_iter().map(|program| format!("{program}.json")).collect();
    for list in ["infra/events", "infra/expected"] {
        let files = fs::read_dir(repository::root().join(list)).expect("the folder is there");
        let names: BTreeSet<_> =
            files.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(names, expected, "{list} has a file for each function");
    }
    for name in expected {
        let text = fs::read_to_string(folder.join(&name)).expect("readable");
        let event: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("infra/events/{name}: {error}"));
        for record in event["Records"].as_array().into_iter().flatten() {
            assert_eq!(record["eventSource"], "aws:sqs", "infra/events/{name}");
            assert!(record["messageId"].is_string() && record["body"].is_string(), "infra/events/{name}");
        }
    }
}

#[test]
fn the_ingest_event_carries_an_envelope_that_can_be_read() {
    let path = repository::root().join("infra/events/stats-ingest.json");
    let event: Value = serde_json::from_str(&fs::read_to_string(path).expect("readable")).expect("JSON");
    let body = event["Records"][0]["body"].as_str().expect("a body");
    let envelope = guildhall_wire::decode(body).expect("an envelope");
    assert!(!envelope.events.is_empty());
}

#[test]
fn every_queue_keeps_its_messages_and_has_dead_letters() {
    let template = template();
    let queues = template.resources("AWS::SQS::Queue");
    let mut dead_letters = BTreeSet::new();
    for (name, queue) in &queues {
        let properties = &queue["Properties"];
        assert_eq!(properties["MessageRetentionPeriod"], FOURTEEN_DAYS, "{name}: 14 days of retention");
        assert_eq!(properties["MaximumMessageSize"], ONE_MEBIBYTE, "{name}: messages of up to 1 MiB");
        assert_eq!(properties["SqsManagedSseEnabled"], true, "{name}: encrypted at rest");
        if name.contains("DeadLetters") {
            assert!(properties["RedrivePolicy"].is_null(), "{name}: the last stop");
            continue;
        }
        let redrive = &properties["RedrivePolicy"];
        let target =
            referenced(&redrive["deadLetterTargetArn"]).unwrap_or_else(|| panic!("{name} has no dead-letter queue"));
        assert!(
            target.contains("DeadLetters") && queues.contains_key(target),
            "{name} sends its dead letters to {target}"
        );
        assert!(
            redrive["maxReceiveCount"].as_i64().is_some_and(|count| count >= 3),
            "{name}: three deliveries at least"
        );
        assert!(dead_letters.insert(target), "{target} has dead letters of two queues");
    }
    let all: BTreeSet<_> = queues.keys().copied().filter(|name| name.contains("DeadLetters")).collect();
    assert_eq!(dead_letters, all, "every dead-letter queue belongs to a queue");
}

#[test]
fn queue_sources_fail_message_by_message_and_leave_time_for_a_retry() {
    let template = template();
    let mut consumed = BTreeSet::new();
    for function in template.functions() {
        let timeout = function.properties["Timeout"].as_i64().expect("a timeout");
        for (source, properties) in function.queue_sources() {
            let name = format!("{}.{source}", function.name);
            let queue =
                referenced(&properties["Queue"]).unwrap_or_else(|| panic!("{name} names no queue of the template"));
            assert!(consumed.insert(queue.to_owned()), "{queue} has two consumers");
            assert_eq!(properties["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
            let concurrency = properties["ScalingConfig"]["MaximumConcurrency"].as_i64();
            assert!(concurrency.is_some_and(|n| n >= 2), "{name} bounds its concurrency at the source");
            let reserved = &function.properties["ReservedConcurrentExecutions"];
            assert!(reserved.is_null(), "{name}: reserved concurrency pushes good messages to the dead letters");
            let visibility = template.resource(queue)["Properties"]["VisibilityTimeout"].as_i64().unwrap_or(0);
            assert!(visibility >= 6 * timeout, "{queue} hides a message for {visibility} s, less than 6 × {timeout} s");
            let window = properties["MaximumBatchingWindowInSeconds"].as_i64().unwrap_or(0);
            let batch = properties["BatchSize"].as_i64().expect("a batch size");
            assert!(
                batch <= 10 || (1..=5).contains(&window),
                "{name}: a batch over 10 needs a window, and people wait"
            );
        }
    }
    let queues = template.resources("AWS::SQS::Queue");
    let unread: Vec<_> =
        queues.keys().filter(|name| !name.contains("DeadLetters") && !consumed.contains(**name)).collect();
    assert!(unread.is_empty(), "nobody consumes {unread:?}");
}

#[test]
fn the_partitions_of_the_event_queue_are_complete() {
    let template = template();
    let queues = template.resources("AWS::SQS::Queue");
    let count = queues.keys().filter(|name| name.starts_with("EventQueue")).count();
    let partitions: Vec<_> = (0..count).map(|i| format!("EventQueue{i}")).collect();
    assert!(partitions.iter().all(|name| queues.contains_key(name.as_str())), "numbered from 0 without a hole");
    assert_eq!(template.section("Parameters")["EventPartitions"]["Default"], count);

    let ingest = function_of(&template, "stats-ingest");
    let consumed: BTreeSet<_> = ingest.queue_sources().filter_map(|(_, source)| referenced(&source["Queue"])).collect();
    assert_eq!(consumed, partitions.iter().map(String::as_str).collect(), "ingest reads every partition");

    let mut granted = BTreeSet::new();
    for statement in statements(template.resource("RunnerTaskRole")) {
        if statement["Action"] == "sqs:SendMessage" {
            granted.extend(statement["Resource"].as_array().into_iter().flatten().filter_map(referenced));
        }
    }
    assert_eq!(granted, consumed, "the runner may send to every partition");

    // Whatever the parameter says, the runner's list begins with partition 0 and keeps their order.
    let runner = runner_container(&template);
    let urls = runner["Environment"].as_array().into_iter().flatten().find(|v| v["Name"] == "EVENT_QUEUE_URLS");
    let mut lists = Vec::new();
    walk(&urls.expect("the runner knows its queues")["Value"], &mut |value| {
        if let Some(list) = value["Fn::Join"][1].as_array() {
            lists.push(list.iter().filter_map(referenced).collect::<Vec<_>>());
        } else if let Some(name) = value.as_object().filter(|fields| fields.len() == 1).and_then(|_| referenced(value))
        {
            lists.push(vec![name]);
        }
    });
    assert!(lists.iter().any(|list| list.len() == count), "the default is every partition");
    for list in lists.iter().filter(|list| list.len() > 1) {
        assert!(list.iter().copied().eq(partitions.iter().map(String::as_str).take(list.len())), "{list:?}");
    }
}

#[test]
fn functions_are_sized_and_run_where_the_parameter_says() {
    for function in template().functions() {
        let (name, properties) = (&function.name, &function.properties);
        assert_eq!(properties["Runtime"], "provided.al2023", "{name}");
        assert_eq!(properties["Architectures"], json!([{"Ref": "Architecture"}]), "{name}");
        assert!(properties["MemorySize"].as_i64().is_some_and(|mb| mb >= 512), "{name}: 512 MB at least");
        assert!(properties["Description"].is_string(), "{name} says what it does");
    }
    let template = template();
    let interactions = function_of(&template, "interactions");
    let seconds = interactions.properties["Timeout"].as_i64().expect("a timeout");
    assert!((3..=10).contains(&seconds), "Discord waits 3 seconds; {seconds} s of timeout would only hide trouble");
    assert_eq!(template.section("Parameters")["Architecture"]["Default"], "arm64");
}

#[test]
fn every_log_is_kept_for_as_long_as_the_parameter_says() {
    let template = template();
    let groups = template.resources("AWS::Logs::LogGroup");
    for (name, group) in &groups {
        assert_eq!(group["Properties"]["RetentionInDays"], json!({"Ref": "LogRetentionDays"}), "{name}");
    }
    let mut used: Vec<&str> = Vec::new();
    let functions = template.functions();
    for function in &functions {
        let group = referenced(&function.properties["LoggingConfig"]["LogGroup"]);
        used.push(group.unwrap_or_else(|| panic!("{} has no log group of its own", function.name)));
    }
    used.extend(referenced(&runner_container(&template)["LogConfiguration"]["Options"]["awslogs-group"]));
    for api in template.resources("AWS::Serverless::Api").values() {
        used.extend(referenced(&api["Properties"]["AccessLogSetting"]["DestinationArn"]));
    }
    used.sort_unstable();
    assert!(used.iter().copied().eq(groups.keys().copied()), "each log group has one writer: {used:?}");
}

#[test]
fn no_policy_grants_a_right_on_everything() {
    let template = template();
    let mut seen = 0;
    walk(template.section("Resources"), &mut |value| {
        if value["Effect"] != "Allow" || value["Action"] == "sts:AssumeRole" {
            return;
        }
        seen += 1;
        for field in ["Action", "Resource"] {
            walk(&value[field], &mut |part| {
                // The objects of one bucket are named by their bucket only.
                let text = part.as_str().map(|text| text.strip_suffix("Bucket.Arn}/*").unwrap_or(text));
                assert!(!text.is_some_and(|t| t.contains('*')), "the statement {} allows {field} {part}", value["Sid"]);
            });
        }
        assert!(!value["Resource"].is_null(), "the statement {} names no resource", value["Sid"]);
        assert!(
            value["NotAction"].is_null() && value["NotResource"].is_null(),
            "{}: name what is allowed",
            value["Sid"]
        );
    });
    assert!(seen >= 3, "the statements were looked at");
}

#[test]
fn the_runner_never_sees_the_database() {
    let template = template();
    let task = template.resource("RunnerTask").to_string();
    assert!(!task.contains("Database") && !task.contains("Cache"), "shards outlive a dead database");
    let stop = runner_container(&template)["StopTimeout"].as_i64();
    assert!(stop.is_some_and(|seconds| seconds >= 60), "a drain takes longer than 30 s, the default");
}

#[test]
fn secrets_are_references_and_never_parameters() {
    let template = template();
    for (name, parameter) in template.section("Parameters").as_object().expect("parameters") {
        let arn = name.ends_with("SecretArn");
        let secret = ["Secret", "Password", "Token"].iter().any(|word| name.contains(word));
        assert!(arn || !secret, "{name}: name a secret of Secrets Manager instead");
        assert!(parameter["Description"].is_string(), "{name} says what it is");
    }
    let functions = template.functions();
    for function in &functions {
        for name in ["DATABASE_URL", "REDIS_URL", "DISCORD_TOKEN"] {
            let value = &function.properties["Environment"]["Variables"][name];
            // One form, or one for each case of a condition.
            let forms = value["Fn::If"].as_array().map_or_else(|| vec![value], |forms| forms[1..].iter().collect());
            let resolved =
                |form: &Value| form["Fn::Sub"].as_str().is_some_and(|t| t.contains("{{resolve:secretsmanager:"));
            let resolved = forms.iter().all(|form| resolved(form));
            assert!(value.is_null() || resolved, "{}: {name} is resolved when the stack is deployed", function.name);
        }
    }
}

#[test]
fn functions_are_given_the_variables_they_read() {
    let root = repository::root();
    let packages = workspace::packages(&root).expect("cargo metadata");
    for function in template().functions() {
        let program = function.binary().expect("a binary");
        let declared = function.properties["Environment"]["Variables"].as_object().expect("variables");
        check_variables(&root, &packages, &format!("guildhall-{program}"), &declared.keys().cloned().collect());
    }
}

#[test]
fn the_runner_is_given_the_variables_it_reads() {
    let root = repository::root();
    let packages = workspace::packages(&root).expect("cargo metadata");
    let template = template();
    let declared = container_variables(runner_container(&template)).into_keys().map(str::to_owned).collect();
    check_variables(&root, &packages, "guildhall-gateway-runner", &declared);
}

/// What the program and the crates it is built with read must be what the template declares.
fn check_variables(
    root: &Path,
    packages: &BTreeMap<String, workspace::Package>,
    package: &str,
    declared: &BTreeSet<String>,
) {
    let mut read: BTreeMap<String, bool> = READ_BY_RUNTIME.map(|name| (name.to_owned(), false)).into();
    let folders = workspace::folders_of(packages, package);
    assert!(!folders.is_empty(), "{package} is not a crate of the workspace");
    for path in repository::files(root).expect("git") {
        let mine =
            folders.iter().any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|p| p.starts_with("/src/")));
        if mine && path.ends_with(".rs") && !rust_source::is_test(&path) {
            let text = fs::read_to_string(root.join(&path)).expect("readable");
            for (name, insists) in rust_source::variables_read(&text) {
                *read.entry(name).or_default() |= insists;
            }
        }
    }
    let manual = fs::read_to_string(root.join("docs/operations.md")).expect("docs/operations.md is there");
    for (name, insists) in &read {
        assert!(
            manual.contains(&format!("| `{name}` |")),
            "{package} reads {name}, which docs/operations.md does not list"
        );
        assert!(!insists || declared.contains(name), "{package} reads {name}, which the template does not give it");
    }
    let unread: Vec<_> = declared.iter().filter(|name| !read.contains_key(*name)).collect();
    assert!(unread.is_empty(), "{package} is given {unread:?}, which it does not read");
}

fn runner_container(template: &Template) -> &Value {
    &template.resource("RunnerTask")["Properties"]["ContainerDefinitions"][0]
}

/// The statements of a role's own policies.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = role["Properties"]["Policies"].as_array().into_iter().flatten();
    policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().into_iter().flatten()).collect()
}
