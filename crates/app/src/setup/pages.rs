//! What the setup looks like.
//!
//! **Invariant:** every page is for its addressee only, and says where in the flow it is.

use guildhall_domain::{GuildSettings, Language, Module, TimeZone, Timestamp};
use guildhall_store::settings::StoredSettings;
use serde_json::{Value, json};

use super::state::{State, Step};
use super::zones::{Region, label};
use crate::language::{self as texts, Text};
use crate::reply::Message;

/// The id of the modal's text field.
pub(super) const ZONE_FIELD: &str = "zone";

const PRIMARY: u8 = 1;
const SECONDARY: u8 = 2;
const SUCCESS: u8 = 3;
/// The colour of Guildhall's own messages.
const ACCENT: u32 = 0x0056_b4e9;
const WARNING: u32 = 0x00e6_9f00;
const DONE: u32 = 0x0000_9e73;

/// The page of a state's step.
pub(super) fn page(language: Language, state: &State, now: Timestamp, note: Option<&str>) -> Message {
    match state.step {
        Step::Language => language_page(language, state),
        Step::Zone(region) => {
            zone_page(language, state, &region.zones(state.settings.time_zone), Some(region), now, note)
        }
        Step::Modules => modules_page(language, state),
        _ => review_page(language, state),
    }
}

fn language_page(language: Language, state: &State) -> Message {
    let region = Region::of(state.settings.time_zone);
    let choice = |choice: Language, name| {
        let mut next = state.to(Step::Zone(region));
        next.settings.language = choice;
        button(name, if choice == state.settings.language { SUCCESS } else { SECONDARY }, &next)
    };
    let intro = if state.base.is_some() { texts::SETUP_AGAIN } else { texts::SETUP_WELCOME };
    let text = format!("{}\n\n{}", intro.of(language), texts::SETUP_LANGUAGE.of(language));
    ephemeral(
        embed(language, texts::SETUP_LANGUAGE_TITLE, Some(1), &text),
        vec![row(&[
            choice(Language::English, "English"),
            choice(Language::French, "Français"),
            button(texts::BUTTON_CANCEL.of(language), SECONDARY, &state.to(Step::Cancel)),
        ])],
    )
}

fn zone_page(
    language: Language,
    state: &State,
    offered: &[TimeZone],
    region: Option<Region>,
    now: Timestamp,
    note: Option<&str>,
) -> Message {
    let current = state.settings.time_zone;
    let kept = texts::SETUP_ZONE.fill(language, &[("zone", current.name()), ("label", &label(current, now))]);
    let text = note.map_or_else(|| kept.clone(), |note| format!("{note}\n\n{kept}"));
    let regions = Region::ALL.map(|other| {
        let style = if Some(other) == region { PRIMARY } else { SECONDARY };
        button(other.name().of(language), style, &state.to(Step::Zone(other)))
    });
    let mut rows = vec![row(&regions)];
    if !offered.is_empty() {
        let options: Vec<_> = offered
            .iter()
            .map(|zone| {
                json!({
                    "label": label(*zone, now),
                    "value": zone.name(),
                    "description": zone.name(),
                    "default": *zone == current,
                })
            })
            .collect();
        rows.push(select(&state.to(Step::PickZone), texts::PLACEHOLDER_ZONE.of(language), &options, 1, 1));
    }
    rows.push(row(&[
        button(texts::BUTTON_BACK.of(language), SECONDARY, &state.to(Step::Language)),
        button(texts::BUTTON_TYPE_ZONE.of(language), SECONDARY, &state.to(Step::TypeZone)),
        button(
            &texts::BUTTON_KEEP.fill(language, &[("value", &label(current, now))]),
            SUCCESS,
            &state.to(Step::Modules),
        ),
    ]));
    ephemeral(embed(language, texts::SETUP_ZONE_TITLE, Some(2), &text), rows)
}

/// The page after a name that is no zone's: what was typed, and what may have been meant.
pub(super) fn zone_not_found(
    language: Language,
    state: &State,
    now: Timestamp,
    typed: &str,
    similar: &[TimeZone],
) -> Message {
    // What somebody typed is shown as code, so that nothing in it takes effect.
    let typed: String = typed.chars().filter(|c| *c != '`' && !c.is_control()).take(60).collect();
    let text = if similar.is_empty() { texts::SETUP_ZONE_UNKNOWN } else { texts::SETUP_ZONE_SIMILAR };
    let note = text.fill(language, &[("typed", typed.trim())]);
    if similar.is_empty() {
        let region = Region::of(state.settings.time_zone);
        return zone_page(language, state, &region.zones(state.settings.time_zone), Some(region), now, Some(&note));
    }
    zone_page(language, state, similar, None, now, Some(&note))
}

/// The form in which a zone is typed.
pub(super) fn zone_modal(language: Language, state: &State) -> Value {
    json!({
        "custom_id": state.to(Step::TypeZone).encode(),
        "title": texts::SETUP_ZONE_TITLE.of(language),
        "components": [{
            "type": 18,
            "label": texts::MODAL_ZONE.of(language),
            "description": texts::MODAL_ZONE_HELP.of(language),
            "component": {
                "type": 4,
                "custom_id": ZONE_FIELD,
                "style": 1,
                "min_length": 2,
                "max_length": 60,
                "required": true,
                "placeholder": "Europe/Paris",
            },
        }],
    })
}

fn modules_page(language: Language, state: &State) -> Message {
    let options: Vec<_> = Module::ALL
        .into_iter()
        .map(|module| {
            let (name, description) = module_texts(module);
            json!({
                "label": name.of(language),
                "value": module.name(),
                "description": description.of(language),
                "default": state.settings.modules.contains(&module),
            })
        })
        .collect();
    let region = Region::of(state.settings.time_zone);
    ephemeral(
        embed(language, texts::SETUP_MODULES_TITLE, Some(3), texts::SETUP_MODULES.of(language)),
        vec![
            select(&state.to(Step::PickModules), texts::PLACEHOLDER_MODULES.of(language), &options, 0, options.len()),
            row(&[
                button(texts::BUTTON_BACK.of(language), SECONDARY, &state.to(Step::Zone(region))),
                button(texts::BUTTON_CONTINUE.of(language), SUCCESS, &state.to(Step::Review)),
            ]),
        ],
    )
}

fn review_page(language: Language, state: &State) -> Message {
    let mut embed = embed(language, texts::SETUP_REVIEW_TITLE, Some(4), texts::SETUP_REVIEW.of(language));
    embed["fields"] = summary(language, &state.settings);
    ephemeral(
        embed,
        vec![row(&[
            button(texts::BUTTON_BACK.of(language), SECONDARY, &state.to(Step::Modules)),
            button(texts::BUTTON_SAVE.of(language), SUCCESS, &state.to(Step::Save)),
            button(texts::BUTTON_CANCEL.of(language), SECONDARY, &state.to(Step::Cancel)),
        ])],
    )
}

/// The last page.
pub(super) fn saved(language: Language, settings: &GuildSettings) -> Message {
    let mut embed = embed(language, texts::SETUP_SAVED_TITLE, None, texts::SETUP_SAVED.of(language));
    embed["color"] = json!(DONE);
    embed["fields"] = summary(language, settings);
    ephemeral(embed, Vec::new())
}

/// The page when somebody else saved meanwhile: both are shown, and nothing chosen is lost.
pub(super) fn conflict(language: Language, state: &State, stored: &StoredSettings) -> Message {
    let who = format!("<@{}>", stored.updated_by);
    let when = format!("<t:{}:R>", stored.updated_at.as_secs());
    let text = texts::SETUP_CONFLICT.fill(language, &[("who", &who), ("when", &when)]);
    let mut theirs = embed(language, texts::SETUP_CONFLICT_TITLE, None, &text);
    theirs["color"] = json!(WARNING);
    theirs["fields"] = summary(language, &stored.settings);
    let mut mine = embed(language, texts::SETUP_CONFLICT_MINE, None, "");
    mine["fields"] = summary(language, &state.settings);
    let mut replace = state.to(Step::Save);
    replace.base = Some(stored.revision);
    let components = vec![row(&[
        button(texts::BUTTON_SAVE_MINE.of(language), PRIMARY, &replace),
        button(texts::BUTTON_KEEP_THEIRS.of(language), SECONDARY, &state.to(Step::Cancel)),
    ])];
    Message { embeds: vec![theirs, mine], components, ephemeral: true, ..Message::default() }
}

/// A page that is only words, without anything left to press.
pub(super) fn note(text: &str) -> Message {
    Message::ephemeral(text)
}

fn summary(language: Language, settings: &GuildSettings) -> Value {
    let modules: Vec<_> = settings.modules.iter().map(|module| module_texts(*module).0.of(language)).collect();
    let modules = if modules.is_empty() { texts::NO_MODULES.of(language).to_owned() } else { modules.join(", ") };
    let name = match settings.language {
        Language::English => "English",
        Language::French => "Français",
    };
    json!([
        { "name": texts::FIELD_LANGUAGE.of(language), "value": name, "inline": true },
        { "name": texts::FIELD_ZONE.of(language), "value": settings.time_zone.name(), "inline": true },
        { "name": texts::FIELD_MODULES.of(language), "value": modules, "inline": false },
    ])
}

const fn module_texts(module: Module) -> (Text, Text) {
    match module {
        Module::Analytics => (texts::MODULE_ANALYTICS, texts::MODULE_ANALYTICS_HELP),
        Module::Moderation => (texts::MODULE_MODERATION, texts::MODULE_MODERATION_HELP),
        Module::Tickets => (texts::MODULE_TICKETS, texts::MODULE_TICKETS_HELP),
        Module::Automations => (texts::MODULE_AUTOMATIONS, texts::MODULE_AUTOMATIONS_HELP),
    }
}

fn embed(language: Language, title: Text, step: Option<u8>, text: &str) -> Value {
    let title = title.of(language);
    let title = step.map_or_else(|| title.to_owned(), |step| format!("{step}/4 · {title}"));
    json!({ "title": title, "description": text, "color": ACCENT })
}

fn ephemeral(embed: Value, components: Vec<Value>) -> Message {
    Message { embeds: vec![embed], components, ephemeral: true, ..Message::default() }
}

fn row(components: &[Value]) -> Value {
    json!({ "type": 1, "components": components })
}

fn button(label: &str, style: u8, leads_to: &State) -> Value {
    json!({ "type": 2, "style": style, "label": label, "custom_id": leads_to.encode() })
}

fn select(leads_to: &State, placeholder: &str, options: &[Value], least: usize, most: usize) -> Value {
    row(&[json!({
        "type": 3,
        "custom_id": leads_to.encode(),
        "placeholder": placeholder,
        "min_values": least,
        "max_values": most,
        "options": options,
    })])
}
