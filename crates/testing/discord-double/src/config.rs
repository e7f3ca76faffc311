//! What a double is made of: its application, its guilds and its limits.
//!
//! **Invariant:** the same seed and plans give the same guilds, members and ids, whatever the machine.

use std::net::{Ipv4Addr, SocketAddr};

use ed25519_dalek::SigningKey;
use guildhall_domain::{ApplicationId, Clock, Timestamp};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::gateway::GatewaySettings;

/// How a double is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Decides everything that looks random, the signing key included.
    pub seed: u64,
    /// The present.
    pub clock: Clock,
    /// The application under test; its bot user has the same id.
    pub application_id: ApplicationId,
    /// The token REST and the gateway accept, without the `Bot ` prefix.
    pub bot_token: String,
    /// The application's OAuth2 secret.
    pub client_secret: String,
    /// The redirects OAuth2 accepts. Empty: any.
    pub redirect_uris: Vec<String>,
    /// Where interactions are sent unless the sender names another place.
    pub interactions_endpoint: Option<String>,
    /// How many identify buckets run side by side.
    pub max_concurrency: u32,
    /// IDENTIFYs allowed in 24 hours.
    pub identify_budget: u32,
    /// The number of shards `/gateway/bot` recommends.
    pub shards: u32,
    /// Whether REST answers 429 when a limit is passed. Load tests that are not about limits switch it off.
    pub rate_limits: bool,
    /// The gateway's other limits and intervals.
    pub gateway: GatewaySettings,
    /// The guilds that exist.
    pub guilds: Vec<GuildPlan>,
}

/// The shape of one simulated guild.
#[derive(Debug, Clone)]
pub struct GuildPlan {
    /// The guild's name.
    pub name: String,
    /// How many people (and bots) belong to it, the application's own bot not counted.
    pub members: u32,
    /// How many text channels it has.
    pub text_channels: u32,
    /// How many voice channels it has.
    pub voice_channels: u32,
    /// The locale the guild prefers.
    pub locale: String,
}

impl GuildPlan {
    /// A guild of the given size in English.
    pub fn new(name: &str, members: u32, text_channels: u32, voice_channels: u32) -> Self {
        Self { name: name.to_owned(), members, text_channels, voice_channels, locale: "en-US".to_owned() }
    }
}

impl Config {
    /// A double with this seed and clock, and otherwise the defaults.
    pub fn new(seed: u64, clock: Clock) -> Self {
        Self { seed, clock, ..Self::default() }
    }

    /// The key interactions are signed with.
    pub fn signing_key(&self) -> SigningKey {
        let mut secret = [0; 32];
        StdRng::seed_from_u64(self.seed ^ 0x005e_c2e7).fill_bytes(&mut secret);
        SigningKey::from_bytes(&secret)
    }

    /// The application's public key, in hexadecimal, as the developer portal shows it.
    pub fn public_key(&self) -> String {
        hex::encode(self.signing_key().verifying_key().as_bytes())
    }
}

impl Default for Config {
    /// Three guilds of very different size on a free loopback port; the clock stands still.
    fn default() -> Self {
        let mut large = GuildPlan::new("Aurora Isles", 40_000, 48, 12);
        large.locale = "fr".to_owned();
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock: Clock::fixed(Timestamp::from_secs(1_767_225_600)),
            application_id: ApplicationId::from_db(1_100_000_000_000_000_001),
            bot_token: "double.bot.token".to_owned(),
            client_secret: "double-client-secret".to_owned(),
            redirect_uris: Vec::new(),
            interactions_endpoint: None,
            max_concurrency: 1,
            identify_budget: 1_000,
            shards: 1,
            rate_limits: true,
            gateway: GatewaySettings::default(),
            guilds: vec![
                GuildPlan::new("The Tinkerers' Guild", 120, 6, 2),
                GuildPlan::new("Harbour of Code", 2_500, 18, 6),
                large,
            ],
        }
    }
}
