//! The Lambda function `migrate`.

use guildhall_migrate::{Deps, handle};
use guildhall_runtime::{Environment, Lambda, system_clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let lambda = Lambda::start(&environment)?;
    let deps = Deps::from_environment(&environment, system_clock())?;
    Ok(lambda.serve_tick(|| handle(&deps)).await?)
}
