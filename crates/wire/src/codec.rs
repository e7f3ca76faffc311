//! Text form of an envelope: `g1:<crc32 of the compressed bytes, hex>:<base64 of zstd of JSON>`.
//!
//! The JSON keeps each field of all events in a column of its own, sequences and times as differences, ids as indices
//! into a dictionary: such columns compress to about a third of what a list of objects does.
//!
//! **Invariant:** decoding never panics and never allocates beyond [`MAX_DECODED_BYTES`], whatever the input.
//! **Invariant:** a body damaged on the way is [`DecodeError::Damaged`], never a wrong envelope; one that was made
//! wrong is [`DecodeError::Malformed`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::envelope::{CoverageGap, Envelope, Event, EventBody, GuildGauges, SeqRange};

/// The largest body that is accepted: the size limit of an SQS message.
pub const MAX_BODY_BYTES: usize = 1_048_576;
/// The largest JSON a body may decompress to.
pub const MAX_DECODED_BYTES: usize = 4 * 1_048_576;

const PREFIX: &str = "g1:";
/// Level 3 is zstd's default; higher levels cost more time than the bytes they save.
const ZSTD_LEVEL: i32 = 3;
/// Stands for "none" among ids, which are never zero.
const NONE: u64 = 0;
const ROSTER: u8 = 254;
const PRESENT: u8 = 255;

/// Why a body is not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body was changed on the way; the sender's copy is good, so another delivery may succeed.
    #[error("the envelope was damaged on the way: {0}")]
    Damaged(&'static str),
    /// The body is as it was made, and it was made wrong; no delivery will succeed.
    #[error("the envelope is malformed: {0}")]
    Malformed(&'static str),
    /// As [`DecodeError::Malformed`], found while reading JSON.
    #[error("the envelope's JSON is malformed")]
    Json(#[source] serde_json::Error),
}

impl DecodeError {
    /// Whether the same message may be readable when it is delivered again.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// Guild, slot, members, members online, members in voice.
type GaugesRow = (GuildId, Timestamp, Option<u32>, Option<u32>, u32);

#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(flatten)]
    shard: ShardId,
    #[serde(rename = "session")]
    session_id: String,
    #[serde(rename = "started")]
    session_started: Timestamp,
    class: PriorityClass,
    class_map: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    events: Columns,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gauges: Vec<GaugesRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<(String, u64, Timestamp, Timestamp)>,
}

#[derive(Default, Serialize, Deserialize)]
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
    fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    fn intern(&mut self, known: &mut std::collections::HashMap<u64, usize>, id: u64) -> usize {
        *known.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() - 1
        })
    }

    fn push(&mut self, known: &mut std::collections::HashMap<u64, usize>, last: &mut (u64, i64, u64), event: &Event) {
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
        self.seq.push(event.seq.wrapping_sub(last.0));
        self.index.push(event.index);
        self.kind.push(kind);
        let guild = self.intern(known, event.guild.get());
        self.guild.push(guild);
        let channel = self.intern(known, channel);
        self.channel.push(channel);
        let member = self.intern(known, member);
        self.member.push(member);
        self.target.push(target.wrapping_sub(last.2).cast_signed());
        self.at.push(event.at.as_millis().wrapping_sub(last.1));
        *last = (event.seq, event.at.as_millis(), target);
    }

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

/// The body of the SQS message that carries the envelope.
///
/// # Panics
/// Never: the shapes always serialise, and compression into memory cannot fail.
pub fn encode(envelope: &Envelope) -> String {
    let mut events = Columns::default();
    if !envelope.events.is_empty() {
        let mut known = std::collections::HashMap::from([(NONE, 0)]);
        events.ids.push(NONE);
        let mut last = (0, 0, 0);
        for event in &envelope.events {
            events.push(&mut known, &mut last, event);
        }
    }
    let head = Head {
        shard: envelope.shard,
        session_id: envelope.session_id.clone(),
        session_started: envelope.session_started,
        class: envelope.class,
        class_map: envelope.class_map,
        range: envelope.range.map(|range| (range.first, range.last)),
        events,
        gauges: envelope.gauges.iter().map(|g| (g.guild, g.slot, g.members, g.online, g.in_voice)).collect(),
        gaps: envelope.gaps.iter().map(|g| (g.lost_session.clone(), g.after_seq, g.from, g.to)).collect(),
    };
    let json = serde_json::to_vec(&head).expect("plain data serialises");
    let compressed = zstd::bulk::compress(&json, ZSTD_LEVEL).expect("compression into memory succeeds");
    let checksum = crc32fast::hash(&compressed);
    let mut body = String::with_capacity(PREFIX.len() + 9 + compressed.len().div_ceil(3) * 4);
    body.push_str(PREFIX);
    body.push_str(&format!("{checksum:08x}:"));
    BASE64.encode_string(&compressed, &mut body);
    body
}

/// Reads the body of an SQS message.
///
/// # Errors
/// When the body was damaged on the way, or was made wrong.
pub fn decode(body: &str) -> Result<Envelope, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Malformed("larger than a queue's message can be"));
    }
    let rest = body.strip_prefix(PREFIX).ok_or(DecodeError::Malformed("not an envelope of a known version"))?;
    let (checksum, payload) = rest.split_once(':').ok_or(DecodeError::Damaged("no checksum"))?;
    let checksum = u32::from_str_radix(checksum, 16).map_err(|_| DecodeError::Damaged("checksum is not a number"))?;
    let compressed = BASE64.decode(payload).map_err(|_| DecodeError::Damaged("not base64"))?;
    if crc32fast::hash(&compressed) != checksum {
        return Err(DecodeError::Damaged("checksum differs"));
    }
    let json = zstd::bulk::decompress(&compressed, MAX_DECODED_BYTES)
        .map_err(|_| DecodeError::Malformed("does not decompress, or to more than is allowed"))?;
    let head: Head = serde_json::from_slice(&json).map_err(DecodeError::Json)?;
    let range = match head.range {
        Some((first, last)) if first == 0 || last < first || last > i64::MAX as u64 - 1 => {
            return Err(DecodeError::Malformed("a range that ends before it begins"));
        }
        range => range.map(|(first, last)| SeqRange { first, last }),
    };
    let events = head.events.read()?;
    if events.iter().any(|event| range.is_none_or(|range| !range.contains(event.seq))) {
        return Err(DecodeError::Malformed("an event outside its envelope's range"));
    }
    Ok(Envelope {
        shard: head.shard,
        session_id: head.session_id,
        session_started: head.session_started,
        class: head.class,
        class_map: head.class_map,
        range,
        events,
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
