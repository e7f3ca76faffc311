//! Private instances of PostgreSQL, Redis and the AWS emulator, for one checkout and one purpose.
//!
//! **Invariant:** they listen on 127.0.0.1 only and end when [`Services`] is dropped.

mod ministack;
mod postgres;
mod redis;

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};

pub(crate) use postgres::Settings as PostgresSettings;

use crate::{ambient, console, ports::Ports, process, process::Running, tools::Tools};

/// What is running and where.
#[derive(Debug)]
pub(crate) struct Services {
    /// Ended in this order: last started, first ended.
    running: Vec<Running>,
    endpoints: Endpoints,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    pub(crate) postgres: String,
    pub(crate) timescale: Option<String>,
    pub(crate) redis: String,
    pub(crate) aws: String,
}

/// Which services, and with what care for their data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Forget the databases of the last start, and do not wait for the disk.
    pub(crate) throw_away: bool,
    /// The second PostgreSQL, with TimescaleDB; without it the only one has TimescaleDB where it can be had.
    pub(crate) both_databases: bool,
}

/// Ends what a killed start has left running. Comes before anything is started in `state`.
pub(crate) fn end_leftovers(state: &Path) -> Result<()> {
    let left = process::end_leftovers(state)?;
    if !left.is_empty() {
        console::note("services", &format!("ended what a killed start had left running: {}", left.join(", ")));
    }
    Ok(())
}

impl Services {
    /// Starts what is wanted and waits until each is ready.
    pub(crate) fn start(tools: &Tools, state: &Path, ports: &mut Ports, wanted: Wanted) -> Result<Self> {
        let mut services = Self { running: Vec::new(), endpoints: Endpoints::default() };
        let settings = |name, timescale| PostgresSettings { name, timescale, throw_away: wanted.throw_away };
        let extended = tools.timescale.is_some();
        if wanted.both_databases {
            services.endpoints.postgres =
                services.keep(postgres::start(tools, state, ports, settings("postgres", false))?);
            if extended {
                let url = services.keep(postgres::start(tools, state, ports, settings("timescale", true))?);
                services.endpoints.timescale = Some(url);
            }
        } else {
            services.endpoints.postgres =
                services.keep(postgres::start(tools, state, ports, settings("postgres", extended))?);
        }
        services.endpoints.redis = services.keep(redis::start(tools, state, ports)?);
        services.endpoints.aws = services.keep(ministack::start(tools, state, ports)?);
        Ok(services)
    }

    /// Only PostgreSQL, for what needs no more.
    pub(crate) fn start_postgres(tools: &Tools, state: &Path, ports: &mut Ports, name: &'static str) -> Result<Self> {
        let mut services = Self { running: Vec::new(), endpoints: Endpoints::default() };
        let settings = PostgresSettings { name, timescale: false, throw_away: true };
        services.endpoints.postgres = services.keep(postgres::start(tools, state, ports, settings)?);
        Ok(services)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Another program that lives and ends with the services, before them.
    pub(crate) fn adopt(&mut self, running: Running) {
        self.running.push(running);
    }

    /// Returns when the user asks to stop; fails when one of them ends by itself.
    pub(crate) fn watch_over(&mut self) -> Result<()> {
        while !ambient::stop_requested() {
            for running in &mut self.running {
                if let Some(how) = running.has_ended()? {
                    let (name, log, words) = (running.name(), running.log().display(), running.last_words());
                    bail!("{name} ended by itself ({how}), so everything is stopped; the end of {log}:\n{words}");
                }
            }
            ambient::pause(Duration::from_millis(200));
        }
        Ok(())
    }

    fn keep(&mut self, (running, url): (Running, String)) -> String {
        self.running.push(running);
        url
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        while let Some(running) = self.running.pop() {
            drop(running);
        }
    }
}
