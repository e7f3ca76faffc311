//! The document.
//!
//! **Invariant:** every text is escaped; sizes are chosen so that the picture still reads at two fifths of its width.

use std::cmp::Ordering;
use std::fmt::Write as _;

use chrono::Datelike as _;
use guildhall_domain::{Span, Timestamp};

use super::render::FONT_FAMILY;
use super::{Bar, Chart, Tile, axis};
use crate::language as texts;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 520.0;
const MARGIN: f64 = 24.0;
const TILE_TOP: f64 = 24.0;
const TILE_HEIGHT: f64 = 124.0;
const TILE_GAP: f64 = 16.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 904.0;
const TOP: f64 = 186.0;
const BOTTOM: f64 = 416.0;
const FOOT: f64 = 494.0;

const BACKGROUND: &str = "#1e1f22";
const PANEL: &str = "#2b2d31";
const GRID: &str = "#3f4147";
const WORDS: &str = "#b5bac1";
const STRONG: &str = "#f2f3f5";
/// Of Okabe and Ito's palette, which people see apart whatever colours they see; lightened where it meets dark ground.
const MESSAGES: &str = "#56b4e9";
const BOTS: &str = "#0072b2";
const VOICE: &str = "#e69f00";
const UP: &str = "#2fc99b";
const DOWN: &str = "#f0824a";
const GAP: &str = "#cc79a7";

/// How axes map to the canvas.
struct Frame {
    from: Timestamp,
    to: Timestamp,
    messages_step: f64,
    voice_step: f64,
}

impl Frame {
    fn new(chart: &Chart) -> Self {
        let from = chart.bars.first().map_or(chart.span.start, |bar| bar.slot.start);
        let to = chart.bars.last().map_or(chart.span.end, |bar| bar.slot.end);
        let most = chart.bars.iter().map(|bar| bar.messages + bar.bot_messages).max().unwrap_or(0);
        let voice = chart.bars.iter().map(hours).fold(0.0, f64::max);
        Self {
            from,
            to,
            // Counts have no fractions.
            messages_step: axis::step(real(most).max(f64::from(axis::STEPS))).ceil(),
            voice_step: axis::step(voice.max(1.0)),
        }
    }

    fn x(&self, at: Timestamp) -> f64 {
        let part = millis(at.millis_since(self.from)) / millis(self.to.millis_since(self.from)).max(1.0);
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(value: f64, step: f64) -> f64 {
        BOTTOM - value / (step * f64::from(axis::STEPS)) * (BOTTOM - TOP)
    }
}

pub(super) fn svg(chart: &Chart) -> String {
    let frame = Frame::new(chart);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="{FONT_FAMILY}">
<defs><pattern id="gap" width="12" height="12" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="12" height="12" fill="{GAP}" fill-opacity="0.16"/><rect width="4" height="12" fill="{GAP}" fill-opacity="0.75"/></pattern></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="{BACKGROUND}"/>"##
    );
    tiles(&mut svg, &chart.tiles);
    grid(&mut svg, chart, &frame);
    bars(&mut svg, chart, &frame);
    voice(&mut svg, chart, &frame);
    gaps(&mut svg, chart, &frame);
    foot(&mut svg, chart);
    svg.push_str("</svg>");
    svg
}

fn tiles(svg: &mut String, tiles: &[Tile]) {
    let count = f64::from(u32::try_from(tiles.len().max(1)).unwrap_or(1));
    let width = (2.0_f64.mul_add(-MARGIN, WIDTH) - TILE_GAP * (count - 1.0)) / count;
    let mut x = MARGIN;
    for tile in tiles {
        put(
            svg,
            format_args!(
                r#"<rect x="{x:.1}" y="{TILE_TOP}" width="{width:.1}" height="{TILE_HEIGHT}" rx="14" fill="{PANEL}"/>"#
            ),
        );
        text(svg, x + 18.0, TILE_TOP + 34.0, 23.0, WORDS, "start", false, tile.label);
        // Wide figures shrink, so that a million fits as well as a dozen.
        let room = (width - 36.0) / (0.60 * real(tile.value.chars().count() as u64).max(1.0));
        text(svg, x + 17.0, TILE_TOP + 77.0, room.min(43.0), STRONG, "start", true, &tile.value);
        if let Some(trend) = &tile.trend {
            let (colour, indent) = match trend.direction {
                Ordering::Greater => (UP, 24.0),
                Ordering::Less => (DOWN, 24.0),
                Ordering::Equal => (WORDS, 0.0),
            };
            let (left, base) = (x + 18.0, TILE_TOP + 109.0);
            match trend.direction {
                Ordering::Greater => {
                    triangle(svg, colour, [(left, base), (left + 16.0, base), (left + 8.0, base - 14.0)]);
                }
                Ordering::Less => {
                    triangle(svg, colour, [(left, base - 14.0), (left + 16.0, base - 14.0), (left + 8.0, base)]);
                }
                Ordering::Equal => {}
            }
            text(svg, left + indent, base, 21.0, colour, "start", trend.direction != Ordering::Equal, &trend.text);
        }
        x += width + TILE_GAP;
    }
}

fn grid(svg: &mut String, chart: &Chart, frame: &Frame) {
    let voice = has_voice(chart);
    for step in 0..=axis::STEPS {
        let count = f64::from(step);
        let y = Frame::y(count, 1.0);
        let colour = if step == 0 { "#80848e" } else { GRID };
        put(
            svg,
            format_args!(
                r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="1.5"/>"#
            ),
        );
        let label = axis::compact(chart.language, count * frame.messages_step);
        text(svg, LEFT - 12.0, y + 8.0, 22.0, MESSAGES, "end", false, &label);
        if voice {
            let label = format!("{} h", axis::compact(chart.language, count * frame.voice_step));
            text(svg, RIGHT + 12.0, y + 8.0, 22.0, VOICE, "start", false, &label);
        }
    }
    let mut free_from = 0.0;
    for tick in axis::ticks(chart.language, chart.period, chart.span, chart.zone) {
        let x = frame.x(tick.at);
        put(
            svg,
            format_args!(
                r##"<line x1="{x:.1}" x2="{x:.1}" y1="{BOTTOM}" y2="{:.1}" stroke="#80848e" stroke-width="1.5"/>"##,
                BOTTOM + 8.0
            ),
        );
        let half = real(tick.words.chars().count() as u64) * 6.0;
        let centre = frame.x(tick.words_at).clamp(MARGIN + half, WIDTH - MARGIN - half);
        if centre - half > free_from {
            text(svg, centre, BOTTOM + 34.0, 22.0, WORDS, "middle", false, &tick.words);
            free_from = centre + half + 10.0;
        }
    }
}

fn bars(svg: &mut String, chart: &Chart, frame: &Frame) {
    for bar in &chart.bars {
        let (left, right) = (frame.x(bar.slot.start), frame.x(bar.slot.end));
        let gap = ((right - left) * 0.22).min(8.0);
        let (x, width) = (left + gap / 2.0, right - left - gap);
        // A bar that can still grow is pale.
        let opacity = if bar.slot.end > chart.now { 0.55 } else { 1.0 };
        let (people, all) = (real(bar.messages), real(bar.messages + bar.bot_messages));
        let (middle, top) = (Frame::y(people, frame.messages_step), Frame::y(all, frame.messages_step));
        if bar.bot_messages > 0 {
            column(svg, x, top, width, middle - top, BOTS, opacity);
        }
        if bar.messages > 0 {
            column(svg, x, middle, width, BOTTOM - middle, MESSAGES, opacity);
        }
    }
}

fn voice(svg: &mut String, chart: &Chart, frame: &Frame) {
    if !has_voice(chart) {
        return;
    }
    let points: Vec<(f64, f64)> = chart
        .bars
        .iter()
        .filter(|bar| bar.slot.start < chart.now)
        .map(|bar| {
            let x = f64::midpoint(frame.x(bar.slot.start), frame.x(bar.slot.end));
            (x, Frame::y(hours(bar), frame.voice_step))
        })
        .collect();
    // What is still going on is dashed: it is lower only because it is not over.
    let going_on = chart.bars.iter().any(|bar| bar.slot.start < chart.now && bar.slot.end > chart.now);
    let over = points.len() - usize::from(going_on && points.len() > 1);
    let (past, last) = (&points[..over], &points[over.saturating_sub(1)..]);
    // A dark edge keeps the line apart from the bars behind it.
    for (colour, width) in [(BACKGROUND, 8.0), (VOICE, 4.0)] {
        polyline(svg, past, colour, width, "");
        polyline(svg, last, colour, width, r#" stroke-dasharray="2 8""#);
    }
    if let Some((x, y)) = points.last() {
        put(
            svg,
            format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="7" fill="{VOICE}" stroke="{BACKGROUND}" stroke-width="3"/>"#
            ),
        );
    }
}

fn polyline(svg: &mut String, points: &[(f64, f64)], colour: &str, width: f64, more: &str) {
    if points.len() < 2 {
        return;
    }
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    put(
        svg,
        format_args!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"{more}/>"#,
            points.join(" ")
        ),
    );
}

fn gaps(svg: &mut String, chart: &Chart, frame: &Frame) {
    for gap in &chart.gaps {
        let (left, right) = (frame.x(gap.start), frame.x(gap.end));
        // A short gap is drawn wide enough to be seen.
        let width = (right - left).max(5.0);
        let x = left.min(RIGHT - width);
        put(
            svg,
            format_args!(
                r#"<rect x="{x:.1}" y="{TOP}" width="{width:.1}" height="{:.1}" fill="url(#gap)"/>"#,
                BOTTOM - TOP
            ),
        );
    }
}

fn foot(svg: &mut String, chart: &Chart) {
    let bots = chart.bars.iter().any(|bar| bar.bot_messages > 0);
    let entries = [
        (true, MESSAGES, texts::CHART_MESSAGES),
        (bots, BOTS, texts::CHART_BOTS),
        (has_voice(chart), VOICE, texts::CHART_VOICE),
        (!chart.gaps.is_empty(), "url(#gap)", texts::CHART_GAP),
    ];
    let mut x = MARGIN;
    for (shown, fill, words) in entries {
        if shown {
            put(
                svg,
                format_args!(
                    r#"<rect x="{x:.1}" y="{:.1}" width="20" height="20" rx="5" fill="{fill}"/>"#,
                    FOOT - 17.0
                ),
            );
            let words = words.of(chart.language);
            text(svg, x + 29.0, FOOT, 22.0, WORDS, "start", false, words);
            x += 29.0 + 12.2f64.mul_add(real(words.chars().count() as u64), 22.0);
        }
    }
    if let Some(updated) = chart.updated {
        let local = chart.zone.local(updated);
        let at = local.format("%H:%M").to_string();
        let is_today = local.date_naive() == chart.zone.date_of(chart.now);
        let text_of = if is_today { texts::CHART_UPDATED } else { texts::CHART_UPDATED_DAY };
        let day = axis::day(chart.language, local.day(), local.month0());
        let words = text_of.fill(chart.language, &[("day", &day), ("time", &at)]);
        text(svg, WIDTH - MARGIN, FOOT, 22.0, WORDS, "end", false, &words);
    }
}

fn has_voice(chart: &Chart) -> bool {
    chart.bars.iter().any(|bar| bar.voice_millis > 0)
}

fn hours(bar: &Bar) -> f64 {
    real(bar.voice_millis) / 3_600_000.0
}

/// A column with round upper corners where it is wide enough for them.
fn column(svg: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str, opacity: f64) {
    let radius = (width / 4.0).min(5.0).min(height);
    put(
        svg,
        format_args!(
            r#"<path d="M{x:.1} {:.1}V{:.1}q0 -{radius:.1} {radius:.1} -{radius:.1}h{:.1}q{radius:.1} 0 {radius:.1} {radius:.1}V{:.1}z" fill="{fill}" fill-opacity="{opacity}"/>"#,
            y + height,
            y + radius,
            2.0f64.mul_add(-radius, width).max(0.0),
            y + height,
        ),
    );
}

fn triangle(svg: &mut String, fill: &str, [a, b, c]: [(f64, f64); 3]) {
    put(
        svg,
        format_args!(
            r#"<path d="M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}z" fill="{fill}"/>"#,
            a.0, a.1, b.0, b.1, c.0, c.1
        ),
    );
}

#[expect(clippy::too_many_arguments, reason = "a text has that many properties, and each call is one line")]
fn text(svg: &mut String, x: f64, y: f64, size: f64, fill: &str, anchor: &str, bold: bool, words: &str) {
    let weight = if bold { 700 } else { 400 };
    put(
        svg,
        format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size:.1}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">"#
        ),
    );
    for letter in words.chars() {
        match letter {
            '&' => svg.push_str("&amp;"),
            '<' => svg.push_str("&lt;"),
            '>' => svg.push_str("&gt;"),
            other => svg.push(other),
        }
    }
    svg.push_str("</text>");
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = svg.write_fmt(what);
    svg.push('\n');
}

/// A count on the canvas, where the last of 53 bits is less than a pixel.
#[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than a float has steps")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than a float has steps")]
const fn millis(duration: i64) -> f64 {
    duration as f64
}

/// The part of a gap that lies in a span; `None` when it lies outside.
pub(crate) fn clip(gap: Span, span: Span) -> Option<Span> {
    let (start, end) = (gap.start.max(span.start), gap.end.min(span.end));
    (start < end).then_some(Span { start, end })
}
