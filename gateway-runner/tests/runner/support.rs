//! What the tests share: AWS resources of their own, a runner in this process, and an ingest that checks its envelopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use guildhall_discord_double::{Config as DoubleConfig, Double, GuildPlan};
use guildhall_domain::{ChannelId, Clock, EventKind, GuildId, PriorityClass, Timestamp, UserId};
use guildhall_gateway_runner::lease::Table;
use guildhall_gateway_runner::{Config, run_with};
use guildhall_runtime::system_clock;
use guildhall_test_kit::{services, until};
use guildhall_wire::{CoverageGap, Event, EventBody};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a condition may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
        let key = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build();
        let hash = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build();
        self.dynamo
            .create_table()
            .table_name(&self.name)
            .attribute_definitions(key.expect("complete"))
            .key_schema(hash.expect("complete"))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .expect("the table is created");
    }

    pub(crate) fn table(&self, clock: Clock) -> Table {
        Table::new(self.dynamo.clone(), self.name.clone(), clock)
    }

    pub(crate) async fn create_queue(&self, suffix: &str) -> String {
        let created = self.sqs.create_queue().queue_name(format!("{}-{suffix}", self.name)).send().await;
        created.expect("the queue is created").queue_url.expect("it has a URL")
    }

    /// Receives and deletes up to ten messages.
    pub(crate) async fn receive(&self, queue_url: &str) -> Vec<String> {
        let received = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).send().await;
        let mut bodies = Vec::new();
        for message in received.expect("the queue answers").messages.unwrap_or_default() {
            let handle = message.receipt_handle.expect("a handle");
            self.sqs.delete_message().queue_url(queue_url).receipt_handle(handle).send().await.expect("deleted");
            bodies.push(message.body.expect("a body"));
        }
        bodies
    }
}

/// A double with small guilds on the system's clock.
pub(crate) async fn double(shards: u32, guilds: u32) -> Double {
    let config = DoubleConfig {
        shards,
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
        ("DISCORD_APPLICATION_ID", "1100000000000000001".to_owned()),
        ("DISCORD_API_URL", double.base_url()),
        ("EVENT_QUEUE_URLS", queues.join(",")),
        ("COORDINATION_TABLE", aws.name.clone()),
        ("RUNNER_JOURNAL_DIR", journal.display().to_string()),
        ("RUNNER_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ("RUNNER_LEASE_TERM_MS", "3000".to_owned()),
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
}

impl Ingest {
    pub(crate) fn take(&mut self, body: &str) {
        let envelope = guildhall_wire::decode(body).expect("an envelope");
        self.envelopes += 1;
        self.received.push(envelope.class);
        self.sessions.insert(envelope.session_id.clone());
        for gap in envelope.gaps {
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
        let covered = self.covered.entry((envelope.session_id.clone(), envelope.class)).or_default();
        for event in &envelope.events {
            assert_eq!(guildhall_gateway_runner::project::class_of(&event.body), envelope.class);
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

    /// Takes what is in the queues until `enough`.
    pub(crate) async fn drain(&mut self, aws: &Aws, queues: &[String], enough: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !enough(self) {
                for queue in queues {
                    for body in aws.receive(queue).await {
                        self.take(&body);
                    }
                }
            }
        });
        assert!(waited.await.is_ok(), "still waiting with {} counted in {} envelopes", self.total(), self.envelopes);
    }

    /// Takes everything until the counts are the ledger's, and fails with the differences when they never are.
    pub(crate) async fn equals_ledger(&mut self, aws: &Aws, queues: &[String], double: &Double) {
        let ledger = ledger(double);
        let total: u64 = ledger.values().sum();
        let waited = tokio::time::timeout(PATIENCE, self.drain(aws, queues, |ingest| ingest.total() >= total)).await;
        let differing: Vec<_> = ledger
            .keys()
            .chain(self.counts.keys())
            .filter(|key| ledger.get(key) != self.counts.get(key))
            .map(|key| (key, ledger.get(key), self.counts.get(key)))
            .take(10)
            .collect();
        assert!(differing.is_empty() && waited.is_ok(), "key, ledger, counted: {differing:#?}");
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
