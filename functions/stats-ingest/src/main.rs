//! The Lambda function `stats-ingest`.

use guildhall_runtime::{Environment, lambda, system_clock};
use guildhall_stats_ingest::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    lambda::start(&environment);
    let deps = Deps::from_environment(&environment, system_clock()).await?;
    lambda::serve_queue(|deliveries| handle(&deps, deliveries)).await.map_err(anyhow::Error::from_boxed)
}
