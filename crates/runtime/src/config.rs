//! Configuration from environment variables.
//!
//! **Invariant:** the environment is read once, at start, and every problem with it is reported in one message that
//! names the variable and never its value.

use std::collections::BTreeMap;
use std::str::FromStr;

use secrecy::SecretString;

/// The variables of the process, or of a test.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A variable is missing or unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The variable must be set and is not.
    #[error("the environment variable {0} is not set")]
    Missing(String),
    /// The variable is set to something unusable.
    #[error("the environment variable {name} is not {expected}")]
    Invalid {
        /// The variable.
        name: String,
        /// What it should be, in words.
        expected: &'static str,
    },
}

impl Environment {
    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// These variables and no others.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The variable's value; `None` when it is not set or empty.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable's value.
    ///
    /// # Errors
    /// When it is not set.
    pub fn required(&self, name: &str) -> Result<&str, ConfigError> {
        self.optional(name).ok_or_else(|| ConfigError::Missing(name.to_owned()))
    }

    /// A secret, which prints as `[REDACTED]`.
    ///
    /// # Errors
    /// When it is not set.
    pub fn secret(&self, name: &str) -> Result<SecretString, ConfigError> {
        self.required(name).map(|value| SecretString::from(value.to_owned()))
    }

    /// The variable's value, parsed.
    ///
    /// # Errors
    /// When it is not set or does not parse; `expected` says what it should be ("a port number").
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &'static str) -> Result<T, ConfigError> {
        let value = self.required(name)?;
        value.parse().map_err(|_| ConfigError::Invalid { name: name.to_owned(), expected })
    }

    /// As [`Environment::parsed`], with a default for a variable that is not set.
    ///
    /// # Errors
    /// When it is set and does not parse.
    pub fn parsed_or<T: FromStr>(&self, name: &str, expected: &'static str, default: T) -> Result<T, ConfigError> {
        if self.optional(name).is_none() { Ok(default) } else { self.parsed(name, expected) }
    }

    /// Whether the variable is `1`; anything else, or nothing, is no.
    pub fn flag(&self, name: &str) -> bool {
        self.optional(name) == Some("1")
    }

    /// A comma-separated list with at least one entry.
    ///
    /// # Errors
    /// When it is not set or holds only commas and blanks.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let values: Vec<String> =
            self.required(name)?.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect();
        if values.is_empty() {
            return Err(ConfigError::Invalid { name: name.to_owned(), expected: "a comma-separated list" });
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_variable_and_not_its_value() {
        let env = Environment::from_pairs([("PORT", "hunter2")]);
        let error = env.parsed::<u16>("PORT", "a port number").expect_err("not a number");
        assert_eq!(error.to_string(), "the environment variable PORT is not a port number");
        assert_eq!(env.required("TOKEN").expect_err("unset").to_string(), "the environment variable TOKEN is not set");
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = Environment::from_pairs([("A", ""), ("B", " x, ,y ")]);
        assert_eq!(env.optional("A"), None);
        assert_eq!(env.parsed_or("A", "a number", 7).expect("default"), 7);
        assert_eq!(env.list("B").expect("a list"), ["x", "y"]);
        assert!(!env.flag("A") && !env.flag("B") && Environment::from_pairs([("C", "1")]).flag("C"));
    }
}
