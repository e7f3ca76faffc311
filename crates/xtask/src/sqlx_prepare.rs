//! `cargo xtask sqlx-prepare`: the offline data of the compile-time checked queries, `crates/store/.sqlx`.
//!
//! The macros of sqlx write what they learn from a database into the folder that `SQLX_OFFLINE_DIR` names. So a scratch
//! database is migrated and the store is compiled against it once more.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::{
    checkout::Checkout,
    cli::Arguments,
    console,
    exec::Program,
    ports::Ports,
    seat::Seat,
    services::Services,
    tools::{Postgres, Tools},
};

const COMMAND: &str = "sqlx-prepare";
const COMMITTED: &str = "crates/store/.sqlx";

type Data = BTreeMap<String, serde_json::Value>;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let seat = Seat::take(&checkout, COMMAND)?;
    let tools = Tools::postgres_only()?;
    let services = Services::start_postgres(&tools, seat.folder(), &mut Ports::open(seat.folder()), "postgres")?;
    let server = &services.endpoints().postgres;
    if arguments.flag("check") {
        check(&checkout, &tools.postgres, server)?;
        console::note("sqlx", &format!("{COMMITTED} is up to date"));
    } else {
        let fresh = learn(&checkout, &tools.postgres, server)?;
        write(&checkout.path(COMMITTED), &fresh)?;
        console::note("sqlx", &format!("{} queries written to {COMMITTED}", fresh.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when the committed data is not what the database on `server` would give.
pub(crate) fn check(checkout: &Checkout, postgres: &Postgres, server: &str) -> Result<()> {
    let fresh = learn(checkout, postgres, server)?;
    let committed = read(&checkout.path(COMMITTED))?;
    let differences = differences(&committed, &fresh);
    if !differences.is_empty() {
        bail!(
            "{COMMITTED} is not what the migrations and the queries give:\n{}\n  run `cargo xtask sqlx-prepare` and commit the result",
            differences.join("\n")
        );
    }
    Ok(())
}

fn differences(committed: &Data, fresh: &Data) -> Vec<String> {
    let mut found = Vec::new();
    let query = |data: &serde_json::Value| {
        let text = data["query"].as_str().unwrap_or_default();
        text.split_whitespace().take(12).collect::<Vec<_>>().join(" ")
    };
    for (name, data) in fresh {
        match committed.get(name) {
            None => found.push(format!("    missing: {}", query(data))),
            Some(old) if old != data => found.push(format!("    changed: {}", query(data))),
            Some(_) => {}
        }
    }
    found.extend(
        committed
            .iter()
            .filter(|(name, _)| !fresh.contains_key(*name))
            .map(|(_, old)| format!("    unused:  {}", query(old))),
    );
    found
}

/// Migrates a scratch database and compiles the store against it.
fn learn(checkout: &Checkout, postgres: &Postgres, server: &str) -> Result<Data> {
    let database = format!("sqlx_{}", std::process::id());
    let psql = |url: &str| Program::new(postgres.program("psql")).args([url, "-X", "-q", "-v", "ON_ERROR_STOP=1"]);
    psql(server).args(["-c", &format!("create database {database}")]).output()?;
    let (base, _) = server.rsplit_once('/').context("the server's address has no database")?;
    let url = format!("{base}/{database}");
    for migration in migrations(&checkout.path("migrations"))? {
        psql(&url).args(["--single-transaction", "-f"]).arg(&migration).output().context("a migration fails")?;
    }

    let folder = checkout.state(COMMAND)?.join("data");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let task = console::task("sqlx", "compiling the store against a migrated database");
    // The value makes cargo compile the crate again although none of its files has changed: the macros must run.
    let again = format!("guildhall_prepared=\"{database}\"");
    let compiled = Program::new("cargo")
        .args([
            "rustc",
            "--quiet",
            "--package",
            "guildhall-store",
            "--lib",
            "--profile",
            "check",
            "--",
            "--cfg",
            &again,
        ])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &folder)
        .env("DATABASE_URL", &url)
        .current_dir(checkout.root())
        .in_the_open()?;
    psql(server).args(["-c", &format!("drop database {database} with (force)")]).output()?;
    if !compiled {
        bail!("the store does not compile against its own migrations (see above)");
    }
    let fresh = read(&folder)?;
    if fresh.is_empty() {
        bail!(
            "the store compiled without writing the data of a single query: sqlx no longer works as this command expects"
        );
    }
    task.done("compiled");
    Ok(fresh)
}

fn migrations(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".sql") && !path.to_string_lossy().ends_with(".down.sql"))
        .collect();
    files.sort();
    Ok(files)
}

fn read(folder: &Path) -> Result<Data> {
    let mut data = Data::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(data),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            data.insert(
                name,
                serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))?,
            );
        }
    }
    Ok(data)
}

fn write(folder: &Path, data: &Data) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in read(folder)?.keys().filter(|name| !data.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    for (name, value) in data {
        let text = serde_json::to_string_pretty(value).context("cannot encode")?;
        fs::write(folder.join(name), text + "\n").with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(pairs: &[(&str, serde_json::Value)]) -> Data {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn each_kind_of_drift_is_named() {
        let committed = data(&[("a", json!({"query": "select 1"})), ("b", json!({"query": "select 2"}))]);
        let fresh = data(&[("b", json!({"query": "select 2", "columns": 1})), ("c", json!({"query": "select 3"}))]);
        let found = differences(&committed, &fresh);
        assert_eq!(found, ["    changed: select 2", "    missing: select 3", "    unused:  select 1"]);
        assert!(differences(&fresh, &fresh).is_empty());
    }

    #[test]
    fn what_is_written_is_read_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &data(&[("query-1.json", json!({"query": "select 1"}))])).unwrap();
        let second = data(&[("query-2.json", json!({"query": "select 2"}))]);
        write(folder.path(), &second).unwrap();
        assert_eq!(read(folder.path()).unwrap(), second);
    }
}
