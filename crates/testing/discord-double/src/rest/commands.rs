//! Application commands: global ones and those of a single guild.
//!
//! **Invariant:** a command that is stored has passed [`validate`], so the interaction sender can rely on its shape.

mod validate;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use guildhall_domain::{ApplicationId, GuildId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::error::{ApiError, FormErrors};
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use crate::world::ids::Snowflake;

/// Where a command is known: everywhere, or in one guild.
type Place = Option<GuildId>;

/// The registered commands.
#[derive(Debug, Default)]
pub(crate) struct Commands(Mutex<BTreeMap<(Place, Snowflake), Value>>);

impl Commands {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Place, Snowflake), Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether none is registered anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The command a member of a guild means: the guild's own goes before the global one.
    pub(crate) fn find(&self, guild: GuildId, kind: u64, name: &str) -> Option<Value> {
        let commands = self.lock();
        let named = |place: Place| {
            let mut of_place = commands.iter().filter(move |((known, _), _)| *known == place);
            of_place.find(|(_, command)| command["name"] == name && command["type"] == kind)
        };
        named(Some(guild)).or_else(|| named(None)).map(|(_, command)| command.clone())
    }
}

pub(super) fn routes() -> Router<Api> {
    let (global, of_guild) =
        ("/applications/{application}/commands", "/applications/{application}/guilds/{guild}/commands");
    Router::new()
        .route(global, get(list_global).post(create_global).put(replace_global))
        .route(&format!("{global}/{{command}}"), get(one_global).patch(update_global).delete(delete_global))
        .route(of_guild, get(list_guild).post(create_guild).put(replace_guild))
        .route(&format!("{of_guild}/permissions"), get(permissions))
        .route(&format!("{of_guild}/{{command}}"), get(one_guild).patch(update_guild).delete(delete_guild))
}

#[derive(Debug, Deserialize)]
struct Localized {
    #[serde(default)]
    with_localizations: bool,
}

type Of = Ids<ApplicationId>;
type OfGuild = Ids<(ApplicationId, GuildId)>;

async fn list_global(State(api): State<Api>, _: Bot, Ids(app): Of, Asked(asked): Asked<Localized>) -> Answered {
    list(&api, app, None, &asked)
}

async fn list_guild(
    State(api): State<Api>,
    _: Bot,
    Ids((app, guild)): OfGuild,
    Asked(asked): Asked<Localized>,
) -> Answered {
    list(&api, app, Some(guild), &asked)
}

async fn create_global(State(api): State<Api>, _: Bot, Ids(app): Of, Form(form): Form<Value>) -> Answered {
    create(&api, app, None, &form)
}

async fn create_guild(State(api): State<Api>, _: Bot, Ids((app, guild)): OfGuild, Form(form): Form<Value>) -> Answered {
    create(&api, app, Some(guild), &form)
}

async fn replace_global(State(api): State<Api>, _: Bot, Ids(app): Of, Form(form): Form<Vec<Value>>) -> Answered {
    replace(&api, app, None, form)
}

async fn replace_guild(
    State(api): State<Api>,
    _: Bot,
    Ids((app, guild)): OfGuild,
    Form(form): Form<Vec<Value>>,
) -> Answered {
    replace(&api, app, Some(guild), form)
}

async fn one_global(State(api): State<Api>, _: Bot, Ids((app, id)): Ids<(ApplicationId, Snowflake)>) -> Answered {
    one(&api, app, None, id)
}

async fn one_guild(
    State(api): State<Api>,
    _: Bot,
    Ids((app, guild, id)): Ids<(ApplicationId, GuildId, Snowflake)>,
) -> Answered {
    one(&api, app, Some(guild), id)
}

async fn update_global(
    State(api): State<Api>,
    _: Bot,
    Ids((app, id)): Ids<(ApplicationId, Snowflake)>,
    Form(form): Form<Value>,
) -> Answered {
    update(&api, app, None, id, form)
}

async fn update_guild(
    State(api): State<Api>,
    _: Bot,
    Ids((app, guild, id)): Ids<(ApplicationId, GuildId, Snowflake)>,
    Form(form): Form<Value>,
) -> Answered {
    update(&api, app, Some(guild), id, form)
}

async fn delete_global(State(api): State<Api>, _: Bot, Ids((app, id)): Ids<(ApplicationId, Snowflake)>) -> Answered {
    delete(&api, app, None, id)
}

async fn delete_guild(
    State(api): State<Api>,
    _: Bot,
    Ids((app, guild, id)): Ids<(ApplicationId, GuildId, Snowflake)>,
) -> Answered {
    delete(&api, app, Some(guild), id)
}

/// No guild's administrators have changed who may use which command.
async fn permissions(State(api): State<Api>, _: Bot, Ids((app, guild)): OfGuild) -> Answered {
    may_manage(&api, app, Some(guild))?;
    Answer::json::<[Value; 0]>(&[])
}

fn list(api: &Api, app: ApplicationId, place: Place, asked: &Localized) -> Answered {
    may_manage(api, app, place)?;
    let commands = api.commands.lock();
    let here = commands.iter().filter(|((known, _), _)| *known == place).map(|(_, command)| command.clone());
    let shown: Vec<Value> =
        here.map(|command| if asked.with_localizations { command } else { without_localizations(command) }).collect();
    Answer::json(&shown)
}

fn create(api: &Api, app: ApplicationId, place: Place, form: &Value) -> Answered {
    may_manage(api, app, place)?;
    let mut problems = FormErrors::default();
    let command = validate::command(form, "", &mut problems);
    problems.finish()?;
    let mut commands = api.commands.lock();
    // A command with the same name and type is overwritten and keeps its id.
    let same = |(_, known): &(&(Place, Snowflake), &Value)| {
        known["name"] == command["name"] && known["type"] == command["type"]
    };
    let existing = commands.iter().filter(|((known, _), _)| *known == place).find(same).map(|((_, id), _)| *id);
    if existing.is_none() {
        let of_kind =
            |((known, _), other): &(&(Place, Snowflake), &Value)| *known == place && other["type"] == command["type"];
        room(&command["type"], commands.iter().filter(of_kind).count() + 1)?;
    }
    let id = existing.unwrap_or_else(|| api.world.ids().id(api.now()));
    let stored = stored(api, place, id, command);
    commands.insert((place, id), stored.clone());
    if existing.is_some() { Answer::json(&stored) } else { Answer::created(&stored) }
}

fn replace(api: &Api, app: ApplicationId, place: Place, forms: Vec<Value>) -> Answered {
    may_manage(api, app, place)?;
    let mut problems = FormErrors::default();
    let mut wanted: Vec<Value> = Vec::new();
    for (index, form) in forms.into_iter().enumerate() {
        let command = validate::command(&form, &index.to_string(), &mut problems);
        if wanted.iter().any(|other| other["name"] == command["name"] && other["type"] == command["type"]) {
            let message = "Application command names must be unique";
            problems.add(&index.to_string(), "APPLICATION_COMMANDS_DUPLICATE_NAME", message);
        }
        wanted.push(command);
    }
    problems.finish()?;
    for kind in [1, 2, 3] {
        room(&json!(kind), wanted.iter().filter(|command| command["type"] == kind).count())?;
    }
    let mut commands = api.commands.lock();
    let old: Vec<(Snowflake, Value)> = commands
        .iter()
        .filter(|((known, _), _)| *known == place)
        .map(|((_, id), command)| (*id, command.clone()))
        .collect();
    commands.retain(|(known, _), _| *known != place);
    let mut answer = Vec::new();
    for command in wanted {
        let same =
            |(_, known): &&(Snowflake, Value)| known["name"] == command["name"] && known["type"] == command["type"];
        let id = old.iter().find(same).map_or_else(|| api.world.ids().id(api.now()), |(id, _)| *id);
        let stored = stored(api, place, id, command);
        commands.insert((place, id), stored.clone());
        answer.push(stored);
    }
    Answer::json(&answer)
}

fn one(api: &Api, app: ApplicationId, place: Place, id: Snowflake) -> Answered {
    may_manage(api, app, place)?;
    Answer::json(api.commands.lock().get(&(place, id)).ok_or_else(unknown)?)
}

fn update(api: &Api, app: ApplicationId, place: Place, id: Snowflake, form: Value) -> Answered {
    may_manage(api, app, place)?;
    let mut commands = api.commands.lock();
    let mut merged = commands.get(&(place, id)).ok_or_else(unknown)?.clone();
    if let (Some(merged), Value::Object(form)) = (merged.as_object_mut(), form) {
        merged.extend(form.into_iter().filter(|(key, _)| key != "type"));
    }
    let mut problems = FormErrors::default();
    let command = validate::command(&merged, "", &mut problems);
    problems.finish()?;
    let stored = stored(api, place, id, command);
    commands.insert((place, id), stored.clone());
    Answer::json(&stored)
}

fn delete(api: &Api, app: ApplicationId, place: Place, id: Snowflake) -> Answered {
    may_manage(api, app, place)?;
    api.commands.lock().remove(&(place, id)).ok_or_else(unknown)?;
    Answer::empty()
}

fn may_manage(api: &Api, app: ApplicationId, place: Place) -> Result<(), ApiError> {
    if app != api.config.application_id {
        let message = "Missing access to application";
        return Err(ApiError::new(StatusCode::FORBIDDEN, 20_012, message));
    }
    place.map_or(Ok(()), |guild| api.guild(guild).map(drop))
}

/// 100 chat commands, 15 each for members and messages.
fn room(kind: &Value, count: usize) -> Result<(), ApiError> {
    let most = if kind == 1 { 100 } else { 15 };
    if count <= most {
        return Ok(());
    }
    let message = format!("Maximum number of application commands reached ({most})");
    Err(ApiError::new(StatusCode::BAD_REQUEST, 30_032, message))
}

fn stored(api: &Api, place: Place, id: Snowflake, mut command: Value) -> Value {
    let version: Snowflake = api.world.ids().id(api.now());
    command["id"] = json!(id);
    command["application_id"] = json!(api.config.application_id);
    command["version"] = json!(version);
    if let Some(guild) = place {
        command["guild_id"] = json!(guild);
    }
    command
}

fn without_localizations(mut command: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Some(fields) = value.as_object_mut() {
            fields.remove("name_localizations");
            fields.remove("description_localizations");
            for list in ["options", "choices"] {
                for child in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    strip(child);
                }
            }
        }
    }
    strip(&mut command);
    command
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, 10_063, "Unknown application command")
}
