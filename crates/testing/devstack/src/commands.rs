//! Registers the commands with Discord, or its double: shows the difference first, and changes nothing when there is none.

use anyhow::Context as _;
use guildhall_app::commands::Change;
use guildhall_discord::Client;
use guildhall_domain::{ApplicationId, GuildId};
use guildhall_runtime::Environment;
use serde_json::Value;

/// Where Discord is, unless `DISCORD_API_URL` says otherwise.
const DISCORD: &str = "https://discord.com";

/// The registered commands beside the declared ones.
#[derive(Debug)]
pub struct Registration {
    client: Client,
    application: ApplicationId,
    guild: Option<GuildId>,
    wanted: Value,
    /// What would change; empty when nothing would.
    pub changes: Vec<Change>,
}

impl Registration {
    /// Asks Discord what is registered, for all guilds or for one.
    ///
    /// # Errors
    /// When a variable is missing or Discord refuses.
    pub async fn compare(environment: &Environment, guild: Option<GuildId>) -> anyhow::Result<Self> {
        let application = environment.parsed("DISCORD_APPLICATION_ID", "a Discord id")?;
        let base = environment.optional("DISCORD_API_URL").unwrap_or(DISCORD);
        let client = Client::new(&environment.secret("DISCORD_TOKEN")?, base)?;
        let registered = client.commands(application, guild).await.context("could not read the registered commands")?;
        let wanted = guildhall_app::commands::registration();
        let changes = guildhall_app::commands::diff(&registered, &wanted);
        Ok(Self { client, application, guild, wanted, changes })
    }

    /// Replaces the registered commands by the declared ones.
    ///
    /// # Errors
    /// When Discord refuses.
    pub async fn apply(&self) -> anyhow::Result<()> {
        let answer = self.client.overwrite_commands(self.application, self.guild, &self.wanted).await;
        answer.context("could not register the commands")?;
        Ok(())
    }
}

/// Registers whatever differs.
///
/// # Errors
/// As [`Registration::compare`] and [`Registration::apply`].
pub async fn register(environment: &Environment, guild: Option<GuildId>) -> anyhow::Result<()> {
    let registration = Registration::compare(environment, guild).await?;
    if !registration.changes.is_empty() {
        registration.apply().await?;
    }
    Ok(())
}
