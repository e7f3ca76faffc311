//! The body of a message on the event queues.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use guildhall_wire::{Envelope, decode, encode};

/// A body is read or refused, within its bounds; what was read means the same when it is written again. The first byte
/// decides whether the rest is the body, or what stands inside a body whose checksum and compression are right; its highest
/// bit decides about the version.
///
/// # Panics
/// When a promise is broken.
pub fn envelope(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let version = if mode & 0x80 == 0 { "g1:" } else { "g2:" };
    let body = match mode % 3 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => sealed(version, rest),
        _ => match zstd::bulk::compress(rest, 1) {
            Ok(compressed) => sealed(version, &compressed),
            Err(_) => return,
        },
    };
    let Ok(read) = decode(&body) else { return };
    within_bounds(&read);
    assert_eq!(decode(&encode(&read)).expect("what was read can be written"), read);
}

fn sealed(version: &str, compressed: &[u8]) -> String {
    // From version 2 on the checksum covers the version too.
    let covered = if version == "g1:" { &[] } else { version.as_bytes() };
    let checksum = crc32fast::hash(&[covered, compressed].concat());
    format!("{version}{checksum:08x}:{}", BASE64.encode(compressed))
}

fn within_bounds(envelope: &Envelope) {
    for event in &envelope.events {
        let range = envelope.range.expect("events have a range");
        assert!(range.contains(event.seq), "an event outside its range");
        assert_ne!(event.guild.get(), 0, "an event without a guild");
    }
}
