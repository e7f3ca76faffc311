//! Version 2: a head, then each field of all events in a column of its own.
//!
//! Numbers are LEB128, those that may be negative zigzagged first. Sequences and times are differences to the event
//! before. Guilds, channels and members are indices into a dictionary of the ids that occur, eight bytes each. A target is
//! split in two: its time, which is nearly always the event's own and then costs one byte, and the 22 bits below.
//!
//! **Invariant:** writing is total: any envelope is read back as it was.

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};

use super::bytes::{Reader, signed, varint};
use super::{DecodeError, NONE, PRESENT, ROSTER};
use crate::envelope::{CoverageGap, Envelope, Event, EventBody, GuildGauges, SeqRange};
use dictionary::Dictionary;

mod dictionary;

/// The bits of an id below its time (Discord documentation, "Snowflakes").
const LOW_BITS: u32 = 22;
const LOW: u64 = (1 << LOW_BITS) - 1;
/// Beside the low bits: there is a target.
const SOME: u64 = 1 << LOW_BITS;

/// The columns of the envelope being written; kept, so that a batch is no allocation.
#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    ids: Dictionary,
    seqs: Vec<u8>,
    indices: Vec<u8>,
    kinds: Vec<u8>,
    guilds: Vec<u8>,
    channels: Vec<u8>,
    members: Vec<u8>,
    times: Vec<u8>,
    targets: Vec<u8>,
    target_times: Vec<u8>,
}

impl Writer {
    /// The bytes to compress.
    pub(super) fn write(&mut self, envelope: &Envelope) -> &[u8] {
        self.out.clear();
        self.head(envelope);
        self.events(&envelope.events);
        let mut slot = 0;
        for gauges in &envelope.gauges {
            self.out.extend_from_slice(&gauges.guild.get().to_le_bytes());
            signed(&mut self.out, gauges.slot.as_millis().wrapping_sub(slot));
            slot = gauges.slot.as_millis();
            for number in [gauges.members, gauges.online] {
                varint(&mut self.out, number.map_or(0, |number| u64::from(number) + 1));
            }
            varint(&mut self.out, gauges.in_voice.into());
        }
        for gap in &envelope.gaps {
            text(&mut self.out, &gap.lost_session);
            varint(&mut self.out, gap.after_seq);
            signed(&mut self.out, gap.from.as_millis());
            signed(&mut self.out, gap.to.as_millis());
        }
        &self.out
    }

    fn head(&mut self, envelope: &Envelope) {
        let out = &mut self.out;
        varint(out, envelope.shard.id.into());
        varint(out, envelope.shard.count.into());
        text(out, &envelope.session_id);
        signed(out, envelope.session_started.as_millis());
        varint(out, envelope.class.code().unsigned_abs().into());
        varint(out, envelope.class_map.into());
        // Sequences begin at 1: a range that begins at 0 stands for none.
        let (first, last) = envelope.range.map_or((0, 0), |range| (range.first, range.last));
        varint(out, first);
        varint(out, last.wrapping_sub(first));
        for count in [envelope.events.len(), envelope.gauges.len(), envelope.gaps.len()] {
            varint(out, count as u64);
        }
    }

    fn events(&mut self, events: &[Event]) {
        for column in [
            &mut self.seqs,
            &mut self.indices,
            &mut self.kinds,
            &mut self.guilds,
            &mut self.channels,
            &mut self.members,
            &mut self.times,
            &mut self.targets,
            &mut self.target_times,
        ] {
            column.clear();
        }
        self.ids.clear();
        let (mut seq, mut time) = (0, 0);
        for event in events {
            let (kind, channel, member, target) = match event.body {
                EventBody::Count { kind, channel, member, target } => (
                    kind.code(),
                    channel.map_or(NONE, ChannelId::get),
                    member.map_or(NONE, UserId::get),
                    target.unwrap_or(NONE),
                ),
                EventBody::VoiceRoster => (ROSTER, NONE, NONE, NONE),
                EventBody::VoicePresent { member, channel } => (PRESENT, channel.get(), member.get(), NONE),
            };
            let at = event.at.as_millis();
            varint(&mut self.seqs, event.seq.wrapping_sub(seq));
            varint(&mut self.indices, event.index.into());
            self.kinds.push(kind);
            varint(&mut self.guilds, self.ids.index(event.guild.get()));
            varint(&mut self.channels, self.ids.index(channel));
            varint(&mut self.members, self.ids.index(member));
            signed(&mut self.times, at.wrapping_sub(time));
            let low = if target == NONE { 0 } else { SOME | target & LOW };
            self.targets.extend_from_slice(&low.to_le_bytes()[..3]);
            if target != NONE {
                signed(&mut self.target_times, time_of(target).wrapping_sub(at));
            }
            (seq, time) = (event.seq, at);
        }
        if events.is_empty() {
            return;
        }
        varint(&mut self.out, self.ids.len());
        self.ids.write(&mut self.out);
        for column in [
            &self.seqs,
            &self.indices,
            &self.kinds,
            &self.guilds,
            &self.channels,
            &self.members,
            &self.times,
            &self.targets,
            &self.target_times,
        ] {
            self.out.extend_from_slice(column);
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The instant in an id's upper bits, in milliseconds.
const fn time_of(target: u64) -> i64 {
    (target >> LOW_BITS).cast_signed().wrapping_add(Timestamp::DISCORD_EPOCH.as_millis())
}

/// Reads what was compressed.
pub(super) fn read(bytes: &[u8]) -> Result<Envelope, DecodeError> {
    let mut from = Reader::new(bytes);
    let shard = ShardId { id: from.number()?, count: from.number()? };
    let session_id = from.text()?;
    let session_started = Timestamp::from_millis(from.signed()?);
    let class = PriorityClass::from_code(from.number()?).ok_or(DecodeError::Malformed("an unknown class"))?;
    let class_map = from.number()?;
    let (first, more) = (from.varint()?, from.varint()?);
    let range = (first != 0).then(|| SeqRange { first, last: first.wrapping_add(more) });
    let rows = [from.varint()?, from.varint()?, from.varint()?];
    let events = if rows[0] == 0 { Vec::new() } else { events(&mut from, rows[0])? };
    let mut slot = 0;
    let gauges = rows_of(rows[1], || {
        let guild = id(from.id()?, GuildId::new)?.ok_or(DecodeError::Malformed("gauges without a guild"))?;
        slot = from.signed()?.wrapping_add(slot);
        let optional = |number: u64| {
            let number = number.checked_sub(1).map(u32::try_from).transpose();
            number.map_err(|_| DecodeError::Malformed("a number that is too large"))
        };
        let (members, online) = (optional(from.varint()?)?, optional(from.varint()?)?);
        Ok(GuildGauges { guild, slot: Timestamp::from_millis(slot), members, online, in_voice: from.number()? })
    })?;
    let gaps = rows_of(rows[2], || {
        Ok(CoverageGap {
            lost_session: from.text()?,
            after_seq: from.varint()?,
            from: Timestamp::from_millis(from.signed()?),
            to: Timestamp::from_millis(from.signed()?),
        })
    })?;
    from.end()?;
    Ok(Envelope { shard, session_id, session_started, class, class_map, range, events, gauges, gaps })
}

fn rows_of<T>(rows: u64, mut row: impl FnMut() -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
    // Nothing is reserved for rows that may not be there: each takes at least a byte of what is bounded.
    let mut read = Vec::new();
    for _ in 0..rows {
        read.push(row()?);
    }
    Ok(read)
}

fn events(from: &mut Reader<'_>, rows: u64) -> Result<Vec<Event>, DecodeError> {
    let known = from.varint()?;
    if known > rows.saturating_mul(3) {
        return Err(DecodeError::Malformed("more ids than its events can have"));
    }
    let known = rows_of(known, || from.id())?;
    let of = |index: u64| -> Result<u64, DecodeError> {
        let Some(place) = index.checked_sub(1) else { return Ok(NONE) };
        let known = usize::try_from(place).ok().and_then(|place| known.get(place));
        known.copied().ok_or(DecodeError::Malformed("an id outside the dictionary"))
    };
    let (mut seq, mut time) = (0_u64, 0_i64);
    let seqs = rows_of(rows, || {
        seq = seq.wrapping_add(from.varint()?);
        Ok(seq)
    })?;
    let indices = rows_of(rows, || from.number::<u16>())?;
    let kinds = from.take(rows)?;
    let guilds = rows_of(rows, || {
        id(of(from.varint()?)?, GuildId::new)?.ok_or(DecodeError::Malformed("an event without a guild"))
    })?;
    let channels = rows_of(rows, || id(of(from.varint()?)?, ChannelId::new))?;
    let members = rows_of(rows, || id(of(from.varint()?)?, UserId::new))?;
    let times = rows_of(rows, || {
        time = from.signed()?.wrapping_add(time);
        Ok(time)
    })?;
    let lows = from.take(rows.saturating_mul(3))?;
    let mut events = Vec::with_capacity(seqs.len());
    for (row, low) in lows.chunks_exact(3).enumerate() {
        let low = u64::from(low[0]) | u64::from(low[1]) << 8 | u64::from(low[2]) << 16;
        let target = if low & SOME == 0 { None } else { Some(target(low & LOW, times[row], from.signed()?)?) };
        let body = match kinds[row] {
            ROSTER => EventBody::VoiceRoster,
            PRESENT => EventBody::VoicePresent {
                member: members[row].ok_or(DecodeError::Malformed("a voice state without a member"))?,
                channel: channels[row].ok_or(DecodeError::Malformed("a voice state without a channel"))?,
            },
            code => EventBody::Count {
                kind: EventKind::from_code(code).ok_or(DecodeError::Malformed("an unknown kind"))?,
                channel: channels[row],
                member: members[row],
                target,
            },
        };
        let at = Timestamp::from_millis(times[row]);
        events.push(Event { seq: seqs[row], index: indices[row], guild: guilds[row], at, body });
    }
    Ok(events)
}

/// The target with these lower bits, made so much after its event.
fn target(low: u64, at: i64, after: i64) -> Result<u64, DecodeError> {
    let time = at.wrapping_add(after).wrapping_sub(Timestamp::DISCORD_EPOCH.as_millis()).cast_unsigned();
    if time > u64::MAX >> LOW_BITS || time << LOW_BITS | low == NONE {
        return Err(DecodeError::Malformed("a target that is no id"));
    }
    Ok(time << LOW_BITS | low)
}

fn id<T>(value: u64, make: impl Fn(u64) -> Option<T>) -> Result<Option<T>, DecodeError> {
    match value {
        NONE => Ok(None),
        id => make(id).map(Some).ok_or(DecodeError::Malformed("an id beyond 63 bits")),
    }
}
