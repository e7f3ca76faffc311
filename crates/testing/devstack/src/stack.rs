//! Starts everything except the runner, which is a process of its own.
//!
//! **Invariant:** stopping waits for what is in flight: no function is cut off between its commit and its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use guildhall_discord_double::{Config as DoubleConfig, Double};
use guildhall_domain::Clock;
use guildhall_runtime::Environment;
use guildhall_runtime::metrics::PrometheusHandle;
use guildhall_runtime::metrics::catalogue::Source;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::event_source::EventSource;
use crate::http;
use crate::provision::{Aws, Resources};
use crate::watch;

/// How often the schedule fires; every five minutes on AWS, oftener here, where somebody is watching.
const ROLLUP_EVERY: Duration = Duration::from_secs(30);
/// How long SQS hides a message that is being handled. A function here answers within seconds.
const VISIBILITY_SECS: u32 = 60;

/// Which Discord the product talks to.
#[derive(Debug)]
pub enum Discord {
    /// A double of this making.
    Double(Box<DoubleConfig>),
    /// The real one, or another server that speaks like it; variables as the binaries take them.
    External(Vec<(String, String)>),
}

/// What the stack is made of.
#[derive(Debug)]
pub struct StackConfig {
    /// A migrated PostgreSQL database.
    pub database_url: String,
    /// A server of the Redis protocol.
    pub redis_url: String,
    /// The AWS emulator.
    pub aws_endpoint: String,
    /// What the names of queues and tables begin with.
    pub prefix: String,
    /// Event queues.
    pub partitions: u32,
    /// Where interactions arrive; port 0 takes a free one.
    pub interactions_addr: SocketAddr,
    /// Which Discord.
    pub discord: Discord,
    /// Hands every event message to ingest twice.
    pub deliver_twice: bool,
}

/// The running system.
#[derive(Debug)]
pub struct Stack {
    /// The double, unless Discord is external.
    pub double: Option<Double>,
    /// Queues and table.
    pub resources: Resources,
    /// Clients of the emulator.
    pub aws: Aws,
    /// Where interactions are served.
    pub interactions_url: String,
    environment: Vec<(String, String)>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stack {
    /// Starts the double, creates the queues and starts the functions.
    ///
    /// # Errors
    /// When a service is away or an address is taken.
    pub async fn start(config: StackConfig, clock: Clock) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.interactions_addr)
            .await
            .with_context(|| format!("could not listen on {}", config.interactions_addr))?;
        let interactions_url = format!("http://{}/interactions", listener.local_addr()?);
        let aws = Aws::connect(&config.aws_endpoint).await;
        let resources = Resources::create(&aws, &config.prefix, config.partitions, VISIBILITY_SECS).await?;

        let cache = watch::cache(&config.redis_url)?;
        let mut environment = vec![
            ("DATABASE_URL".to_owned(), config.database_url),
            ("REDIS_URL".to_owned(), config.redis_url),
            ("AWS_ENDPOINT_URL".to_owned(), config.aws_endpoint),
            ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
            ("WORK_QUEUE_URL".to_owned(), resources.work_queue.url.clone()),
            ("EVENT_QUEUE_URLS".to_owned(), resources.event_queue_urls()),
            ("COORDINATION_TABLE".to_owned(), resources.table.clone()),
        ];
        let double = match config.discord {
            Discord::Double(mut double) => {
                double.interactions_endpoint = Some(interactions_url.clone());
                environment.extend([
                    ("DISCORD_PUBLIC_KEY".to_owned(), double.public_key()),
                    ("DISCORD_APPLICATION_ID".to_owned(), double.application_id.to_string()),
                    ("DISCORD_TOKEN".to_owned(), double.bot_token.clone()),
                ]);
                let double = Double::start(*double).await.context("could not start the Discord double")?;
                environment.push(("DISCORD_API_URL".to_owned(), double.base_url()));
                Some(double)
            }
            Discord::External(variables) => {
                environment.extend(variables);
                None
            }
        };

        let mut stack = Self {
            double,
            resources,
            aws,
            interactions_url,
            environment,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        let metrics = guildhall_runtime::metrics::install().context("another recorder of metrics is installed")?;
        guildhall_runtime::metrics::catalogue::begin(Source::Functions);
        let upkeep = metrics.clone();
        let watch = watch::watch(stack.aws.clone(), stack.resources.clone(), cache, move || upkeep.run_upkeep());
        let stop = stack.stop.clone();
        stack.tasks.spawn(async move {
            stop.run_until_cancelled(watch).await;
        });
        stack.start_functions(listener, metrics, &clock, config.deliver_twice).await?;
        Ok(stack)
    }

    async fn start_functions(
        &mut self,
        listener: TcpListener,
        metrics: PrometheusHandle,
        clock: &Clock,
        deliver_twice: bool,
    ) -> anyhow::Result<()> {
        let environment = Environment::from_pairs(self.environment.clone());

        let deps = guildhall_interactions::Deps::from_environment(&environment, clock.clone())
            .context("could not start the function interactions")?;
        let deps = Arc::new(deps);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let render = move || metrics.render();
            let served = http::serve(listener, stop, render, move |request| {
                let deps = Arc::clone(&deps);
                async move { Box::pin(guildhall_interactions::handle(&deps, request)).await }
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "interactions are no longer served");
            }
        });

        let deps = guildhall_worker::Deps::from_environment(&environment, clock.clone())
            .context("could not start the function worker")?;
        let source =
            EventSource { batch: 10, window: Duration::ZERO, ..EventSource::new(&self.resources.work_queue.url) };
        let (sqs, stop) = (self.aws.sqs.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            source.run(sqs, stop, |deliveries| guildhall_worker::handle(&deps, deliveries)).await;
        });

        for queue in &self.resources.event_queues {
            let deps = guildhall_stats_ingest::Deps::from_environment(&environment, clock.clone())
                .context("could not start the function stats-ingest")?;
            let source = EventSource { deliver_twice, ..EventSource::new(&queue.url) };
            let (sqs, stop) = (self.aws.sqs.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                source.run(sqs, stop, |deliveries| guildhall_stats_ingest::handle(&deps, deliveries)).await;
            });
        }

        let deps = guildhall_stats_rollup::Deps::from_environment(&environment, clock.clone())
            .context("could not start the function stats-rollup")?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(ROLLUP_EVERY);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled() => return,
                }
                if let Err(error) = guildhall_stats_rollup::handle(&deps).await {
                    tracing::error!(error = guildhall_runtime::telemetry::chain(&error), "rollup failed");
                }
            }
        });
        Ok(())
    }

    /// The variables a runner, or a function started as a binary, needs to join this stack.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The value of one of those variables.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Stops the functions and waits for what they are doing, then stops the double.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        if let Some(double) = self.double {
            double.stop().await;
        }
    }
}
