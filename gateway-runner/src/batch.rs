//! Events of one session, gathered into envelopes by priority class.
//!
//! **Invariant:** for each class the ranges of consecutive envelopes touch, and every event lies in exactly one envelope,
//! whose range contains it; a range never covers a sequence of which an event of that class is still buffered.
//! **Invariant:** a buffer closes at [`MAX_EVENTS`] or at its class's deadline, which is a later one while the queue takes
//! nothing; a frame is never split.
//! **Invariant:** no I/O and no clock: instants are handed in.

use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::{ClassMap, PriorityClass, ShardId, Timestamp};
use guildhall_wire::{CoverageGap, Envelope, Event, GuildGauges, MAX_EVENTS, SeqRange};
use tokio::time::Instant;

use crate::project::class_of;
use crate::watermark::Mark;

/// The most gauges one envelope carries: about 40 KB of JSON before compression.
pub const MAX_GAUGES: usize = 500;

/// The session that events belong to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The shard.
    pub shard: ShardId,
    /// Discord's id of the session.
    pub session_id: Arc<str>,
    /// When its `READY` was received.
    pub started: Timestamp,
    /// The mapping from kinds to classes it began with.
    pub class_map: ClassMap,
}

/// A closed envelope and what it means for the watermarks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The envelope.
    pub envelope: Envelope,
    /// The oldest sequence that is unsafe until the envelope is safe; `None` without events.
    pub first_event: Option<u64>,
    /// When that event was received.
    pub first_at: Timestamp,
    /// What is safe once this envelope and all before it are.
    pub mark: Mark,
}

#[derive(Default)]
struct Buffer {
    /// The last sequence covered by an envelope of this class.
    covered: u64,
    events: Vec<Event>,
    first_at: Option<Timestamp>,
    gauges: Vec<GuildGauges>,
    gaps: Vec<CoverageGap>,
    deadline: Option<Instant>,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.gauges.is_empty() && self.gaps.is_empty()
    }

    fn due_after(&mut self, millis: u64, now: Instant) {
        self.deadline.get_or_insert_with(|| now + Duration::from_millis(millis));
    }
}

/// The buffers of one session.
pub struct Batcher {
    origin: Origin,
    read: Mark,
    /// Whether the queue takes nothing.
    outage: bool,
    buffers: [Buffer; PriorityClass::ALL.len()],
}

impl Batcher {
    /// Buffers for a session of which everything up to `safe` is already taken care of.
    pub fn new(origin: Origin, safe: Mark) -> Self {
        let buffers = PriorityClass::ALL.map(|_| Buffer { covered: safe.seq, ..Buffer::default() });
        Self { origin, read: safe, outage: false, buffers }
    }

    /// Whether the queue takes nothing, which decides how long events wait.
    pub fn outage(&mut self, outage: bool, now: Instant) {
        let is_over = std::mem::replace(&mut self.outage, outage) && !outage;
        if is_over {
            // What would have left long ago leaves now, and the rest no later than if it had come now.
            for class in PriorityClass::ALL {
                let usual = now + Duration::from_millis(class.flush_after_millis());
                let deadline = &mut self.buffers[slot(class)].deadline;
                *deadline = deadline.map(|deadline| deadline.min(usual));
            }
        }
    }

    fn flush_after(&self, class: PriorityClass) -> u64 {
        if self.outage { class.flush_after_millis_in_outage() } else { class.flush_after_millis() }
    }

    /// The session.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The newest sequence read, and when.
    pub fn read(&self) -> Mark {
        self.read
    }

    /// What is safe once every envelope closed so far is: everything read, up to the oldest buffered event.
    pub fn mark(&self) -> Mark {
        let oldest = self
            .buffers
            .iter()
            .filter_map(|buffer| Some(Mark { seq: buffer.events.first()?.seq - 1, at: buffer.first_at? }))
            .min_by_key(|mark| mark.seq);
        oldest.unwrap_or(self.read)
    }

    /// How many events wait in the buffers.
    pub fn buffered(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.events.len()).sum()
    }

    /// Takes a frame's events, which may be none; `at` is its sequence and when it was received.
    pub fn frame(&mut self, at: Mark, events: &mut Vec<Event>, now: Instant, out: &mut Vec<Batch>) {
        let mut counts = [0_usize; PriorityClass::ALL.len()];
        for event in events.iter() {
            counts[slot(class_of(self.origin.class_map, &event.body))] += 1;
        }
        // An envelope that this frame would make too large closes before the frame, at the sequence read so far.
        for class in PriorityClass::ALL {
            let held = self.buffers[slot(class)].events.len();
            if held > 0 && counts[slot(class)] > 0 && held + counts[slot(class)] > MAX_EVENTS {
                self.close(class, out);
            }
        }
        self.read = at;
        for event in events.drain(..) {
            let class = class_of(self.origin.class_map, &event.body);
            let millis = self.flush_after(class);
            let buffer = &mut self.buffers[slot(class)];
            buffer.due_after(millis, now);
            buffer.first_at.get_or_insert(at.at);
            buffer.events.push(event);
        }
        for class in PriorityClass::ALL {
            let held = self.buffers[slot(class)].events.len();
            // What is critical is due at once, but leaves with what is read in the same go.
            if held >= MAX_EVENTS {
                self.close(class, out);
            }
        }
    }

    /// Sends a coverage gap, at once.
    pub fn gap(&mut self, gap: CoverageGap, out: &mut Vec<Batch>) {
        self.buffers[slot(PriorityClass::Critical)].gaps.push(gap);
        self.close(PriorityClass::Critical, out);
    }

    /// Takes gauges, which travel in the low class.
    pub fn gauges(&mut self, gauges: Vec<GuildGauges>, now: Instant, out: &mut Vec<Batch>) {
        let millis = self.flush_after(PriorityClass::Low);
        for gauge in gauges {
            let buffer = &mut self.buffers[slot(PriorityClass::Low)];
            buffer.due_after(millis, now);
            buffer.gauges.push(gauge);
            if buffer.gauges.len() >= MAX_GAUGES {
                self.close(PriorityClass::Low, out);
            }
        }
    }

    /// When the next buffer must close.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.buffers.iter().filter_map(|buffer| buffer.deadline).min()
    }

    /// Closes what is due.
    pub fn close_due(&mut self, now: Instant, out: &mut Vec<Batch>) {
        for class in PriorityClass::ALL {
            if self.buffers[slot(class)].deadline.is_some_and(|deadline| deadline <= now) {
                self.close(class, out);
            }
        }
    }

    /// Closes everything: before a hand-over, and when the session ends.
    pub fn close_all(&mut self, out: &mut Vec<Batch>) {
        for class in PriorityClass::ALL {
            self.close(class, out);
        }
    }

    fn close(&mut self, class: PriorityClass, out: &mut Vec<Batch>) {
        let read = self.read;
        let buffer = &mut self.buffers[slot(class)];
        if buffer.is_empty() {
            return;
        }
        buffer.deadline = None;
        let events = std::mem::take(&mut buffer.events);
        let first_at = buffer.first_at.take().unwrap_or(read.at);
        let range = (!events.is_empty()).then(|| {
            let first = buffer.covered + 1;
            buffer.covered = read.seq;
            SeqRange { first, last: read.seq }
        });
        let envelope = Envelope {
            shard: self.origin.shard,
            session_id: self.origin.session_id.as_ref().to_owned(),
            session_started: self.origin.started,
            class,
            class_map: self.origin.class_map.version(),
            range,
            gauges: std::mem::take(&mut buffer.gauges),
            gaps: std::mem::take(&mut buffer.gaps),
            events,
        };
        let first_event = envelope.events.first().map(|event| event.seq);
        out.push(Batch { envelope, first_event, first_at, mark: self.mark() });
    }
}

const fn slot(class: PriorityClass) -> usize {
    match class {
        PriorityClass::Critical => 0,
        PriorityClass::High => 1,
        PriorityClass::Medium => 2,
        PriorityClass::Low => 3,
    }
}

#[cfg(test)]
mod tests;
