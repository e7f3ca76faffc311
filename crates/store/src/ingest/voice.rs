//! Time in voice, derived from transitions.
//!
//! A transition says which voice channel a member is in from then on. It stands until the member's next transition or
//! the guild's next roster, in the gateway's order: (session's start, session, sequence, index). A roster empties the
//! guild's voice channels; who stayed has a transition of the same frame, so no time is lost in between.
//!
//! Of a session that was lost nothing is known from its coverage gap on. Where what ends a transition belongs to a later
//! session than the transition itself, it stands until that gap began: an outage counts for nobody, as long as the gap is
//! known. A transition of a lost session whose gap was never reported stands until the next session's roster.
//!
//! **Invariant:** what the counters hold of a transition is exactly the time from its `at` to its `counted_until`, on
//! the days of its `time_zone`. A change writes the difference, in the transaction that causes it.
//! **Invariant:** the result depends on the set of transitions, rosters and gaps alone, not on the order they arrived in.

mod pieces;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use guildhall_domain::{ChannelId, EventKind, GuildId, Timestamp, UserId};
use guildhall_wire::EventBody;
use sqlx::PgConnection;

use self::pieces::pieces;
pub(super) use self::rows::guilds_of;
use self::rows::{Roster, Transition};
use super::gaps::{self, Losses};
use super::guilds::Guilds;
use super::tally::{Cell, Tally};
use super::{Fresh, empties_voice};
use crate::StoreError;
use crate::stats::VOICE_MILLIS;

/// A place in the gateway's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    session_started: Timestamp,
    session_id: String,
    seq: i64,
    idx: i32,
}

impl Position {
    fn of(fresh: &Fresh<'_>) -> Self {
        Self {
            session_started: fresh.envelope.session_started,
            session_id: fresh.envelope.session_id.clone(),
            seq: fresh.event.seq.cast_signed(),
            idx: i32::from(fresh.event.index),
        }
    }
}

/// The members to derive anew, each with the first place where something is new.
type Touched = BTreeMap<(GuildId, UserId), Position>;

/// Stores the transitions and rosters among the events, shortens what outlived the lost sessions, and adds the time they make or unmake to the tally.
pub(super) async fn apply(
    db: &mut PgConnection,
    fresh: &[Fresh<'_>],
    lost: &[String],
    guilds: &Guilds,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    let mut transitions = Vec::new();
    let mut rosters = Vec::new();
    for event in fresh {
        let guild = event.event.guild;
        if let Some((member, channel)) = transition(&event.event.body) {
            transitions.push(Transition {
                guild,
                member,
                position: Position::of(event),
                at: event.event.at,
                channel,
                time_zone: guilds.zone_at(guild, event.event.at),
                counted_until: None,
            });
        } else if empties_voice(event.event) {
            rosters.push(Roster { guild, position: Position::of(event), at: event.event.at });
        }
    }
    if transitions.is_empty() && rosters.is_empty() && lost.is_empty() {
        return Ok(());
    }
    rows::insert_transitions(db, &transitions).await?;
    rows::insert_rosters(db, &rosters).await?;

    let mut touched = Touched::new();
    let mut touch = |guild, member, position: &Position| {
        let first = touched.entry((guild, member)).or_insert_with(|| position.clone());
        if position < first {
            first.clone_from(position);
        }
    };
    for transition in &transitions {
        touch(transition.guild, transition.member, &transition.position);
    }
    for (roster, member) in rows::present_before(db, &rosters).await? {
        touch(roster.guild, member, &roster.position);
    }
    for (guild, member, position) in rows::outlived(db, lost).await? {
        touch(guild, member, &position);
    }
    derive(db, &touched, tally).await
}

/// Where a member is from now on, if the event says so.
const fn transition(body: &EventBody) -> Option<(UserId, Option<ChannelId>)> {
    match *body {
        EventBody::Count { kind: EventKind::VoiceState, member: Some(member), channel, .. } => Some((member, channel)),
        EventBody::VoicePresent { member, channel } => Some((member, Some(channel))),
        _ => None,
    }
}

async fn derive(db: &mut PgConnection, touched: &Touched, tally: &mut Tally) -> Result<(), StoreError> {
    let transitions = rows::load_transitions(db, touched).await?;
    let rosters = rows::load_rosters(db, &transitions).await?;
    let entered = transitions.iter().filter(|row| row.channel.is_some());
    let sessions: BTreeSet<&str> = entered.map(|row| row.position.session_id.as_str()).collect();
    let losses = gaps::load(db, &sessions).await?;
    let mut changed = Vec::new();
    for (place, row) in transitions.iter().enumerate() {
        let Some(channel) = row.channel else { continue };
        let next = transitions.get(place + 1).filter(|next| next.guild == row.guild && next.member == row.member);
        let until = end_of(row, next, rosters.get(&row.guild).map_or(&[], Vec::as_slice), &losses);
        if until == row.counted_until {
            continue;
        }
        for (end, sign) in [(row.counted_until, -1), (until, 1)] {
            for piece in end.into_iter().flat_map(|end| pieces(row.at, end, row.time_zone)) {
                let cell = Cell {
                    guild: row.guild,
                    channel: Some(channel),
                    member: Some(row.member),
                    kind: VOICE_MILLIS,
                    at: piece.at,
                    day: piece.day,
                };
                tally.add(cell, sign * piece.millis);
            }
        }
        tally.see(row.guild, row.member, row.at);
        changed.push((row, until));
    }
    rows::store_ends(db, &changed).await
}

/// When the member was no longer where the row says: at what comes next, their own transition or a roster; or when the
/// row's session was lost before that.
fn end_of(row: &Transition, next: Option<&Transition>, rosters: &[Roster], losses: &Losses) -> Option<Timestamp> {
    let next = next.map(|next| (&next.position, next.at));
    let roster = rosters.get(rosters.partition_point(|roster| roster.position <= row.position));
    let roster = roster.map(|roster| (&roster.position, roster.at));
    let (position, at) = next.into_iter().chain(roster).min_by_key(|(position, _)| *position)?;
    let session = &row.position.session_id;
    let lost = losses.of(row.guild, session).filter(|_| position.session_id != *session);
    Some(lost.map_or(at, |lost| at.min(lost)))
}
