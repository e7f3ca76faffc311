//! The Lambda function `interactions`.

use std::sync::Arc;

use guildhall_interactions::{Deps, handle};
use guildhall_runtime::{Environment, lambda, system_clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    lambda::start(&environment);
    let deps = Arc::new(Box::pin(Deps::from_environment(&environment, system_clock())).await?);
    lambda::serve_http(|request| {
        let deps = Arc::clone(&deps);
        async move { handle(&deps, request).await }
    })
    .await
    .map_err(anyhow::Error::from_boxed)
}
