//! The commands as Discord's "Bulk Overwrite Application Commands" takes them.

use serde_json::{Value, json};

use super::{COMMANDS, Command, CommandOption, OptionKind, Subcommand};
use crate::language::Text;

const SUBCOMMAND: u8 = 1;
const STRING: u8 = 3;
const BOOLEAN: u8 = 5;
const USER: u8 = 6;
const CHANNEL: u8 = 7;
/// Text, voice, announcement, their threads, stage, forum and media channels.
const COUNTED_CHANNELS: [u8; 9] = [0, 2, 5, 10, 11, 12, 13, 15, 16];

/// The body of the call that registers all commands.
pub fn registration() -> Value {
    COMMANDS.iter().map(command).collect()
}

fn command(command: &Command) -> Value {
    json!({
        "type": 1,
        "name": command.name,
        "name_localizations": { "fr": command.french_name },
        "description": command.description.en,
        "description_localizations": french(command.description),
        "default_member_permissions": command.default_permissions,
        "contexts": [0],
        "integration_types": [0],
        "options": command.subcommands.iter().map(subcommand).collect::<Value>(),
    })
}

fn subcommand(subcommand: &Subcommand) -> Value {
    json!({
        "type": SUBCOMMAND,
        "name": subcommand.name,
        "name_localizations": { "fr": subcommand.french_name },
        "description": subcommand.description.en,
        "description_localizations": french(subcommand.description),
        "options": subcommand.options.iter().map(option).collect::<Value>(),
    })
}

fn option(option: &CommandOption) -> Value {
    let mut value = json!({
        "name": option.name,
        "name_localizations": { "fr": option.french_name },
        "description": option.description.en,
        "description_localizations": french(option.description),
        "required": false,
    });
    value["type"] = json!(match option.kind {
        OptionKind::Choice(_) => STRING,
        OptionKind::Switch => BOOLEAN,
        OptionKind::User => USER,
        OptionKind::Channel => CHANNEL,
    });
    match option.kind {
        OptionKind::Choice(choices) => {
            value["choices"] = choices
                .iter()
                .map(|(id, text)| json!({ "name": text.en, "name_localizations": french(*text), "value": id }))
                .collect();
        }
        OptionKind::Channel => value["channel_types"] = json!(COUNTED_CHANNELS),
        OptionKind::Switch | OptionKind::User => {}
    }
    value
}

fn french(text: Text) -> Value {
    json!({ "fr": text.fr })
}
