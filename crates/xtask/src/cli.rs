//! Command line: `--name value`, `--name=value`, flags and words. Small enough not to need a library.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

pub(crate) const USAGE: &str = "\
usage: cargo xtask <command>

  run [--fresh] [--plain-postgres]     the whole system on this machine, with simulated communities
                                       (or the real Discord, when .env has DISCORD_TOKEN)
  say \"/stats server period:7d\"        a slash command, as a simulated member; see `say --help`
  prometheus                           Prometheus with the project's rules, beside a `run`
  stop                                 ends a `run` of this checkout from another terminal
  test [--only rust|infra|web]         everything that must hold before a change is taken
  services                             what tests need, until Ctrl-C: for `cargo test -p <crate>` beside it
  register-commands [--guild ID] [--yes]   tells Discord about the commands; shows the difference first
  bench [NAME…] [--rounds N] [--release] [--write-docs]
                                       benchmarks beside their limits and peers
  bench stats [--calls N] [--release]  how long a warm `/stats` takes, on the data of the running system
  fuzz [TARGET] [--minutes N]          looks for inputs that break a promise: envelope, frame, interaction
  deploy --local                       builds and deploys template.yaml to an emulator of AWS, and checks it there
  chaos [--seed N] [--minutes M] [--only FAULT] [--short]
                                       breaks everything, and compares the counts with what was sent
  redrive --from URL --to URL [--folder DIR] [--dry-run]
                                       puts dead letters back that can be counted; see docs/operations.md
  sam-local [--install-docker]         every function in a container, by `sam local invoke` with its event
  sqlx-prepare [--check]               writes (or checks) the offline data of the compile-time checked queries";

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    words: Vec<String>,
    options: BTreeMap<String, String>,
    flags: Vec<String>,
}

impl Arguments {
    /// `options` take a value, `flags` do not; anything else that starts with `--` is refused.
    pub(crate) fn parse(arguments: &[String], options: &[&str], flags: &[&str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(name) = argument.strip_prefix("--") else {
                parsed.words.push(argument.clone());
                continue;
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if options.contains(&name) {
                let Some(value) = inline.or_else(|| rest.next().cloned()) else {
                    bail!("--{name} needs a value");
                };
                parsed.options.insert(name.to_owned(), value);
            } else if flags.contains(&name) && inline.is_none() {
                parsed.flags.push(name.to_owned());
            } else {
                bail!("this command does not know --{name}\n{USAGE}");
            }
        }
        Ok(parsed)
    }

    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&words, &["only", "as"], &["fresh"])
    }

    #[test]
    fn values_may_follow_or_be_joined() {
        let arguments = parse("/stats --only rust --as=mira --fresh server").unwrap();
        assert_eq!(arguments.words(), ["/stats", "server"]);
        assert_eq!(arguments.option("only"), Some("rust"));
        assert_eq!(arguments.option("as"), Some("mira"));
        assert!(arguments.flag("fresh"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse("--ony rust").unwrap_err().to_string().contains("--ony"));
        assert!(parse("--fresh=1").is_err());
        assert!(parse("--only").unwrap_err().to_string().contains("needs a value"));
    }
}
