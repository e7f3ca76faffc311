//! What the traffic remembers of a guild: who is lively, where people talk, what was just said.
//!
//! **Invariant:** what is remembered is a guess. The guild decides; an action it refuses did not happen.

use std::collections::VecDeque;

use guildhall_domain::{ChannelId, GuildId, MessageId, RoleId, UserId};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use crate::world::{Guild, Permissions};

/// Messages that may still be answered, edited, reacted to or deleted.
const RECENT: usize = 96;
/// How lively a conversation is: it takes this share of its channel's guild while it lasts.
const STAYS_IN_CONVERSATION: f64 = 0.7;
/// Things made by the traffic that it keeps before it deletes some again.
const KEPT: usize = 12;

/// A message that was just written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    pub(super) channel: ChannelId,
    pub(super) message: MessageId,
    pub(super) author: UserId,
    pub(super) bot: bool,
}

/// A few people talking in one channel for a while.
#[derive(Debug)]
struct Conversation {
    channel: ChannelId,
    people: Vec<UserId>,
    left: u32,
}

/// The traffic's memory of one guild.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) guild: GuildId,
    /// How much happens here, relative to other guilds.
    pub(super) weight: f64,
    /// The hour of the day (UTC) at which most happens.
    pub(super) peak: f64,
    /// People, liveliest first.
    people: Vec<UserId>,
    bots: Vec<UserId>,
    pub(super) moderators: Vec<UserId>,
    /// Channels to write in, busiest first.
    text: Vec<ChannelId>,
    pub(super) voice: Vec<ChannelId>,
    recent: VecDeque<Recent>,
    conversation: Option<Conversation>,
    /// Who is in voice.
    pub(super) talking: Vec<UserId>,
    /// Who left and may come back.
    pub(super) away: Vec<UserId>,
    /// Who was banned by the traffic.
    pub(super) banned: Vec<UserId>,
    pub(super) threads: Vec<ChannelId>,
    pub(super) invites: Vec<String>,
    pub(super) extra_channels: Vec<ChannelId>,
    pub(super) extra_roles: Vec<RoleId>,
}

impl Crowd {
    pub(super) fn new(guild: &Guild, bot: UserId, rng: &mut StdRng) -> Self {
        let everyone = guild.id.get();
        let hidden = |channel: ChannelId| {
            guild.channel(channel).is_ok_and(|channel| {
                let denies = |o: &crate::world::permissions::Overwrite| o.deny.has(Permissions::VIEW_CHANNEL);
                channel.overwrites.iter().any(|overwrite| overwrite.id.0 == everyone && denies(overwrite))
            })
        };
        let (mut people, mut bots, mut moderators) = (Vec::new(), Vec::new(), Vec::new());
        for member in guild.members().filter(|member| member.user.id != bot) {
            let list = if member.user.bot { &mut bots } else { &mut people };
            list.push(member.user.id);
            let rights = guild.permissions(member.user.id, member.joined_at);
            if !member.user.bot && rights.has(Permissions::BAN_MEMBERS) {
                moderators.push(member.user.id);
            }
        }
        people.shuffle(rng);
        let mut text: Vec<ChannelId> = guild.text_channels().into_iter().filter(|id| !hidden(*id)).collect();
        text.shuffle(rng);
        let size = u32::try_from(people.len()).unwrap_or(u32::MAX);
        Self {
            guild: guild.id,
            // A guild ten times the size is about six times as busy.
            weight: f64::from(size.max(1)).powf(0.8),
            peak: rng.random_range(16.0..23.0),
            people,
            bots,
            moderators,
            text,
            voice: guild.voice_channels(),
            recent: VecDeque::with_capacity(RECENT),
            conversation: None,
            talking: guild.voice_states().map(|(user, _)| user).collect(),
            away: Vec::new(),
            banned: Vec::new(),
            threads: Vec::new(),
            invites: Vec::new(),
            extra_channels: Vec::new(),
            extra_roles: Vec::new(),
        }
    }

    /// Somebody; the liveliest most often.
    pub(super) fn person(&self, rng: &mut StdRng) -> Option<UserId> {
        zipf(&self.people, rng)
    }

    pub(super) fn bot(&self, rng: &mut StdRng) -> Option<UserId> {
        self.bots.choose(rng).copied()
    }

    pub(super) fn moderator(&self, rng: &mut StdRng) -> Option<UserId> {
        self.moderators.choose(rng).copied()
    }

    /// Somebody without duties, for what befalls members.
    pub(super) fn ordinary(&self, rng: &mut StdRng) -> Option<UserId> {
        self.people.choose(rng).copied().filter(|user| !self.moderators.contains(user))
    }

    pub(super) fn channel(&self, rng: &mut StdRng) -> Option<ChannelId> {
        zipf(&self.text, rng)
    }

    /// Who writes next, and where: mostly whoever is in the conversation that is going on.
    pub(super) fn speaker(&mut self, rng: &mut StdRng) -> Option<(ChannelId, UserId)> {
        if let Some(conversation) = &mut self.conversation {
            if rng.random_bool(STAYS_IN_CONVERSATION) {
                let speaker = conversation.people.choose(rng).map(|user| (conversation.channel, *user));
                conversation.left -= 1;
                if conversation.left == 0 {
                    self.conversation = None;
                }
                return speaker;
            }
        } else {
            let people: Vec<UserId> = (0..rng.random_range(2..6)).filter_map(|_| self.person(rng)).collect();
            let channel = self.threads.choose(rng).copied().filter(|_| rng.random_bool(0.1));
            let channel = channel.or_else(|| self.channel(rng))?;
            self.conversation = Some(Conversation { channel, people, left: rng.random_range(4..40) });
        }
        Some((self.channel(rng)?, self.person(rng)?))
    }

    pub(super) fn remember(&mut self, recent: Recent) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
    }

    /// A message that was just written; the newest most often.
    pub(super) fn recent(&self, rng: &mut StdRng) -> Option<Recent> {
        let back = zipf_index(self.recent.len(), rng)?;
        self.recent.get(self.recent.len() - 1 - back).copied()
    }

    /// A message by a person that was just written, to be edited.
    pub(super) fn recent_by_person(&self, rng: &mut StdRng) -> Option<Recent> {
        self.recent(rng).filter(|recent| !recent.bot)
    }

    /// Takes one message out of what is remembered.
    pub(super) fn forget_one(&mut self, rng: &mut StdRng) -> Option<Recent> {
        let index = rng.random_range(0..self.recent.len().max(1));
        self.recent.remove(index)
    }

    /// Takes up to `limit` messages of one channel out of what is remembered.
    pub(super) fn forget_some(&mut self, limit: usize, rng: &mut StdRng) -> Option<(ChannelId, Vec<MessageId>)> {
        let channel = self.recent(rng)?.channel;
        let chosen: Vec<MessageId> = self
            .recent
            .iter()
            .filter(|recent| recent.channel == channel)
            .map(|recent| recent.message)
            .take(limit)
            .collect();
        self.recent.retain(|recent| !chosen.contains(&recent.message));
        Some((channel, chosen))
    }

    /// Forgets a channel that is going away.
    pub(super) fn forget_channel(&mut self, channel: ChannelId) {
        self.recent.retain(|recent| recent.channel != channel);
        self.conversation.take_if(|conversation| conversation.channel == channel);
    }

    pub(super) fn arrive(&mut self, user: UserId) {
        self.people.push(user);
    }

    pub(super) fn depart(&mut self, user: UserId) {
        self.people.retain(|other| *other != user);
        self.talking.retain(|other| *other != user);
        if let Some(conversation) = &mut self.conversation {
            conversation.people.retain(|other| *other != user);
            if conversation.people.is_empty() {
                self.conversation = None;
            }
        }
    }
}

/// Whether something the traffic made before is to be deleted rather than one more made.
pub(super) fn enough<T>(made: &[T], rng: &mut StdRng) -> bool {
    made.len() >= KEPT || (!made.is_empty() && rng.random_bool(0.3))
}

/// Takes any one.
pub(super) fn take<T>(from: &mut Vec<T>, rng: &mut StdRng) -> Option<T> {
    if from.is_empty() { None } else { Some(from.swap_remove(rng.random_range(0..from.len()))) }
}

fn zipf<T: Copy>(from: &[T], rng: &mut StdRng) -> Option<T> {
    zipf_index(from.len(), rng).and_then(|index| from.get(index)).copied()
}

/// An index below `len`, the k-th about 1/k times as often as the first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bounded by len"
)]
fn zipf_index(len: usize, rng: &mut StdRng) -> Option<usize> {
    if len == 0 {
        return None;
    }
    // The integral of 1/x from 1 to x is ln x, so e^(u·ln(n+1)) has the distribution wanted.
    let index = ((len as f64 + 1.0).ln() * rng.random::<f64>()).exp() as usize;
    Some(index.clamp(1, len) - 1)
}
