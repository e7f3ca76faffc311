//! The least function there can be on the runtime that the product's functions use: the limit of their starts and sizes.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let hello = |_: LambdaEvent<Value>| async { Ok::<_, Error>(json!({ "statusCode": 200, "body": "hello" })) };
    lambda_runtime::run(service_fn(hello)).await
}
