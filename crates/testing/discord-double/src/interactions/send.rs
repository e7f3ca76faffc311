//! Sends interactions as Discord does: signed, to one endpoint, with three seconds to answer.
//!
//! **Invariant:** what reaches the endpoint is signed with the key the application was told; only [`probe`] signs badly,
//! to learn whether that is noticed.

mod outcome;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::{ChannelId, GuildId, MessageId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::command_line::{self, Typed};
use super::options::{Options, find_member};
use super::session::{Kind, Session, State};
use super::{component, form, payload};
use crate::rest::Api;
use crate::world::{Guild, Permissions};

/// How long the first answer may take.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long a deferred answer is waited for, unless the sender says otherwise.
const PATIENCE_MILLIS: u64 = 30_000;

/// What a member does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    guild_id: Option<GuildId>,
    channel_id: Option<ChannelId>,
    /// Id or name; the guild's owner when absent.
    user_id: Option<String>,
    /// A slash command as typed, or the name of a menu command.
    command: Option<String>,
    /// The member or message a menu command is used on.
    target_id: Option<String>,
    /// The option being typed: autocomplete is asked for.
    focused: Option<String>,
    /// A button, a menu, or the form that was opened.
    custom_id: Option<String>,
    values: Vec<String>,
    message_id: Option<MessageId>,
    /// What is filled into the form.
    fields: Option<Map<String, Value>>,
    /// Where to, instead of the configured endpoint.
    endpoint: Option<String>,
    /// How long to wait for a deferred answer.
    wait_ms: Option<u64>,
    locale: Option<String>,
}

/// Why a member could not do that.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(super) fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// What a check of the endpoint found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Probe {
    /// Whether Discord would accept the endpoint.
    accepted: bool,
    /// Whether a proper PING was answered with PONG.
    pong: bool,
    /// The status of the answer to a proper PING.
    ping_status: Option<u16>,
    /// Whether a badly signed PING was refused with 401.
    refused_bad_signature: bool,
    /// The status of the answer to a badly signed PING.
    bad_signature_status: Option<u16>,
    /// Whether an unsigned PING was refused with 401.
    refused_unsigned: bool,
}

/// Sends what a member does, and tells what the member sees.
///
/// # Errors
/// When a member could not do that, or no endpoint is known.
pub(crate) async fn send(api: &Api, wanted: Wanted) -> Result<Value, Refusal> {
    let endpoint = endpoint(api, wanted.endpoint.as_deref())?;
    let (session, body) = prepare(api, &wanted)?;
    api.interactions.keep(session.clone());
    let deadline = session.started + DEADLINE;
    let signed = wire::sign(&api.interactions.key, api.now(), body);
    let answer = tokio::time::timeout_at(deadline, wire::post(&endpoint, &signed)).await;
    let status = match answer {
        Ok(Ok(answer)) => take(api, &session, answer, deadline).await,
        Ok(Err(problem)) => Err((None, problem.to_string())),
        Err(_) => Err((None, "the endpoint took longer than three seconds".to_owned())),
    };
    let first = session.started.elapsed();
    if status.is_err() {
        session.state().void = true;
    } else {
        let patience = Duration::from_millis(wanted.wait_ms.unwrap_or(PATIENCE_MILLIS));
        settle(api, &session, Instant::now() + patience).await;
    }
    Ok(outcome::tell(api, &session, &status, first))
}

/// Checks an endpoint as Discord does when it is configured.
///
/// # Errors
/// When no endpoint is known.
pub(crate) async fn probe(api: &Api, endpoint_wanted: Option<&str>) -> Result<Probe, Refusal> {
    let endpoint = endpoint(api, endpoint_wanted)?;
    let guild = api.world.guild_ids().first().copied().ok_or_else(|| Refusal::new("there is no guild".to_owned()))?;
    let owner = api.world.guild(guild).map_or(api.world.bot_id(), |guild| guild.owner);
    let session = session(api, Kind::Ping, (guild, ChannelId::from_db(0), owner), Value::Null, None);
    let body = payload::ping(api, &session).to_string();
    let good = wire::sign(&api.interactions.key, api.now(), body);
    let ask = async |signed: &wire::Signed| tokio::time::timeout(DEADLINE, wire::post(&endpoint, signed)).await;
    let answer = ask(&good).await.ok().and_then(Result::ok);
    let bad = ask(&good.spoiled()).await.ok().and_then(Result::ok).map(|answer| answer.status);
    let unsigned = ask(&good.unsigned()).await.ok().and_then(Result::ok).map(|answer| answer.status);
    let ping_status = answer.as_ref().map(|answer| answer.status);
    let pong = match answer {
        Some(answer) if answer.status == 200 => answer.callback(api).await.is_ok_and(|(body, _)| body["type"] == 1),
        _ => false,
    };
    let (refused_bad_signature, refused_unsigned) = (bad == Some(401), unsigned == Some(401));
    Ok(Probe {
        accepted: pong && refused_bad_signature && refused_unsigned,
        pong,
        ping_status,
        refused_bad_signature,
        bad_signature_status: bad,
        refused_unsigned,
    })
}

/// Takes the endpoint's response: the answer itself, or 202 when the answer comes by a request of its own.
async fn take(
    api: &Api,
    session: &Session,
    answer: wire::Response,
    deadline: Instant,
) -> Result<u16, (Option<u16>, String)> {
    let status = answer.status;
    match status {
        200 => {
            let (callback, uploads) = answer.callback(api).await.map_err(|problem| (Some(status), problem))?;
            session.answer(api, callback, uploads).map_err(|problem| (Some(status), problem.to_string()))?;
            Ok(status)
        }
        202 => {
            wait(session, deadline, || session.is_answered()).await;
            if session.is_answered() { Ok(status) } else { Err((Some(status), "no answer came".to_owned())) }
        }
        _ => Err((Some(status), format!("the endpoint answered with status {status}"))),
    }
}

/// Waits until what the member sees is no placeholder any more.
async fn settle(api: &Api, session: &Session, until: Instant) {
    wait(session, until, || !session.is_pending(api)).await;
}

async fn wait(session: &Session, until: Instant, done: impl Fn() -> bool) {
    loop {
        // Listening begins before looking, so that no change falls between the two.
        let changed = session.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if done() || tokio::time::timeout_at(until, changed).await.is_err() {
            return;
        }
    }
}

fn endpoint(api: &Api, wanted: Option<&str>) -> Result<String, Refusal> {
    let known = wanted.map(str::to_owned).or_else(|| api.config.interactions_endpoint.clone());
    known.ok_or_else(|| Refusal::new("no interactions endpoint is configured, and none was given".to_owned()))
}

/// The session and the body of what is wanted.
fn prepare(api: &Api, wanted: &Wanted) -> Result<(Arc<Session>, String), Refusal> {
    let refuse = |reason: &str| Refusal::new(reason.to_owned());
    let id = wanted.guild_id.or_else(|| api.world.guild_ids().first().copied());
    let id = id.ok_or_else(|| refuse("there is no guild"))?;
    // The message of a component is looked up first: that may lock its guild.
    let component = match (&wanted.custom_id, &wanted.fields) {
        (Some(custom_id), None) => Some(component::find(api, (id, wanted.channel_id), wanted.message_id, custom_id)?),
        _ => None,
    };
    let opened = wanted.fields.as_ref().map(|_| opened_form(api, wanted.custom_id.as_deref())).transpose()?;
    let guild = api.world.guild(id).ok_or_else(|| refuse("there is no such guild"))?;
    let user = match &wanted.user_id {
        Some(name) => find_member(&guild, name).ok_or_else(|| Refusal::new(format!("{name} is no member")))?,
        None => guild.owner,
    };
    let channel = wanted.channel_id.or_else(|| guild.text_channels().first().copied());
    let channel = channel.ok_or_else(|| refuse("there is no channel"))?;
    may_speak(api, &guild, channel, user)?;
    let place = (id, channel, user);
    let mut options = Options::new(api, &guild, user, wanted.focused.as_deref());

    let (session, mut data, message) = if let (Some(opened), Some(fields)) = (opened, &wanted.fields) {
        let source = opened.session.source.clone();
        let message = source.as_ref().map(super::session::Shown::id);
        let data = form::data(&opened.form, fields)?;
        (session(api, Kind::Form, place, metadata(api, place, Kind::Form, message), source), data, None)
    } else if let Some(found) = component {
        let data = component::data(&mut options, &found.component, &wanted.values)?;
        let metadata = metadata(api, place, Kind::Component, Some(found.shown.id()));
        (session(api, Kind::Component, place, metadata, Some(found.shown)), data, Some(found.message))
    } else if let Some(line) = &wanted.command {
        let kind = if wanted.focused.is_some() { Kind::Autocomplete } else { Kind::Command };
        let data = command(api, &guild, place, line, wanted, &mut options)?;
        (session(api, kind, place, metadata(api, place, kind, None), None), data, None)
    } else {
        return Err(refuse("nothing is wanted: name a command, a component or a form"));
    };
    if let Some(resolved) = options.resolved() {
        data["resolved"] = resolved;
    }
    let spoken = api.world.user(user).map_or("en-US", |user| user.locale);
    let mut body = payload::of(api, &guild, &session, &data, wanted.locale.as_deref().unwrap_or(spoken));
    if let Some(message) = message {
        body["message"] = message;
    }
    Ok((session, body.to_string()))
}

/// The `data` of a command.
fn command(
    api: &Api,
    guild: &Guild,
    (_, channel, user): (GuildId, ChannelId, UserId),
    line: &str,
    wanted: &Wanted,
    options: &mut Options<'_>,
) -> Result<Value, Refusal> {
    let menu = wanted.target_id.as_deref();
    let on_member = menu.and_then(|target| options.user(target));
    let (kind, typed) = match menu {
        Some(_) => {
            (if on_member.is_some() { 2 } else { 3 }, Typed { path: vec![line.to_owned()], options: Vec::new() })
        }
        None => (1, command_line::parse(line)),
    };
    let name = typed.path.first().ok_or_else(|| Refusal::new("no command is named".to_owned()))?;
    let definition = api.commands.find(guild.id, kind, name);
    if definition.is_none() && !api.commands.is_empty() {
        return Err(Refusal::new(format!("no command {name} is registered")));
    }
    if let Some(required) = definition.as_ref().and_then(|definition| definition["default_member_permissions"].as_str())
    {
        let held = guild.channel_permissions(channel, user, api.now());
        let required = Permissions(required.parse().unwrap_or(0));
        // Nothing at all means administrators only.
        let allowed =
            if required == Permissions::NONE { held.has(Permissions::ADMINISTRATOR) } else { held.has(required) };
        if !allowed {
            return Err(Refusal::new(format!("this member does not see the command {name}")));
        }
    }
    let id = definition.as_ref().map_or_else(|| json!("1"), |definition| definition["id"].clone());
    let mut data = json!({ "id": id, "name": name, "type": kind });
    if definition.as_ref().is_some_and(|definition| !definition["guild_id"].is_null()) {
        data["guild_id"] = json!(guild.id);
    }
    match (menu, on_member) {
        (Some(_), Some(member)) => data["target_id"] = json!(member),
        (Some(target), None) => {
            let message: Option<MessageId> = target.parse().ok();
            let message = message.ok_or_else(|| Refusal::new(format!("{target} is no message")))?;
            let found = guild.message(channel, message).map_err(|problem| Refusal::new(problem.to_string()))?;
            let place = guild.channel(channel).map_err(|problem| Refusal::new(problem.to_string()))?;
            data["target_id"] = json!(message);
            data["resolved"] = json!({ "messages": { target: guild.message_json(place, found) } });
        }
        (None, _) => data["options"] = options.typed(&typed, definition.as_ref())?,
    }
    Ok(data)
}

fn may_speak(api: &Api, guild: &Guild, channel: ChannelId, user: UserId) -> Result<(), Refusal> {
    let held = guild.channel_permissions(channel, user, api.now());
    let needed = Permissions::VIEW_CHANNEL.with(Permissions::USE_APPLICATION_COMMANDS);
    if held.has(needed) { Ok(()) } else { Err(Refusal::new("this member may not use commands there".to_owned())) }
}

/// A form that was opened, and the interaction that opened it.
struct Opened {
    session: Arc<Session>,
    form: Value,
}

fn opened_form(api: &Api, custom_id: Option<&str>) -> Result<Opened, Refusal> {
    let opened = api.interactions.newest().into_iter().find_map(|session| {
        let form = session.state().form.clone()?;
        custom_id.is_none_or(|id| form["custom_id"] == id).then_some(Opened { session, form })
    });
    opened.ok_or_else(|| Refusal::new("no such form was opened".to_owned()))
}

fn metadata(
    api: &Api,
    (guild, _, user): (GuildId, ChannelId, UserId),
    kind: Kind,
    message: Option<MessageId>,
) -> Value {
    payload::metadata(api, guild, user, kind, message)
}

fn session(
    api: &Api,
    kind: Kind,
    (guild, channel, user): (GuildId, ChannelId, UserId),
    mut metadata: Value,
    source: Option<super::session::Shown>,
) -> Arc<Session> {
    let now = api.now();
    let id = api.world.ids().id(now);
    metadata["id"] = json!(id);
    Arc::new(Session {
        id,
        token: wire::token(&api.interactions.key, &id.to_string()),
        kind,
        guild,
        channel,
        user,
        created_at: now,
        started: Instant::now(),
        metadata,
        source,
        state: std::sync::Mutex::new(State::default()),
        changed: tokio::sync::Notify::new(),
    })
}
