//! `/setup`: language, time zone, modules, summary, save.
//!
//! **Invariant:** nothing is stored until "Save": what was chosen so far travels in the ids of the components.
//! **Invariant:** every step checks anew that the person may change settings; components outlive permissions.

mod pages;
mod state;
mod zones;

use std::collections::{BTreeMap, BTreeSet};

use guildhall_domain::{GuildSettings, Module};

pub use state::{State, Step};
pub use zones::{Region, resolve};

use crate::commands::Origin;
use crate::context::Ctx;
use crate::error::AppError;
use crate::language as texts;
use crate::reply::Reply;
use crate::settings::{self, Outcome};

/// Starts the flow with the guild's current settings, or with a guess from the person's language.
///
/// # Errors
/// When the database fails.
pub async fn begin(ctx: &Ctx, origin: Origin<'_>) -> Result<Reply, AppError> {
    if !settings::may_change(origin) {
        return Ok(forbidden(origin));
    }
    let stored = settings::find(ctx, origin.guild).await?;
    let state = match stored {
        Some(stored) => State { step: Step::Language, settings: stored.settings, base: Some(stored.revision) },
        None => State {
            step: Step::Language,
            settings: GuildSettings { language: origin.language, ..GuildSettings::default() },
            base: None,
        },
    };
    let page = pages::page(origin.language, &state, ctx.clock.now(), None);
    Ok(Reply::Message(page))
}

/// Goes on after a button or a select.
///
/// # Errors
/// When the database fails.
pub async fn component(ctx: &Ctx, origin: Origin<'_>, mut state: State, values: &[String]) -> Result<Reply, AppError> {
    if !settings::may_change(origin) {
        return Ok(forbidden(origin));
    }
    match state.step {
        Step::Save => return save(ctx, origin, state).await,
        Step::Cancel => return Ok(Reply::Update(pages::note(texts::SETUP_CANCELLED.of(origin.language)))),
        Step::TypeZone => return Ok(Reply::Modal(pages::zone_modal(origin.language, &state))),
        Step::PickZone => {
            if let Some(zone) = values.first().and_then(|name| name.parse().ok()) {
                state.settings.time_zone = zone;
            }
            state.step = Step::Modules;
        }
        Step::PickModules => {
            state.settings.modules =
                values.iter().filter_map(|name| name.parse::<Module>().ok()).collect::<BTreeSet<_>>();
            state.step = Step::Review;
        }
        Step::Language | Step::Zone(_) | Step::Modules | Step::Review => {}
    }
    Ok(Reply::Update(pages::page(origin.language, &state, ctx.clock.now(), None)))
}

/// Goes on after the name of a time zone was typed.
pub fn modal(ctx: &Ctx, origin: Origin<'_>, mut state: State, fields: &BTreeMap<String, String>) -> Reply {
    if !settings::may_change(origin) {
        return forbidden(origin);
    }
    let typed = fields.get(pages::ZONE_FIELD).map_or("", String::as_str);
    let now = ctx.clock.now();
    let page = match resolve(typed) {
        Ok(zone) => {
            state.settings.time_zone = zone;
            state.step = Step::Modules;
            pages::page(origin.language, &state, now, None)
        }
        Err(similar) => pages::zone_not_found(origin.language, &state, now, typed, &similar),
    };
    Reply::Update(page)
}

async fn save(ctx: &Ctx, origin: Origin<'_>, state: State) -> Result<Reply, AppError> {
    let language = origin.language;
    Ok(match settings::save(ctx, origin, &state.settings, state.base).await? {
        Outcome::Saved => Reply::Update(pages::saved(language, &state.settings)),
        Outcome::Forbidden => forbidden(origin),
        Outcome::AlreadyHandled => Reply::ephemeral(texts::ALREADY_HANDLED.of(language)),
        Outcome::Conflict(stored) => Reply::Update(pages::conflict(language, &state, &stored)),
    })
}

fn forbidden(origin: Origin<'_>) -> Reply {
    Reply::ephemeral(texts::NEEDS_MANAGE_GUILD.of(origin.language))
}
