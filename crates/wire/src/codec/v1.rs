//! Version 1, which is only read: the columns of version 2 as JSON, ids as indices into a dictionary.

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use serde::Deserialize;

use super::{DecodeError, NONE, PRESENT, ROSTER};
use crate::envelope::{CoverageGap, Envelope, Event, EventBody, GuildGauges, SeqRange};

/// Guild, slot, members, members online, members in voice.
type GaugesRow = (GuildId, Timestamp, Option<u32>, Option<u32>, u32);

#[derive(Deserialize)]
struct Head {
    #[serde(flatten)]
    shard: ShardId,
    #[serde(rename = "session")]
    session_id: String,
    #[serde(rename = "started")]
    session_started: Timestamp,
    class: PriorityClass,
    class_map: u16,
    #[serde(default)]
    range: Option<(u64, u64)>,
    #[serde(default)]
    events: Columns,
    #[serde(default)]
    gauges: Vec<GaugesRow>,
    #[serde(default)]
    gaps: Vec<(String, u64, Timestamp, Timestamp)>,
}

#[derive(Default, Deserialize)]
struct Columns {
    /// Every id that occurs; index 0 is "none".
    ids: Vec<u64>,
    seq: Vec<u64>,
    index: Vec<u16>,
    kind: Vec<u8>,
    guild: Vec<usize>,
    channel: Vec<usize>,
    member: Vec<usize>,
    /// Target ids as differences, wrapping: they are nearly always new, so a dictionary would not help.
    target: Vec<i64>,
    at: Vec<i64>,
}

impl Columns {
    fn read(&self) -> Result<Vec<Event>, DecodeError> {
        let len = self.kind.len();
        let columns = [
            self.seq.len(),
            self.index.len(),
            self.guild.len(),
            self.channel.len(),
            self.member.len(),
            self.target.len(),
            self.at.len(),
        ];
        if columns.iter().any(|column| *column != len) {
            return Err(DecodeError::Malformed("columns of different lengths"));
        }
        let mut last = (0_u64, 0_i64, 0_u64);
        let mut events = Vec::with_capacity(len);
        for row in 0..len {
            let seq = last.0.wrapping_add(self.seq[row]);
            let at = last.1.wrapping_add(self.at[row]);
            let target = last.2.wrapping_add(self.target[row].cast_unsigned());
            last = (seq, at, target);
            let channel = self.id(self.channel[row], ChannelId::new)?;
            let member = self.id(self.member[row], UserId::new)?;
            let body = match self.kind[row] {
                ROSTER => EventBody::VoiceRoster,
                PRESENT => EventBody::VoicePresent {
                    member: member.ok_or(DecodeError::Malformed("a voice state without a member"))?,
                    channel: channel.ok_or(DecodeError::Malformed("a voice state without a channel"))?,
                },
                code => EventBody::Count {
                    kind: EventKind::from_code(code).ok_or(DecodeError::Malformed("an unknown kind"))?,
                    channel,
                    member,
                    target: (target != NONE).then_some(target),
                },
            };
            events.push(Event {
                seq,
                index: self.index[row],
                guild: self
                    .id(self.guild[row], GuildId::new)?
                    .ok_or(DecodeError::Malformed("an event without a guild"))?,
                at: Timestamp::from_millis(at),
                body,
            });
        }
        Ok(events)
    }

    fn id<T>(&self, index: usize, make: impl Fn(u64) -> Option<T>) -> Result<Option<T>, DecodeError> {
        match self.ids.get(index).copied() {
            None => Err(DecodeError::Malformed("an id outside the dictionary")),
            Some(NONE) => Ok(None),
            Some(id) => make(id).map(Some).ok_or(DecodeError::Malformed("an id beyond 63 bits")),
        }
    }
}

/// Reads what was compressed.
pub(super) fn read(json: &[u8]) -> Result<Envelope, DecodeError> {
    let head: Head = serde_json::from_slice(json).map_err(DecodeError::Json)?;
    Ok(Envelope {
        shard: head.shard,
        session_id: head.session_id,
        session_started: head.session_started,
        class: head.class,
        class_map: head.class_map,
        range: head.range.map(|(first, last)| SeqRange { first, last }),
        events: head.events.read()?,
        gauges: head
            .gauges
            .into_iter()
            .map(|(guild, slot, members, online, in_voice)| GuildGauges { guild, slot, members, online, in_voice })
            .collect(),
        gaps: head
            .gaps
            .into_iter()
            .map(|(lost_session, after_seq, from, to)| CoverageGap { lost_session, after_seq, from, to })
            .collect(),
    })
}
