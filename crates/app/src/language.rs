//! Texts in every language, and numbers as each language writes them.
//!
//! **Invariant:** a [`Text`] cannot be made without all its translations.

use guildhall_domain::Language;

mod catalogue;

pub use catalogue::*;

/// A text in every language. Names in braces are filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// French.
    pub fr: &'static str,
}

impl Text {
    /// The text in a language, as it stands.
    pub const fn of(self, language: Language) -> &'static str {
        match language {
            Language::English => self.en,
            Language::French => self.fr,
        }
    }

    /// The text in a language, with its names filled in.
    pub fn fill(self, language: Language, values: &[(&str, &str)]) -> String {
        let mut rest = self.of(language);
        let mut filled = String::with_capacity(rest.len() + 32);
        // One pass over the template: a value that happens to contain braces is never filled in itself.
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = tail;
        }
        filled.push_str(rest);
        filled
    }
}

/// A whole number with its thousands set apart: `12,345`, `12 345`.
pub fn number(language: Language, value: u64) -> String {
    let separator = match language {
        Language::English => ',',
        Language::French => '\u{202f}',
    };
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// A number of things, with their name in the form it takes after that number.
pub fn counted(language: Language, count: u64, one: Text, many: Text) -> String {
    let is_one = match language {
        Language::English => count == 1,
        Language::French => count < 2,
    };
    let text = if is_one { one } else { many };
    text.fill(language, &[("count", &number(language, count))])
}

/// A duration in hours and minutes: `321 h 05 min`, `12 min`.
pub fn duration(language: Language, minutes: u64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{} h", number(language, hours)),
        (hours, minutes) => format!("{} h {minutes:02} min", number(language, hours)),
    }
}

/// A whole number of percent: `12%`, `12 %`.
pub fn percent(language: Language, value: u64) -> String {
    match language {
        Language::English => format!("{}%", number(language, value)),
        Language::French => format!("{}\u{202f}%", number(language, value)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_text_is_there_in_both_languages_and_fills_in_the_same_names() {
        assert!(CATALOGUE.len() > 50, "the catalogue is complete");
        for (id, text) in CATALOGUE {
            assert!(!text.en.trim().is_empty() && !text.fr.trim().is_empty(), "{id}");
            assert_eq!(names(text.en), names(text.fr), "{id}");
            assert!(text.en.chars().count() <= 1_500 && text.fr.chars().count() <= 1_500, "{id}");
        }
    }

    /// What looks like commands in a text: words after a slash that nothing precedes, such as "stats server".
    fn commands(text: &str) -> Vec<&str> {
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|name| name.strip_prefix('/'));
        let bare = text.split('`').step_by(2).flat_map(str::split_whitespace).filter_map(|word| word.strip_prefix('/'));
        quoted.chain(bare).collect()
    }

    #[test]
    fn a_command_is_called_what_the_reader_finds_in_the_menu() {
        let declared = |language: Language| -> BTreeSet<String> {
            let named = |en: &'static str, fr: &'static str| if language == Language::French { fr } else { en };
            let mut names = BTreeSet::new();
            for command in crate::commands::COMMANDS {
                let name = named(command.name, command.french_name);
                let inner = command.subcommands.iter().map(|s| named(s.name, s.french_name));
                names.extend(inner.map(|inner| format!("{name} {inner}")));
                names.insert(name.to_owned());
            }
            names
        };
        let mut seen = 0;
        for language in [Language::English, Language::French] {
            let declared = declared(language);
            for (id, text) in CATALOGUE {
                for name in commands(text.of(language)) {
                    assert!(declared.contains(name), "{id}: /{name} is not in the menu in {language}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 15, "{seen}");
    }

    #[test]
    fn one_thing_is_not_many() {
        let channels = |language, count| counted(language, count, COUNT_CHANNEL, COUNT_CHANNELS);
        assert_eq!([0, 1, 2].map(|n| channels(Language::English, n)), ["0 channels", "1 channel", "2 channels"]);
        assert_eq!([0, 1, 2].map(|n| channels(Language::French, n)), ["0 salon", "1 salon", "2 salons"]);
    }

    #[test]
    fn values_are_filled_in_once() {
        let text = Text { en: "{a} and {b}, {missing}{", fr: "" };
        assert_eq!(text.fill(Language::English, &[("a", "{b}"), ("b", "2")]), "{b} and 2, {");
    }

    #[test]
    fn numbers_are_written_as_each_language_does() {
        assert_eq!(number(Language::English, 0), "0");
        assert_eq!(number(Language::English, 999), "999");
        assert_eq!(number(Language::English, 1_000), "1,000");
        assert_eq!(number(Language::English, u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(number(Language::French, 1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(duration(Language::English, 19_265), "321 h 05 min");
        assert_eq!(duration(Language::French, 59), "59 min");
        assert_eq!(percent(Language::French, 12), "12\u{202f}%");
    }
}
