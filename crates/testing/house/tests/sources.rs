//! What a file must be like.

use std::collections::BTreeSet;
use std::fs;

use guildhall_house::{repository, rust_source};

const LONGEST_FILE: usize = 400;
const LONGEST_MAIN: usize = 40;

/// Files that are longer than the rule allows, with their length. The list only shrinks.
const TOO_LONG: &[(&str, usize)] = &[];

/// Everything that stands at the top of the repository.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".deny.toml",
    ".editorconfig",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "docs",
    "functions",
    "gateway-runner",
    "infra",
    "migrations",
    "rust-toolchain.toml",
    "samconfig.toml",
    "template.yaml",
];

/// Every file that is text, with its path.
fn texts() -> Vec<(String, String)> {
    let root = repository::root();
    let files = repository::files(&root).expect("git");
    files.into_iter().filter_map(|path| fs::read_to_string(root.join(&path)).ok().map(|text| (path, text))).collect()
}

fn rust_files() -> Vec<(String, String)> {
    texts().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

fn report(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

#[test]
fn the_top_of_the_repository_holds_what_it_should() {
    let files = repository::files(&repository::root()).expect("git");
    let found: BTreeSet<_> = files.iter().map(|path| path.split('/').next().unwrap_or(path)).collect();
    let expected: BTreeSet<_> = TOP_LEVEL.iter().copied().collect();
    let offences: Vec<_> = found.symmetric_difference(&expected).map(|entry| (*entry).to_owned()).collect();
    report("at the top, but not on the list, or the other way round", &offences);
}

#[test]
fn a_file_that_grows_long_is_split() {
    let mut offences = Vec::new();
    let files = rust_files();
    for (known, _) in TOO_LONG.iter().filter(|(known, _)| !files.iter().any(|(path, _)| path == known)) {
        offences.push(format!("{known} is gone: remove its entry"));
    }
    for (path, text) in files {
        let lines = rust_source::without_tests(&text).lines().count();
        let allowed = TOO_LONG.iter().find(|(known, _)| *known == path).map(|(_, length)| *length);
        match allowed {
            Some(length) if lines > length => offences.push(format!("{path} grew from {length} to {lines} lines")),
            Some(length) if lines < length => {
                offences.push(format!("{path} shrank to {lines} lines: lower its entry, or remove it"));
            }
            None if lines > LONGEST_FILE && !rust_source::is_test(&path) => {
                offences.push(format!("{path} has {lines} lines"));
            }
            _ => {}
        }
    }
    report("a file past 400 lines asks to be split", &offences);
}

#[test]
fn mains_only_wire_things_up() {
    let mut offences = Vec::new();
    for (path, text) in rust_files() {
        let lines = text.lines().count();
        if path.starts_with("functions/") && path.ends_with("/src/main.rs") && lines > LONGEST_MAIN {
            offences.push(format!("{path} has {lines} lines"));
        }
    }
    report("config → dependencies → serve, in 40 lines", &offences);
}

#[test]
fn modules_say_what_they_are_for() {
    let files = rust_files().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path);
    report("a module opens with `//!`", &files.collect::<Vec<_>>());
}

#[test]
fn modules_are_files_of_their_own_name() {
    let files = rust_files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with("/mod.rs"));
    report("`foo.rs` beside `foo/`, no `mod.rs`", &files.collect::<Vec<_>>());
}

#[test]
fn nothing_is_silenced_skipped_or_left_for_later() {
    // Spelled in two parts, so that this file passes its own test.
    let words = [
        concat!("#[", "allow("),
        concat!("#![", "allow("),
        concat!("#[", "ignore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut offences = Vec::new();
    for (path, text) in rust_files() {
        for (index, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offences.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    report("expect it with a reason, finish it, or leave it out", &offences);
}

#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    let words = [concat!("sle", "ep("), concat!("sleep", "_until(")];
    let mut offences = Vec::new();
    for (path, text) in rust_files() {
        let tests = if rust_source::is_test(&path) { 0 } else { rust_source::without_tests(&text).len() };
        if words.iter().any(|word| text[tests..].contains(word)) {
            offences.push(path);
        }
    }
    report("a test waits on a condition with a deadline", &offences);
}

#[test]
fn programs_ask_cargo_where_they_are_when_they_run() {
    // Checkouts share what is built, and cargo builds nothing anew for another path.
    let word = concat!("env!(\"CARGO_MANI", "FEST_DIR");
    let offences = rust_files().into_iter().filter(|(_, text)| text.contains(word)).map(|(path, _)| path);
    report("a test runs in its crate's folder, a program is told where things are", &offences.collect::<Vec<_>>());
}

#[test]
fn nothing_points_at_somebodys_machine() {
    let words = [
        concat!("/work", "/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("arti", "factory"),
        concat!("index.crates", ".io:"),
        concat!("registry.npmjs", ".org:"),
    ];
    let mut offences = Vec::new();
    for (path, text) in texts() {
        for (index, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offences.push(format!("{path}:{}", index + 1));
            }
        }
    }
    report("no address of a private registry, no absolute path", &offences);
}
