//! The queues and the table that the template creates on AWS, created on the local emulator.
//!
//! **Invariant:** creating is idempotent: what exists with the same attributes is used as it is.

use anyhow::Context as _;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;

/// After how many deliveries a message of an event queue goes to the dead-letter queue; the template says the same.
pub const EVENT_DELIVERIES: u32 = 10;
/// The same of the work queue.
pub const WORK_DELIVERIES: u32 = 4;

/// Clients of the emulator.
#[derive(Debug, Clone)]
pub struct Aws {
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// What both were made from.
    pub config: aws_config::SdkConfig,
}

impl Aws {
    /// Clients for the emulator at `endpoint`.
    pub async fn connect(endpoint: &str) -> Self {
        let config = aws_config::from_env()
            .endpoint_url(endpoint)
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "local"))
            .load()
            .await;
        Self { sqs: aws_sdk_sqs::Client::new(&config), dynamodb: aws_sdk_dynamodb::Client::new(&config), config }
    }
}

impl Aws {
    /// How many messages a queue holds, those in flight included.
    ///
    /// # Errors
    /// When the emulator refuses or is away.
    pub async fn waiting(&self, queue_url: &str) -> anyhow::Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue_url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .context("could not read the length of a queue")?;
        let attributes = answer.attributes().context("the emulator returned no attributes for a queue")?;
        Ok(names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }
}

/// A queue with its dead-letter queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Where messages are sent and received.
    pub url: String,
    /// Where they end after too many deliveries.
    pub dead_letter_url: String,
}

/// What the functions and the runner need of AWS.
#[derive(Debug, Clone)]
pub struct Resources {
    /// One queue for each partition of the events.
    pub event_queues: Vec<Queue>,
    /// The worker's queue.
    pub work_queue: Queue,
    /// The runner's coordination table.
    pub table: String,
}

impl Resources {
    /// Creates the queues and the table under names that begin with `prefix`.
    ///
    /// # Errors
    /// When the emulator refuses or is away.
    pub async fn create(aws: &Aws, prefix: &str, partitions: u32, visibility_secs: u32) -> anyhow::Result<Self> {
        let mut event_queues = Vec::new();
        for partition in 0..partitions {
            let name = format!("{prefix}-events-{partition}");
            event_queues.push(create_queue(aws, &name, EVENT_DELIVERIES, visibility_secs).await?);
        }
        let work_queue = create_queue(aws, &format!("{prefix}-work"), WORK_DELIVERIES, visibility_secs).await?;
        let table = format!("{prefix}-coordination");
        create_table(aws, &table).await?;
        Ok(Self { event_queues, work_queue, table })
    }

    /// The value of `EVENT_QUEUE_URLS`.
    pub fn event_queue_urls(&self) -> String {
        self.event_queues.iter().map(|queue| queue.url.as_str()).collect::<Vec<_>>().join(",")
    }
}

async fn create_queue(aws: &Aws, name: &str, deliveries: u32, visibility_secs: u32) -> anyhow::Result<Queue> {
    let dead_letter_url = create(aws, &format!("{name}-dead"), &[]).await?;
    let attributes = aws
        .sqs
        .get_queue_attributes()
        .queue_url(&dead_letter_url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .with_context(|| format!("could not read the attributes of {name}-dead"))?;
    let arn = attributes
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .context("the emulator returned no ARN for a queue")?;
    let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": deliveries }).to_string();
    let url = create(
        aws,
        name,
        &[
            (QueueAttributeName::RedrivePolicy, redrive),
            (QueueAttributeName::VisibilityTimeout, visibility_secs.to_string()),
        ],
    )
    .await?;
    Ok(Queue { url, dead_letter_url })
}

async fn create(aws: &Aws, name: &str, attributes: &[(QueueAttributeName, String)]) -> anyhow::Result<String> {
    let mut call = aws
        .sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::MessageRetentionPeriod, "1209600")
        .attributes(QueueAttributeName::MaximumMessageSize, guildhall_queue::MAX_BATCH_BYTES.to_string());
    for (attribute, value) in attributes {
        call = call.attributes(attribute.clone(), value);
    }
    let answer = call.send().await.with_context(|| format!("could not create the queue {name}"))?;
    answer.queue_url.context("the emulator returned no URL for a queue")
}

async fn create_table(aws: &Aws, name: &str) -> anyhow::Result<()> {
    let created = aws
        .dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build()?,
        )
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("sk").attribute_type(ScalarAttributeType::S).build()?,
        )
        .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build()?)
        .key_schema(KeySchemaElement::builder().attribute_name("sk").key_type(KeyType::Range).build()?)
        .send()
        .await;
    match created {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("could not create the table {name}")),
    }
    aws.dynamodb
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(
            TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build()?,
        )
        .send()
        .await
        .with_context(|| format!("could not set the time to live of {name}"))?;
    Ok(())
}
