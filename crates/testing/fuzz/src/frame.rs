//! A frame from the gateway.

use std::borrow::Cow;

use guildhall_domain::{PriorityClass, ShardId, Timestamp};
use guildhall_gateway_runner::project::{self, Dispatch, Frame};
use guildhall_wire::{Envelope, SeqRange, decode, encode};
use serde::Deserialize;
use serde_json::Value;

const RECEIVED: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const SEQ: u64 = 42;

/// As a full parse reads it. It refuses a key that stands twice, of which the peek takes the first and others the last.
#[derive(Deserialize)]
struct Full<'a> {
    #[serde(default)]
    op: Value,
    #[serde(default)]
    s: Value,
    #[serde(borrow, default)]
    t: Option<Cow<'a, str>>,
}

/// The peek agrees with a full parse, every reader refuses or reads, and what is projected survives the envelope.
///
/// # Panics
/// When a promise is broken.
pub fn frame(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let peeked = Frame::peek(text);
    // Discord's names and keys need no escapes, and the peek does not undo any.
    if !text.contains('\\')
        && let Ok(full) = serde_json::from_str::<Full<'_>>(text)
        && text.trim_start().starts_with('{')
    {
        let peeked = peeked.expect("what a full parse reads, the peek reads");
        assert_eq!(peeked.op, full.op.as_u64(), "op");
        assert_eq!(peeked.seq, full.s.as_u64(), "sequence");
        assert_eq!(peeked.name, full.t.as_deref(), "name");
    }
    // Refused or read, both is well; it is a panic that is looked for.
    let _ready = project::ready(text).is_ok();
    if let Some(frame) = peeked
        && let Some(dispatch) = frame.name.and_then(Dispatch::from_name)
    {
        projected(dispatch, &frame);
    }
}

fn projected(dispatch: Dispatch, frame: &Frame<'_>) {
    let mut events = Vec::new();
    if project::project(dispatch, frame, SEQ, RECEIVED, &mut events).is_err() {
        assert!(events.is_empty(), "a frame that is refused leaves nothing behind");
        return;
    }
    for (place, event) in events.iter().enumerate() {
        assert_eq!((event.seq, usize::from(event.index)), (SEQ, place), "an event's identity");
    }
    let envelope = Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: "fuzz".to_owned(),
        session_started: RECEIVED,
        class: PriorityClass::High,
        class_map: 1,
        range: Some(SeqRange { first: SEQ, last: SEQ }),
        events,
        gauges: Vec::new(),
        gaps: Vec::new(),
    };
    let body = encode(&envelope);
    assert_eq!(decode(&body).expect("what was made here is read here"), envelope);
}
