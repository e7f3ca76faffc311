//! What a Discord client makes of `<@id>`, `<#id>` and `<t:seconds:style>`.

use std::collections::BTreeMap;

/// `text` as it is read: names for ids, words for times. What is not known stays as it is.
pub(super) fn resolve(text: &str, names: &BTreeMap<String, String>, now: i64) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, from) = rest.split_at(start);
        resolved.push_str(before);
        let mention = from.find('>').and_then(|end| Some((mention(&from[1..end], names, now)?, &from[end + 1..])));
        match mention {
            Some((words, after)) => {
                resolved.push_str(&words);
                rest = after;
            }
            None => {
                resolved.push('<');
                rest = &from[1..];
            }
        }
    }
    resolved.push_str(rest);
    resolved
}

fn mention(inner: &str, names: &BTreeMap<String, String>, now: i64) -> Option<String> {
    if let Some(time) = inner.strip_prefix("t:") {
        let (seconds, style) = time.split_once(':').unwrap_or((time, "f"));
        let seconds: i64 = seconds.parse().ok()?;
        return Some(if style == "R" { relative(seconds - now) } else { utc(seconds) });
    }
    let (sign, id) = match inner.strip_prefix('#') {
        Some(id) => ('#', id),
        None => {
            ('@', inner.strip_prefix("@&").or_else(|| inner.strip_prefix("@!")).or_else(|| inner.strip_prefix('@'))?)
        }
    };
    names.get(id).map(|name| format!("{sign}{name}"))
}

fn relative(difference: i64) -> String {
    let (amount, unit) = match difference.abs() {
        seconds @ 0..60 => (seconds, "second"),
        seconds @ 60..3_600 => (seconds / 60, "minute"),
        seconds @ 3_600..86_400 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    let plural = if amount == 1 { "" } else { "s" };
    if difference > 0 { format!("in {amount} {unit}{plural}") } else { format!("{amount} {unit}{plural} ago") }
}

/// Days to dates by the proleptic Gregorian calendar, in years that begin in March.
fn utc(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", time / 3_600, time % 3_600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let names = [("1", "general"), ("2", "mira")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        resolve(text, &BTreeMap::from(names), 1_000_000)
    }

    #[test]
    fn ids_become_names_where_they_are_known() {
        assert_eq!(read("1. <#1> by <@2>, <@!2> and <@&2>"), "1. #general by @mira, @mira and @mira");
        assert_eq!(read("<@9> a < b <:smile:3>"), "<@9> a < b <:smile:3>");
        assert_eq!(read("é <"), "é <");
    }

    #[test]
    fn times_become_words() {
        assert_eq!(read("<t:999999:R>, <t:1000120:R>, <t:820000:R>"), "1 second ago, in 2 minutes, 2 days ago");
        assert_eq!(
            read("<t:1709210096:f> <t:0> <t:951782400:D>"),
            "2024-02-29 12:34 UTC 1970-01-01 00:00 UTC 2000-02-29 00:00 UTC"
        );
    }
}
