//! Dashboards and rules show what is there: a real Prometheus beside the development stack and a real runner, with traffic,
//! has an answer to every query of every panel; and the runner, asked to say all it can, says nothing of what people write.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use guildhall_devstack::stack::{Discord, Stack, StackConfig};
use guildhall_discord_double::{Config as DoubleConfig, GuildPlan};
use guildhall_runtime::Environment;
use guildhall_runtime::metrics::catalogue::{CATALOGUE, Kind};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{services, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// What the issue of observability fixed.
const PROMISED: [&str; 6] = [
    "events_processed_total",
    "event_processing_duration_seconds_bucket",
    "active_shards",
    "api_requests_total",
    "db_query_duration_seconds_bucket",
    "redis_operations_total",
];
/// By when every panel has something to show. The rollup, which measures the database, runs every 30 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// A panel's query, with where it stands.
struct Query {
    place: String,
    expression: String,
}

fn monitoring() -> PathBuf {
    Path::new("../infra/monitoring").canonicalize().unwrap()
}

fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<_> = fs::read_dir(monitoring().join("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a: &(String, Value), b| a.0.cmp(&b.0));
    found
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{file}, {}, {}", panel["title"], target["refId"]);
                queries.push(Query { place, expression: target["expr"].as_str().unwrap().to_owned() });
            }
        }
    }
    queries
}

/// One HTTP exchange, in version 1.0, so that the answer comes whole and unchunked.
async fn exchange(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

async fn get(address: &str, path: &str) -> Option<Value> {
    let body = exchange(address, &format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")).await?;
    serde_json::from_str(&body).ok()
}

/// A member uses a command.
async fn say(double: &str, command: &str) -> Value {
    let address = double.trim_start_matches("http://");
    let body = json!({ "command": command, "wait_ms": 10_000 }).to_string();
    let length = body.len();
    let head = format!("POST /_double/interactions HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json");
    let answer = exchange(address, &format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}")).await;
    serde_json::from_str(&answer.unwrap_or_else(|| panic!("{command} is refused"))).unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn results(prometheus: &str, expression: &str) -> Vec<Value> {
    let answer = get(prometheus, &format!("/api/v1/query?query={}", encoded(expression))).await;
    let answer = answer.unwrap_or_else(|| panic!("Prometheus refuses {expression}"));
    answer["data"]["result"].as_array().unwrap().clone()
}

fn is_number(result: &Value) -> bool {
    result["value"][1].as_str().is_some_and(|value| value != "NaN")
}

async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

fn start_prometheus(folder: &Path, listen: &str, functions: &str, runner: &str) -> Child {
    let config = json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [monitoring().join("rules/*.yml")],
        "scrape_configs": [
            { "job_name": "functions", "static_configs": [{ "targets": [functions] }] },
            { "job_name": "gateway-runner", "static_configs": [{ "targets": [runner] }] },
        ],
    });
    // JSON is YAML.
    fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    Command::new(services::service(services::PROMETHEUS))
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={listen}"))
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn start_runner(stack: &Stack, folder: &Path, admin: &str) -> Child {
    let log = fs::File::create(folder.join("runner.log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_gateway-runner"))
        .env_clear()
        .envs(stack.environment().iter().map(|(name, value)| (name, value)))
        .env("RUNNER_JOURNAL_DIR", folder.join("journal"))
        .env("RUNNER_ADMIN_ADDR", admin)
        .env("LOG_LEVEL", "trace")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_panel_is_empty_and_no_series_is_unknown() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let clock = guildhall_runtime::system_clock();
    let double = DoubleConfig {
        shards: 2,
        max_concurrency: 2,
        guilds: vec![GuildPlan::new("Small", 60, 4, 1), GuildPlan::new("Middle", 400, 8, 2)],
        ..DoubleConfig::new(13, clock.clone())
    };
    let token = double.bot_token.clone();
    let config = StackConfig {
        database_url: database.url().to_owned(),
        redis_url: services::service(services::REDIS),
        aws_endpoint: services::service(services::AWS),
        prefix: format!("dashboards-{}", std::process::id()),
        partitions: 2,
        interactions_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        discord: Discord::Double(Box::new(double)),
        deliver_twice: false,
    };
    let stack = Stack::start(config, clock).await.unwrap();
    let variables = Environment::from_pairs(stack.environment().to_vec());
    guildhall_devstack::commands::register(&variables, None).await.unwrap();
    let double = stack.double.as_ref().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let (runner, prometheus) = (free_address().await, free_address().await);
    let functions = stack.interactions_url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let _runner = start_runner(&stack, folder.path(), &runner);
    let _prometheus = start_prometheus(folder.path(), &prometheus, &functions, &runner);
    until("both shards to be connected", Duration::from_secs(60), || async {
        (double.gateway().counts().identifies == 2).then_some(())
    })
    .await;
    double.start_traffic(5, 200, None);
    until("Prometheus to answer", Duration::from_secs(30), || get(&prometheus, "/api/v1/query?query=1")).await;
    let unsigned = format!("POST /interactions HTTP/1.0\r\nhost: {functions}\r\ncontent-length: 0\r\n\r\n");
    assert!(exchange(&functions, &unsigned).await.is_none(), "refused");

    let queries = queries();
    assert!(queries.len() > 40, "the panels were found");
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Counters of what people do rise while Prometheus looks.
        say(&double.base_url(), "/stats server period:7d").await;
        say(&double.base_url(), "/sync").await;
        let mut empty = Vec::new();
        for Query { place, expression } in &queries {
            if !results(&prometheus, expression).await.iter().any(is_number) {
                empty.push(format!("{place}: {expression}"));
            }
        }
        if empty.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "empty after {PATIENCE:?}:\n{}", empty.join("\n"));
        ticks.tick().await;
    }

    let names = get(&prometheus, "/api/v1/label/__name__/values").await.unwrap();
    let names: BTreeSet<String> =
        names["data"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for promised in PROMISED {
        assert!(names.contains(promised), "{promised}");
    }
    let known: BTreeSet<String> = CATALOGUE
        .iter()
        .flat_map(|metric| match metric.kind {
            Kind::Histogram(_) => {
                ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", metric.name)).to_vec()
            }
            Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
        })
        .collect();
    let prometheus_own =
        |name: &str| ["guildhall:", "scrape_", "ALERTS"].iter().any(|prefix| name.starts_with(prefix)) || name == "up";
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(*name) && !prometheus_own(name)).collect();
    assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");

    let firing = results(&prometheus, r#"ALERTS{alertstate="firing"}"#).await;
    assert!(firing.is_empty(), "all is well, and these are raised: {firing:?}");

    let log = fs::read_to_string(folder.path().join("runner.log")).unwrap();
    assert!(log.contains("the runner starts"), "it says enough to be looked at");
    for word in [token.as_str(), r#""content"#, r#"\"content"#, "username"] {
        let offence = log.lines().find(|line| line.contains(word));
        assert_eq!(offence, None, "{word} does not belong into a log");
    }
    stack.shutdown().await;
}

#[test]
fn dashboards_can_be_found_read_and_followed() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let text = |value: &Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        let uid = text(&dashboard["uid"]).unwrap_or_else(|| panic!("{file} has a fixed uid, so that links last"));
        assert!(uids.insert(uid), "{file}: its uid is another one's too");
        assert!(text(&dashboard["title"]).is_some() && text(&dashboard["description"]).is_some(), "{file}");
        let rows = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == "row").count();
        assert!((2..=4).contains(&rows), "{file} has {rows} rows: a tired person reads few");
        let mut ids = BTreeSet::new();
        let mut occupied = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}, {title}: an id twice");
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{file}, {title} leaves the page");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(occupied.insert((x, y)), "{file}, {title} lies on another panel");
                }
            }
        }
        for panel in panels(&dashboard) {
            let title = text(&panel["title"]).unwrap();
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(text(&defaults["unit"]).is_some(), "{file}, {title}: its unit");
            assert!(defaults["thresholds"]["steps"].is_array(), "{file}, {title}: its thresholds");
            let coloured = defaults["thresholds"]["steps"].as_array().unwrap().len() > 1;
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{file}, {title}");
            }
            for link in panel["links"].as_array().into_iter().flatten() {
                let runbook = link["url"].as_str().unwrap().trim_start_matches("${runbooks}/");
                assert!(monitoring().join("runbooks").join(runbook).is_file(), "{file}, {title}: {runbook} is missing");
            }
            let stat = panel["type"] == "stat";
            let silent = ["Alerts firing", "Budget", "Dead", "Guilds"].iter().any(|word| title.starts_with(word));
            assert!(!(stat && coloured) || silent || panel["links"].is_array(), "{file}, {title}: red, and no runbook");
        }
    }
}

#[test]
fn every_alert_leads_to_a_runbook_that_says_what_to_do() {
    let text = fs::read_to_string(monitoring().join("rules/alerts.yml")).unwrap();
    let page = fs::read_to_string(monitoring().join("../../docs/monitoring.md")).unwrap();
    let tests: String = fs::read_dir(monitoring().join("tests"))
        .unwrap()
        .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    let mut linked = BTreeSet::new();
    for alert in text.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        let of = |key: &str| alert.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
        assert!(["critical", "warning"].contains(&of("severity:").unwrap()), "{name}: its severity");
        assert!(of("summary:").is_some(), "{name}: a summary");
        let runbook = of("runbook: infra/monitoring/runbooks/").unwrap_or_else(|| panic!("{name} has no runbook"));
        let steps = fs::read_to_string(monitoring().join("runbooks").join(runbook)).unwrap();
        for heading in ["## What it means", "## How to see it", "## What to do", "## What not to do"] {
            assert!(steps.contains(heading), "{runbook}: {heading}");
        }
        assert!(steps.contains(&format!("`{name}`")), "{runbook} names {name}");
        assert!(page.contains(&format!("`{name}`")), "docs/monitoring.md lists {name}");
        // Both a case in which it fires and one in which it does not.
        let cases = || tests.split("alertname: ").skip(1).filter(|case| case.lines().next() == Some(name));
        assert!(
            cases().any(|case| case.contains("exp_labels")
                && !case.trim_start_matches(name).trim_start().starts_with("exp_alerts: []")),
            "{name}: a case in which it fires"
        );
        assert!(
            cases().any(|case| case.trim_start_matches(name).trim_start().starts_with("exp_alerts: []")),
            "{name}: a case in which it does not"
        );
        linked.insert(runbook.to_owned());
    }
    let there = fs::read_dir(monitoring().join("runbooks")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(linked, there, "each runbook belongs to an alert");
}
