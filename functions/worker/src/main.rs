//! The Lambda function `worker`.

use std::sync::Arc;

use guildhall_runtime::{Environment, lambda, system_clock};
use guildhall_worker::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    lambda::start(&environment);
    let deps = Arc::new(Deps::from_environment(&environment, system_clock()).await?);
    lambda::serve_queue(|deliveries| {
        let deps = Arc::clone(&deps);
        async move { handle(&deps, deliveries).await }
    })
    .await
    .map_err(anyhow::Error::from_boxed)
}
