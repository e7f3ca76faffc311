//! The Lambda function `stats-rollup`.

use guildhall_runtime::{Environment, Lambda, system_clock};
use guildhall_stats_rollup::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let lambda = Lambda::start(&environment)?;
    let deps = Deps::from_environment(&environment, system_clock())?;
    Ok(lambda.serve_tick(|| handle(&deps)).await?)
}
