//! Adapters from Lambda's events to handlers.
//!
//! **Invariant:** a queue handler's failures become partial batch failures; a batch is never failed as a whole.
//! **Invariant:** an answer to Lambda never contains an internal error.
//! **Invariant:** what a function prepares ahead of need is begun when it has asked for its first invocation, so that
//! it delays no answer that does not need it.

mod api;
mod http;
mod local;

use std::future::Future;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::delivery::{Delivery, Failure, Verdict};
use crate::metrics::{self, Invocation};
use crate::telemetry;
use crate::{ConfigError, Environment, Request, Response};
use api::RuntimeApi;
pub use api::RuntimeApiError;
pub use http::Peer;
use http::Refused;
pub use local::{api_gateway_event, from_api_gateway_answer, sqs_event};

/// The process as a Lambda function.
pub struct Lambda {
    api: RuntimeApi,
    ahead: JoinSet<()>,
}

/// The invocation failed as a whole; why was logged. The text is for whoever invoked the function.
struct Failed(&'static str);

impl Lambda {
    /// What comes first in a function: logs, and metrics in CloudWatch's embedded format.
    ///
    /// # Errors
    /// When the process was not started by Lambda, nor by what stands in for it.
    pub fn start(environment: &Environment) -> Result<Self, ConfigError> {
        telemetry::init(environment);
        if let Err(error) = metrics::install_embedded(environment) {
            // Answers are worth more than figures about them.
            tracing::error!(error = telemetry::chain(&error), "this function measures nothing");
        }
        Ok(Self { api: RuntimeApi::of(environment)?, ahead: JoinSet::new() })
    }

    /// Does this beside waiting for the first invocation, and beside answering it: connecting, for example.
    pub fn prepare(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.ahead.spawn(async move {
            // Once the other tasks have been at it: the first invocation is asked for by then.
            tokio::task::yield_now().await;
            work.await;
        });
    }

    /// Serves HTTP events of API Gateway (REST and HTTP APIs) and function URLs until the process is stopped. A request
    /// whose body has more than `limit` bytes is refused with 413.
    ///
    /// # Errors
    /// When Lambda's runtime API does not do its part.
    pub async fn serve_http<H, F>(self, limit: usize, handler: H) -> Result<(), RuntimeApiError>
    where
        H: Fn(Request) -> F,
        F: Future<Output = Response>,
    {
        let handler = &handler;
        self.serve(async |payload: Bytes| {
            let (shape, response) = match http::read(&payload, limit) {
                Ok((shape, request)) => (shape, handler(request).await),
                Err((shape, Refused::Because(problem))) => {
                    let status = problem.status.as_u16();
                    tracing::info!(status, kind = problem.kind, "a request was refused");
                    let status = problem.status.as_str().to_owned();
                    ::metrics::counter!("api_requests_total", "endpoint" => "refused", "status" => status).increment(1);
                    (shape, problem.into_response())
                }
                Err((_, Refused::NoRequest(error))) => {
                    // Of the error its place alone: its text may quote the event.
                    let column = error.map(|error| error.column());
                    tracing::error!(column, bytes = payload.len(), "the event holds no HTTP request");
                    return Err(Failed("the event holds no HTTP request"));
                }
            };
            http::write(shape, &response).map_err(|error| {
                tracing::error!(error = telemetry::chain(&error), "the answer cannot be written");
                Failed("the answer cannot be written")
            })
        })
        .await
    }

    /// Serves SQS events with partial batch responses until the process is stopped.
    ///
    /// # Errors
    /// When Lambda's runtime API does not do its part.
    pub async fn serve_queue<H, F>(self, handler: H) -> Result<(), RuntimeApiError>
    where
        H: Fn(Vec<Delivery>) -> F,
        F: Future<Output = Vec<Failure>>,
    {
        let handler = &handler;
        self.serve(async |payload: Bytes| {
            let event: SqsEvent = serde_json::from_slice(&payload).map_err(|error| {
                tracing::error!(column = error.column(), bytes = payload.len(), "the event holds no messages");
                Failed("the event holds no messages")
            })?;
            // Bodies are megabytes: the event has done its part.
            drop(payload);
            let failures = handler(event.records.into_iter().map(Delivery::from).collect()).await;
            log_failures(&failures);
            let failures = failures.into_iter().map(|f| SqsFailure { message_id: f.message_id }).collect();
            written(&SqsAnswer { failures })
        })
        .await
    }

    /// Serves scheduled events, and direct invocations, whose payload does not matter; the handler's answer is returned.
    ///
    /// # Errors
    /// When Lambda's runtime API does not do its part.
    pub async fn serve_tick<H, F, T, E>(self, handler: H) -> Result<(), RuntimeApiError>
    where
        H: Fn() -> F,
        F: Future<Output = Result<T, E>>,
        T: Serialize,
        E: std::error::Error + 'static,
    {
        let handler = &handler;
        self.serve(async |_: Bytes| {
            #[expect(clippy::disallowed_methods, reason = "measures how long the handler took")]
            let start = Instant::now();
            match handler().await {
                Ok(answer) => {
                    tracing::info!(duration_ms = start.elapsed().as_millis(), "tick handled");
                    written(&answer)
                }
                Err(error) => {
                    tracing::error!(error = telemetry::chain(&error), "tick failed");
                    Err(Failed("the tick failed; its log line says why"))
                }
            }
        })
        .await
    }

    /// One invocation after the other.
    async fn serve(mut self, handle: impl AsyncFn(Bytes) -> Result<Vec<u8>, Failed>) -> Result<(), RuntimeApiError> {
        loop {
            let invocation = self.api.next().await?;
            let span = tracing::info_span!("invocation", requestId = invocation.id, xrayTraceId = invocation.trace);
            let answer = {
                let _written = Invocation::begin();
                handle(invocation.payload).instrument(span).await
            };
            match answer {
                Ok(answer) => self.api.answer(&invocation.id, answer).await?,
                Err(Failed(reason)) => self.api.fail(&invocation.id, reason).await?,
            }
        }
    }
}

fn written(answer: &impl Serialize) -> Result<Vec<u8>, Failed> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(error = telemetry::chain(&error), "the answer cannot be written");
        Failed("the answer cannot be written")
    })
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

impl From<SqsRecord> for Delivery {
    fn from(record: SqsRecord) -> Self {
        Self {
            message_id: record.message_id,
            body: record.body,
            receive_count: record.attributes.receive_count.and_then(|n| n.parse().ok()).unwrap_or(1),
        }
    }
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
