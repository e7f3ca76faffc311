//! Reads `.env`: `NAME=value` lines, quotes, comments, an optional `export`. No substitution: a token may contain `$`.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// The pairs of the file, in order; none when there is no file.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).with_context(|| format!("cannot use {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        // The value is never repeated in a message: it may be a secret.
        let Some((name, value)) = line.split_once('=') else {
            bail!("line {} is not of the form NAME=value", index + 1);
        };
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            bail!("line {} does not start with a variable's name", index + 1);
        }
        pairs.push((name.to_owned(), unquote(value.trim()).with_context(|| format!("line {}", index + 1))?));
    }
    Ok(pairs)
}

fn unquote(value: &str) -> Result<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let Some(end) = rest.find(quote) else { bail!("a quote is not closed") };
            return Ok(rest[..end].to_owned());
        }
    }
    // A comment needs a space before it, so that `a#b` stays a value.
    let value = value.split_once(" #").map_or(value, |(value, _)| value);
    Ok(value.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        let pairs =
            parse("# tokens\nDISCORD_TOKEN=abc.def$g\nexport A = 'x # y'\nB=\"q\" # note\nC=1 # one\nD=\n").unwrap();
        let expected = [("DISCORD_TOKEN", "abc.def$g"), ("A", "x # y"), ("B", "q"), ("C", "1"), ("D", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        let error = parse("A=1\nhunter2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
        assert!(parse("A='x").is_err());
        assert!(parse("not a name=1").is_err());
    }

    #[test]
    fn no_file_is_no_settings() {
        assert!(read(Path::new("/nonexistent/.env")).unwrap().is_empty());
    }
}
