//! One interaction, from being sent to the end of its token.
//!
//! **Invariant:** an interaction is answered once; whoever waits is woken at every change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_domain::{ChannelId, GuildId, InteractionId, MessageId, Timestamp, UserId};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rest::Api;
use crate::rest::error::ApiError;
use crate::rest::messages::body::MessageForm;
use crate::world::message::Message;
use crate::world::{Author, Missing};

/// What kind of use it is, by Discord's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Ping = 1,
    Command = 2,
    Component = 3,
    Autocomplete = 4,
    Form = 5,
}

/// An interaction.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) id: InteractionId,
    pub(super) token: String,
    pub(super) kind: Kind,
    pub(super) guild: GuildId,
    pub(super) channel: ChannelId,
    pub(super) user: UserId,
    pub(super) created_at: Timestamp,
    pub(super) started: Instant,
    /// What messages tell of the interaction they answer.
    pub(super) metadata: Value,
    /// The message a component was on.
    pub(super) source: Option<Shown>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Notify,
}

/// How far it got.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The kind of the answer.
    pub(super) answered: Option<u64>,
    /// An answer is being taken in.
    pub(super) answering: bool,
    /// The answer came too late or not at all: the token is void.
    pub(super) void: bool,
    pub(super) original: Option<Shown>,
    pub(super) follow_ups: Vec<Shown>,
    /// What the original looked like after each edit.
    pub(super) edits: Vec<Value>,
    /// A form the member now sees.
    pub(super) form: Option<Value>,
    /// What autocomplete offers.
    pub(super) choices: Option<Value>,
}

/// A message the member sees.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// One everybody sees, kept by the guild.
    Public(ChannelId, MessageId),
    /// One for this member alone, kept here.
    Private(Arc<Mutex<Message>>),
}

impl Shown {
    pub(super) fn id(&self) -> MessageId {
        match self {
            Self::Public(_, id) => *id,
            Self::Private(message) => message.lock().unwrap_or_else(PoisonError::into_inner).id,
        }
    }
}

impl Session {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.state().answered.is_some()
    }

    pub(super) fn is_void(&self) -> bool {
        self.state().void
    }

    /// Its messages, oldest first.
    pub(super) fn all_shown(&self) -> Vec<Shown> {
        let state = self.state();
        state.original.iter().chain(&state.follow_ups).cloned().collect()
    }

    /// The message a path names.
    fn which(&self, which: &str) -> Result<Shown, ApiError> {
        if which == "@original" {
            return Ok(self.state().original.clone().ok_or(Missing::Message)?);
        }
        let id: MessageId = which.parse().map_err(|_| Missing::Message)?;
        Ok(self.all_shown().into_iter().find(|shown| shown.id() == id).ok_or(Missing::Message)?)
    }

    /// A message as REST shows it.
    pub(super) fn show(&self, api: &Api, which: &str) -> Result<Value, ApiError> {
        self.render(api, &self.which(which)?)
    }

    pub(super) fn render(&self, api: &Api, shown: &Shown) -> Result<Value, ApiError> {
        let guild = api.guild(self.guild)?;
        Ok(match shown {
            Shown::Public(channel, id) => {
                json!(guild.message_json(guild.channel(*channel)?, guild.message(*channel, *id)?))
            }
            Shown::Private(message) => {
                let message = message.lock().unwrap_or_else(PoisonError::into_inner);
                json!(guild.message_json(guild.channel(self.channel)?, &message))
            }
        })
    }

    /// Writes a message that belongs to the session.
    pub(super) fn write(&self, api: &Api, form: MessageForm, flags: u32, kind: u8) -> Result<Shown, ApiError> {
        let private = form.is_ephemeral() || flags & Message::EPHEMERAL != 0;
        let mut draft =
            if flags & Message::LOADING != 0 { crate::world::Draft::default() } else { form.draft(api, self.channel)? };
        draft.kind = kind;
        draft.flags |= flags | if private { Message::EPHEMERAL } else { 0 };
        draft.extras.interaction = Some(self.metadata.clone());
        draft.extras.application = Some(api.config.application_id);
        for attachment in &mut draft.extras.attachments {
            attachment.ephemeral = private;
        }
        let mut guild = api.guild(self.guild)?;
        if private {
            let message = guild.compose(self.channel, Author::Answer, draft, api.now())?;
            return Ok(Shown::Private(Arc::new(Mutex::new(message))));
        }
        Ok(Shown::Public(self.channel, guild.post(self.channel, Author::Answer, draft, api.now())?))
    }

    pub(super) fn follow_up(&self, api: &Api, form: MessageForm) -> Result<Value, ApiError> {
        let shown = self.write(api, form, 0, 0)?;
        self.state().follow_ups.push(shown.clone());
        self.changed.notify_waiters();
        self.render(api, &shown)
    }

    pub(super) fn edit(&self, api: &Api, which: &str, form: MessageForm) -> Result<Value, ApiError> {
        let shown = self.which(which)?;
        self.change(api, &shown, form)?;
        let json = self.render(api, &shown)?;
        let mut state = self.state();
        if state.original.as_ref().is_some_and(|original| original.id() == shown.id()) {
            let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            state.edits.push(json!({ "elapsed_ms": elapsed, "message": json }));
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(json)
    }

    /// Changes a message. The first edit of a deferred answer puts the answer in its place and is not marked.
    pub(super) fn change(&self, api: &Api, shown: &Shown, form: MessageForm) -> Result<(), ApiError> {
        let now = api.now();
        match shown {
            Shown::Public(channel, id) => {
                let mut guild = api.guild(self.guild)?;
                let message = guild.message(*channel, *id)?;
                let loading = message.flags & Message::LOADING != 0;
                let mut edit = form.edit(api, *channel, message)?;
                edit.unmarked = loading;
                edit.flags = edit.flags.map(|flags| flags & !Message::LOADING);
                guild.edit(*channel, *id, edit, now)?;
            }
            Shown::Private(message) => {
                let mut message = message.lock().unwrap_or_else(PoisonError::into_inner);
                let mut edit = form.edit(api, self.channel, &message)?;
                edit.unmarked = message.flags & Message::LOADING != 0;
                edit.flags = edit.flags.map(|flags| flags & !Message::LOADING);
                edit.apply(&mut message, now);
            }
        }
        Ok(())
    }

    pub(super) fn delete(&self, api: &Api, which: &str) -> Result<(), ApiError> {
        let shown = self.which(which)?;
        if let Shown::Public(channel, id) = &shown {
            api.guild(self.guild)?.delete_message(*channel, *id)?;
        }
        let mut state = self.state();
        if state.original.as_ref().is_some_and(|original| original.id() == shown.id()) {
            state.original = None;
        }
        state.follow_ups.retain(|follow_up| follow_up.id() != shown.id());
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }
}
