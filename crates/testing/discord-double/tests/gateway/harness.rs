//! A gateway on a free port with a community of a few silent guilds.

use std::sync::Arc;

use guildhall_discord_double::dispatch::{Counted, Dispatch};
use guildhall_discord_double::gateway::{Community, Gateway, GatewayPlan, GatewaySettings, intents, routes};
use guildhall_discord_double::ledger::Ledger;
use guildhall_domain::{ApplicationId, ChannelId, Clock, EventKind, GuildId, Timestamp, UserId};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) const ALL: u64 = intents::KNOWN;

pub(crate) struct Harness {
    pub(crate) gateway: Gateway,
    pub(crate) ledger: Arc<Ledger>,
    /// The address of `/gateway`.
    pub(crate) url: String,
    /// Ends the server when dropped.
    _server: JoinSet<()>,
}

/// The guild with this number; its shard is the number modulo the shard count.
pub(crate) fn guild(number: u64) -> GuildId {
    GuildId::new(number << 22).expect("small")
}

impl Harness {
    pub(crate) async fn start(guilds: u64, change: impl FnOnce(&mut GatewayPlan)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut plan = GatewayPlan {
            token: super::TOKEN.to_owned(),
            max_concurrency: 1,
            identify_budget: 1_000,
            settings: GatewaySettings { identify_interval: std::time::Duration::ZERO, ..GatewaySettings::default() },
            clock: Clock::fixed(Timestamp::from_secs(1_767_225_600)),
            address: format!("ws://{}", listener.local_addr().expect("bound")),
        };
        change(&mut plan);
        let ledger = Arc::new(Ledger::default());
        let gateway = Gateway::start(plan, community(guilds), Arc::clone(&ledger));
        let app = routes(gateway.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        let url = gateway.url();
        Self { gateway, ledger, url, _server: server }
    }

    /// Dispatches one message by a person, marked with `number`.
    pub(crate) fn message(&self, guild: GuildId, number: u64) {
        let (channel, member) = (ChannelId::new(number % 7), UserId::new(number % 31));
        self.gateway.dispatch(Dispatch {
            guild: Some(guild),
            event: "MESSAGE_CREATE",
            data: json!({"guild_id": guild, "number": number}).to_string().into(),
            intents: intents::GUILD_MESSAGES,
            counts: vec![Counted { kind: EventKind::MessageCreate, channel, member }],
            at: None,
        });
    }

    /// Waits until `done` holds.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

fn community(guilds: u64) -> Community {
    Community {
        application: (ApplicationId::new(1).expect("small"), 0),
        bot: UserId::new(1).expect("small"),
        bot_user: Box::new(|| json!({"id": "1", "username": "bot", "bot": true})),
        guild_ids: Box::new(move || (0..guilds).map(guild).collect()),
        guild_create: Box::new(|guild, _, then| {
            then(Dispatch {
                guild: Some(guild),
                event: "GUILD_CREATE",
                data: json!({"id": guild}).to_string().into(),
                intents: intents::GUILDS,
                counts: vec![Counted { kind: EventKind::GuildCreate, channel: None, member: None }],
                at: None,
            });
        }),
        members: Box::new(|query| {
            let all = (1..=1_500_u64).filter_map(UserId::new);
            let chosen = all.filter(|id| query.users.as_ref().is_none_or(|users| users.contains(id)));
            chosen
                .filter(|id| format!("user{id}").starts_with(&query.prefix))
                .take(if query.limit == 0 { usize::MAX } else { query.limit })
                .map(|id| json!({"user": {"id": id, "username": format!("user{id}")}}))
                .collect()
        }),
    }
}
