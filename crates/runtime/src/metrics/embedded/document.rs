//! The documents themselves.

use std::collections::BTreeMap;

use guildhall_domain::Timestamp;
use metrics::{Key, Unit};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::FULL;
use crate::metrics::NAMESPACE;

/// Series, put together where their labels allow.
#[derive(Default)]
pub(super) struct Documents<'a>(Vec<Document<'a>>);

#[derive(Default)]
struct Document<'a> {
    labels: Vec<(&'a str, &'a str)>,
    directives: Vec<Directive<'a>>,
    values: Vec<(&'a str, Vec<f64>)>,
}

/// Metrics with the same labels.
struct Directive<'a> {
    labels: Vec<&'a str>,
    metrics: Vec<&'a str>,
}

impl<'a> Documents<'a> {
    /// Adds a series' values.
    pub(super) fn add(&mut self, key: &'a Key, mut values: Vec<f64>) {
        // There is no number for what is none.
        values.retain(|value| value.is_finite());
        for values in values.chunks(FULL) {
            let at = self.0.iter().position(|document| document.takes(key)).unwrap_or_else(|| {
                self.0.push(Document::default());
                self.0.len() - 1
            });
            self.0[at].add(key, values.to_vec());
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes a line for each.
    pub(super) fn write(
        &self,
        text: &mut Vec<u8>,
        now: Timestamp,
        stack: Option<&str>,
        units: &BTreeMap<String, Unit>,
    ) -> serde_json::Result<()> {
        for document in &self.0 {
            serde_json::to_writer(&mut *text, &Written { document, now, stack, units })?;
            text.push(b'\n');
        }
        Ok(())
    }
}

impl<'a> Document<'a> {
    /// Whether the series can be told apart from those that are in it already.
    fn takes(&self, key: &Key) -> bool {
        let agrees = |name: &str, value: &str| self.labels.iter().all(|(n, v)| *n != name || *v == value);
        self.values.iter().all(|(name, _)| *name != key.name())
            && key.labels().all(|label| agrees(label.key(), label.value()))
    }

    fn add(&mut self, key: &'a Key, values: Vec<f64>) {
        for label in key.labels() {
            let label = (label.key(), label.value());
            if !self.labels.contains(&label) {
                self.labels.push(label);
            }
        }
        let same = |directive: &&mut Directive<'_>| {
            directive.metrics.len() < FULL && directive.labels.iter().copied().eq(key.labels().map(metrics::Label::key))
        };
        match self.directives.iter_mut().find(same) {
            Some(directive) => directive.metrics.push(key.name()),
            None => self
                .directives
                .push(Directive { labels: key.labels().map(metrics::Label::key).collect(), metrics: vec![key.name()] }),
        }
        self.values.push((key.name(), values));
    }
}

/// A document with what all have in common.
struct Written<'a> {
    document: &'a Document<'a>,
    now: Timestamp,
    stack: Option<&'a str>,
    units: &'a BTreeMap<String, Unit>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: i64,
    cloud_watch_metrics: Vec<MetricDirective<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDirective<'a> {
    namespace: &'static str,
    dimensions: [Vec<&'a str>; 1],
    metrics: Vec<MetricDefinition<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDefinition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let directives = self.document.directives.iter().map(|directive| MetricDirective {
            namespace: NAMESPACE,
            dimensions: [self.stack.map(|_| STACK).into_iter().chain(directive.labels.iter().copied()).collect()],
            metrics: directive
                .metrics
                .iter()
                .map(|name| MetricDefinition { name, unit: self.units.get(*name).map(in_words) })
                .collect(),
        });
        let metadata = Metadata { timestamp: self.now.as_millis(), cloud_watch_metrics: directives.collect() };
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("_aws", &metadata)?;
        if let Some(stack) = self.stack {
            members.serialize_entry(STACK, stack)?;
        }
        for (name, value) in &self.document.labels {
            members.serialize_entry(name, value)?;
        }
        for (name, values) in &self.document.values {
            match values.as_slice() {
                [value] => members.serialize_entry(name, &Number(*value))?,
                values => members.serialize_entry(name, &values.iter().copied().map(Number).collect::<Vec<_>>())?,
            }
        }
        members.end()
    }
}

/// A figure, without a fraction where it has none.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Whole numbers up to here are exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole, and not that large")]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// The dimension that tells apart the deployments of one AWS account.
const STACK: &str = "stack";

/// CloudWatch's names for the units of the catalogue (Amazon CloudWatch API reference, "MetricDatum").
const fn in_words(unit: &Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Percent => "Percent",
        Unit::Seconds => "Seconds",
        Unit::Milliseconds => "Milliseconds",
        Unit::Microseconds => "Microseconds",
        Unit::Bytes => "Bytes",
        _ => "None",
    }
}
