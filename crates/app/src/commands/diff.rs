//! What registering the commands would change.
//!
//! **Invariant:** only what is declared is compared: fields that Discord adds, and values it fills in where none was
//! given, are no difference. So registering twice shows no change the second time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The command is new.
    Added(String),
    /// The command would go.
    Removed(String),
    /// A field of a command would change.
    Changed {
        /// The command.
        command: String,
        /// Where in it, such as `options/server/description`.
        path: String,
        /// What it is, `null` when there is nothing.
        before: Value,
        /// What it would be, `null` when there is nothing.
        after: Value,
    },
}

/// The fields of commands, options and choices that a declaration can set. All others are Discord's.
const DECLARED: [&str; 19] = [
    "type",
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "default_member_permissions",
    "contexts",
    "integration_types",
    "options",
    "choices",
    "required",
    "value",
    "channel_types",
    "autocomplete",
    "min_value",
    "max_value",
    "min_length",
    "max_length",
    "nsfw",
];

/// The changes that turn `current`, as Discord lists it, into `wanted`; empty when there are none.
pub fn diff(current: &Value, wanted: &Value) -> Vec<Change> {
    let (current, wanted) = (by_name(current), by_name(wanted));
    let names: BTreeSet<_> = current.keys().chain(wanted.keys()).copied().collect();
    let mut changes = Vec::new();
    for name in names {
        match (current.get(name), wanted.get(name)) {
            (None, Some(_)) => changes.push(Change::Added(name.to_owned())),
            (Some(_), None) => changes.push(Change::Removed(name.to_owned())),
            (Some(before), Some(after)) => compare(name, "", before, after, &mut changes),
            (None, None) => {}
        }
    }
    changes
}

fn by_name(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().filter_map(|item| Some((item.get("name")?.as_str()?, item))).collect()
}

fn compare(command: &str, path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    for field in DECLARED {
        let before = before.get(field).filter(|value| !is_default(field, value)).unwrap_or(&Value::Null);
        let after = after.get(field).filter(|value| !is_default(field, value)).unwrap_or(&Value::Null);
        let path = if path.is_empty() { field.to_owned() } else { format!("{path}/{field}") };
        if field == "options" {
            compare_options(command, &path, before, after, changes);
        } else if normal(before) != normal(after) {
            changes.push(Change::Changed {
                command: command.to_owned(),
                path,
                before: before.clone(),
                after: after.clone(),
            });
        }
    }
}

fn compare_options(command: &str, path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    let order = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|o| Some(o.get("name")?.as_str()?.to_owned())).collect()
    };
    let (old_order, new_order) = (order(before), order(after));
    if old_order != new_order {
        changes.push(Change::Changed {
            command: command.to_owned(),
            path: path.to_owned(),
            before: old_order.into(),
            after: new_order.into(),
        });
    }
    let old = by_name(before);
    for (name, after) in by_name(after) {
        if let Some(before) = old.get(name) {
            compare(command, &format!("{path}/{name}"), before, after, changes);
        }
    }
}

/// What Discord fills in, or leaves out, where nothing was declared.
fn is_default(field: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        // A command without a type is a slash command; an option always has one.
        Value::Number(number) => field == "type" && number.as_u64() == Some(1),
        Value::Bool(true) | Value::String(_) => false,
    }
}

/// Lists of numbers are sets to Discord; choices lose the fields Discord adds to them.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let mut numbers: Vec<_> = items.iter().filter_map(Value::as_i64).collect();
            numbers.sort_unstable();
            numbers.into()
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(fields) => {
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), normal(v))).collect()
        }
        other => other.clone(),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(name) => write!(f, "+ /{name}"),
            Self::Removed(name) => write!(f, "- /{name}"),
            Self::Changed { command, path, before, after } => {
                write!(f, "~ /{command} {path}: {before} → {after}")
            }
        }
    }
}
