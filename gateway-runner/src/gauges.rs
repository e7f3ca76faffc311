//! What is measured and not counted: members and people in voice, per guild, at the start of each five-minute slot.
//!
//! **Invariant:** a guild is measured only after its `GUILD_CREATE` was seen by this process or handed over with the
//! session: an unknown number is not reported as zero.
//! **Invariant:** memory is bounded by a shard's guilds (2,500) and the people in their voice channels; there is no cache
//! of members.

use std::collections::{HashMap, HashSet};

use guildhall_domain::{EventKind, GuildId, Timestamp, UserId};
use guildhall_wire::{Event, EventBody, GuildGauges};

use crate::project::MemberCount;

/// The length of a slot.
pub const SLOT_MILLIS: i64 = 5 * 60 * 1_000;

/// The start of the slot after the one `now` lies in.
pub const fn next_slot(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(SLOT_MILLIS) + 1) * SLOT_MILLIS)
}

#[derive(Default)]
struct Guild {
    members: Option<u32>,
    in_voice: HashSet<UserId>,
}

/// The state behind the gauges of one shard.
#[derive(Default)]
pub struct Gauges {
    guilds: HashMap<GuildId, Guild>,
}

impl Gauges {
    /// Takes in what a frame says, before its events.
    pub fn members(&mut self, count: MemberCount) {
        self.guilds.entry(count.guild).or_default().members = count.members;
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Event) {
        let Some(guild) = self.guilds.get_mut(&event.guild) else { return };
        match event.body {
            EventBody::VoiceRoster => guild.in_voice.clear(),
            EventBody::VoicePresent { member, .. } => drop(guild.in_voice.insert(member)),
            EventBody::Count { kind: EventKind::VoiceState, channel, member: Some(member), .. } => {
                if channel.is_some() {
                    guild.in_voice.insert(member);
                } else {
                    guild.in_voice.remove(&member);
                }
            }
            EventBody::Count { kind: EventKind::MemberJoin, .. } => {
                guild.members = guild.members.map(|members| members.saturating_add(1));
            }
            EventBody::Count { kind: EventKind::MemberLeave, .. } => {
                guild.members = guild.members.map(|members| members.saturating_sub(1));
            }
            EventBody::Count { kind: EventKind::GuildDelete, .. } => drop(self.guilds.remove(&event.guild)),
            EventBody::Count { .. } => {}
        }
    }

    /// The gauges of every guild, for the slot that begins at `slot`.
    pub fn measure(&self, slot: Timestamp) -> Vec<GuildGauges> {
        let mut gauges: Vec<_> = self
            .guilds
            .iter()
            .map(|(&guild, state)| GuildGauges {
                guild,
                slot,
                members: state.members,
                online: None,
                in_voice: u32::try_from(state.in_voice.len()).unwrap_or(u32::MAX),
            })
            .collect();
        gauges.sort_unstable_by_key(|gauge| gauge.guild);
        gauges
    }

    /// Forgets every guild: a new session introduces them again.
    pub fn clear(&mut self) {
        self.guilds.clear();
    }
}

#[cfg(test)]
mod tests {
    use guildhall_domain::ChannelId;

    use super::*;

    const GUILD: GuildId = GuildId::from_db(7);

    fn event(body: EventBody) -> Event {
        Event { seq: 1, index: 0, guild: GUILD, at: Timestamp::from_secs(0), body }
    }

    fn count(kind: EventKind, channel: Option<i64>) -> Event {
        let channel = channel.map(ChannelId::from_db);
        event(EventBody::Count { kind, channel, member: Some(UserId::from_db(5)), target: None })
    }

    #[test]
    fn joins_leaves_and_voice_move_the_gauges() {
        let mut gauges = Gauges::default();
        gauges.event(&count(EventKind::MemberJoin, None));
        assert_eq!(gauges.measure(Timestamp::from_secs(0)), [], "an unknown guild is not measured");

        gauges.members(MemberCount { guild: GUILD, members: Some(10) });
        gauges.event(&event(EventBody::VoiceRoster));
        gauges.event(&event(EventBody::VoicePresent { member: UserId::from_db(1), channel: ChannelId::from_db(2) }));
        gauges.event(&count(EventKind::VoiceState, Some(2)));
        gauges.event(&count(EventKind::VoiceState, Some(3)));
        gauges.event(&count(EventKind::MemberJoin, None));
        gauges.event(&count(EventKind::MemberJoin, None));
        gauges.event(&count(EventKind::MemberLeave, None));
        let measured = gauges.measure(Timestamp::from_secs(300));
        assert_eq!((measured[0].members, measured[0].in_voice), (Some(11), 2));

        gauges.event(&count(EventKind::VoiceState, None));
        assert_eq!(gauges.measure(Timestamp::from_secs(300))[0].in_voice, 1);
        gauges.event(&count(EventKind::GuildDelete, None));
        assert_eq!(gauges.measure(Timestamp::from_secs(300)), []);
    }

    #[test]
    fn slots_begin_on_the_five_minutes() {
        let slot = next_slot(Timestamp::from_millis(299_999));
        assert_eq!(slot.as_millis(), 300_000);
        assert_eq!(next_slot(slot).as_millis(), 600_000);
    }
}
