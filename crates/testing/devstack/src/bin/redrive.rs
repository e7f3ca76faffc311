//! `redrive --from DEAD_LETTER_QUEUE_URL --to QUEUE_URL [--folder DIR] [--dry-run]`: puts dead letters back that can be
//! counted. Region, credentials and endpoint are taken from the environment, as every AWS tool does.

use anyhow::{Context as _, bail};
use guildhall_devstack::redrive::Redrive;
use guildhall_runtime::system_clock;

const USAGE: &str = "usage: redrive --from DEAD_LETTER_QUEUE_URL --to QUEUE_URL [--folder DIR] [--dry-run]";

fn arguments(mut given: impl Iterator<Item = String>) -> anyhow::Result<Redrive> {
    let (mut from, mut to, mut folder, mut dry_run) = (None, None, None, false);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--dry-run" => dry_run = true,
            "--from" => from = given.next(),
            "--to" => to = given.next(),
            "--folder" => folder = given.next().map(Into::into),
            other => bail!("unknown argument {other}; {USAGE}"),
        }
    }
    Ok(Redrive { from: from.context(USAGE)?, to: to.context(USAGE)?, folder, dry_run })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let redrive = arguments(std::env::args().skip(1))?;
    let sqs = aws_sdk_sqs::Client::new(&aws_config::load_from_env().await);
    let report = redrive.run(&sqs, system_clock().now(), |line| println!("{line}")).await?;
    println!("{report}{}", if redrive.dry_run { " (a dry run: nothing was changed)" } else { "" });
    Ok(())
}
