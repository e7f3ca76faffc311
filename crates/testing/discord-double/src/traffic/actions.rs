//! What people and bots do.
//!
//! **Invariant:** an action that cannot happen now (nobody there, nothing to delete) reports so and changes nothing.

use guildhall_domain::{Timestamp, UserId};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::crowd::{Crowd, Recent, enough, take};
use super::text;
use crate::world::{
    By, ChannelDraft, ChannelKind, Emoji, Guild, GuildChange, MemberChange, RoleDraft, ThreadChange, ThreadDraft,
    VoiceFlags, World,
};

static EMOJI: [Emoji; 6] = [
    Emoji::unicode("👍"),
    Emoji::unicode("❤️"),
    Emoji::unicode("😂"),
    Emoji::unicode("🎉"),
    Emoji::unicode("🔥"),
    Emoji::unicode("👀"),
];
/// Share of messages by bots.
const BY_BOTS: f64 = 0.05;
const HOUR: i64 = 3_600_000;

/// One guild while something happens in it.
pub(super) struct Scene<'a> {
    pub(super) guild: &'a mut Guild,
    pub(super) crowd: &'a mut Crowd,
    pub(super) rng: &'a mut StdRng,
    pub(super) at: Timestamp,
}

/// `None`: it could not happen.
type Done = Option<()>;

impl Scene<'_> {
    pub(super) fn message(&mut self) -> Done {
        let bot = self.rng.random_bool(BY_BOTS).then(|| self.crowd.bot(self.rng)).flatten();
        let (channel, author) = match bot {
            Some(bot) => (self.crowd.channel(self.rng)?, bot),
            None => self.crowd.speaker(self.rng)?,
        };
        let content = text::sentence(self.rng);
        let message = self.guild.post_message(channel, author, &content, self.at).ok()?;
        self.crowd.remember(Recent { channel, message, author, bot: bot.is_some() });
        Some(())
    }

    pub(super) fn edit(&mut self) -> Done {
        let recent = self.crowd.recent_by_person(self.rng)?;
        let content = text::sentence(self.rng);
        self.guild.edit_message(recent.channel, recent.message, &content, self.at).ok()
    }

    pub(super) fn delete(&mut self) -> Done {
        let recent = self.crowd.forget_one(self.rng)?;
        self.guild.delete_message(recent.channel, recent.message).ok()
    }

    pub(super) fn bulk_delete(&mut self) -> Done {
        let limit = self.rng.random_range(2..=10);
        let (channel, messages) = self.crowd.forget_some(limit, self.rng)?;
        self.guild.delete_messages(channel, &messages).ok().filter(|gone| *gone > 0).map(|_| ())
    }

    pub(super) fn react(&mut self) -> Done {
        let (recent, user) = (self.crowd.recent(self.rng)?, self.crowd.person(self.rng)?);
        let emoji = EMOJI.choose(self.rng)?;
        self.guild.add_reaction(recent.channel, recent.message, user, emoji).ok().filter(|new| *new).map(|_| ())
    }

    pub(super) fn unreact(&mut self) -> Done {
        let recent = self.crowd.recent(self.rng)?;
        let message = self.guild.message(recent.channel, recent.message).ok()?;
        let reaction = message.reactions.choose(self.rng)?;
        let (emoji, user) = (reaction.emoji.clone(), *reaction.users.choose(self.rng)?);
        self.guild.remove_reaction(recent.channel, recent.message, user, &emoji).ok().filter(|was| *was).map(|_| ())
    }

    pub(super) fn clear_reactions(&mut self) -> Done {
        let recent = self.crowd.recent(self.rng)?;
        let message = self.guild.message(recent.channel, recent.message).ok()?;
        let emoji = message.reactions.first()?.emoji.clone();
        let one = self.rng.random_bool(0.5);
        self.guild.clear_reactions(recent.channel, recent.message, one.then_some(&emoji)).ok()
    }

    pub(super) fn voice(&mut self) -> Done {
        let crowded = self.crowd.talking.len() >= self.crowd.voice.len() * 8;
        let choice = self.rng.random_range(0..100);
        if self.crowd.talking.is_empty() || (choice < 45 && !crowded) {
            let (user, channel) = (self.crowd.person(self.rng)?, *self.crowd.voice.choose(self.rng)?);
            if self.crowd.talking.contains(&user) {
                return None;
            }
            self.guild.voice_join(user, channel, VoiceFlags::default(), self.at).ok()?;
            self.crowd.talking.push(user);
            return Some(());
        }
        let index = self.rng.random_range(0..self.crowd.talking.len());
        let user = self.crowd.talking[index];
        match choice {
            0..60 => {
                let channel = *self.crowd.voice.choose(self.rng)?;
                self.guild.voice_move(user, channel, self.at).ok()
            }
            60..70 => {
                let (_, state) = self.guild.voice_states().find(|(other, _)| *other == user)?;
                let flags = VoiceFlags { self_mute: !state.flags.self_mute, ..state.flags };
                let channel = state.channel;
                self.guild.voice_join(user, channel, flags, self.at).ok()
            }
            _ => {
                self.crowd.talking.swap_remove(index);
                self.guild.voice_leave(user).ok()
            }
        }
    }

    pub(super) fn join(&mut self, world: &World) -> Done {
        let back = self.rng.random_bool(0.5).then(|| take(&mut self.crowd.away, self.rng)).flatten();
        let user = back.unwrap_or_else(|| {
            let name = format!("newcomer{}", self.rng.random_range(0..1_000_000));
            world.user_create(&name, false, self.at)
        });
        self.guild.member_join(user, self.at).ok()?;
        self.crowd.arrive(user);
        Some(())
    }

    pub(super) fn leave(&mut self) -> Done {
        let user = self.departing()?;
        let moderator = self.crowd.moderator(self.rng).filter(|_| self.rng.random_bool(0.1));
        match moderator {
            Some(moderator) => self.guild.member_kick(user, By::user(moderator), self.at).ok()?,
            None => self.guild.member_leave(user).ok()?,
        }
        self.crowd.depart(user);
        self.crowd.away.push(user);
        Some(())
    }

    pub(super) fn ban(&mut self) -> Done {
        let moderator = self.crowd.moderator(self.rng)?;
        let by = By { user: moderator, reason: Some("spam") };
        if enough(&self.crowd.banned, self.rng) {
            let user = take(&mut self.crowd.banned, self.rng)?;
            self.guild.unban(user, By::user(moderator), self.at).ok()?;
            self.crowd.away.push(user);
            return Some(());
        }
        let user = self.departing()?;
        self.guild.ban(user, 0, by, self.at).ok()?;
        self.crowd.depart(user);
        self.crowd.banned.push(user);
        Some(())
    }

    /// Somebody who may go: the lively stay, or the guild would die.
    fn departing(&mut self) -> Option<UserId> {
        self.crowd.ordinary(self.rng)
    }

    pub(super) fn member_update(&mut self) -> Done {
        let user = self.crowd.ordinary(self.rng)?;
        let moderator = self.crowd.moderator(self.rng).filter(|_| self.rng.random_bool(0.3));
        let (by, change) = match moderator {
            Some(moderator) => {
                let until = self.at.plus_millis(HOUR);
                (moderator, MemberChange { timeout_until: Some(Some(until)), ..MemberChange::default() })
            }
            None => {
                let nick = self.rng.random_bool(0.8).then(|| format!("nick {}", self.rng.random_range(0..10_000)));
                (user, MemberChange { nick: Some(nick), ..MemberChange::default() })
            }
        };
        self.guild.member_update(user, change, By::user(by), self.at).ok()
    }

    pub(super) fn thread(&mut self) -> Done {
        if let Some(index) = self.rng.random_range(0..24_usize).checked_sub(12) {
            // A thread that exists is closed or reopened.
            let thread = *self.crowd.threads.get(index)?;
            let archived = self.rng.random_bool(0.5);
            let by = By::user(self.crowd.person(self.rng)?);
            let change = ThreadChange { archived: Some(archived), ..ThreadChange::default() };
            return self.guild.thread_update(thread, change, by, self.at).ok();
        }
        if enough(&self.crowd.threads, self.rng) {
            let (thread, by) = (take(&mut self.crowd.threads, self.rng)?, self.crowd.moderator(self.rng)?);
            self.crowd.forget_channel(thread);
            return self.guild.thread_delete(thread, By::user(by), self.at).ok();
        }
        let recent = self.crowd.recent(self.rng)?;
        if self.guild.channel(recent.channel).ok()?.thread.is_some() {
            return None;
        }
        let draft = ThreadDraft {
            name: text::thread(self.rng),
            kind: ChannelKind::PublicThread,
            archive_after: 1_440,
            starter: Some(recent.message),
        };
        let thread = self.guild.thread_create(recent.channel, &draft, By::user(recent.author), self.at).ok()?;
        self.crowd.threads.push(thread);
        Some(())
    }

    pub(super) fn invite(&mut self) -> Done {
        if enough(&self.crowd.invites, self.rng) {
            let (code, by) = (take(&mut self.crowd.invites, self.rng)?, self.crowd.moderator(self.rng)?);
            return self.guild.invite_delete(&code, By::user(by), self.at).ok().map(|_| ());
        }
        let (channel, user) = (self.crowd.channel(self.rng)?, self.crowd.person(self.rng)?);
        let code = self.guild.invite_create(channel, 86_400, 0, By::user(user), self.at).ok()?;
        self.crowd.invites.push(code);
        Some(())
    }

    pub(super) fn channel(&mut self) -> Done {
        let by = By::user(self.crowd.moderator(self.rng)?);
        let name = |rng: &mut StdRng| Some(format!("project-{}", rng.random_range(0..1_000)));
        if let Some(channel) = self.crowd.extra_channels.choose(self.rng).copied().filter(|_| self.rng.random_bool(0.4))
        {
            let draft = ChannelDraft { name: name(self.rng), ..ChannelDraft::default() };
            return self.guild.channel_update(channel, draft, by, self.at).ok();
        }
        if enough(&self.crowd.extra_channels, self.rng) {
            let channel = take(&mut self.crowd.extra_channels, self.rng)?;
            return self.guild.channel_delete(channel, by, self.at).ok();
        }
        let draft = ChannelDraft { name: name(self.rng), kind: Some(ChannelKind::Text), ..ChannelDraft::default() };
        let channel = self.guild.channel_create(draft, by, self.at);
        self.crowd.extra_channels.push(channel);
        Some(())
    }

    pub(super) fn role(&mut self) -> Done {
        let by = By::user(self.crowd.moderator(self.rng)?);
        let draft = RoleDraft {
            name: Some(format!("Team {}", self.rng.random_range(0..1_000))),
            color: Some(self.rng.random_range(0..0x0100_0000)),
            ..RoleDraft::default()
        };
        // Deleting a role means looking at every member, so it is rare, as it is in life.
        let full = enough(&self.crowd.extra_roles, self.rng);
        if full && self.rng.random_bool(0.02) {
            let role = take(&mut self.crowd.extra_roles, self.rng)?;
            return self.guild.role_delete(role, by, self.at).ok();
        }
        if let Some(role) = self.crowd.extra_roles.choose(self.rng).copied().filter(|_| full) {
            return self.guild.role_update(role, draft, by, self.at).ok();
        }
        let role = self.guild.role_create(draft, by, self.at);
        self.crowd.extra_roles.push(role);
        Some(())
    }

    pub(super) fn guild_update(&mut self) -> Done {
        let by = By::user(self.crowd.moderator(self.rng)?);
        let change = GuildChange { description: Some(Some(text::sentence(self.rng))), ..GuildChange::default() };
        self.guild.update(change, by, self.at);
        Some(())
    }
}
