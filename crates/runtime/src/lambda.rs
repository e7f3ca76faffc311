//! Adapters from Lambda's events to handlers.
//!
//! **Invariant:** a queue handler's failures become partial batch failures; a batch is never failed as a whole.
//! **Invariant:** an answer to Lambda never contains an internal error.

use std::future::Future;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

use crate::delivery::{Delivery, Failure, Verdict};
use crate::metrics::{self, Invocation};
use crate::telemetry;
use crate::{Environment, Request, Response};

/// What comes first in a function: logs, and metrics in CloudWatch's embedded format.
pub fn start(environment: &Environment) {
    telemetry::init(environment);
    if let Err(error) = metrics::install_embedded(environment) {
        // Answers are worth more than figures about them.
        tracing::error!(error = telemetry::chain(&error), "this function measures nothing");
    }
}

/// Serves HTTP events of API Gateway (REST and HTTP APIs, and function URLs) until the process is stopped.
///
/// # Errors
/// When Lambda's runtime API cannot be reached.
pub async fn serve_http<H, F>(handler: H) -> Result<(), Error>
where
    H: Fn(Request) -> F + Sync,
    F: Future<Output = Response> + Send,
{
    lambda_http::run(lambda_http::service_fn(|request: lambda_http::Request| {
        let (parts, body) = request.into_parts();
        let handler = &handler;
        async move {
            let _written = Invocation::begin();
            let body = body.collect().await?.to_bytes();
            let (parts, body) = handler(Request::from_parts(parts, body)).await.into_parts();
            Ok::<_, Error>(http::Response::from_parts(parts, lambda_http::Body::Binary(body.to_vec())))
        }
    }))
    .await
}

#[derive(Deserialize)]
struct SqsEvent {
    #[serde(rename = "Records")]
    records: Vec<SqsRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsRecord {
    message_id: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: SqsAttributes,
}

#[derive(Deserialize, Default)]
struct SqsAttributes {
    #[serde(rename = "ApproximateReceiveCount", default)]
    receive_count: Option<String>,
}

#[derive(Serialize)]
struct SqsAnswer {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<SqsFailure>,
}

#[derive(Serialize)]
struct SqsFailure {
    #[serde(rename = "itemIdentifier")]
    message_id: String,
}

/// Serves SQS events with partial batch responses until the process is stopped.
///
/// # Errors
/// When Lambda's runtime API cannot be reached.
pub async fn serve_queue<H, F>(handler: H) -> Result<(), Error>
where
    H: Fn(Vec<Delivery>) -> F,
    F: Future<Output = Vec<Failure>>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        let handler = &handler;
        async move {
            let _written = Invocation::begin();
            let deliveries = event
                .payload
                .records
                .into_iter()
                .map(|record| Delivery {
                    message_id: record.message_id,
                    body: record.body,
                    receive_count: record.attributes.receive_count.and_then(|n| n.parse().ok()).unwrap_or(1),
                })
                .collect();
            let failures = handler(deliveries).await;
            log_failures(&failures);
            let failures = failures.into_iter().map(|f| SqsFailure { message_id: f.message_id }).collect();
            Ok::<_, Error>(SqsAnswer { failures })
        }
    }))
    .await
}

/// Logs and counts each failure once, where it leaves the handler.
pub fn log_failures(failures: &[Failure]) {
    for failure in failures {
        let error = telemetry::chain(failure.source.as_ref());
        let verdict = match failure.verdict {
            Verdict::Retry => {
                tracing::warn!(message_id = failure.message_id, error, "message will be delivered again");
                "retry"
            }
            Verdict::Fail => {
                tracing::error!(message_id = failure.message_id, error, "message cannot be handled");
                "fail"
            }
        };
        ::metrics::counter!("delivery_failures_total", "verdict" => verdict).increment(1);
    }
}

/// Serves scheduled events, and direct invocations, whose payload does not matter; the handler's answer is returned.
///
/// # Errors
/// When Lambda's runtime API cannot be reached.
pub async fn serve_tick<H, F, T, E>(handler: H) -> Result<(), Error>
where
    H: Fn() -> F,
    F: Future<Output = Result<T, E>>,
    T: Serialize,
    E: std::error::Error + 'static,
{
    lambda_runtime::run(service_fn(|_: LambdaEvent<serde_json::Value>| {
        let handler = &handler;
        async move {
            let _written = Invocation::begin();
            #[expect(clippy::disallowed_methods, reason = "measures how long the handler took")]
            let start = Instant::now();
            match handler().await {
                Ok(answer) => {
                    tracing::info!(duration_ms = start.elapsed().as_millis(), "tick handled");
                    Ok(answer)
                }
                Err(error) => {
                    tracing::error!(error = telemetry::chain(&error), "tick failed");
                    Err(Error::from("the tick failed; its log line says why"))
                }
            }
        }
    }))
    .await
}

/// The SQS event that Lambda would hand a function for these messages; for local runtimes and payload files.
pub fn sqs_event(deliveries: &[Delivery], queue_arn: &str) -> serde_json::Value {
    let records: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            serde_json::json!({
                "messageId": delivery.message_id,
                "receiptHandle": delivery.message_id,
                "body": delivery.body,
                "attributes": {
                    "ApproximateReceiveCount": delivery.receive_count.to_string(),
                    "SentTimestamp": "0",
                    "SenderId": "local",
                    "ApproximateFirstReceiveTimestamp": "0"
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": "us-east-1"
            })
        })
        .collect();
    serde_json::json!({ "Records": records })
}

/// The API Gateway event (REST, proxy integration) that Lambda would hand a function for this request.
pub fn api_gateway_event(request: &Request) -> serde_json::Value {
    let headers: serde_json::Map<_, _> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect();
    serde_json::json!({
        "resource": "/{proxy+}",
        "path": request.uri().path(),
        "httpMethod": request.method().as_str(),
        "headers": headers,
        "multiValueHeaders": {},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": {},
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": request.method().as_str(),
            "path": request.uri().path(),
            "stage": "local",
            "requestId": "local",
            "identity": {}
        },
        "body": BASE64.encode(request.body()),
        "isBase64Encoded": true
    })
}

/// The HTTP response in a function's answer to an API Gateway event; `None` when the answer has another shape.
pub fn from_api_gateway_answer(answer: &serde_json::Value) -> Option<Response> {
    let status = u16::try_from(answer.get("statusCode")?.as_u64()?).ok()?;
    let text = answer.get("body").and_then(serde_json::Value::as_str).unwrap_or_default();
    let body = if answer.get("isBase64Encoded").and_then(serde_json::Value::as_bool).unwrap_or(false) {
        Bytes::from(BASE64.decode(text).ok()?)
    } else {
        Bytes::copy_from_slice(text.as_bytes())
    };
    let mut response = http::Response::builder().status(status);
    for field in ["headers", "multiValueHeaders"] {
        for (name, value) in answer.get(field).and_then(serde_json::Value::as_object).into_iter().flatten() {
            let value = value.as_str().or_else(|| value.get(0).and_then(serde_json::Value::as_str));
            if let Some(value) = value
                && !response.headers_ref().is_some_and(|known| known.contains_key(name.as_str()))
            {
                response = response.header(name.as_str(), value);
            }
        }
    }
    response.body(body).ok()
}
