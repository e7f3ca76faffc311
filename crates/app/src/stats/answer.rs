//! What an answer looks like.
//!
//! **Invariant:** people and channels are mentioned by id, so that Discord shows each reader what that reader may know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use guildhall_domain::{Language, Period, TimeZone, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::{change, with_arrow};
use super::query::{Figures, Gathered};
use super::{Request, Subject};
use crate::chart::{self, Chart, ChartError, Tile};
use crate::error::AppError;
use crate::language::{self as texts, Text, duration, number};
use crate::reply::{Message, Picture};

const FILENAME: &str = "stats.png";
/// The most a picture in an immediate answer may weigh.
const MAX_PICTURE_BYTES: usize = 140 * 1_024;
const ACCENT: u32 = 0x0056_b4e9;
/// How many gaps are named.
const NAMED_GAPS: usize = 3;

/// An answer as the cache keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    content: Option<String>,
    embed: Option<Value>,
    /// The picture's description and its PNG in base64.
    picture: Option<(String, String)>,
}

impl Answer {
    pub(super) fn into_message(self) -> Result<Message, AppError> {
        let picture = match self.picture {
            Some((description, text)) => {
                BASE64.decode(text).ok().map(|png| Picture { filename: FILENAME, description, png })
            }
            None => None,
        };
        Ok(Message { content: self.content, embeds: self.embed.into_iter().collect(), picture, ..Message::default() })
    }
}

/// Builds an answer and draws its picture.
pub(super) async fn build(
    language: Language,
    request: Request,
    zone: TimeZone,
    gathered: Gathered,
    ingested_at: Timestamp,
    is_set_up: bool,
    now: Timestamp,
) -> Result<Answer, AppError> {
    if !gathered.now.any && gathered.compared.is_none() {
        let text = texts::STATS_NOTHING_HERE.fill(
            language,
            &[
                ("subject", &subject_words(language, request.subject)),
                ("period", period_words(language, request.period)),
            ],
        );
        return Ok(Answer { content: Some(text), embed: None, picture: None });
    }
    let figures = figures(language, request.subject, &gathered);
    let mut embed = embed(language, request, zone, &figures, &gathered, ingested_at, is_set_up);
    let description = alternative(language, request.period, &figures);
    let chart = Chart {
        language,
        zone,
        period: request.period,
        span: gathered.span,
        tiles: figures
            .into_iter()
            .map(|figure| Tile { label: figure.label.of(language), value: figure.value, trend: figure.trend })
            .collect(),
        bars: gathered.bars,
        gaps: gathered.gaps,
        updated: Some(ingested_at),
        now,
    };
    // Drawing takes the processor for a while, and others wait on this thread.
    let png = tokio::task::spawn_blocking(move || chart::png(&chart.svg())).await.map_err(|_| ChartError::Canvas)??;
    if png.len() > MAX_PICTURE_BYTES {
        tracing::error!(bytes = png.len(), "a chart is too heavy to send");
        return Ok(Answer { content: None, embed: Some(embed), picture: None });
    }
    embed["image"] = json!({ "url": format!("attachment://{FILENAME}") });
    Ok(Answer { content: None, embed: Some(embed), picture: Some((description, BASE64.encode(png))) })
}

/// A figure in words.
struct Figure {
    label: Text,
    /// As the picture shows it.
    value: String,
    /// As the text shows it, where that is more exact.
    long: String,
    trend: Option<chart::Trend>,
}

fn figures(language: Language, subject: Subject, gathered: &Gathered) -> Vec<Figure> {
    let (now, compared) = (gathered.now, gathered.compared);
    let trend = |of: fn(&Figures) -> u64| {
        compared.map(|compared| change(of(&compared.now), of(&compared.before)).trend(language))
    };
    let plain = |label, value: u64, trend| {
        let value = number(language, value);
        Figure { label, long: value.clone(), value, trend }
    };
    let minutes = now.voice_millis / 60_000;
    let short =
        if minutes >= 600 { format!("{} h", number(language, minutes / 60)) } else { duration(language, minutes) };
    let mut figures = vec![
        plain(texts::FIGURE_MESSAGES, now.messages, trend(|f| f.messages)),
        Figure {
            label: texts::FIGURE_VOICE,
            value: short,
            long: duration(language, minutes),
            trend: trend(|f| f.voice_millis / 60_000),
        },
        plain(texts::FIGURE_REACTIONS, now.reactions, trend(|f| f.reactions)),
    ];
    if subject == Subject::Server {
        let balance = format!("+{} −{}", number(language, now.joins), number(language, now.leaves));
        let members = gathered.members.map(|members| number(language, u64::from(members)));
        let trend = chart::Trend { direction: now.joins.cmp(&now.leaves), text: balance.clone() };
        figures.push(match members {
            Some(members) => {
                Figure { label: texts::FIGURE_MEMBERS, long: members.clone(), value: members, trend: Some(trend) }
            }
            None => Figure { label: texts::FIGURE_JOINS, value: balance.clone(), long: balance, trend: None },
        });
    }
    figures
}

fn embed(
    language: Language,
    request: Request,
    zone: TimeZone,
    figures: &[Figure],
    gathered: &Gathered,
    ingested_at: Timestamp,
    is_set_up: bool,
) -> Value {
    let heading = texts::STATS_HEADING.fill(
        language,
        &[("subject", &subject_words(language, request.subject)), ("period", period_words(language, request.period))],
    );
    let compared = match (gathered.compared, request.subject) {
        (None, _) => texts::STATS_NO_DATA_BEFORE,
        (Some(_), Subject::Member(_)) => texts::STATS_COMPARED_DAYS,
        (Some(_), _) if request.period == Period::Day => texts::STATS_COMPARED_DAY,
        (Some(_), _) => texts::STATS_COMPARED,
    };
    let compared = compared.fill(language, &[("days", &request.period.days().to_string())]);
    let fresh = texts::STATS_FRESH.fill(language, &[("when", &format!("<t:{}:R>", ingested_at.as_secs()))]);
    let mut lines = vec![heading, format!("{compared} {fresh}")];
    if !gathered.gaps.is_empty() {
        let mut named: Vec<_> = gathered
            .gaps
            .iter()
            .take(NAMED_GAPS)
            .map(|gap| {
                let ends_the_same_day = zone.date_of(gap.start) == zone.date_of(gap.end);
                let style = if ends_the_same_day { 't' } else { 'f' };
                format!("<t:{}:f> – <t:{}:{style}>", gap.start.as_secs(), gap.end.as_secs())
            })
            .collect();
        if gathered.gaps.len() > NAMED_GAPS {
            named.push("…".to_owned());
        }
        lines.push(texts::STATS_GAPS.fill(language, &[("gaps", &named.join(", "))]));
    }
    if !is_set_up {
        lines.push(texts::STATS_NOT_SET_UP.of(language).to_owned());
    }
    let mut fields: Vec<_> = figures
        .iter()
        .map(|figure| {
            let trend = figure.trend.as_ref().map(|trend| format!("\n{}", with_arrow(trend))).unwrap_or_default();
            json!({ "name": figure.label.of(language), "value": format!("**{}**{trend}", figure.long), "inline": true })
        })
        .collect();
    let channels = gathered.top_channels.iter().map(|(id, figures)| (format!("<#{id}>"), *figures)).collect();
    fields.extend(ranking(language, texts::FIELD_TOP_CHANNELS, channels));
    // A day's members are counted by local days, and that is said.
    let heading = if request.period == Period::Day { texts::FIELD_TOP_MEMBERS_DAYS } else { texts::FIELD_TOP_MEMBERS };
    let members = gathered.top_members.iter().map(|(id, figures)| (format!("<@{id}>"), *figures)).collect();
    fields.extend(ranking(language, heading, members));
    json!({ "description": lines.join("\n"), "color": ACCENT, "fields": fields })
}

fn ranking(language: Language, title: Text, entries: Vec<(String, Figures)>) -> Option<Value> {
    if entries.is_empty() {
        return None;
    }
    let lines: Vec<_> = entries
        .into_iter()
        .zip(1..)
        .map(|((mention, figures), place)| {
            let mut parts = Vec::new();
            if figures.messages > 0 {
                parts.push(format!("{} 💬", number(language, figures.messages)));
            }
            if figures.voice_millis >= 60_000 {
                parts.push(format!("{} 🎙️", duration(language, figures.voice_millis / 60_000)));
            } else if figures.voice_millis > 0 {
                parts.push("< 1 min 🎙️".to_owned());
            }
            if figures.reactions > 0 {
                parts.push(format!("{} ❤️", number(language, figures.reactions)));
            }
            parts.insert(0, format!("{place}. {mention}"));
            parts.join(" · ")
        })
        .collect();
    Some(json!({ "name": title.of(language), "value": lines.join("\n"), "inline": false }))
}

/// The picture in words.
fn alternative(language: Language, period: Period, figures: &[Figure]) -> String {
    let figures: Vec<_> =
        figures.iter().map(|figure| format!("{} {}", figure.label.of(language), figure.long)).collect();
    texts::CHART_ALTERNATIVE
        .fill(language, &[("period", period_words(language, period)), ("figures", &figures.join(", "))])
}

fn subject_words(language: Language, subject: Subject) -> String {
    match subject {
        Subject::Server => texts::SUBJECT_SERVER.of(language).to_owned(),
        Subject::Member(member) => format!("<@{member}>"),
        Subject::Channel(channel, _) => format!("<#{channel}>"),
    }
}

const fn period_words(language: Language, period: Period) -> &'static str {
    match period {
        Period::Day => texts::PERIOD_DAY,
        Period::Week => texts::PERIOD_WEEK,
        Period::Month => texts::PERIOD_MONTH,
        Period::Quarter => texts::PERIOD_QUARTER,
        Period::Year => texts::PERIOD_YEAR,
    }
    .of(language)
}
