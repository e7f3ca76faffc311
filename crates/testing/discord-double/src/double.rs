//! A running double: one listener for REST, OAuth2, the gateway and the control API.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use guildhall_domain::GuildId;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{self, Controls, RestFaults};
use crate::dispatch::Sink;
use crate::gateway::{self, Community, Gateway, GatewayPlan};
use crate::ledger::Ledger;
use crate::rest::{self, Api};
use crate::traffic::{TrafficControl, TrafficPlan};
use crate::world::World;

/// A running double. It ends when it is dropped; [`Double::stop`] says goodbye to gateway clients first.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    world: Arc<World>,
    gateway: Gateway,
    ledger: Arc<Ledger>,
    traffic: TrafficControl,
    stop: CancellationToken,
    server: JoinSet<std::io::Result<()>>,
}

impl Double {
    /// Starts a double.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(config.bind).await.with_context(|| format!("could not listen on {}", config.bind))?;
        let address = listener.local_addr().context("could not tell the address bound")?;

        let ledger = Arc::new(Ledger::default());
        // The world sends to the gateway and the gateway asks the world, so one of them comes second.
        let receiver: Arc<OnceLock<Gateway>> = Arc::default();
        let world = Arc::new(World::new(
            &config,
            Sink::new({
                let receiver = Arc::clone(&receiver);
                move |event| {
                    if let Some(gateway) = receiver.get() {
                        gateway.dispatch(event);
                    }
                }
            }),
        ));
        let plan = GatewayPlan {
            token: config.bot_token.clone(),
            max_concurrency: config.max_concurrency,
            identify_budget: config.identify_budget,
            settings: config.gateway.clone(),
            clock: config.clock.clone(),
            address: format!("ws://{address}"),
        };
        let gateway = Gateway::start(plan, Community::of(&world), Arc::clone(&ledger));
        receiver.get_or_init(|| gateway.clone());
        let traffic = TrafficControl::new(Arc::clone(&world), gateway.clone(), config.clock.clone());

        let controls = Controls {
            world: Arc::clone(&world),
            gateway: gateway.clone(),
            ledger: Arc::clone(&ledger),
            traffic: traffic.clone(),
            rest_faults: RestFaults::default(),
        };
        let api = Api::new(config, format!("http://{address}"), Arc::clone(&world), gateway.clone());
        let app = Router::new()
            .merge(gateway::routes(gateway.clone()))
            .merge(control::interactions::routes(api.clone()))
            .merge(rest::router(api, controls.rest_faults.clone()))
            .merge(control::routes(controls));
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        let stopped = stop.clone().cancelled_owned();
        server.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
        Ok(Self { address, world, gateway, ledger, traffic, stop, server })
    }

    /// Where REST lives, without a path: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The simulated Discord.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What was dispatched.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Scripted traffic.
    pub fn traffic(&self) -> &TrafficControl {
        &self.traffic
    }

    /// Starts endless traffic in all guilds, or in those given.
    pub fn start_traffic(&self, seed: u64, events_per_second: u32, guilds: Option<Vec<GuildId>>) {
        self.traffic.start(TrafficPlan {
            events_per_second: events_per_second.into(),
            seed,
            guild_ids: guilds,
            stop_after_events: None,
            seconds: None,
        });
    }

    /// Ends the traffic, asks gateway clients to come back later, and answers the last requests.
    pub async fn stop(mut self) {
        self.traffic.stop().await;
        self.gateway.stop().await;
        self.stop.cancel();
        while self.server.join_next().await.is_some() {}
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.traffic.cancel();
        self.gateway.cancel();
        self.stop.cancel();
    }
}
