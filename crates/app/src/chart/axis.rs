//! Ticks people can read: round numbers upwards, round times along.

use chrono::{Datelike as _, Timelike as _, Weekday};
use guildhall_domain::{Language, Period, Span, TimeZone, Timestamp};

use super::timeline::next_day;

/// How many steps the vertical axes have. Both have the same, so that one set of lines serves them.
pub(super) const STEPS: u32 = 4;

/// The smallest round step (1, 2 or 5 times a power of ten) with which [`STEPS`] steps reach `most`.
pub(super) fn step(most: f64) -> f64 {
    let rough = (most / f64::from(STEPS)).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    factors.into_iter().map(|factor| factor * power).find(|step| *step >= rough - rough * 1e-9).unwrap_or(10.0 * power)
}

/// A tick's value in few characters: `250`, `1.5k`, `2M`.
pub(super) fn compact(language: Language, value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if language == Language::French { text.replace('.', ",") } else { text.to_owned() };
    format!("{text}{unit}")
}

/// A mark on the axis along time.
pub(super) struct Tick {
    /// Where the mark stands.
    pub(super) at: Timestamp,
    /// Where the middle of its words stands: under the instant, or under the middle of the day it names.
    pub(super) words_at: Timestamp,
    /// The words.
    pub(super) words: String,
}

/// The ticks along a span.
pub(super) fn ticks(language: Language, period: Period, span: Span, zone: TimeZone) -> Vec<Tick> {
    let mut ticks = Vec::new();
    match period {
        Period::Day => {
            let mut at = span.start;
            while at < span.end {
                let local = zone.local(at);
                if local.minute() == 0 && local.hour().is_multiple_of(4) {
                    ticks.push(Tick { at, words_at: at, words: format!("{:02}:00", local.hour()) });
                }
                at = at.quarter_hour().end();
            }
        }
        Period::Week | Period::Month | Period::Quarter => {
            let every = match period {
                Period::Week => 1,
                Period::Month => 5,
                _ => 15,
            };
            let mut at = span.start;
            while at < span.end {
                let date = zone.date_of(at);
                let words = if period == Period::Week {
                    format!("{} {}", weekday(language, date.weekday()), date.day())
                } else {
                    day(language, date.day(), date.month0())
                };
                let tomorrow = next_day(zone, at, 1);
                ticks.push(Tick { at, words_at: at.plus_millis(tomorrow.millis_since(at) / 2), words });
                at = next_day(zone, at, every);
            }
        }
        Period::Year => {
            let mut at = span.start;
            while at < span.end {
                let date = zone.date_of(at);
                let first = zone.start_of_month(date);
                // Every other month, so that the words stay apart when the picture is small.
                if first >= span.start && date.month0().is_multiple_of(2) {
                    let words = month(language, date.month0()).to_owned();
                    ticks.push(Tick { at: first, words_at: first, words });
                }
                at = next_day(zone, first, 31);
                at = zone.start_of_month(zone.date_of(at)).max(next_day(zone, first, 28));
            }
        }
    }
    ticks
}

/// A day of the year: `Nov 22`, `22 nov.`.
pub(super) fn day(language: Language, day: u32, month0: u32) -> String {
    match language {
        Language::English => format!("{} {day}", month(language, month0)),
        Language::French if day == 1 => format!("1er {}", month(language, month0)),
        Language::French => format!("{day} {}", month(language, month0)),
    }
}

fn month(language: Language, month0: u32) -> &'static str {
    const EN: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const FR: [&str; 12] =
        ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."];
    let names = match language {
        Language::English => EN,
        Language::French => FR,
    };
    names.get(month0 as usize).copied().unwrap_or("")
}

const fn weekday(language: Language, day: Weekday) -> &'static str {
    const EN: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const FR: [&str; 7] = ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."];
    match language {
        Language::English => EN[day as usize],
        Language::French => FR[day as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach() {
        for (most, expected) in [(1.0, 0.25), (4.0, 1.0), (4.1, 2.0), (37.0, 10.0), (100.0, 25.0), (900.0, 250.0)] {
            assert!((step(most) - expected).abs() < 1e-9, "{most}: {}", step(most));
            assert!(step(most) * f64::from(STEPS) >= most);
        }
        assert!(step(0.0).is_finite());
    }

    #[test]
    fn values_are_short() {
        assert_eq!(compact(Language::English, 0.0), "0");
        assert_eq!(compact(Language::English, 250.0), "250");
        assert_eq!(compact(Language::English, 1_500.0), "1.5k");
        assert_eq!(compact(Language::French, 1_500.0), "1,5k");
        assert_eq!(compact(Language::French, 2_000_000.0), "2M");
    }

    #[test]
    fn ticks_fall_on_local_hours_days_and_months() {
        let zone: TimeZone = "Asia/Kathmandu".parse().expect("a zone");
        let now = Timestamp::parse_rfc3339("2026-11-22T12:31:00Z").expect("an instant");
        let words = |period: Period| -> Vec<String> {
            ticks(Language::English, period, period.span(zone, now), zone).into_iter().map(|tick| tick.words).collect()
        };
        assert_eq!(words(Period::Day), ["20:00", "00:00", "04:00", "08:00", "12:00", "16:00"]);
        assert_eq!(words(Period::Week), ["Mon 16", "Tue 17", "Wed 18", "Thu 19", "Fri 20", "Sat 21", "Sun 22"]);
        assert_eq!(words(Period::Month).len(), 6);
        assert_eq!(words(Period::Quarter).len(), 6);
        assert_eq!(words(Period::Year), ["Jan", "Mar", "May", "Jul", "Sep", "Nov"]);
    }
}
