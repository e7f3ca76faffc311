//! Counts what test programs report on their output.

use std::fmt;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: Vec<String>,
    untested: Vec<&'static str>,
}

impl Tally {
    /// Something that could not be tested here, although tests of it counted as passed.
    pub(super) fn untested(&mut self, what: &'static str) {
        self.untested.push(what);
    }

    /// One line, when there is something to say.
    pub(super) fn print_untested(&self) {
        if !self.untested.is_empty() {
            println!("NOT TESTED: {}", self.untested.join("; "));
        }
    }

    /// A check that is no test program's.
    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    /// Looks at one line of a test program.
    pub(super) fn observe(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            // "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s"
            for count in counts.split_once(". ").map_or("", |(_, counts)| counts).split("; ") {
                let Some((number, what)) = count.split_once(' ') else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                match what {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    pub(super) fn print_failures(&self) {
        for name in &self.failures {
            println!("  failed: {name}");
        }
        if self.failed > 0 {
            println!("{self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.03s",
            "test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 1.20s",
            "a line that mentions 9 passed; 9 failed",
        ] {
            tally.observe(line);
        }
        assert_eq!(tally.to_string(), "42 passed, 1 failed");
        assert_eq!(tally.ignored(), 1);
        assert_eq!(tally.failures, ["a::c"]);
    }
}
