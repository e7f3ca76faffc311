//! The codec against generated envelopes, damaged bodies and every version ever shipped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_wire::{CoverageGap, DecodeError, Envelope, Event, EventBody, GuildGauges, SeqRange, decode, encode};
use proptest::prelude::*;

fn id() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..50, 1_u64..=i64::MAX as u64]
}

fn body() -> impl Strategy<Value = EventBody> {
    let kind = proptest::sample::select(EventKind::ALL);
    let count = (kind, proptest::option::of(id()), proptest::option::of(id()), proptest::option::of(1_u64..)).prop_map(
        |(kind, channel, member, target)| EventBody::Count {
            kind,
            channel: channel.and_then(ChannelId::new),
            member: member.and_then(UserId::new),
            target,
        },
    );
    let present = (id(), id()).prop_map(|(member, channel)| EventBody::VoicePresent {
        member: UserId::new(member).unwrap(),
        channel: ChannelId::new(channel).unwrap(),
    });
    prop_oneof![8 => count, 1 => Just(EventBody::VoiceRoster), 1 => present]
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let event = (1_u64..1_000_000, any::<u16>(), id(), any::<i64>(), body());
    (
        proptest::collection::vec(event, 0..120),
        proptest::collection::vec((id(), any::<i64>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<u32>()), 0..4),
        proptest::collection::vec(("[a-f0-9]{32}", any::<u64>(), any::<i64>(), any::<i64>()), 0..3),
        proptest::sample::select(PriorityClass::ALL.as_slice()),
        "[a-f0-9]{1,40}",
    )
        .prop_map(|(mut events, gauges, gaps, class, session_id)| {
            events.sort_by_key(|event| (event.0, event.1));
            Envelope {
                shard: ShardId { id: 3, count: 16 },
                session_id,
                session_started: Timestamp::from_millis(1_795_000_000_000),
                class,
                class_map: 1,
                range: events.first().map(|first| SeqRange { first: first.0, last: events.last().unwrap().0 + 7 }),
                events: events
                    .into_iter()
                    .map(|(seq, index, guild, at, body)| Event {
                        seq,
                        index,
                        guild: GuildId::new(guild).unwrap(),
                        at: Timestamp::from_millis(at),
                        body,
                    })
                    .collect(),
                gauges: gauges
                    .into_iter()
                    .map(|(guild, slot, members, online, in_voice)| GuildGauges {
                        guild: GuildId::new(guild).unwrap(),
                        slot: Timestamp::from_millis(slot),
                        members,
                        online,
                        in_voice,
                    })
                    .collect(),
                gaps: gaps
                    .into_iter()
                    .map(|(lost_session, after_seq, from, to)| CoverageGap {
                        lost_session,
                        after_seq,
                        from: Timestamp::from_millis(from),
                        to: Timestamp::from_millis(to),
                    })
                    .collect(),
            }
        })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(envelope in envelope()) {
        prop_assert_eq!(decode(&encode(&envelope)).unwrap(), envelope);
    }

    #[test]
    fn one_changed_byte_is_noticed(envelope in envelope(), at in any::<proptest::sample::Index>(), to in 0x20_u8..0x7f) {
        let body = encode(&envelope);
        let mut bytes = body.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let damaged = String::from_utf8(bytes).unwrap();
        // Hexadecimal digits may change their case without changing the checksum.
        if let Ok(read) = decode(&damaged) {
            prop_assert_eq!(read, envelope);
        }
    }

    #[test]
    fn rubbish_never_panics(body in ".{0,200}") {
        prop_assert!(decode(&body).is_err());
    }
}

fn sealed(json: &str) -> String {
    use base64::Engine as _;
    let compressed = zstd::bulk::compress(json.as_bytes(), 3).unwrap();
    let checksum = crc32fast::hash(&compressed);
    format!("g1:{checksum:08x}:{}", base64::engine::general_purpose::STANDARD.encode(compressed))
}

#[test]
fn wrong_envelopes_are_refused_for_good() {
    let cases = [
        "{}",
        "[]",
        // An event outside the range.
        r#"{"shard_id":0,"shard_count":1,"session":"s","started":0,"class":"high","class_map":1,"range":[1,2],
            "events":{"ids":[0,5],"seq":[3],"index":[0],"kind":[1],"guild":[1],"channel":[0],"member":[0],"target":[0],"at":[0]}}"#,
        // A column that is too short.
        r#"{"shard_id":0,"shard_count":1,"session":"s","started":0,"class":"high","class_map":1,"range":[1,2],
            "events":{"ids":[0,5],"seq":[1],"index":[0],"kind":[1],"guild":[1],"channel":[],"member":[0],"target":[0],"at":[0]}}"#,
        // An id outside the dictionary.
        r#"{"shard_id":0,"shard_count":1,"session":"s","started":0,"class":"high","class_map":1,"range":[1,2],
            "events":{"ids":[0,5],"seq":[1],"index":[0],"kind":[1],"guild":[9],"channel":[0],"member":[0],"target":[0],"at":[0]}}"#,
        // A range that ends before it begins.
        r#"{"shard_id":0,"shard_count":1,"session":"s","started":0,"class":"high","class_map":1,"range":[2,1]}"#,
    ];
    for json in cases {
        let error = decode(&sealed(json)).unwrap_err();
        assert!(!error.is_retryable(), "{json}: {error}");
    }
}

fn sealed_v2(columns: &[u8]) -> String {
    use base64::Engine as _;
    let compressed = zstd::bulk::compress(columns, 1).unwrap();
    let checksum = crc32fast::hash(&[b"g2:", compressed.as_slice()].concat());
    format!("g2:{checksum:08x}:{}", base64::engine::general_purpose::STANDARD.encode(compressed))
}

fn columns(body: &str) -> Vec<u8> {
    use base64::Engine as _;
    let payload = body.rsplit(':').next().unwrap();
    let compressed = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    zstd::bulk::decompress(&compressed, guildhall_wire::MAX_DECODED_BYTES).unwrap()
}

proptest! {
    #[test]
    fn columns_that_are_cut_off_or_go_on_are_refused_for_good(envelope in envelope(), at in any::<proptest::sample::Index>()) {
        let columns = columns(&encode(&envelope));
        prop_assert_eq!(decode(&sealed_v2(&columns)).unwrap(), envelope);
        for wrong in [columns[..at.index(columns.len())].to_vec(), [columns.as_slice(), &[0]].concat()] {
            prop_assert!(!decode(&sealed_v2(&wrong)).unwrap_err().is_retryable());
        }
    }

    #[test]
    fn whatever_columns_say_nothing_panics(
        envelope in envelope(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut columns = columns(&encode(&envelope));
        for (at, to) in changes {
            let at = at.index(columns.len());
            columns[at] = to;
        }
        for bytes in [columns, noise] {
            if let Ok(read) = decode(&sealed_v2(&bytes)) {
                prop_assert_eq!(decode(&encode(&read)).unwrap(), read);
            }
        }
    }
}

#[test]
fn a_damaged_version_is_damage() {
    let envelope = decode(include_str!("golden/v1.txt").trim_end()).unwrap();
    let body = encode(&envelope).replacen("g2:", "g1:", 1);
    assert!(decode(&body).unwrap_err().is_retryable());
}

#[test]
fn the_largest_frame_there_can_be_is_read_back() {
    let event = |index: u16| Event {
        seq: 7,
        index,
        guild: GuildId::new(1 << 60).unwrap(),
        at: Timestamp::from_millis(1_795_000_000_000),
        body: EventBody::VoicePresent {
            member: UserId::new((1 << 61) + u64::from(index)).unwrap(),
            channel: ChannelId::new((1 << 62) + u64::from(index)).unwrap(),
        },
    };
    let envelope = Envelope {
        shard: ShardId { id: 3, count: 16 },
        session_id: "s".to_owned(),
        session_started: Timestamp::from_millis(0),
        class: PriorityClass::High,
        class_map: 1,
        range: Some(SeqRange { first: 7, last: 7 }),
        events: (0..=u16::MAX).map(event).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    };
    assert!(decode(&encode(&envelope)).unwrap() == envelope);
}

#[test]
fn a_bomb_is_refused() {
    let error = decode(&sealed(&" ".repeat(guildhall_wire::MAX_DECODED_BYTES + 1))).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
}

#[test]
fn every_shipped_version_is_still_read() {
    let v1 = decode(include_str!("golden/v1.txt").trim_end()).unwrap();
    insta::assert_debug_snapshot!(v1);
    let v2 = decode(include_str!("golden/v2.txt").trim_end()).unwrap();
    assert_eq!(v2, v1);
}
