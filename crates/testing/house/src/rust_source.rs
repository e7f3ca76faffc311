//! What can be said of a Rust file by looking at its lines.

use std::collections::BTreeMap;

/// Whether the file holds tests, by its path: `tests/` folders, `tests.rs`, benches.
pub fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches") || path.ends_with("/tests.rs")
}

/// The part of a file before its inline tests.
pub fn without_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]") {
        Some(end) => &text[..=end],
        None => text,
    }
}

/// The environment variables that a file reads, each with whether it must be set.
///
/// Reading is calling a method of `runtime::Environment` with the variable's name: `required`, `secret`, `parsed` and
/// `list` insist, `optional`, `parsed_or` and `flag` do not. One that is also asked for by a method that does not insist need not
/// be set.
pub fn variables_read(text: &str) -> BTreeMap<String, bool> {
    const INSISTING: [&str; 4] = ["required", "secret", "parsed", "list"];
    const LENIENT: [&str; 3] = ["optional", "parsed_or", "flag"];
    let mut found = BTreeMap::new();
    let text = without_tests(text);
    for (at, _) in text.match_indices('.') {
        let call = &text[at + 1..];
        let name_end = call.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(call.len());
        let (method, mut rest) = call.split_at(name_end);
        let insists = INSISTING.contains(&method);
        if !insists && !LENIENT.contains(&method) {
            continue;
        }
        if let Some(generic) = rest.strip_prefix("::<") {
            let Some(end) = generic.find(">(") else { continue };
            rest = &generic[end + 1..];
        }
        let argument = rest.strip_prefix('(').map(str::trim_start).and_then(|argument| argument.strip_prefix('"'));
        let Some((variable, _)) = argument.and_then(|argument| argument.split_once('"')) else { continue };
        if !variable.is_empty() && variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
            *found.entry(variable.to_owned()).or_insert(true) &= insists;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_where_they_are_read() {
        let text = r#"
            let url = env.required("DATABASE_URL")?;
            let n = env.parsed::<Vec<u8>>(
                "COUNT", "a number")?;
            let level = environment.optional("LOG_LEVEL");
            map.get("NOT_READ"); name.required(NOT_A_LITERAL); env.parsed_or("LIMIT", "a number", 3)?;
            let pooled = env.flag("POOLED");
            match env.optional("SHARDS") { None => None, Some(_) => Some(env.parsed("SHARDS", "a number")?) };
#[cfg(test)]
mod tests { env.required("ONLY_IN_TESTS"); }
        "#;
        let expected = [
            ("DATABASE_URL", true),
            ("COUNT", true),
            ("LOG_LEVEL", false),
            ("LIMIT", false),
            ("POOLED", false),
            ("SHARDS", false),
        ];
        assert_eq!(variables_read(text), expected.map(|(name, insists)| (name.to_owned(), insists)).into());
    }

    #[test]
    fn tests_are_known_by_their_path() {
        assert!(is_test("crates/wire/tests/codec.rs"));
        assert!(is_test("crates/app/src/chart/tests.rs"));
        assert!(!is_test("crates/testing/house/src/lib.rs"));
    }
}
