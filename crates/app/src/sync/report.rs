//! What was read, and what the bot cannot do or see.
//!
//! **Invariant:** a finding says what it costs and how to mend it; where nothing is wrong, that is said too.

use guildhall_discord::model::Channel;
use guildhall_domain::{GuildSettings, Language, Module, Permissions, Timestamp};
use serde_json::json;

use super::Structure;
use crate::language::{self as texts, Text, counted, number};
use crate::reply::Message;

/// How many channels are named; Discord's embeds have little room.
const NAMED_CHANNELS: usize = 10;
const ACCENT: u32 = 0x0000_9e73;
const WARNING: u32 = 0x00e6_9f00;

/// What a part of the product needs in the whole guild.
const NEEDS: &[(Module, Permissions, Text)] = &[
    (Module::Analytics, Permissions::VIEW_AUDIT_LOG, texts::NEED_AUDIT_LOG),
    (Module::Analytics, Permissions::MANAGE_GUILD, texts::NEED_MANAGE_GUILD),
    (Module::Moderation, Permissions::BAN_MEMBERS, texts::NEED_BAN),
    (Module::Moderation, Permissions::KICK_MEMBERS, texts::NEED_KICK),
    (Module::Moderation, Permissions::MODERATE_MEMBERS, texts::NEED_TIMEOUT),
    (Module::Moderation, Permissions::MANAGE_MESSAGES, texts::NEED_MANAGE_MESSAGES),
    (Module::Tickets, Permissions::MANAGE_CHANNELS, texts::NEED_MANAGE_CHANNELS),
    (Module::Tickets, Permissions::MANAGE_ROLES, texts::NEED_MANAGE_ROLES),
];

/// The message that ends a `/sync`.
pub(super) fn report(language: Language, structure: &Structure, settings: &GuildSettings, now: Timestamp) -> Message {
    let holder = structure.own.holder(&structure.guild, &structure.roles, now);
    let in_guild = holder.in_guild();
    let missing: Vec<_> = NEEDS
        .iter()
        .filter(|(module, needed, _)| settings.modules.contains(module) && !in_guild.allows(*needed))
        .map(|(_, _, text)| format!("- {}", text.of(language)))
        .collect();
    let hidden: Vec<_> = structure
        .channels
        .iter()
        .filter(|channel| channel.kind != Channel::CATEGORY)
        .filter(|channel| {
            let permissions = holder.in_channel(structure.guild.id, &channel.overwrites());
            !permissions.contains(Permissions::VIEW_CHANNEL)
        })
        .collect();

    let read = texts::SYNC_READ.fill(
        language,
        &[
            ("channels", &channels(language, count(&structure.channels, |c| c.kind != Channel::CATEGORY))),
            (
                "voice",
                &number(language, count(&structure.channels, |c| matches!(c.kind, Channel::VOICE | Channel::STAGE))),
            ),
            ("roles", &roles(language, u64::try_from(structure.roles.len()).unwrap_or(u64::MAX))),
        ],
    );
    let mut fields = Vec::new();
    if let Some(members) = structure.guild.approximate_member_count {
        let text = texts::SYNC_MEMBERS.fill(language, &[("members", &number(language, members))]);
        fields.push(json!({ "name": texts::FIELD_MEMBERS.of(language), "value": text, "inline": false }));
    }
    if !missing.is_empty() {
        let value = format!("{}\n{}", texts::SYNC_MISSING.of(language), missing.join("\n"));
        fields.push(json!({ "name": texts::FIELD_MISSING.of(language), "value": value, "inline": false }));
    }
    if !hidden.is_empty() {
        let mut names: Vec<_> = hidden.iter().take(NAMED_CHANNELS).map(|c| format!("<#{}>", c.id)).collect();
        if hidden.len() > NAMED_CHANNELS {
            names.push("…".to_owned());
        }
        let total = channels(language, u64::try_from(hidden.len()).unwrap_or(u64::MAX));
        let value = texts::SYNC_HIDDEN.fill(language, &[("count", &total), ("channels", &names.join(" "))]);
        fields.push(json!({ "name": texts::FIELD_HIDDEN.of(language), "value": value, "inline": false }));
    }
    let fine = missing.is_empty() && hidden.is_empty();
    let verdict = if fine { texts::SYNC_FINE } else { texts::SYNC_LOOK };
    let embed = json!({
        "title": texts::SYNC_TITLE.of(language),
        "description": format!("{read}\n{}", verdict.of(language)),
        "color": if fine { ACCENT } else { WARNING },
        "fields": fields,
    });
    Message { embeds: vec![embed], ephemeral: true, ..Message::default() }
}

fn channels(language: Language, count: u64) -> String {
    counted(language, count, texts::COUNT_CHANNEL, texts::COUNT_CHANNELS)
}

fn roles(language: Language, count: u64) -> String {
    counted(language, count, texts::COUNT_ROLE, texts::COUNT_ROLES)
}

fn count(channels: &[Channel], which: impl Fn(&Channel) -> bool) -> u64 {
    u64::try_from(channels.iter().filter(|channel| which(channel)).count()).unwrap_or(u64::MAX)
}
