//! Metrics: for Prometheus in long-lived processes, in CloudWatch's embedded format in functions.
//!
//! **Invariant:** both carry the names, units and labels of the [`catalogue`].
//! **Invariant:** a function's figures are written before its invocation is answered, also when that fails: the process
//! may be frozen right afterwards.

pub mod catalogue;
mod embedded;

use std::sync::{Arc, OnceLock};

pub use embedded::Embedded;
pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

use crate::Environment;
use catalogue::{CATALOGUE, Kind};

/// CloudWatch's namespace for them.
pub const NAMESPACE: &str = "Guildhall";

static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();
static EMBEDDED: OnceLock<Arc<Embedded>> = OnceLock::new();

/// Metrics cannot be written in the embedded format.
#[derive(Debug, thiserror::Error)]
#[error("another recorder of metrics was installed before")]
pub struct EmbedError;

/// A recorder for Prometheus with the catalogue's buckets.
///
/// # Errors
/// When a histogram of the catalogue has no buckets.
pub fn prometheus() -> Result<PrometheusBuilder, BuildError> {
    CATALOGUE.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(buckets) => builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets),
        Kind::Counter | Kind::Gauge => Ok(builder),
    })
}

/// Installs the process's recorder, once; later calls return the same handle, whose `render` is the exposition text.
///
/// # Errors
/// When another recorder was installed before.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    if let Some(handle) = PROMETHEUS.get() {
        return Ok(handle.clone());
    }
    let handle = prometheus()?.install_recorder()?;
    catalogue::describe();
    Ok(PROMETHEUS.get_or_init(|| handle).clone())
}

/// Installs the recorder of a function. The dimension `stack`, from `METRICS_STACK`, tells apart the deployments of one
/// AWS account.
///
/// # Errors
/// When another recorder was installed before.
pub fn install_embedded(environment: &Environment) -> Result<(), EmbedError> {
    let stack = environment.optional("METRICS_STACK").map(str::to_owned);
    let recorder = Arc::new(Embedded::new(stack, crate::system_clock()));
    ::metrics::set_global_recorder(Arc::clone(&recorder)).map_err(|_| EmbedError)?;
    catalogue::describe();
    EMBEDDED.get_or_init(|| recorder);
    Ok(())
}

/// One invocation of a function: when it is over, however it ends, what was recorded is written to standard output,
/// from where CloudWatch reads it. In a process that records for Prometheus it does nothing.
#[derive(Debug, Default)]
#[must_use = "the figures are written when this ends"]
pub struct Invocation(());

impl Invocation {
    /// An invocation begins.
    pub fn begin() -> Self {
        Self(())
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        if let Err(error) = write_embedded(std::io::stdout().lock()) {
            tracing::warn!(error = %error, "metrics could not be written");
        }
    }
}

/// Writes what was recorded since the last time, a JSON document on each line; nothing where [`install_embedded`] was not
/// called.
///
/// # Errors
/// When `output` does not take it.
pub fn write_embedded(output: impl std::io::Write) -> std::io::Result<()> {
    EMBEDDED.get().map_or(Ok(()), |recorder| recorder.write(output))
}
