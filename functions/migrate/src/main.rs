//! The Lambda function `migrate`.

use guildhall_migrate::{Deps, handle};
use guildhall_runtime::{Environment, lambda, system_clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    lambda::start(&environment);
    let deps = Deps::from_environment(&environment, system_clock()).await?;
    lambda::serve_tick(|| handle(&deps)).await.map_err(anyhow::Error::from_boxed)
}
