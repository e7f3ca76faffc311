//! Draws sample charts into the folder given as argument, and says how long each took.

use std::path::PathBuf;

use guildhall_app::chart::{self, Bar, Chart, Tile, Trend};
use guildhall_domain::{Language, Period, Span, TimeZone, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

fn sample(language: Language, period: Period, scale: f64, gap: bool) -> Chart {
    let zone: TimeZone = "Europe/Paris".parse().unwrap_or(TimeZone::UTC);
    let now = Timestamp::from_secs(1_795_350_720);
    let span = period.span(zone, now);
    let mut random = SmallRng::seed_from_u64(7);
    let bars: Vec<Bar> = chart::slots(period, span, zone)
        .into_iter()
        .map(|slot| {
            let middle = slot.start.as_secs().midpoint(slot.end.as_secs());
            let hour = f64::from(i32::try_from(middle.rem_euclid(86_400)).unwrap_or(0)) / 3_600.0;
            let rhythm = match period {
                Period::Day | Period::Week => 1.05 - ((hour - 7.0) / 24.0 * std::f64::consts::TAU).cos(),
                _ => 1.0 + random.random_range(-0.3..0.3),
            };
            let length =
                f64::from(i32::try_from(slot.end.min(now).as_secs() - slot.start.as_secs()).unwrap_or(0).max(0));
            let amount = |random: &mut SmallRng, most: f64| -> u64 {
                format!("{:.0}", most * rhythm * length * random.random_range(0.6..1.3)).parse().unwrap_or(0)
            };
            Bar {
                slot,
                messages: amount(&mut random, scale),
                bot_messages: amount(&mut random, scale * 0.15),
                voice_millis: amount(&mut random, scale * 9_000.0),
            }
        })
        .collect();
    let trend = |text: &str, direction| Some(Trend { text: text.to_owned(), direction });
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (labels, values) = match language {
        Language::English => (["Messages", "Voice", "Reactions", "Members"], ["12,345", "321 h", "4,020", "1,203"]),
        Language::French => (
            ["Messages", "Vocal", "Réactions", "Membres"],
            ["1\u{202f}234\u{202f}567", "59 min", "0", "103\u{202f}021"],
        ),
    };
    let trends = [trend("12%", Greater), trend("3%", Less), trend("unchanged", Equal), trend("+32 −10", Greater)];
    let tiles = labels.into_iter().zip(values).zip(trends);
    let tiles = tiles.map(|((label, value), trend)| Tile { label, value: value.to_owned(), trend }).collect();
    let part = span.millis() / 10;
    let gaps = if gap {
        vec![Span { start: span.start.plus_millis(part * 4), end: span.start.plus_millis(part * 4 + part / 2) }]
    } else {
        Vec::new()
    };
    Chart { language, zone, period, span, tiles, bars, gaps, updated: Some(now), now }
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("charts"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let started = Instant::now();
    chart::warm_up();
    println!("fonts: {:.1} ms", started.elapsed().as_secs_f64() * 1_000.0);
    let samples = [
        ("day", sample(Language::English, Period::Day, 0.02, true)),
        ("week", sample(Language::English, Period::Week, 0.3, true)),
        ("week-small", sample(Language::French, Period::Week, 0.000_1, false)),
        ("month", sample(Language::French, Period::Month, 2.0, false)),
        ("quarter", sample(Language::English, Period::Quarter, 0.01, false)),
        ("year", sample(Language::French, Period::Year, 0.01, true)),
    ];
    for (name, sample) in samples {
        let mut times = Vec::new();
        let mut png = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            png = chart::png(&sample.svg())?;
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        println!("{name}: median {:.1} ms, worst {:.1} ms, {} bytes", times[10], times[19], png.len());
        std::fs::write(folder.join(format!("{name}.png")), png)?;
        std::fs::write(folder.join(format!("{name}.svg")), sample.svg())?;
    }
    Ok(())
}
