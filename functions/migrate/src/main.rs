//! The Lambda function `migrate`.

use guildhall_migrate::{Deps, handle};
use guildhall_runtime::{Environment, lambda, system_clock, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    telemetry::init(&environment);
    let deps = Deps::from_environment(&environment, system_clock()).await?;
    lambda::serve_tick(|| handle(&deps)).await.map_err(anyhow::Error::from_boxed)
}
