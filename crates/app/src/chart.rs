//! The picture of a guild's, channel's or member's activity: figures above, bars of messages and a line of voice below.
//!
//! **Invariant:** a picture holds no name and no id, of anybody or anything: those are never stored, and pictures travel.
//! **Invariant:** it is drawn from the same numbers as the text, with fonts that are part of the program; nothing of the
//! machine it runs on shows.

mod axis;
mod draw;
mod render;
mod timeline;

use guildhall_domain::{Language, Period, Span, TimeZone, Timestamp};

pub(crate) use draw::clip;
pub use render::{ChartError, png, warm_up};
pub use timeline::{Slot, slots};

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The language of its words.
    pub language: Language,
    /// Where days begin, for the axis.
    pub zone: TimeZone,
    /// Which ticks the axis has.
    pub period: Period,
    /// What the bars cover.
    pub span: Span,
    /// The figures above, four at most.
    pub tiles: Vec<Tile>,
    /// The bars, ascending.
    pub bars: Vec<Bar>,
    /// Times in which events may be missing.
    pub gaps: Vec<Span>,
    /// When the numbers last changed.
    pub updated: Option<Timestamp>,
    /// The present: what lies behind it is drawn as still going on.
    pub now: Timestamp,
}

/// A figure.
#[derive(Debug, Clone)]
pub struct Tile {
    /// What it counts.
    pub label: &'static str,
    /// The figure.
    pub value: String,
    /// How it changed.
    pub trend: Option<Trend>,
}

/// How a figure changed against the previous period, in words, with the direction for arrow and colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// The words.
    pub text: String,
    /// Up, down or neither.
    pub direction: std::cmp::Ordering,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// From when to when.
    pub slot: Slot,
    /// Messages by people.
    pub messages: u64,
    /// Messages by bots.
    pub bot_messages: u64,
    /// Milliseconds in voice.
    pub voice_millis: u64,
}

impl Chart {
    /// The chart as an SVG document.
    pub fn svg(&self) -> String {
        draw::svg(self)
    }
}

#[cfg(test)]
mod tests;
