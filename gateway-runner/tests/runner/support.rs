//! What the tests share: AWS resources of their own, a runner in this process, and an ingest that checks its envelopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use guildhall_discord_double::gateway::GatewaySettings;
use guildhall_discord_double::{Config as DoubleConfig, Double, GuildPlan};
use guildhall_domain::{ChannelId, ClassMap, Clock, EventKind, GuildId, PriorityClass, Timestamp, UserId};
use guildhall_gateway_runner::lease::Table;
use guildhall_gateway_runner::{Config, run_with};
use guildhall_runtime::system_clock;
use guildhall_test_kit::{services, until};
use guildhall_wire::{CoverageGap, Event, EventBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a condition may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The bot.
pub(crate) const APPLICATION: &str = "1100000000000000001";

/// A table and queues of one test.
pub(crate) struct Aws {
    pub(crate) config: SdkConfig,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub(crate) name: String,
}

impl Aws {
    pub(crate) async fn new(test: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let config = aws_config::from_env()
            .endpoint_url(services::service(services::AWS))
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"))
            .load()
            .await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = system_clock().now().as_millis();
        let name = format!("runner-{test}-{}-{now}-{number}", std::process::id());
        let aws = Self {
            sqs: aws_sdk_sqs::Client::new(&config),
            dynamo: aws_sdk_dynamodb::Client::new(&config),
            config,
            name,
        };
        aws.create_table().await;
        aws
    }

    async fn create_table(&self) {
        let named = |name| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind);
        self.dynamo
            .create_table()
            .table_name(&self.name)
            .attribute_definitions(named("pk").build().expect("complete"))
            .attribute_definitions(named("sk").build().expect("complete"))
            .key_schema(key("pk", KeyType::Hash).build().expect("complete"))
            .key_schema(key("sk", KeyType::Range).build().expect("complete"))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .expect("the table is created");
    }

    pub(crate) fn table(&self, clock: Clock) -> Table {
        Table::new(self.dynamo.clone(), self.name.clone(), APPLICATION, clock)
    }

    pub(crate) async fn create_queue(&self, suffix: &str) -> String {
        let created = self.sqs.create_queue().queue_name(format!("{}-{suffix}", self.name)).send().await;
        created.expect("the queue is created").queue_url.expect("it has a URL")
    }

    /// The keys of the table's items that begin so.
    pub(crate) async fn items(&self, prefix: &str) -> Vec<String> {
        let scanned = self.dynamo.scan().table_name(&self.name).consistent_read(true).send().await;
        let text = |item: &HashMap<String, AttributeValue>| {
            let values = item.values().filter_map(|value| value.as_s().ok());
            values.filter(|value| value.starts_with(prefix)).map(String::clone).next()
        };
        scanned.expect("readable").items().iter().filter_map(text).collect()
    }

    /// Whether the table's items of this kind will ever be deleted.
    pub(crate) async fn expire(&self, kind: &str) -> bool {
        let scanned = self.dynamo.scan().table_name(&self.name).consistent_read(true).send().await.expect("readable");
        let is_of_kind = |item: &&HashMap<String, AttributeValue>| {
            item.get("pk").and_then(|pk| pk.as_s().ok()).is_some_and(|pk| pk.starts_with(kind))
        };
        scanned.items().iter().filter(is_of_kind).any(|item| item.contains_key("expires_at"))
    }

    /// Gives every session in the table this address.
    pub(crate) async fn set_resume_url(&self, url: &str) {
        let scanned = self.dynamo.scan().table_name(&self.name).consistent_read(true).send().await.expect("readable");
        for mut item in scanned.items.unwrap_or_default() {
            if item.contains_key("resume_url") {
                item.insert("resume_url".to_owned(), AttributeValue::S(url.to_owned()));
                let put = self.dynamo.put_item().table_name(&self.name).set_item(Some(item)).send();
                put.await.expect("writable");
            }
        }
    }

    /// Receives and deletes up to ten messages.
    pub(crate) async fn receive(&self, queue_url: &str) -> Vec<String> {
        let received = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).send().await;
        let (mut bodies, mut handles) = (Vec::new(), Vec::new());
        for (number, message) in
            received.expect("the queue answers").messages.unwrap_or_default().into_iter().enumerate()
        {
            let handle = message.receipt_handle.expect("a handle");
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(handle);
            handles.push(entry.build().expect("complete"));
            bodies.push(message.body.expect("a body"));
        }
        if !handles.is_empty() {
            let deleted = self.sqs.delete_message_batch().queue_url(queue_url).set_entries(Some(handles)).send().await;
            assert!(deleted.expect("the queue answers").failed().is_empty());
        }
        bodies
    }
}

/// A double with small guilds on the system's clock.
pub(crate) async fn double(shards: u32, guilds: u32) -> Double {
    double_with(shards, guilds, GatewaySettings::default()).await
}

/// As [`double`], with a gateway of these settings.
pub(crate) async fn double_with(shards: u32, guilds: u32, gateway: GatewaySettings) -> Double {
    let config = DoubleConfig {
        shards,
        gateway,
        max_concurrency: 16,
        guilds: (0..guilds).map(|number| GuildPlan::new(&format!("Guild {number}"), 60, 5, 3)).collect(),
        ..DoubleConfig::new(7, system_clock())
    };
    Double::start(config).await.expect("the double starts")
}

/// The variables of a runner with a short lease term.
pub(crate) fn variables(double: &Double, aws: &Aws, queues: &[String], journal: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("DISCORD_TOKEN", "double.bot.token".to_owned()),
        ("DISCORD_APPLICATION_ID", APPLICATION.to_owned()),
        ("DISCORD_API_URL", double.base_url()),
        ("EVENT_QUEUE_URLS", queues.join(",")),
        ("COORDINATION_TABLE", aws.name.clone()),
        ("RUNNER_JOURNAL_DIR", journal.display().to_string()),
        ("RUNNER_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ("RUNNER_LEASE_TERM_MS", "3000".to_owned()),
        // Deliveries of two sessions are that far apart only on a very busy machine.
        ("RUNNER_RESHARD_QUIET_MS", "2000".to_owned()),
        ("RUNNER_RESHARD_FORCE_MS", "120000".to_owned()),
        ("RUNNER_HOLDER_ID", format!("test-{}", journal.file_name().expect("a name").display())),
    ]
}

/// The configuration they make.
pub(crate) fn config(double: &Double, aws: &Aws, queues: &[String], journal: &Path) -> Config {
    let variables = variables(double, aws, queues, journal);
    Config::from_environment(&guildhall_runtime::Environment::from_pairs(variables)).expect("complete")
}

/// A runner in this process.
pub(crate) struct Runner {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Runner {
    #[expect(clippy::disallowed_methods, reason = "the test ends the task itself, gently or not")]
    pub(crate) fn start(config: Config, aws: &Aws) -> Self {
        let stop = CancellationToken::new();
        let (aws, token) = (aws.config.clone(), stop.clone());
        let task = tokio::spawn(async move { run_with(config, &aws, system_clock(), token).await });
        Self { stop, task }
    }

    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("a good end");
    }

    /// As SIGKILL does, as far as that is possible within a process: nothing is flushed, sent or released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.expect_err("it ran").is_cancelled());
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    pub(crate) async fn failure(self) -> anyhow::Error {
        self.task.await.expect("no panic").expect_err("it fails")
    }
}

pub(crate) type Key = (GuildId, Option<ChannelId>, Option<UserId>, EventKind);

/// Counts as the ingest function does: a sequence already covered for its session and class is ignored.
#[derive(Default)]
pub(crate) struct Ingest {
    covered: HashMap<(String, PriorityClass), BTreeSet<u64>>,
    known: HashMap<(String, u64, u16), Event>,
    pub(crate) counts: BTreeMap<Key, u64>,
    pub(crate) gaps: Vec<CoverageGap>,
    pub(crate) sessions: BTreeSet<String>,
    pub(crate) envelopes: usize,
    pub(crate) received: Vec<PriorityClass>,
    /// Maps beside those that the product knows.
    pub(crate) class_maps: Vec<ClassMap>,
    /// Session → the map its envelopes were made under.
    pub(crate) map_of: BTreeMap<String, BTreeSet<u16>>,
}

impl Ingest {
    fn class_map(&self, version: u16) -> ClassMap {
        let own = self.class_maps.iter().copied().find(|map| map.version() == version);
        own.or_else(|| ClassMap::of(version)).expect("a known map")
    }

    pub(crate) fn take(&mut self, body: &str) {
        let envelope = guildhall_wire::decode(body).expect("an envelope");
        self.envelopes += 1;
        self.received.push(envelope.class);
        self.sessions.insert(envelope.session_id.clone());
        self.map_of.entry(envelope.session_id.clone()).or_default().insert(envelope.class_map);
        for gap in envelope.gaps {
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
        let map = self.class_map(envelope.class_map);
        let covered = self.covered.entry((envelope.session_id.clone(), envelope.class)).or_default();
        for event in &envelope.events {
            assert_eq!(guildhall_gateway_runner::project::class_of(map, &event.body), envelope.class);
            let identity = (envelope.session_id.clone(), event.seq, event.index);
            if covered.contains(&event.seq) {
                // The same event again, apart from the time of reading where Discord gives none.
                let known = self.known.get(&identity).expect("a covered sequence has no new events");
                assert_eq!((known.guild, known.body), (event.guild, event.body));
                continue;
            }
            if let EventBody::Count { kind, channel, member, .. } = event.body {
                *self.counts.entry((event.guild, channel, member, kind)).or_default() += 1;
            }
            self.known.insert(identity, *event);
        }
        if let Some(range) = envelope.range {
            covered.extend(range.first..=range.last);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Takes what is in the queues until `enough`, or patience ends.
    async fn takes(&mut self, aws: &Aws, queues: &[String], enough: impl Fn(&Self) -> bool) -> bool {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !enough(self) {
                for queue in queues {
                    for body in aws.receive(queue).await {
                        self.take(&body);
                    }
                }
            }
        });
        waited.await.is_ok()
    }

    /// Takes what is in the queues until `enough`.
    pub(crate) async fn drain(&mut self, aws: &Aws, queues: &[String], enough: impl Fn(&Self) -> bool) {
        let enough = self.takes(aws, queues, enough).await;
        assert!(enough, "still waiting with {} counted in {} envelopes", self.total(), self.envelopes);
    }

    /// Takes everything until the counts are the ledger's, and fails with the differences when they never are.
    pub(crate) async fn equals_ledger(&mut self, aws: &Aws, queues: &[String], double: &Double) {
        let ledger = ledger(double);
        let total: u64 = ledger.values().sum();
        let enough = self.takes(aws, queues, |ingest| ingest.total() >= total).await;
        let differing: Vec<_> = ledger
            .keys()
            .chain(self.counts.keys())
            .filter(|key| ledger.get(key) != self.counts.get(key))
            .map(|key| (key, ledger.get(key), self.counts.get(key)))
            .take(10)
            .collect();
        assert!(
            differing.is_empty() && enough,
            "{total}, {}, gaps {:?}: key, ledger, counted: {differing:#?}",
            self.total(),
            self.gaps
        );
    }
}

/// What the double dispatched.
pub(crate) fn ledger(double: &Double) -> BTreeMap<Key, u64> {
    let rows = double.ledger().rows().into_iter();
    rows.filter_map(|row| Some(((row.guild_id?, row.channel_id, row.user_id, row.kind), row.count))).collect()
}

/// Waits until the double counts this many of something.
pub(crate) async fn counts(
    what: &str,
    double: &Double,
    reached: impl Fn(&guildhall_discord_double::gateway::GatewayCounts) -> bool,
) {
    until(what, PATIENCE, || async { reached(&double.gateway().counts()).then_some(()) }).await;
}

/// Waits until the double has handed everything to its connections.
pub(crate) async fn read(double: &Double) {
    until("the last events to be sent", PATIENCE, || async { (double.gateway().backlog() == 0).then_some(()) }).await;
}

/// Traffic of this many things.
pub(crate) fn traffic(double: &Double, events: u64, per_second: f64) {
    double.traffic().start(guildhall_discord_double::traffic::TrafficPlan {
        events_per_second: per_second,
        seed: 11,
        guild_ids: None,
        stop_after_events: Some(events),
        seconds: None,
    });
}

pub(crate) const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// An address nobody listens on.
pub(crate) async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").to_string()
}

/// What a probe gets.
pub(crate) async fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    Some(response)
}
