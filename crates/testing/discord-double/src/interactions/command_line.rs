//! Reads a slash command as a person types it: `/stats member user:ada period:7d`.
//!
//! **Invariant:** words before the first `name:value` are the command and its subcommands; later bare words belong to
//! the value before them.

/// A command as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    /// The command, then its group and subcommand, where it has them.
    pub(super) path: Vec<String>,
    /// The options, in the order they were typed.
    pub(super) options: Vec<(String, String)>,
}

/// Reads a line. Quotes keep spaces and colons together.
pub(super) fn parse(line: &str) -> Typed {
    let line = line.trim();
    let mut typed = Typed { path: Vec::new(), options: Vec::new() };
    for word in words(line.strip_prefix('/').unwrap_or(line)) {
        match (word.split_once(':'), typed.options.last_mut()) {
            (Some((name, value)), _) if is_name(name) => {
                typed.options.push((name.to_owned(), value.replace('"', "")));
            }
            (_, Some((_, value))) => {
                value.push(' ');
                value.push_str(&word.replace('"', ""));
            }
            (_, None) => typed.path.push(word),
        }
    }
    typed
}

/// The words of a line; a quoted part never ends one.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Mentions such as `<@1>` and addresses hold colons too, but no names of options before them.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Vec<(String, String)> {
        parse(line).options
    }

    #[test]
    fn commands_have_paths_and_options() {
        let typed = parse("/stats server period:7d");
        assert_eq!(typed.path, ["stats", "server"]);
        assert_eq!(typed.options, [("period".to_owned(), "7d".to_owned())]);
        assert_eq!(parse("setup").path, ["setup"]);
    }

    #[test]
    fn values_keep_their_spaces() {
        let expected = [("user".to_owned(), "Ada Lovelace".to_owned()), ("period".to_owned(), "7d".to_owned())];
        assert_eq!(options("/stats member user:Ada Lovelace period:7d"), expected);
        assert_eq!(options("/stats member user:\"Ada Lovelace\" period:7d"), expected);
        assert_eq!(options("/say text:\"at 10:30\""), [("text".to_owned(), "at 10:30".to_owned())]);
    }
}
