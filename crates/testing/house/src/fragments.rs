//! `template.yaml` is made of the fragments under `infra/`.
//!
//! A fragment is a CloudFormation template in small: top-level sections (`Resources:` and so on) with entries indented
//! below. The merge gathers each section's entries, fragment by fragment in the order of their paths. It works on the
//! text, so that intrinsic functions (`!Ref`, `!Sub`) and comments stay as they were written.
//!
//! **Invariant:** the same fragments give the same bytes.
//! **Invariant:** nothing is dropped but a fragment's opening comment: an unknown section or a name defined twice is an
//! error.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The sections of a template, in the order in which they are written.
const SECTIONS: [&str; 11] = [
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Globals",
    "Parameters",
    "Mappings",
    "Rules",
    "Conditions",
    "Resources",
    "Outputs",
];

/// A fragment's path from the root of the repository, and its text.
pub type Fragment = (String, String);

/// The fragments of the repository: every `.yaml` file under `infra/`, in the order of their paths.
///
/// # Errors
/// When they cannot be read.
pub fn read(root: &Path) -> Result<Vec<Fragment>> {
    let mut fragments = Vec::new();
    let mut folders = vec![root.join("infra")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                fragments.push((path.strip_prefix(root)?.to_string_lossy().into_owned(), text));
            }
        }
    }
    fragments.sort();
    Ok(fragments)
}

/// The template that the fragments make.
///
/// # Errors
/// When a fragment has a section that templates do not have, or two define the same thing.
pub fn merge(fragments: &[Fragment]) -> Result<String> {
    let mut sections: BTreeMap<usize, String> = BTreeMap::new();
    let mut definitions: BTreeMap<(usize, String), &str> = BTreeMap::new();
    for (path, text) in fragments {
        for (section, lines) in split(path, text)? {
            let merged = sections.entry(section).or_default();
            if !lines[0].ends_with(':') {
                if !merged.is_empty() {
                    bail!("{path}: {} is given twice", SECTIONS[section]);
                }
                *merged = lines.join("\n") + "\n";
                continue;
            }
            if merged.is_empty() {
                merged.push_str(&format!("{}:\n", SECTIONS[section]));
            }
            merged.push_str(&format!("  # {path}\n"));
            for line in &lines[1..] {
                if let Some(name) = entry_name(line)
                    && let Some(other) = definitions.insert((section, name.to_owned()), path)
                {
                    bail!("{path}: {} {name} is already defined in {other}", SECTIONS[section]);
                }
                merged.push_str(line);
                merged.push('\n');
            }
        }
    }
    let mut template = "# Merged from the fragments under infra/ by `cargo merge-template`: edit those.\n".to_owned();
    for (section, text) in sections {
        let is_block = text.starts_with(&format!("{}:\n", SECTIONS[section]));
        template.push_str(if is_block { "\n" } else { "" });
        template.push_str(&text);
    }
    Ok(template)
}

/// Writes `template.yaml`; says whether it changed.
///
/// # Errors
/// When the fragments do not merge or the file cannot be written.
pub fn write(root: &Path) -> Result<bool> {
    let merged = merge(&read(root)?)?;
    let path = root.join("template.yaml");
    if fs::read_to_string(&path).is_ok_and(|current| current == merged) {
        return Ok(false);
    }
    fs::write(&path, merged).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// The fragment's sections, each with its lines, the one that opens it first.
fn split<'a>(path: &str, text: &'a str) -> Result<Vec<(usize, Vec<&'a str>)>> {
    let mut sections: Vec<(usize, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        let opens = line.starts_with(|c: char| c.is_ascii_alphabetic());
        if opens {
            let name = line.split(':').next().unwrap_or(line);
            let Some(section) = SECTIONS.iter().position(|known| *known == name) else {
                bail!("{path}: templates have no section {name}");
            };
            sections.push((section, vec![line]));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line);
        }
    }
    for (_, lines) in &mut sections {
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
    }
    Ok(sections)
}

/// The name that a section's line defines: a key indented by two blanks.
fn entry_name(line: &str) -> Option<&str> {
    let entry = line.strip_prefix("  ")?;
    let name = entry.split_once(':')?.0;
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(path: &str, text: &str) -> Fragment {
        (path.to_owned(), text.to_owned())
    }

    #[test]
    fn entries_of_a_section_are_gathered_and_keep_their_text() {
        let merged = merge(&[
            fragment(
                "infra/a.yaml",
                "# Why.\nTransform: X\n\nResources:\n  A:\n    Ref: !Ref B # kept\n\nOutputs:\n  O: 1\n",
            ),
            fragment("infra/b.yaml", "Resources:\n  # About B.\n  B:\n    Type: T\n"),
        ])
        .expect("they merge");
        assert_body(
            &merged,
            "Transform: X\n\nResources:\n  # infra/a.yaml\n  A:\n    Ref: !Ref B # kept\n  # infra/b.yaml\n  # About B.\n  B:\n    \
             Type: T\n\nOutputs:\n  # infra/a.yaml\n  O: 1\n",
        );
    }

    fn assert_body(merged: &str, expected: &str) {
        assert_eq!(merged.split_once('\n').expect("an opening comment").1, expected);
    }

    #[test]
    fn a_name_defined_twice_is_refused() {
        let twice =
            [fragment("infra/a.yaml", "Resources:\n  A: 1\n"), fragment("infra/b.yaml", "Resources:\n  A: 2\n")];
        let error = merge(&twice).expect_err("A is defined twice");
        assert_eq!(error.to_string(), "infra/b.yaml: Resources A is already defined in infra/a.yaml");
    }

    #[test]
    fn a_section_that_templates_do_not_have_is_refused() {
        let error = merge(&[fragment("infra/a.yaml", "Resource:\n  A: 1\n")]).expect_err("a slip of the pen");
        assert_eq!(error.to_string(), "infra/a.yaml: templates have no section Resource");
    }
}
