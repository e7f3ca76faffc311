//! From an interaction to its answer.
//!
//! **Invariant:** whatever happens, there is an answer: a failure becomes words that say what was kept and what to do.

use guildhall_domain::{GuildId, InteractionId, Language};

use super::{COMMANDS, Handler};
use crate::context::{Ctx, WorkQueue};
use crate::error::AppError;
use crate::interaction::{Action, CommandUse, Interaction, Invoker};
use crate::language as texts;
use crate::reply::Reply;
use crate::{setup, stats, sync};

/// An answer, with what there is to log about it.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub reply: Reply,
    /// What was used, such as `stats server`; a constant, and so safe as a label.
    pub what: &'static str,
    /// Why the answer is an apology.
    pub error: Option<AppError>,
}

/// An interaction that is known to come from somebody in a guild.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Its id.
    pub id: InteractionId,
    /// Where.
    pub guild: GuildId,
    /// Who.
    pub invoker: Invoker,
    /// That person's language.
    pub language: Language,
    /// All of it.
    pub interaction: &'a Interaction,
}

/// What to say when an interaction took too long. Only the setup saves anything.
pub fn too_long(interaction: &Interaction) -> texts::Text {
    let handler = match &interaction.action {
        Action::Command(command) => COMMANDS.iter().find(|c| c.name == command.name).map(|c| c.handler),
        _ => Some(Handler::Setup),
    };
    if handler == Some(Handler::Setup) { texts::TOO_LONG } else { texts::TOO_LONG_READING }
}

/// Answers an interaction. `queue` takes what would take too long.
pub async fn dispatch(ctx: &Ctx, queue: &WorkQueue, interaction: &Interaction) -> Outcome {
    let language = interaction.language;
    let plain = |what, text: texts::Text| Outcome { reply: Reply::ephemeral(text.of(language)), what, error: None };
    if interaction.action == Action::Ping {
        return Outcome { reply: Reply::Pong, what: "ping", error: None };
    }
    let (Some(guild), Some(invoker)) = (interaction.guild, interaction.invoker) else {
        return plain("outside guilds", texts::GUILD_ONLY);
    };
    let origin = Origin { id: interaction.id, guild, invoker, language, interaction };
    let (what, result) = match &interaction.action {
        Action::Command(command) => match run(ctx, queue, origin, command).await {
            Some(done) => done,
            None => {
                tracing::warn!(command = command.name, "a command that is not declared was used");
                return plain("unknown command", texts::UNKNOWN_COMMAND);
            }
        },
        Action::Component { custom_id, values } => match setup::State::decode(custom_id) {
            Some(state) => ("setup component", setup::component(ctx, origin, state, values).await),
            None => {
                tracing::warn!(custom_id, "a component that is not known was used");
                return plain("unknown component", texts::UNKNOWN_COMPONENT);
            }
        },
        Action::Modal { custom_id, fields } => match setup::State::decode(custom_id) {
            Some(state) => ("setup modal", Ok(setup::modal(ctx, origin, state, fields))),
            None => {
                tracing::warn!(custom_id, "a modal that is not known was sent");
                return plain("unknown modal", texts::UNKNOWN_COMPONENT);
            }
        },
        Action::Ping | Action::Unknown(_) => return plain("unknown interaction", texts::UNKNOWN_COMMAND),
    };
    match result {
        Ok(reply) => Outcome { reply, what, error: None },
        Err(error) => {
            let text = match &error {
                AppError::Queue(_) | AppError::QueueSilent => texts::FAILED_QUEUE,
                AppError::Store(_) => texts::FAILED_STORE,
                _ => texts::FAILED,
            };
            Outcome { reply: Reply::ephemeral(text.of(language)), what, error: Some(error) }
        }
    }
}

async fn run(
    ctx: &Ctx,
    queue: &WorkQueue,
    origin: Origin<'_>,
    command: &CommandUse,
) -> Option<(&'static str, Result<Reply, AppError>)> {
    let declared = COMMANDS.iter().find(|declared| declared.name == command.name)?;
    Some(match declared.handler {
        Handler::Setup => (declared.name, setup::begin(ctx, origin).await),
        Handler::Sync => (declared.name, sync::request(ctx, queue, origin).await),
        Handler::Stats => {
            let subcommand = declared.subcommands.iter().find(|s| Some(s.name) == command.subcommand.as_deref())?;
            let request = stats::Request::read(origin, subcommand.name, command)?;
            (subcommand.name, stats::answer(ctx, origin, request).await)
        }
    })
}
