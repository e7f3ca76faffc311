//! Setting the stage.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use guildhall_devstack::event_source::EventSource;
use guildhall_devstack::provision::{Aws, Resources};
use guildhall_discord_double::{Config as DoubleConfig, Double, GuildPlan};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Expectation, Runner, Stage};
use crate::function::Function;
use crate::poison;
use crate::process::Recipe;
use crate::proxy::Proxy;
use crate::scale::Context;
use crate::wait::eventually;

/// How often a client tells the double what it has read, which ends every scene: sooner than Discord asks for.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long messages are gathered for an invocation: some stages hide what is handled for a second only.
const GATHERING: Duration = Duration::from_millis(300);
/// Guilds for each shard, on average.
const GUILDS_PER_SHARD: u32 = 3;

/// How a stage is set.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The fault's name.
    pub name: &'static str,
    /// Shards.
    pub shards: u32,
    /// Runners.
    pub runners: usize,
    /// How long SQS hides a message that is being handled.
    pub visibility_secs: u32,
    /// How long the function may take.
    pub function_timeout: Duration,
    /// Bodies no function can handle, put into each queue.
    pub poison: u32,
    /// IDENTIFYs that Discord grants, and for how long.
    pub identify_budget: (u32, Duration),
    /// More variables of the runners.
    pub environment: Vec<(String, String)>,
    /// What starts the runners.
    pub wrapper: Vec<String>,
}

impl Setup {
    /// As most faults want it.
    pub fn new(name: &'static str, context: &Context) -> Self {
        let everywhere = context.scale.poison_everywhere;
        Self {
            name,
            shards: context.scale.shards,
            runners: 2,
            visibility_secs: if everywhere { 10 } else { 30 },
            function_timeout: Duration::from_secs(25),
            poison: u32::from(everywhere),
            identify_budget: (1_000, Duration::from_secs(86_400)),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }
}

impl Stage {
    /// Sets the stage and waits until every shard has a session.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn set(context: &Context, setup: Setup) -> anyhow::Result<Self> {
        let mut stage = Self::dark(context, setup).await?;
        for runner in &mut stage.runners {
            runner.start()?;
        }
        stage.shared_out().await?;
        Ok(stage)
    }

    /// Waits until every shard has a session and every runner has shards, so that what is done to one of them matters.
    ///
    /// # Errors
    /// When that does not come about.
    pub async fn shared_out(&self) -> anyhow::Result<()> {
        self.all_connected().await.with_context(|| self.words())?;
        eventually("the shards to be shared out", self.scale.patience, || async {
            let mut holding = 0;
            for runner in &self.runners {
                if let Some(process) = &runner.process
                    && process.metric("active_shards", "").await.is_ok_and(|shards| shards > 0.0)
                {
                    holding += 1;
                }
            }
            Ok((holding == self.runners.len()).then_some(()))
        })
        .await
        .with_context(|| self.words())?;
        self.all_connected().await
    }

    /// Sets the stage without starting the runners.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn dark(context: &Context, setup: Setup) -> anyhow::Result<Self> {
        let scale = context.scale.clone();
        let folder = tempfile::tempdir().context("no folder for the stage")?;
        let database = Arc::new(TestDatabase::on(&context.services.postgres, &MIGRATOR).await);
        context.attic.keep(&database);
        let (database_url, upstream) = through(database.url())?;

        let aws = Aws::connect(&context.services.aws).await;
        let prefix = format!("chaos-{}-{}-{}", setup.name, std::process::id(), context.clock.now().as_millis());
        let resources = Resources::create(&aws, &prefix, scale.queues, setup.visibility_secs).await?;

        let config = double(context, &setup);
        let common = [
            ("DISCORD_TOKEN", config.bot_token.clone()),
            ("DISCORD_APPLICATION_ID", config.application_id.to_string()),
            ("EVENT_QUEUE_URLS", resources.event_queue_urls()),
            ("COORDINATION_TABLE", resources.table.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("RUNNER_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("RUNNER_LEASE_TERM_MS", scale.lease_term.as_millis().to_string()),
            ("LOG_LEVEL", "info".to_owned()),
        ];
        let double = Double::start(config).await?;

        let mut runners = Vec::new();
        for number in 0..setup.runners {
            let name = format!("runner-{number}");
            let emulator = context.services.aws.trim_start_matches("http://").trim_end_matches('/');
            let (sqs, dynamodb) = (Proxy::start(emulator).await?, Proxy::start(emulator).await?);
            let mut recipe = Recipe {
                binary: context.binaries.runner.clone(),
                wrapper: setup.wrapper.clone(),
                environment: Vec::new(),
                log: folder.path().join(format!("{name}.log")),
            };
            for (variable, value) in &common {
                recipe.set(variable, value.clone());
            }
            recipe.set("DISCORD_API_URL", double.base_url());
            recipe.set("AWS_ENDPOINT_URL_SQS", format!("http://{}", sqs.address()));
            recipe.set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{}", dynamodb.address()));
            recipe.set("RUNNER_JOURNAL_DIR", folder.path().join(&name).display().to_string());
            recipe.set("RUNNER_HOLDER_ID", name.clone());
            for (variable, value) in &setup.environment {
                recipe.set(variable, value.clone());
            }
            let disks = folder.path().to_owned();
            runners.push(Runner { sqs, dynamodb, recipe, name, disks, lives: 0, process: None });
        }

        let (stop, mut sources) = (CancellationToken::new(), JoinSet::new());
        let (mut functions, mut databases) = (Vec::new(), Vec::new());
        for (number, queue) in (0..).zip(&resources.event_queues) {
            let proxy = Proxy::start(upstream.clone()).await?;
            let database_url = database_url.replace("{}", &proxy.address().to_string());
            databases.push(proxy);
            let environment =
                vec![("DATABASE_URL".to_owned(), database_url), ("LOG_LEVEL".to_owned(), "off".to_owned())];
            let (binary, seed) = (context.binaries.ingest.clone(), scale.seed.wrapping_add(number));
            let log = folder.path().join(format!("function-{number}.log"));
            let function = Arc::new(Function::new(binary, environment, setup.function_timeout, log, seed));
            let source = EventSource { window: GATHERING, ..EventSource::new(&queue.url) };
            sources.spawn(feed(source, aws.clone(), stop.clone(), Arc::clone(&function)));
            functions.push(function);
        }
        let poison = poison::put(&aws, &resources, setup.poison).await?;
        Ok(Self {
            scale,
            double,
            database,
            databases,
            aws,
            resources,
            runners,
            functions,
            setup,
            folder: Arc::new(folder),
            poison,
            stop,
            sources,
            traffic: Cell::new(None),
            expectation: Expectation { lost_sessions: false, earlier_sessions: 0 },
        })
    }

    /// What the runners said last.
    pub fn words(&self) -> String {
        self.runners.iter().map(Runner::words).collect::<Vec<_>>().join("\n")
    }
}

/// Hands the queue's messages to the function until `stop`.
async fn feed(source: EventSource, aws: Aws, stop: CancellationToken, function: Arc<Function>) {
    let handle = |deliveries| {
        let function = Arc::clone(&function);
        async move { function.handle(deliveries).await }
    };
    source.run(aws.sqs, stop, handle).await;
}

fn double(context: &Context, setup: &Setup) -> DoubleConfig {
    let mut config = DoubleConfig {
        shards: setup.shards,
        max_concurrency: setup.shards * 2,
        identify_budget: setup.identify_budget.0,
        rate_limits: false,
        guilds: (0..setup.shards * GUILDS_PER_SHARD)
            .map(|number| GuildPlan::new(&format!("Guild {number}"), 60 + number % 7 * 40, 6, 3))
            .collect(),
        ..DoubleConfig::new(context.scale.seed, context.clock.clone())
    };
    config.gateway.heartbeat_interval = HEARTBEAT;
    config.gateway.identify_window = setup.identify_budget.1;
    config
}

/// A connection string with `{}` where the server was, and the server.
///
/// # Errors
/// When it is no connection string.
pub fn through(url: &str) -> anyhow::Result<(String, String)> {
    let (scheme, rest) = url.split_once("://").context("the database's address is not a URL")?;
    let (authority, path) = rest.split_once('/').context("the database's address names no database")?;
    let (user, server) = authority.rsplit_once('@').map_or(("", authority), |(user, server)| (user, server));
    let at = if user.is_empty() { "" } else { "@" };
    Ok((format!("{scheme}://{user}{at}{{}}/{path}"), server.to_owned()))
}
