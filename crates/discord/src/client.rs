//! Discord's REST API, as much of it as the product calls.
//!
//! **Invariant:** limits come from Discord's own headers, through twilight's limiter; nothing is sent past them.
//! **Invariant:** a call ends: it answers, fails, or gives up after [`PATIENCE`], waiting for limits included.

use std::time::Duration;

use guildhall_domain::{ApplicationId, GuildId, UserId};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use twilight_http::request::Request;
use twilight_http::response::{ResponseFuture, marker::EmptyBody};
use twilight_http::routing::Route;
use twilight_model::http::attachment::Attachment as HttpAttachment;
use twilight_model::id::Id;
use url::Url;

use crate::error::{ClientError, ErrorKind};
use crate::model::{Channel, Guild, Member, Role, User};

/// How long one request may take on the wire.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take in all, waiting for rate limits included.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client that acts as the application's bot. It is made once and shared.
pub struct Client {
    http: twilight_http::Client,
    own_id: OnceCell<UserId>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// A file that goes with a message.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its name, by which embeds refer to it.
    pub filename: String,
    /// What the picture shows, for those who cannot see it.
    pub description: Option<String>,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Client {
    /// A client with this token for the API at `base`: `https://discord.com`, or the root of a stand-in.
    ///
    /// # Errors
    /// When `base` is not an `http` or `https` address with a host and no path.
    pub fn new(token: &SecretString, base: &str) -> Result<Self, ClientError> {
        let invalid = |source: Option<url::ParseError>| ClientError {
            call: "configure the client",
            kind: ErrorKind::Invalid,
            source: source.map(Into::into),
        };
        let base = Url::parse(base).map_err(|error| invalid(Some(error)))?;
        let (Some(host), "http" | "https", "" | "/") = (base.host_str(), base.scheme(), base.path()) else {
            return Err(invalid(None));
        };
        let authority = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut builder = twilight_http::Client::builder()
            .token(token.expose_secret().to_owned())
            // One refusal must not silence the process for good: the token may be right again after a rotation.
            .remember_invalid_token(false)
            .timeout(REQUEST_TIMEOUT);
        if authority != "discord.com" || base.scheme() == "http" {
            builder = builder.proxy(authority, base.scheme() == "http");
        }
        Ok(Self { http: builder.build(), own_id: OnceCell::new() })
    }

    /// The bot's own account, asked for once.
    ///
    /// # Errors
    /// When Discord does not say.
    pub async fn own_id(&self) -> Result<UserId, ClientError> {
        let load = || async { read::<User>("get own user", self.http.current_user().into_future()).await };
        self.own_id.get_or_try_init(|| async { load().await.map(|user| user.id) }).await.copied()
    }

    /// A guild, with its approximate member count.
    ///
    /// # Errors
    /// When the bot is not in the guild, or Discord fails.
    pub async fn guild(&self, guild: GuildId) -> Result<Guild, ClientError> {
        read("get guild", self.http.guild(Id::new(guild.get().max(1))).with_counts(true).into_future()).await
    }

    /// A guild's channels, threads excluded.
    ///
    /// # Errors
    /// When the bot is not in the guild, or Discord fails.
    pub async fn channels(&self, guild: GuildId) -> Result<Vec<Channel>, ClientError> {
        read("get channels", self.http.guild_channels(Id::new(guild.get().max(1))).into_future()).await
    }

    /// A guild's roles.
    ///
    /// # Errors
    /// When the bot is not in the guild, or Discord fails.
    pub async fn roles(&self, guild: GuildId) -> Result<Vec<Role>, ClientError> {
        read("get roles", self.http.roles(Id::new(guild.get().max(1))).into_future()).await
    }

    /// The bot as a member of a guild.
    ///
    /// # Errors
    /// When the bot is not in the guild, or Discord fails.
    pub async fn own_member(&self, guild: GuildId) -> Result<Member, ClientError> {
        let own = Id::new(self.own_id().await?.get().max(1));
        read("get own member", self.http.guild_member(Id::new(guild.get().max(1)), own).into_future()).await
    }

    /// Edits the first answer to an interaction, which may have been a deferral.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the interaction's token has expired or Discord has not yet made the answer.
    pub async fn edit_original_response(
        &self,
        application: ApplicationId,
        token: &SecretString,
        message: &Value,
        attachments: Vec<Attachment>,
    ) -> Result<(), ClientError> {
        const CALL: &str = "edit original response";
        let files: Vec<HttpAttachment> = (0..)
            .zip(attachments)
            .map(|(id, file)| {
                let mut attachment = HttpAttachment::from_bytes(file.filename, file.bytes, id);
                attachment.description = file.description;
                attachment
            })
            .collect();
        let payload = serde_json::to_vec(message).map_err(|error| ClientError {
            call: CALL,
            kind: ErrorKind::Invalid,
            source: Some(error.into()),
        })?;
        let interactions = self.http.interaction(Id::new(application.get().max(1)));
        let mut request = interactions.update_response(token.expose_secret()).payload_json(&payload);
        if !files.is_empty() {
            request = request.attachments(&files);
        }
        patiently(CALL, request.into_future()).await.map(drop)
    }

    /// The application's commands, with all their localizations: global ones, or those of one guild.
    ///
    /// # Errors
    /// When Discord fails.
    pub async fn commands(&self, application: ApplicationId, guild: Option<GuildId>) -> Result<Value, ClientError> {
        let application_id = application.get();
        let with_localizations = Some(true);
        let route = guild.map_or(Route::GetGlobalCommands { application_id, with_localizations }, |guild| {
            Route::GetGuildCommands { application_id, guild_id: guild.get(), with_localizations }
        });
        read("list commands", self.http.request::<EmptyBody>(Request::from_route(&route))).await
    }

    /// Replaces the application's commands by this list, and answers with what Discord made of it.
    ///
    /// # Errors
    /// When Discord fails or refuses a command.
    pub async fn overwrite_commands(
        &self,
        application: ApplicationId,
        guild: Option<GuildId>,
        commands: &Value,
    ) -> Result<Value, ClientError> {
        const CALL: &str = "overwrite commands";
        let application_id = application.get();
        let route = guild.map_or(Route::SetGlobalCommands { application_id }, |guild| Route::SetGuildCommands {
            application_id,
            guild_id: guild.get(),
        });
        let request = Request::builder(&route).json(commands).build();
        let request = request.map_err(|error| ClientError::from_twilight(CALL, error))?;
        read(CALL, self.http.request::<EmptyBody>(request)).await
    }
}

/// Waits for a response, and for no longer than patience lasts.
async fn patiently<T: Unpin>(
    call: &'static str,
    response: ResponseFuture<T>,
) -> Result<twilight_http::Response<T>, ClientError> {
    let result = match tokio::time::timeout(PATIENCE, response).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(ClientError::from_twilight(call, error)),
        // Requests have a shorter limit of their own: what took this long was waiting for Discord's permission.
        Err(_) => Err(ClientError { call, kind: ErrorKind::RateLimited, source: None }),
    };
    let outcome = if result.is_ok() { "ok" } else { "failed" };
    metrics::counter!("discord_requests_total", "call" => call, "outcome" => outcome).increment(1);
    result
}

/// Waits for a response and reads what the product keeps of it.
async fn read<T: DeserializeOwned>(call: &'static str, response: ResponseFuture<impl Unpin>) -> Result<T, ClientError> {
    let response = patiently(call, response).await?;
    let body = response.bytes().await.map_err(|error| ClientError {
        call,
        kind: ErrorKind::Unreachable,
        source: Some(error.into()),
    })?;
    serde_json::from_slice(&body).map_err(|error| ClientError {
        call,
        kind: ErrorKind::Unreadable,
        source: Some(error.into()),
    })
}
