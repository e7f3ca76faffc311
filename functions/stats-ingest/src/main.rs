//! The Lambda function `stats-ingest`.

use guildhall_runtime::{Environment, Lambda, system_clock};
use guildhall_stats_ingest::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let mut lambda = Lambda::start(&environment)?;
    let deps = Deps::from_environment(&environment, system_clock())?;
    lambda.prepare(deps.warm_up());
    Ok(lambda.serve_queue(|deliveries| handle(&deps, deliveries)).await?)
}
