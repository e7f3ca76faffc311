//! The floor: every field at its full width, one event after the other, compressed.

use anyhow::{Context as _, Result};
use guildhall_domain::{ChannelId, EventKind, UserId};
use guildhall_wire::{Envelope, EventBody};
use zstd::bulk::Compressor;

use crate::digest::Digest;

const LEVEL: i32 = 3;
/// Sequence, guild, channel, member, target and time of eight bytes each, two for the index and one for the kind.
const ROW: usize = 6 * 8 + 3;
/// Shard, its number, class map, class, session's start, range and session.
const HEAD: usize = 4 + 4 + 2 + 1 + 8 + 16 + 32;
const MOST: usize = HEAD + ROW * 65_536;

pub(super) struct Fixed {
    zstd: Compressor<'static>,
    rows: Vec<u8>,
}

impl Fixed {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { zstd: Compressor::new(LEVEL)?, rows: Vec::new() })
    }

    pub(super) fn encode(&mut self, envelope: &Envelope) -> Vec<u8> {
        let rows = &mut self.rows;
        rows.clear();
        rows.extend_from_slice(&envelope.shard.id.to_le_bytes());
        rows.extend_from_slice(&envelope.shard.count.to_le_bytes());
        rows.extend_from_slice(&envelope.class_map.to_le_bytes());
        rows.push(envelope.class.code().to_le_bytes()[0]);
        rows.extend_from_slice(&envelope.session_started.as_millis().to_le_bytes());
        let (first, last) = envelope.range.map_or((0, 0), |range| (range.first, range.last));
        rows.extend_from_slice(&first.to_le_bytes());
        rows.extend_from_slice(&last.to_le_bytes());
        let session = envelope.session_id.bytes().chain(std::iter::repeat(0)).take(32);
        rows.extend(session);
        for event in &envelope.events {
            let (kind, channel, member, target) = match event.body {
                EventBody::Count { kind, channel, member, target } => (kind.code(), channel, member, target),
                EventBody::VoiceRoster => (254, None, None, None),
                EventBody::VoicePresent { member, channel } => (255, Some(channel), Some(member), None),
            };
            rows.extend_from_slice(&event.seq.to_le_bytes());
            rows.extend_from_slice(&event.guild.get().to_le_bytes());
            rows.extend_from_slice(&channel.map_or(0, ChannelId::get).to_le_bytes());
            rows.extend_from_slice(&member.map_or(0, UserId::get).to_le_bytes());
            rows.extend_from_slice(&target.unwrap_or(0).to_le_bytes());
            rows.extend_from_slice(&event.at.as_millis().to_le_bytes());
            rows.extend_from_slice(&event.index.to_le_bytes());
            rows.push(kind);
        }
        self.zstd.compress(rows).unwrap_or_default()
    }
}

/// Counts what a body holds.
#[expect(clippy::ptr_arg, reason = "it is what the contestant makes")]
pub(super) fn count(body: &Vec<u8>, digest: &mut Digest) -> Result<()> {
    let bytes = zstd::bulk::decompress(body, MOST)?;
    for row in bytes.get(HEAD..).context("a body without a head")?.chunks_exact(ROW) {
        let guild = row[8..16].try_into().map(u64::from_le_bytes)?;
        if let Some(kind) = EventKind::from_code(row[ROW - 1]) {
            digest.count(kind, guild);
        }
    }
    Ok(())
}
