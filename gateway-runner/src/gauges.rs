//! What is measured and not counted: members and people in voice, per guild, at the start of each five-minute slot.
//!
//! **Invariant:** a guild is measured only after its `GUILD_CREATE` was seen by this process or handed over with the
//! session: an unknown number is not reported as zero.
//! **Invariant:** a snapshot handed over with the session continues where it was taken: events up to its sequence are in it
//! already. After a crash it is up to one slot old, and the member counts of that slot's joins and leaves stay off until
//! Discord introduces the guild again; counted events are exact all the same.
//! **Invariant:** memory is bounded by a shard's guilds (2,500) and the people in their voice channels; there is no cache
//! of members.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;

use guildhall_domain::{EventKind, GuildId, Timestamp, UserId};
use guildhall_wire::{Event, EventBody, GuildGauges};
use serde::{Deserialize, Serialize};

use crate::project::MemberCount;

/// The length of a slot.
pub const SLOT_MILLIS: i64 = 5 * 60 * 1_000;

/// The start of the slot after the one `now` lies in.
pub const fn next_slot(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(SLOT_MILLIS) + 1) * SLOT_MILLIS)
}

/// The largest snapshot worth keeping: below DynamoDB's limit of 400 KB for an item.
const MAX_SNAPSHOT_BYTES: usize = 380_000;
/// What a snapshot may decompress to; far above a full shard's.
const MAX_DECODED_BYTES: usize = 64 << 20;

#[derive(Default, Serialize, Deserialize)]
struct Guild {
    members: Option<u32>,
    in_voice: HashSet<UserId>,
}

/// The state behind the gauges of one shard.
#[derive(Default)]
pub struct Gauges {
    guilds: HashMap<GuildId, Guild>,
    /// Events up to this sequence are in the state already.
    upto: u64,
}

impl Gauges {
    /// Takes in what a frame says, before its events.
    pub fn members(&mut self, seq: u64, count: MemberCount) {
        if seq <= self.upto {
            return;
        }
        self.guilds.entry(count.guild).or_default().members = count.members;
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Event) {
        if event.seq <= self.upto {
            return;
        }
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

    /// How many guilds are known.
    pub fn guilds(&self) -> usize {
        self.guilds.len()
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
        *self = Self::default();
    }

    /// The state, to be handed over; `None` when it is too large for that.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let guilds: Vec<_> = self.guilds.iter().collect();
        let json = serde_json::to_vec(&guilds).ok()?;
        zstd::bulk::compress(&json, zstd::DEFAULT_COMPRESSION_LEVEL)
            .ok()
            .filter(|data| data.len() <= MAX_SNAPSHOT_BYTES)
    }

    /// The state handed over, which holds everything up to `upto`; empty when it cannot be read.
    pub fn restore(snapshot: &[u8], upto: u64) -> Self {
        let guilds =
            decompressed(snapshot).ok().and_then(|json| serde_json::from_slice::<Vec<(GuildId, Guild)>>(&json).ok());
        match guilds {
            Some(guilds) => Self { guilds: guilds.into_iter().collect(), upto },
            None => Self::default(),
        }
    }
}

/// What was compressed, up to the bound. It takes the memory it needs and no more: the bound at once would be most of what a
/// small task has.
fn decompressed(snapshot: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    let limit = MAX_DECODED_BYTES as u64;
    zstd::stream::read::Decoder::with_buffer(snapshot)?.take(limit + 1).read_to_end(&mut json)?;
    if json.len() > MAX_DECODED_BYTES { Err(std::io::ErrorKind::OutOfMemory.into()) } else { Ok(json) }
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
    fn a_snapshot_takes_no_more_memory_than_it_has_in_it() {
        let mut gauges = Gauges::default();
        gauges.guilds.insert(GUILD, Guild::default());
        let snapshot = gauges.snapshot().expect("it is small");
        let json = decompressed(&snapshot).expect("it is whole");
        assert!(json.capacity() < 4_096, "{} bytes for {}", json.capacity(), json.len());
        let bomb = zstd::bulk::compress(&vec![b' '; MAX_DECODED_BYTES + 1], 1).expect("compresses");
        assert!(decompressed(&bomb).is_err(), "more than any runner hands over");
    }

    #[test]
    fn joins_leaves_and_voice_move_the_gauges() {
        let mut gauges = Gauges::default();
        gauges.event(&count(EventKind::MemberJoin, None));
        assert_eq!(gauges.measure(Timestamp::from_secs(0)), [], "an unknown guild is not measured");

        gauges.members(1, MemberCount { guild: GUILD, members: Some(10) });
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
    fn a_snapshot_goes_on_where_it_was_taken() {
        let mut gauges = Gauges::default();
        gauges.members(1, MemberCount { guild: GUILD, members: Some(10) });
        gauges.event(&count(EventKind::VoiceState, Some(2)));
        let slot = Timestamp::from_secs(300);
        let mut restored = Gauges::restore(&gauges.snapshot().expect("small"), 1);
        assert_eq!(restored.measure(slot), gauges.measure(slot));
        // Replayed: it is in the snapshot already. The next one is new.
        restored.event(&count(EventKind::MemberJoin, None));
        restored.event(&Event { seq: 2, ..count(EventKind::MemberJoin, None) });
        assert_eq!(restored.measure(slot)[0].members, Some(11));
        assert_eq!(Gauges::restore(b"rubbish", 1).measure(slot), []);
    }

    #[test]
    fn slots_begin_on_the_five_minutes() {
        let slot = next_slot(Timestamp::from_millis(299_999));
        assert_eq!(slot.as_millis(), 300_000);
        assert_eq!(next_slot(slot).as_millis(), 600_000);
    }
}
