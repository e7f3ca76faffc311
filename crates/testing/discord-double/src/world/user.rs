//! Simulated accounts.
//!
//! **Invariant:** an account's JSON never changes, so it is rendered once and shared by every event that carries it.

use std::sync::{Arc, OnceLock};

use guildhall_domain::UserId;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A Discord account.
#[derive(Debug)]
pub struct User {
    /// The account's id.
    pub id: UserId,
    /// The unique name.
    pub username: Box<str>,
    /// The name shown.
    pub global_name: Option<Box<str>>,
    /// Whether it is a bot.
    pub bot: bool,
    /// The language the account's client runs in.
    pub locale: &'static str,
    json: OnceLock<Box<RawValue>>,
}

/// The fields of Discord's user object that every endpoint shows.
#[derive(Serialize)]
struct Fields<'a> {
    id: UserId,
    username: &'a str,
    avatar: Option<&'a str>,
    discriminator: &'static str,
    public_flags: u32,
    flags: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bot: bool,
    banner: Option<&'a str>,
    accent_color: Option<u32>,
    global_name: Option<&'a str>,
    avatar_decoration_data: Option<()>,
    collectibles: Option<()>,
    primary_guild: Option<()>,
}

impl User {
    /// An account.
    pub fn new(id: UserId, username: &str, global_name: Option<&str>, bot: bool, locale: &'static str) -> Arc<Self> {
        Arc::new(Self {
            id,
            username: username.into(),
            global_name: global_name.map(Into::into),
            bot,
            locale,
            json: OnceLock::new(),
        })
    }

    /// The account as every endpoint and event shows it.
    pub fn raw(&self) -> &RawValue {
        self.json.get_or_init(|| {
            let fields = Fields {
                id: self.id,
                username: &self.username,
                avatar: None,
                // Accounts have had no discriminator since 2023, bots still do.
                discriminator: if self.bot { "0001" } else { "0" },
                public_flags: 0,
                flags: 0,
                bot: self.bot,
                banner: None,
                accent_color: None,
                global_name: self.global_name.as_deref(),
                avatar_decoration_data: None,
                collectibles: None,
                primary_guild: None,
            };
            serde_json::value::to_raw_value(&fields).unwrap_or_default()
        })
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(serializer)
    }
}
