//! What an answer is made of, read from the counters.
//!
//! **Invariant:** all of one answer's numbers come from one snapshot of the database, so that they add up.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use guildhall_domain::{ChannelId, EventKind, GuildId, Period, Span, TimeZone, Timestamp, UserId};
use guildhall_store::stats::{self, Totals};
use guildhall_store::{Connection as _, PgConnection, StoreError};
use serde::{Deserialize, Serialize};

use super::{Request, Subject};
use crate::chart::{Bar, Slot, clip, slots};
use crate::context::Ctx;
use crate::error::AppError;

/// How many are listed.
const TOP: i64 = 5;
/// How long the figures of a past period are kept. They change only when something comes late.
const PAST_TTL: Duration = Duration::from_secs(5 * 60);

/// The figures of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Messages by people.
    pub messages: u64,
    /// Messages by bots.
    pub bot_messages: u64,
    /// Milliseconds in voice.
    pub voice_millis: u64,
    /// Reactions given.
    pub reactions: u64,
    /// Members who joined.
    pub joins: u64,
    /// Members who left, were kicked or banned.
    pub leaves: u64,
    /// Whether anything at all was counted.
    pub any: bool,
}

impl From<&Totals> for Figures {
    fn from(totals: &Totals) -> Self {
        Self {
            messages: totals.messages(),
            bot_messages: totals.get(EventKind::BotMessageCreate),
            voice_millis: totals.voice_millis,
            reactions: totals.reactions(),
            joins: totals.get(EventKind::MemberJoin),
            leaves: totals.get(EventKind::MemberLeave),
            any: !totals.is_empty(),
        }
    }
}

/// The figures of which a trend tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    /// Those of the present that have a counterpart: all of them, or for a member those of complete days.
    pub(super) now: Figures,
    /// Their counterparts, as many local days earlier as the period has.
    pub(super) before: Figures,
}

/// Everything an answer shows.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    pub(super) span: Span,
    pub(super) now: Figures,
    /// `None` when nothing was counted before, so that there is nothing to compare with.
    pub(super) compared: Option<Comparison>,
    pub(super) bars: Vec<Bar>,
    pub(super) gaps: Vec<Span>,
    /// Members now, where known.
    pub(super) members: Option<u32>,
    pub(super) top_channels: Vec<(ChannelId, Figures)>,
    pub(super) top_members: Vec<(UserId, Figures)>,
}

/// Reads what an answer shows; which channels are busy only for somebody `entitled`.
///
/// # Errors
/// When the database fails.
pub(super) async fn gather(
    ctx: &Ctx,
    db: &mut PgConnection,
    guild: GuildId,
    request: Request,
    entitled: bool,
    zone: TimeZone,
    now: Timestamp,
) -> Result<Gathered, AppError> {
    let span = request.period.span(zone, now);
    let days = days(span, zone);
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.map_err(StoreError::from)?;
    let tx = &mut *tx;
    let slots = slots(request.period, span, zone);
    let (current, bars) = match request.subject {
        Subject::Server => {
            let series = stats::guild_series(tx, guild, span).await?;
            let series: Vec<_> = series.iter().map(|(quarter, totals)| (quarter.start(), totals)).collect();
            (stats::guild_totals(tx, guild, span).await?, bars(&slots, &series))
        }
        Subject::Channel(channel, _) => {
            let series = stats::channel_series(tx, guild, channel, span).await?;
            let series: Vec<_> = series.iter().map(|(quarter, totals)| (quarter.start(), totals)).collect();
            (stats::channel_totals(tx, guild, channel, span).await?, bars(&slots, &series))
        }
        Subject::Member(member) => {
            let series = stats::member_series(tx, guild, member, days.clone()).await?;
            let series: Vec<_> = series.iter().map(|(day, totals)| (zone.start_of(*day), totals)).collect();
            let slots = daily(&slots, request.period, span, zone);
            (stats::member_totals(tx, guild, member, days.clone()).await?, bars(&slots, &series))
        }
    };
    let top_channels = match request.subject {
        Subject::Server if entitled => stats::top_channels(tx, guild, span, TOP).await?,
        Subject::Member(member) if entitled => stats::member_top_channels(tx, guild, member, days.clone(), TOP).await?,
        _ => Vec::new(),
    };
    let top_members = match request.subject {
        Subject::Server => stats::top_members(tx, guild, None, days.clone(), TOP).await?,
        Subject::Channel(channel, _) => stats::top_members(tx, guild, Some(channel), days.clone(), TOP).await?,
        Subject::Member(_) => Vec::new(),
    };
    let gaps = stats::coverage_gaps(tx, guild, span).await?;
    let gaps = gaps.into_iter().filter_map(|gap| clip(Span { start: gap.from, end: gap.to }, span)).collect();
    let members = match request.subject {
        Subject::Server => stats::latest_gauges(tx, guild).await?.and_then(|gauges| gauges.members),
        _ => None,
    };
    let comparable = match request.subject {
        Subject::Member(member) => stats::member_totals(tx, guild, member, complete(span, zone, now)).await?,
        Subject::Server | Subject::Channel(..) => current.clone(),
    };
    let before = before(ctx, tx, guild, request, zone, now).await?;
    Ok(Gathered {
        span,
        now: Figures::from(&current),
        compared: before.any.then(|| Comparison { now: Figures::from(&comparable), before }),
        bars,
        gaps,
        members,
        top_channels: top_channels.iter().map(|(id, totals)| (*id, totals.into())).collect(),
        top_members: top_members.iter().map(|(id, totals, _)| (*id, totals.into())).collect(),
    })
}

/// The figures that those of the present are compared with, which hardly ever change.
async fn before(
    ctx: &Ctx,
    db: &mut PgConnection,
    guild: GuildId,
    request: Request,
    zone: TimeZone,
    now: Timestamp,
) -> Result<Figures, AppError> {
    let span = request.period.span(zone, now);
    let past = request.period.previous(zone, span);
    let subject = match request.subject {
        Subject::Server => String::new(),
        Subject::Channel(channel, _) => format!("c{channel}"),
        Subject::Member(member) => format!("m{member}"),
    };
    let key = format!("past2:{subject}:{}:{}:{zone}", past.start.as_secs(), past.end.as_secs());
    ctx.cache
        .get_or_load(guild, &key, PAST_TTL, async || {
            let totals = match request.subject {
                Subject::Server => stats::guild_totals(db, guild, past).await?,
                Subject::Channel(channel, _) => stats::channel_totals(db, guild, channel, past).await?,
                Subject::Member(member) => {
                    let days = earlier(&complete(span, zone, now), request.period.days());
                    stats::member_totals(db, guild, member, days).await?
                }
            };
            Ok(Figures::from(&totals))
        })
        .await
}

/// The local days that a span touches.
fn days(span: Span, zone: TimeZone) -> RangeInclusive<NaiveDate> {
    zone.date_of(span.start)..=zone.date_of(span.end.plus_millis(-1))
}

/// The local days of a span that are over: a day that goes on has no counterpart among whole days.
fn complete(span: Span, zone: TimeZone, now: Timestamp) -> RangeInclusive<NaiveDate> {
    zone.date_of(span.start)..=zone.date_of(now).pred_opt().unwrap_or_default()
}

/// The same days, so many days earlier.
fn earlier(days: &RangeInclusive<NaiveDate>, count: u64) -> RangeInclusive<NaiveDate> {
    let back = |day: &NaiveDate| day.checked_sub_days(Days::new(count)).unwrap_or(*day);
    back(days.start())..=back(days.end())
}

/// Members are counted by days: bars finer than that would only be empty.
fn daily(chosen: &[Slot], period: Period, span: Span, zone: TimeZone) -> Vec<Slot> {
    match period {
        Period::Week => slots(Period::Month, span, zone),
        _ => chosen.to_vec(),
    }
}

/// Sums an ascending series into slots.
fn bars(slots: &[Slot], series: &[(Timestamp, &Totals)]) -> Vec<Bar> {
    let mut rest = series.iter().peekable();
    slots
        .iter()
        .map(|slot| {
            let mut bar = Bar { slot: *slot, messages: 0, bot_messages: 0, voice_millis: 0 };
            while let Some((_, totals)) = rest.next_if(|(at, _)| *at < slot.end) {
                let figures = Figures::from(*totals);
                bar.messages += figures.messages;
                bar.bot_messages += figures.bot_messages;
                bar.voice_millis += figures.voice_millis;
            }
            bar
        })
        .collect()
}
