//! Time zones to choose from, and finding the one somebody means.
//!
//! **Invariant:** whatever is listed here is an IANA name; a test holds it.

use guildhall_domain::{TimeZone, Timestamp};

use crate::language::{self as texts, Text};

/// A part of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Europe, and UTC.
    Europe,
    /// North and South America.
    Americas,
    /// Asia.
    Asia,
    /// Africa and the Middle East.
    Africa,
    /// Australia and the Pacific.
    Pacific,
}

impl Region {
    /// Every region.
    pub const ALL: [Self; 5] = [Self::Europe, Self::Americas, Self::Asia, Self::Africa, Self::Pacific];

    /// The region's name.
    pub const fn name(self) -> Text {
        match self {
            Self::Europe => texts::REGION_EUROPE,
            Self::Americas => texts::REGION_AMERICAS,
            Self::Asia => texts::REGION_ASIA,
            Self::Africa => texts::REGION_AFRICA,
            Self::Pacific => texts::REGION_PACIFIC,
        }
    }

    /// The region whose list holds a zone, or the one its name speaks of.
    pub fn of(zone: TimeZone) -> Self {
        if let Some(region) = Self::ALL.into_iter().find(|region| region.names().contains(&zone.name())) {
            return region;
        }
        match zone.name().split_once('/').map(|(area, _)| area) {
            Some("America" | "US" | "Canada" | "Brazil" | "Chile" | "Mexico") => Self::Americas,
            Some("Asia") => Self::Asia,
            Some("Africa" | "Indian") => Self::Africa,
            Some("Australia" | "Pacific" | "Antarctica") => Self::Pacific,
            _ => Self::Europe,
        }
    }

    /// The region's best-known zones, west to east; room for one more in a select of 25.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Europe => &[
                "UTC",
                "Atlantic/Reykjavik",
                "Europe/Lisbon",
                "Europe/Dublin",
                "Europe/London",
                "Europe/Madrid",
                "Europe/Paris",
                "Europe/Brussels",
                "Europe/Amsterdam",
                "Europe/Zurich",
                "Europe/Berlin",
                "Europe/Rome",
                "Europe/Vienna",
                "Europe/Prague",
                "Europe/Warsaw",
                "Europe/Copenhagen",
                "Europe/Oslo",
                "Europe/Stockholm",
                "Europe/Athens",
                "Europe/Bucharest",
                "Europe/Helsinki",
                "Europe/Kyiv",
                "Europe/Istanbul",
                "Europe/Moscow",
            ],
            Self::Americas => &[
                "Pacific/Honolulu",
                "America/Anchorage",
                "America/Los_Angeles",
                "America/Vancouver",
                "America/Phoenix",
                "America/Denver",
                "America/Edmonton",
                "America/Mexico_City",
                "America/Chicago",
                "America/Winnipeg",
                "America/Bogota",
                "America/Lima",
                "America/Panama",
                "America/New_York",
                "America/Toronto",
                "America/Caracas",
                "America/La_Paz",
                "America/Halifax",
                "America/Martinique",
                "America/Santiago",
                "America/St_Johns",
                "America/Argentina/Buenos_Aires",
                "America/Sao_Paulo",
                "America/Montevideo",
            ],
            Self::Asia => &[
                "Asia/Tbilisi",
                "Asia/Baku",
                "Asia/Yerevan",
                "Asia/Kabul",
                "Asia/Karachi",
                "Asia/Tashkent",
                "Asia/Kolkata",
                "Asia/Colombo",
                "Asia/Kathmandu",
                "Asia/Dhaka",
                "Asia/Almaty",
                "Asia/Yangon",
                "Asia/Bangkok",
                "Asia/Ho_Chi_Minh",
                "Asia/Jakarta",
                "Asia/Novosibirsk",
                "Asia/Shanghai",
                "Asia/Hong_Kong",
                "Asia/Taipei",
                "Asia/Manila",
                "Asia/Singapore",
                "Asia/Kuala_Lumpur",
                "Asia/Seoul",
                "Asia/Tokyo",
            ],
            Self::Africa => &[
                "Africa/Dakar",
                "Africa/Abidjan",
                "Africa/Accra",
                "Africa/Casablanca",
                "Africa/Algiers",
                "Africa/Tunis",
                "Africa/Lagos",
                "Africa/Kinshasa",
                "Africa/Johannesburg",
                "Africa/Cairo",
                "Africa/Nairobi",
                "Africa/Addis_Ababa",
                "Asia/Jerusalem",
                "Asia/Beirut",
                "Asia/Amman",
                "Asia/Baghdad",
                "Asia/Riyadh",
                "Asia/Kuwait",
                "Asia/Qatar",
                "Asia/Tehran",
                "Asia/Dubai",
                "Indian/Antananarivo",
                "Indian/Reunion",
                "Indian/Mauritius",
            ],
            Self::Pacific => &[
                "Australia/Perth",
                "Australia/Eucla",
                "Australia/Darwin",
                "Australia/Adelaide",
                "Australia/Brisbane",
                "Australia/Sydney",
                "Australia/Melbourne",
                "Australia/Hobart",
                "Australia/Lord_Howe",
                "Pacific/Guam",
                "Pacific/Port_Moresby",
                "Pacific/Noumea",
                "Pacific/Guadalcanal",
                "Pacific/Efate",
                "Pacific/Fiji",
                "Pacific/Auckland",
                "Pacific/Chatham",
                "Pacific/Tongatapu",
                "Pacific/Apia",
                "Pacific/Kiritimati",
                "Pacific/Tahiti",
                "Pacific/Marquesas",
                "Pacific/Gambier",
                "Pacific/Pago_Pago",
            ],
        }
    }

    /// The zones to offer, with `current` among them when it belongs here.
    pub fn zones(self, current: TimeZone) -> Vec<TimeZone> {
        let mut zones: Vec<TimeZone> = self.names().iter().filter_map(|name| name.parse().ok()).collect();
        if Self::of(current) == self && !zones.contains(&current) {
            zones.insert(0, current);
        }
        zones
    }
}

/// A zone's city and offset at an instant: `New York (UTC−05:00)`.
pub(super) fn label(zone: TimeZone, now: Timestamp) -> String {
    let city = zone.name().rsplit('/').next().unwrap_or(zone.name()).replace('_', " ");
    let offset = zone.local(now).format("%:z").to_string();
    if city == "UTC" { city } else { format!("{city} (UTC{})", offset.replace('-', "−")) }
}

/// The zone somebody means by a text, or up to five they may have meant.
///
/// # Errors
/// When the text names no zone, or a city of several.
pub fn resolve(typed: &str) -> Result<TimeZone, Vec<TimeZone>> {
    let wanted = normal(typed);
    if wanted.is_empty() {
        return Err(Vec::new());
    }
    if let Some(zone) = TimeZone::all().find(|zone| normal(zone.name()) == wanted) {
        return Ok(zone);
    }
    // Old names of the same place ("Asia/Calcutta") and odd areas come after those of the lists.
    let known = |zone: &TimeZone| Region::ALL.iter().any(|region| region.names().contains(&zone.name()));
    let of_city: Vec<_> = TimeZone::all().filter(|zone| normal(city(*zone)) == wanted).collect();
    if let Some(zone) = of_city.iter().copied().find(known).or_else(|| of_city.first().copied()) {
        return Ok(zone);
    }
    let mut near: Vec<(usize, bool, TimeZone)> = TimeZone::all()
        .filter_map(|zone| {
            let (name, city) = (normal(zone.name()), normal(city(zone)));
            let distance =
                if name.contains(&wanted) { 0 } else { distance(&city, &wanted).min(distance(&name, &wanted)) };
            (distance <= wanted.chars().count().div_ceil(3)).then(|| (distance, !known(&zone), zone))
        })
        .collect();
    near.sort_by_key(|(distance, unknown, zone)| (*distance, *unknown, zone.name()));
    Err(near.into_iter().map(|(_, _, zone)| zone).take(5).collect())
}

fn city(zone: TimeZone) -> &'static str {
    zone.name().rsplit('/').next().unwrap_or(zone.name())
}

fn normal(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '-'], "_")
}

/// How many letters have to be put in, left out or exchanged (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, against) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *against);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_zone_and_fits_a_select() {
        for region in Region::ALL {
            assert!(region.names().len() <= 24, "{region:?}");
            for name in region.names() {
                assert!(name.parse::<TimeZone>().is_ok(), "{name}");
                assert_eq!(Region::of(name.parse().expect("a zone")), region, "{name}");
            }
        }
    }

    #[test]
    fn a_zone_outside_the_lists_is_offered_in_its_region() {
        let zone: TimeZone = "America/Boise".parse().expect("a zone");
        assert_eq!(Region::of(zone), Region::Americas);
        assert_eq!(Region::Americas.zones(zone).first(), Some(&zone));
        assert_eq!(Region::Americas.zones(zone).len(), 25);
    }

    #[test]
    fn people_need_not_know_the_exact_name() {
        for (typed, name) in [
            ("Europe/Paris", "Europe/Paris"),
            ("  europe/paris ", "Europe/Paris"),
            ("paris", "Europe/Paris"),
            ("New York", "America/New_York"),
            ("buenos aires", "America/Argentina/Buenos_Aires"),
            ("utc", "UTC"),
        ] {
            assert_eq!(resolve(typed).map(TimeZone::name), Ok(name), "{typed}");
        }
    }

    #[test]
    fn a_slip_brings_suggestions_and_nonsense_brings_none() {
        let names = |typed: &str| -> Vec<&str> {
            resolve(typed).expect_err("no zone").into_iter().map(TimeZone::name).collect()
        };
        assert!(names("Pariss").contains(&"Europe/Paris"), "{:?}", names("Pariss"));
        assert!(names("Kathmandou").contains(&"Asia/Kathmandu"));
        assert_eq!(names("xyzzyplugh"), Vec::<&str>::new());
        assert_eq!(names(""), Vec::<&str>::new());
    }

    #[test]
    fn labels_carry_the_offset_of_the_day() {
        let paris: TimeZone = "Europe/Paris".parse().expect("a zone");
        let at = |text| Timestamp::parse_rfc3339(text).expect("an instant");
        assert_eq!(label(paris, at("2026-01-15T12:00:00Z")), "Paris (UTC+01:00)");
        assert_eq!(label(paris, at("2026-07-15T12:00:00Z")), "Paris (UTC+02:00)");
        assert_eq!(label(TimeZone::UTC, at("2026-07-15T12:00:00Z")), "UTC");
    }
}
