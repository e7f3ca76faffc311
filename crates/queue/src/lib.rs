//! Amazon SQS, as much of it as the product sends.
//!
//! **Invariant:** one client and one connection pool for a process; every clone shares them.
//! **Invariant:** a message counts as sent when SQS has accepted it, and never before.

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::sync::OnceCell;

/// The most messages one batch carries (Amazon SQS, "SendMessageBatch").
pub const MAX_BATCH_ENTRIES: usize = 10;
/// The most bytes one message, or all messages of one batch, may have (Amazon SQS, "Quotas").
pub const MAX_BATCH_BYTES: usize = 1_048_576;

/// How long a connection, an attempt and a call with all its repetitions may take.
const CONNECT: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(25);

/// A client of SQS.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Arc<OnceCell<Client>>,
}

/// A message of a batch that SQS did not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The entry's id, as the caller gave it.
    pub id: String,
    /// Whether the message itself is at fault, so that sending it again is of no use.
    pub sender_fault: bool,
    /// SQS's name for the reason.
    pub code: String,
}

/// SQS did not take the call.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not accept the call ({code})")]
pub struct SendError {
    /// SQS's name for the reason, or `unreachable` when no answer came.
    pub code: String,
    #[source]
    source: Detail,
}

/// The SDK's own account of the failure, flattened to text because its type would name a concrete operation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Detail(String);

impl SendError {
    fn new<E, R>(error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("unreachable").to_owned();
        Self { code, source: Detail(DisplayErrorContext(error).to_string()) }
    }

    /// Whether what was sent is at fault (too long, or with characters SQS does not take), so that the same call never
    /// succeeds.
    pub fn is_senders_fault(&self) -> bool {
        ["BatchRequestTooLong", "InvalidParameterValue", "InvalidMessageContents"]
            .iter()
            .any(|code| self.code.ends_with(code))
    }

    /// Whether the queue does not exist, which no repetition mends.
    pub fn is_missing_queue(&self) -> bool {
        self.code.ends_with("QueueDoesNotExist") || self.code.ends_with("NonExistentQueue")
    }
}

impl Sqs {
    /// A client configured as every AWS SDK is: region, credentials and `AWS_ENDPOINT_URL` from the environment.
    ///
    /// Nothing is sent until the first call.
    pub async fn connect() -> Self {
        Self::from_config(&aws_config::load_from_env().await)
    }

    /// As [`Sqs::connect`], but nothing is read or prepared until the first call either: certificates and credentials
    /// take longer than many a process needs for its first answer.
    pub fn lazily() -> Self {
        Self { client: Arc::default() }
    }

    /// A client with this configuration, but with time limits of its own: a call never waits for ever.
    pub fn from_config(config: &aws_config::SdkConfig) -> Self {
        Self { client: Arc::new(OnceCell::new_with(Some(client(config)))) }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(async || client(&aws_config::load_from_env().await)).await
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When SQS did not accept it, after the SDK's own repetitions.
    pub async fn send(&self, queue_url: &str, body: &str) -> Result<(), SendError> {
        self.client()
            .await
            .send_message()
            .queue_url(queue_url)
            .message_body(body)
            .send()
            .await
            .map_err(SendError::new)?;
        Ok(())
    }

    /// Sends up to [`MAX_BATCH_ENTRIES`] messages, of [`MAX_BATCH_BYTES`] in all, given as (id, body), in one call, and
    /// returns those that were not accepted.
    ///
    /// # Errors
    /// When SQS took none of them.
    pub async fn send_batch(&self, queue_url: &str, entries: &[(String, String)]) -> Result<Vec<Rejected>, SendError> {
        let mut call = self.client().await.send_message_batch().queue_url(queue_url);
        for (position, (_, body)) in entries.iter().enumerate() {
            // SQS restricts the characters of an entry's id; positions always pass.
            let entry = SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(body);
            call = call.entries(entry.build().map_err(|error| SendError {
                code: "incomplete entry".to_owned(),
                source: Detail(error.to_string()),
            })?);
        }
        let answer = call.send().await.map_err(SendError::new)?;
        Ok(answer
            .failed()
            .iter()
            .filter_map(|failed| {
                let (id, _) = entries.get(failed.id().parse::<usize>().ok()?)?;
                Some(Rejected { id: id.clone(), sender_fault: failed.sender_fault(), code: failed.code().to_owned() })
            })
            .collect())
    }
}

fn client(config: &aws_config::SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let config = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts).build();
    Client::from_conf(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_time_limits() {
        let config = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        let sqs = Sqs::from_config(&config);
        let timeouts = sqs.client.get().expect("made").config().timeout_config().expect("set");
        assert_eq!(timeouts.connect_timeout(), Some(CONNECT));
        assert_eq!(
            (timeouts.operation_attempt_timeout(), timeouts.operation_timeout()),
            (Some(ATTEMPT), Some(OPERATION))
        );
    }
}
