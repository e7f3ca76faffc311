//! Prometheus and its `promtool`, from the distribution.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::apt;
use crate::exec;

/// The two programs.
#[derive(Clone, Debug)]
pub(crate) struct Prometheus {
    pub(crate) server: PathBuf,
    pub(crate) promtool: PathBuf,
}

impl Prometheus {
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        apt::install("prometheus", &["prometheus"], "Prometheus, on which rules and dashboards are tested,")?;
        Self::find().context("prometheus was installed but is not on PATH")
    }

    fn find() -> Option<Self> {
        Some(Self { server: exec::find("prometheus")?, promtool: exec::find("promtool")? })
    }
}
