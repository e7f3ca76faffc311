//! Whether two streams of one guild's events stand at the same place.
//!
//! Both sessions deliver a guild's events in one order, but each numbers them for itself and is ahead or behind by
//! itself. An event with an id of its own (a message, a join, ...) that both have shown is an *anchor*: from there on,
//! counting each stream's events tells how far apart they are.
//!
//! **Invariant:** no I/O and no clock; pure state.
//! **Invariant:** streams are called aligned only when each has shown exactly the events the other has, since an anchor;
//! the last of them are compared as well.

use std::collections::VecDeque;

use guildhall_domain::{EventKind, GuildId};
use guildhall_wire::{Event, EventBody};

/// Events with ids that are remembered on each side: how far one stream may run ahead and still be matched.
const IDS: usize = 512;
/// The last events that are compared before streams are called aligned.
const TAIL: usize = 8;

/// What identifies an event in any session's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Own {
    kind: EventKind,
    id: u64,
    at: i64,
}

/// A frame as the aligner sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The guild.
    pub guild: GuildId,
    own: Option<Own>,
    print: u64,
    /// It introduces the guild, and what came before says nothing of what comes.
    introduces: bool,
}

impl Trace {
    /// The trace of a frame that was projected to these events; `None` when it is of no guild.
    pub fn of(events: &[Event]) -> Option<Self> {
        let first = events.first()?;
        let introduces = matches!(first.body, EventBody::Count { kind: EventKind::GuildCreate, .. });
        Some(Self { guild: first.guild, own: own(first), print: print(events), introduces })
    }

    /// Whether it introduces the guild.
    pub fn introduces(&self) -> bool {
        self.introduces
    }
}

fn own(event: &Event) -> Option<Own> {
    let EventBody::Count { kind, channel, member, target } = event.body else { return None };
    let (id, at) = match kind {
        EventKind::MessageCreate
        | EventKind::BotMessageCreate
        | EventKind::MessageDelete
        | EventKind::ThreadDelete
        | EventKind::RoleCreate
        | EventKind::RoleDelete => (target?, 0),
        // Announced again when the bot is added to it, then without a creator.
        EventKind::ThreadCreate if member.is_some() => (target?, 0),
        EventKind::ChannelCreate | EventKind::ChannelDelete => (channel?.get(), 0),
        EventKind::MemberJoin => (member?.get(), event.at.as_millis()),
        _ => return None,
    };
    Some(Own { kind, id, at })
}

/// What the events say, but for when they were received.
fn print(events: &[Event]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    for event in events {
        match event.body {
            EventBody::Count { kind, channel, member, target } => {
                (kind.code(), channel, member, target).hash(&mut hasher);
            }
            EventBody::VoiceRoster => 255_u8.hash(&mut hasher),
            EventBody::VoicePresent { member, channel } => (254_u8, member, channel).hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Which of the two streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// That of the set of shards that ends.
    Old,
    /// That of the set that begins.
    New,
}

impl Which {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

#[derive(Default, Debug)]
struct Seen {
    count: i64,
    ids: VecDeque<(Own, i64)>,
    tail: VecDeque<u64>,
}

impl Seen {
    fn find(&self, own: Own) -> Option<i64> {
        self.ids.iter().rev().find(|(known, _)| *known == own).map(|(_, count)| *count)
    }
}

/// One guild's two streams.
#[derive(Default, Debug)]
pub struct Track {
    old: Seen,
    new: Seen,
    /// By how much the old stream's count is ahead where both stand at the same place.
    shift: Option<i64>,
}

impl Track {
    /// A frame was read from one of the streams.
    pub fn note(&mut self, which: Which, trace: &Trace) {
        if trace.introduces {
            self.forget(which);
            return;
        }
        let (seen, other) = match which {
            Which::Old => (&mut self.old, &self.new),
            Which::New => (&mut self.new, &self.old),
        };
        seen.count += 1;
        seen.tail.push_back(trace.print);
        if seen.tail.len() > TAIL {
            seen.tail.pop_front();
        }
        let Some(own) = trace.own else { return };
        seen.ids.push_back((own, seen.count));
        if seen.ids.len() > IDS {
            seen.ids.pop_front();
        }
        if let Some(count) = other.find(own) {
            self.shift = Some(match which {
                Which::Old => seen.count - count,
                Which::New => count - seen.count,
            });
        }
    }

    /// The stream begins anew.
    pub fn forget(&mut self, which: Which) {
        *match which {
            Which::Old => &mut self.old,
            Which::New => &mut self.new,
        } = Seen::default();
        self.shift = None;
    }

    /// The stream that has shown more than the other, where that is known.
    pub fn ahead(&self) -> Option<Which> {
        match (self.old.count - self.new.count).cmp(&self.shift?) {
            std::cmp::Ordering::Less => Some(Which::New),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Which::Old),
        }
    }

    /// Whether each stream has shown exactly what the other has.
    pub fn is_aligned(&self) -> bool {
        self.shift == Some(self.old.count - self.new.count)
            && self.old.tail.iter().rev().zip(self.new.tail.iter().rev()).all(|(old, new)| old == new)
    }
}

#[cfg(test)]
mod tests;
