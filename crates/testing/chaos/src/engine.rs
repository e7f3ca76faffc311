//! Runs faults and makes the table.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::faults::{ALL, Fault, LONG};
use crate::report::Row;
use crate::scale::{Binaries, Context};

/// The faults to run: all of them, or the one that is named.
///
/// # Errors
/// When none has that name.
pub fn chosen(only: Option<&str>) -> anyhow::Result<Vec<Fault>> {
    let Some(name) = only else { return Ok(ALL.to_vec()) };
    match ALL.iter().find(|fault| fault.name == name) {
        Some(fault) => Ok(vec![*fault]),
        None => bail!("there is no fault {name}; there are: {}", ALL.map(|fault| fault.name).join(", ")),
    }
}

/// Runs the faults, as many side by side as the scale says; `each` sees every row when it is there. The rows are in the
/// order of the faults. Faults only wait; what works for them are processes and tasks of their own.
pub async fn run(context: &Context, faults: Vec<Fault>, each: impl FnMut(&Row)) -> Vec<Row> {
    LocalSet::new().run_until(stage_all(context, faults, each)).await
}

async fn stage_all(context: &Context, mut faults: Vec<Fault>, mut each: impl FnMut(&Row)) -> Vec<Row> {
    let order: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    let context = Arc::new(context.clone());
    if context.scale.side_by_side > 1 {
        faults.sort_by_key(|fault| LONG.iter().position(|name| *name == fault.name).unwrap_or(LONG.len()));
    }
    let mut waiting = VecDeque::from(faults);
    let mut running = JoinSet::new();
    let mut rows = Vec::new();
    loop {
        while running.len() < context.scale.side_by_side
            && let Some(fault) = waiting.pop_front()
        {
            let context = Arc::clone(&context);
            running.spawn_local(async move {
                let began = Instant::now();
                let result = (fault.run)(&context).await;
                Row { fault: fault.name, took: began.elapsed(), result }
            });
        }
        let Some(ended) = running.join_next().await else { break };
        match ended {
            Ok(row) => {
                each(&row);
                rows.push(row);
            }
            // The others' rows are worth more than an end at once; the missing row tells.
            Err(error) => tracing::error!(%error, "a fault ended without a row"),
        }
    }
    for name in &order {
        if rows.iter().all(|row| row.fault != *name) {
            let result = Err(anyhow::anyhow!("it panicked; see above"));
            rows.push(Row { fault: name, took: std::time::Duration::ZERO, result });
        }
    }
    rows.sort_by_key(|row| order.iter().position(|name| *name == row.fault));
    rows
}

impl Binaries {
    /// The programs beside `this`, which is a program of the same build.
    ///
    /// # Errors
    /// When they were not built.
    pub fn beside(this: &Path) -> anyhow::Result<Self> {
        let folder = this.parent().context("a program without a folder")?;
        let found = |name: &str| -> anyhow::Result<PathBuf> {
            let path = folder.join(name);
            ensure!(path.is_file(), "{} was not built: start this with `cargo xtask chaos`", path.display());
            Ok(path)
        };
        Ok(Self { runner: found("gateway-runner")?, ingest: found("stats-ingest")? })
    }
}
