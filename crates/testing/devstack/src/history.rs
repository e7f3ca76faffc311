//! A believable past for a simulated guild, so that its first chart is not empty.
//!
//! The past travels as envelopes through the event queue and the real ingest function. Each hour of each guild is a
//! gateway session of its own, made from a seed, with the same id and the same sequences each time it is made.
//!
//! **Invariant:** sending the same hour twice changes no number: its events have the same identities.

use guildhall_domain::event::CLASS_MAP_VERSION;
use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_wire::{Envelope, Event, EventBody, GuildGauges, MAX_EVENTS, SeqRange};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const HOUR_MILLIS: i64 = 3_600_000;
const GAUGE_SLOT_MILLIS: i64 = 5 * 60 * 1_000;

/// Share of a day's activity in each hour, UTC: quiet at dawn, busiest in the evening.
const HOURLY: [f64; 24] = [
    0.040, 0.028, 0.018, 0.012, 0.009, 0.009, 0.013, 0.021, 0.030, 0.034, 0.037, 0.040, 0.046, 0.046, 0.045, 0.047,
    0.052, 0.058, 0.064, 0.072, 0.079, 0.079, 0.068, 0.053,
];

/// What the past of a guild is made from.
#[derive(Debug, Clone)]
pub struct Community {
    /// The guild.
    pub guild: GuildId,
    /// Where messages are written, busiest first.
    pub text_channels: Vec<ChannelId>,
    /// Where members talk.
    pub voice_channels: Vec<ChannelId>,
    /// Members, most active first.
    pub members: Vec<UserId>,
    /// Bots among them.
    pub bots: Vec<UserId>,
    /// How many members the guild has; `members` may be a sample.
    pub member_count: u32,
}

/// The envelopes of the hour that begins at `hour`, up to `until`.
pub fn hour(community: &Community, hour: Timestamp, until: Timestamp, seed: u64, shard_count: u32) -> Vec<Envelope> {
    let mut past = Past::new(community, hour, until, seed);
    past.messages();
    past.voice();
    past.membership();
    past.into_envelopes(shard_count)
}

struct Past<'a> {
    community: &'a Community,
    start: Timestamp,
    span: i64,
    seed: u64,
    rng: SmallRng,
    /// Activity of this hour, where 1 is that of a whole day.
    weight: f64,
    events: Vec<(Timestamp, EventBody)>,
}

impl<'a> Past<'a> {
    fn new(community: &'a Community, start: Timestamp, until: Timestamp, seed: u64) -> Self {
        let hours = start.as_millis().div_euclid(HOUR_MILLIS);
        let mix = seed ^ community.guild.get().rotate_left(17) ^ hours.cast_unsigned().rotate_left(41);
        let mut rng = SmallRng::seed_from_u64(mix);
        let hour_of_day = usize::try_from(hours.rem_euclid(24)).unwrap_or_default();
        // 1970-01-01 was a Thursday; weekends are livelier.
        let weekday = (hours.div_euclid(24) + 3).rem_euclid(7);
        let weekend = if weekday >= 5 { 1.35 } else { 1.0 };
        let jitter = rng.random_range(0.75..1.25);
        Self {
            community,
            start,
            span: until.millis_since(start).clamp(0, HOUR_MILLIS),
            seed,
            rng,
            weight: HOURLY[hour_of_day] * weekend * jitter,
            events: Vec::new(),
        }
    }

    /// How many of something happen in this hour, if `per_day` happen in a day.
    fn amount(&mut self, per_day: f64) -> u32 {
        let expected = per_day * self.weight * self.span as f64 / HOUR_MILLIS as f64;
        let rounded = (expected + self.rng.random_range(0.0..1.0)).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, and never negative")]
        let amount = rounded.max(0.0) as u32;
        amount
    }

    fn instant(&mut self) -> Timestamp {
        self.start.plus_millis(self.rng.random_range(0..self.span.max(1)))
    }

    /// A few members write most: the share falls with the position.
    fn member(&mut self) -> Option<UserId> {
        skewed(&mut self.rng, &self.community.members, 2.6)
    }

    fn count(&mut self, at: Timestamp, kind: EventKind, channel: Option<ChannelId>, member: Option<UserId>) {
        let target = snowflake_at(at, self.events.len());
        self.events.push((at, EventBody::Count { kind, channel, member, target: Some(target) }));
    }

    fn messages(&mut self) {
        let per_day = 5.0 * f64::from(self.community.member_count).powf(0.68);
        let mut left = self.amount(per_day);
        while left > 0 {
            // People answer each other: messages come in conversations.
            let length = self.rng.random_range(1..=9).min(left);
            left -= length;
            let mut at = self.instant();
            let channel = skewed(&mut self.rng, &self.community.text_channels, 1.8);
            for _ in 0..length {
                let bot = !self.community.bots.is_empty() && self.rng.random_bool(0.04);
                let (kind, member) = if bot {
                    (EventKind::BotMessageCreate, self.community.bots.choose(&mut self.rng).copied())
                } else {
                    (EventKind::MessageCreate, self.member())
                };
                self.count(at, kind, channel, member);
                self.around(at, channel, member);
                at = at.plus_millis(self.rng.random_range(2_000..45_000)).min(self.end());
            }
        }
    }

    /// What follows a message: reactions, an edit, a deletion.
    fn around(&mut self, at: Timestamp, channel: Option<ChannelId>, author: Option<UserId>) {
        let later = at.plus_millis(self.rng.random_range(1_000..120_000)).min(self.end());
        if self.rng.random_bool(0.22) {
            for _ in 0..self.rng.random_range(1..4) {
                let member = self.member();
                self.count(later, EventKind::ReactionAdd, channel, member);
            }
        }
        if self.rng.random_bool(0.05) {
            self.count(later, EventKind::MessageUpdate, channel, author);
        }
        if self.rng.random_bool(0.02) {
            self.count(later, EventKind::MessageDelete, channel, None);
        }
    }

    fn voice(&mut self) {
        if self.community.voice_channels.is_empty() {
            return;
        }
        let per_day = 2.5 * f64::from(self.community.member_count).powf(0.55);
        let mut talking = std::collections::HashSet::new();
        for _ in 0..self.amount(per_day) {
            let Some(member) = self.member() else { return };
            if !talking.insert(member) {
                continue;
            }
            let from = self.instant();
            let to = from.plus_millis(self.rng.random_range(3..50) * 60_000).min(self.end());
            let channel = skewed(&mut self.rng, &self.community.voice_channels, 1.5);
            self.count(from, EventKind::VoiceState, channel, Some(member));
            self.count(to, EventKind::VoiceState, None, Some(member));
        }
    }

    fn membership(&mut self) {
        let per_day = 0.6 * f64::from(self.community.member_count).powf(0.5);
        for (kind, share) in [(EventKind::MemberJoin, 1.0), (EventKind::MemberLeave, 0.7)] {
            for _ in 0..self.amount(per_day * share) {
                let at = self.instant();
                let member = self.community.members.choose(&mut self.rng).copied();
                self.count(at, kind, None, member);
            }
        }
    }

    fn end(&self) -> Timestamp {
        self.start.plus_millis(self.span.max(1) - 1)
    }

    fn into_envelopes(mut self, shard_count: u32) -> Vec<Envelope> {
        // A leave at the very instant of its join must stay behind it, so the sort is stable.
        self.events.sort_by_key(|(at, _)| *at);
        let guild = self.community.guild;
        let last = self.events.len() as u64;
        let mut envelopes = Vec::new();
        for class in PriorityClass::ALL {
            let events: Vec<_> = (1_u64..)
                .zip(&self.events)
                .filter(|(_, (_, body))| class_of(body) == class)
                .map(|(seq, (at, body))| Event { seq, index: 0, guild, at: *at, body: *body })
                .collect();
            let gauges = if class == PriorityClass::Low { self.gauges() } else { Vec::new() };
            let mut first = 1;
            let chunks: Vec<_> = events.chunks(MAX_EVENTS).collect();
            for (position, chunk) in chunks.iter().enumerate() {
                let to = if position + 1 == chunks.len() { last } else { chunk.last().map_or(last, |event| event.seq) };
                envelopes.push(self.envelope(shard_count, class, Some(SeqRange { first, last: to }), chunk.to_vec()));
                first = to + 1;
            }
            if !gauges.is_empty() {
                let mut envelope = self.envelope(shard_count, class, None, Vec::new());
                envelope.gauges = gauges;
                envelopes.push(envelope);
            }
        }
        envelopes
    }

    fn envelope(
        &self,
        shard_count: u32,
        class: PriorityClass,
        range: Option<SeqRange>,
        events: Vec<Event>,
    ) -> Envelope {
        let guild = self.community.guild;
        Envelope {
            shard: ShardId::for_guild(guild, shard_count),
            session_id: format!("history-{}-{guild}-{}", self.seed, self.start.as_secs()),
            session_started: self.start,
            class,
            class_map: CLASS_MAP_VERSION,
            range,
            events,
            gauges: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn gauges(&self) -> Vec<GuildGauges> {
        let slots = self.span / GAUGE_SLOT_MILLIS;
        (0..slots)
            .map(|slot| {
                let at = self.start.plus_millis(slot * GAUGE_SLOT_MILLIS);
                GuildGauges {
                    guild: self.community.guild,
                    slot: at,
                    members: Some(self.community.member_count),
                    online: None,
                    in_voice: self.in_voice(at),
                }
            })
            .collect()
    }

    fn in_voice(&self, at: Timestamp) -> u32 {
        let before = self.events.iter().filter(|(when, _)| *when <= at);
        let talking = before.fold(0_i32, |talking, (_, body)| match body {
            EventBody::Count { kind: EventKind::VoiceState, channel: Some(_), .. } => talking + 1,
            EventBody::Count { kind: EventKind::VoiceState, channel: None, .. } => talking - 1,
            _ => talking,
        });
        u32::try_from(talking).unwrap_or_default()
    }
}

fn class_of(body: &EventBody) -> PriorityClass {
    match body {
        EventBody::Count { kind, .. } => kind.class(),
        EventBody::VoiceRoster | EventBody::VoicePresent { .. } => PriorityClass::High,
    }
}

fn skewed<T: Copy>(rng: &mut SmallRng, of: &[T], exponent: f64) -> Option<T> {
    let position: f64 = rng.random_range(0.0_f64..1.0).powf(exponent) * of.len() as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and the length")]
    let position = position as usize;
    of.get(position).copied()
}

fn snowflake_at(at: Timestamp, increment: usize) -> u64 {
    let millis = at.millis_since(Timestamp::DISCORD_EPOCH).max(0).cast_unsigned();
    (millis << 22) | (increment as u64 & 0x3f_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn community() -> Community {
        let id = |n: u64| 100_000_000_000_000_000 + n;
        Community {
            guild: GuildId::new(id(1)).expect("valid"),
            text_channels: (10..20).filter_map(|n| ChannelId::new(id(n))).collect(),
            voice_channels: (20..23).filter_map(|n| ChannelId::new(id(n))).collect(),
            members: (1_000..3_500).filter_map(|n| UserId::new(id(n))).collect(),
            bots: (50..53).filter_map(|n| UserId::new(id(n))).collect(),
            member_count: 2_500,
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_past_and_ranges_touch() {
        let start = Timestamp::from_millis(1_795_003_200_000 / HOUR_MILLIS * HOUR_MILLIS);
        let end = start.plus_millis(HOUR_MILLIS);
        let made = hour(&community(), start, end, 7, 2);
        assert_eq!(made, hour(&community(), start, end, 7, 2));
        assert_ne!(made, hour(&community(), start, end, 8, 2));
        for class in PriorityClass::ALL {
            let mut next = 1;
            for range in made.iter().filter(|e| e.class == class).filter_map(|e| e.range) {
                assert_eq!(range.first, next, "{class}");
                next = range.last + 1;
            }
        }
        for envelope in &made {
            for event in &envelope.events {
                assert!(start <= event.at && event.at < end);
                assert!(envelope.range.is_some_and(|range| range.contains(event.seq)));
            }
        }
        assert!(made.iter().map(|e| e.events.len()).sum::<usize>() > 50);
    }
}
