//! The commands: declared once, here. What is registered with Discord and what is dispatched both come from
//! [`COMMANDS`].
//!
//! **Invariant:** a command that is declared is handled, and one that is handled is declared: dispatch goes through the
//! declaration's own handler.
//! **Invariant:** commands are for guilds only (context 0) and installed with the bot (integration type 0).

mod diff;
mod dispatch;
mod registration;

use guildhall_domain::Permissions;

use crate::language::{self as texts, Text};

pub use diff::{Change, diff};
pub use dispatch::{Origin, Outcome, dispatch, too_long};
pub use registration::registration;

/// A slash command.
#[derive(Debug)]
pub struct Command {
    /// The English name, which Discord sends whatever the language.
    pub name: &'static str,
    /// Its name in other languages.
    pub french_name: &'static str,
    /// What it does.
    pub description: Text,
    /// Who sees it in the menu unless the guild says otherwise; `None` for everyone.
    pub default_permissions: Option<Permissions>,
    /// Its subcommands; a command without any takes no options.
    pub subcommands: &'static [Subcommand],
    /// What handles it.
    pub handler: Handler,
}

/// What handles a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// The guided setup.
    Setup,
    /// Reading everything again from Discord.
    Sync,
    /// The numbers.
    Stats,
}

/// A subcommand.
#[derive(Debug)]
pub struct Subcommand {
    /// The English name.
    pub name: &'static str,
    /// The French name.
    pub french_name: &'static str,
    /// What it does.
    pub description: Text,
    /// What it takes; all of it may be left out.
    pub options: &'static [CommandOption],
}

/// An option of a subcommand.
#[derive(Debug)]
pub struct CommandOption {
    /// The English name.
    pub name: &'static str,
    /// The French name.
    pub french_name: &'static str,
    /// What it is for.
    pub description: Text,
    /// What may be given.
    pub kind: OptionKind,
}

/// What may be given for an option.
#[derive(Debug)]
pub enum OptionKind {
    /// One of these: the value and its text.
    Choice(&'static [(&'static str, Text)]),
    /// A member.
    User,
    /// A channel in which messages are written or people talk.
    Channel,
    /// Yes or no.
    Switch,
}

/// The option that names a span of time.
pub const PERIOD: &str = "period";
/// The option that names a member.
pub const MEMBER: &str = "member";
/// The option that names a channel.
pub const CHANNEL: &str = "channel";
/// The option that says who sees the answer.
pub const SHARE: &str = "share";

const PERIODS: &[(&str, Text)] = &[
    ("24h", texts::PERIOD_DAY),
    ("7d", texts::PERIOD_WEEK),
    ("30d", texts::PERIOD_MONTH),
    ("90d", texts::PERIOD_QUARTER),
    ("365d", texts::PERIOD_YEAR),
];

/// Members are counted by local days, so their shortest period is a week.
const MEMBER_PERIODS: &[(&str, Text)] = PERIODS.split_at(1).1;

const fn period(choices: &'static [(&'static str, Text)]) -> CommandOption {
    CommandOption {
        name: PERIOD,
        french_name: "période",
        description: texts::OPTION_PERIOD,
        kind: OptionKind::Choice(choices),
    }
}

const fn share(description: Text) -> CommandOption {
    CommandOption { name: SHARE, french_name: "partager", description, kind: OptionKind::Switch }
}

/// Every command.
pub static COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        french_name: "configurer",
        description: texts::COMMAND_SETUP,
        default_permissions: Some(Permissions::MANAGE_GUILD),
        subcommands: &[],
        handler: Handler::Setup,
    },
    Command {
        name: "sync",
        french_name: "actualiser",
        description: texts::COMMAND_SYNC,
        default_permissions: Some(Permissions::MANAGE_GUILD),
        subcommands: &[],
        handler: Handler::Sync,
    },
    Command {
        name: "stats",
        french_name: "stats",
        description: texts::COMMAND_STATS,
        default_permissions: None,
        subcommands: &[
            Subcommand {
                name: "server",
                french_name: "serveur",
                description: texts::COMMAND_STATS_SERVER,
                options: &[period(PERIODS), share(texts::OPTION_SHARE)],
            },
            Subcommand {
                name: "member",
                french_name: "membre",
                description: texts::COMMAND_STATS_MEMBER,
                options: &[
                    CommandOption {
                        name: MEMBER,
                        french_name: "membre",
                        description: texts::OPTION_MEMBER,
                        kind: OptionKind::User,
                    },
                    period(MEMBER_PERIODS),
                    share(texts::OPTION_SHARE_MEMBER),
                ],
            },
            Subcommand {
                name: "channel",
                french_name: "salon",
                description: texts::COMMAND_STATS_CHANNEL,
                options: &[
                    CommandOption {
                        name: CHANNEL,
                        french_name: "salon",
                        description: texts::OPTION_CHANNEL,
                        kind: OptionKind::Channel,
                    },
                    period(PERIODS),
                    share(texts::OPTION_SHARE_CHANNEL),
                ],
            },
        ],
        handler: Handler::Stats,
    },
];

#[cfg(test)]
mod tests;
