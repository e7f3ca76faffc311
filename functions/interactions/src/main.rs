//! The Lambda function `interactions`.

use guildhall_interactions::{Deps, MAX_BODY_BYTES, handle};
use guildhall_runtime::{Environment, Lambda, system_clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let mut lambda = Lambda::start(&environment)?;
    let deps = Deps::from_environment(&environment, system_clock())?;
    lambda.prepare(deps.warm_up());
    Ok(lambda.serve_http(MAX_BODY_BYTES, |request| handle(&deps, request)).await?)
}
