//! `check-deployment public-key` prints the key a deployment to be checked verifies interactions with.
//! `check-deployment FILE` checks the deployment that FILE describes, on an emulator of AWS, and prints a table.
//!
//! **Invariant:** the deployment is spoken to as the outside does: through its API and its queues. Only what came of it is
//! read from the database.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_devstack::provision::Aws;
use guildhall_discord_double::Config as DoubleConfig;
use guildhall_domain::{ChannelId, ClassMap, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_runtime::system_clock;
use guildhall_store::PgPool;
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The seed of the key: any will do, as long as both calls of this program use the same.
const SEED: u64 = 1;
/// Nothing takes longer than this, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(150);
const EVENTS: u64 = 25;

struct Deployment {
    aws: Aws,
    interactions: String,
    event_queue: String,
    database: PgPool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let key = DoubleConfig::new(SEED, system_clock());
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [word] if word == "public-key" => println!("{}", key.public_key()),
        [file] => check(&Deployment::read(Path::new(file)).await?, &key.signing_key()).await?,
        _ => bail!("usage: check-deployment public-key | check-deployment FILE"),
    }
    Ok(())
}

impl Deployment {
    async fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let described: Value =
            serde_json::from_slice(&text).context("the description of the deployment is not JSON")?;
        let text = |value: &Value, what: &str| value.as_str().map(str::to_owned).with_context(|| what.to_owned());
        let endpoint = text(&described["aws"], "no address of the emulator")?;
        let outputs = &described["outputs"];
        // https://<api>.execute-api.<region>.amazonaws.com/live/interactions, which the emulator has under a path of its own.
        let public = text(&outputs["InteractionsEndpoint"], "no InteractionsEndpoint")?;
        let api = public.strip_prefix("https://").and_then(|rest| rest.split('.').next()).context("no API")?;
        let queues = text(&outputs["EventQueueUrls"], "no EventQueueUrls")?;
        let database = text(&described["database"], "no database")?;
        Ok(Self {
            aws: Aws::connect(&endpoint).await,
            interactions: format!("{endpoint}/restapis/{api}/live/_user_request_/interactions"),
            event_queue: queues.split(',').next().context("no event queue")?.to_owned(),
            database: guildhall_store::connect(&database, 2).await?,
        })
    }
}

async fn check(deployment: &Deployment, key: &SigningKey) -> anyhow::Result<()> {
    println!("| check | seen | after s |");
    println!("|---|---|---:|");
    row("a signed PING gets its PONG", signed_ping(deployment, key)).await?;
    row("a bad signature gets a 401", bad_signature(deployment, key)).await?;
    row("an envelope, delivered twice, is counted once", envelope(deployment)).await?;
    row("a poison message ends among the dead letters", poison(deployment)).await?;
    row("the schedule fires: snapshots are written", schedule(deployment)).await?;
    Ok(())
}

async fn row(name: &str, check: impl Future<Output = anyhow::Result<String>>) -> anyhow::Result<()> {
    let started = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, check).await.unwrap_or_else(|_| bail!("nothing came of it"));
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(seen) => println!("| {name} | {seen} | {seconds:.1} |"),
        Err(error) => {
            println!("| {name} | NO | {seconds:.1} |");
            return Err(error.context(format!("it does not hold that {name}")));
        }
    }
    Ok(())
}

async fn signed_ping(deployment: &Deployment, key: &SigningKey) -> anyhow::Result<String> {
    let body = ping();
    let (status, answer) = post(deployment, key, &body, &body).await?;
    ensure!(status == 200, "the answer was {status}: {answer}");
    let answer: Value = serde_json::from_str(&answer).context("the answer is not JSON")?;
    ensure!(answer == json!({ "type": 1 }), "the answer was {answer}");
    Ok(format!("{status} {answer}"))
}

async fn bad_signature(deployment: &Deployment, key: &SigningKey) -> anyhow::Result<String> {
    let (status, answer) = post(deployment, key, "another body", &ping()).await?;
    ensure!(status == 401, "the answer was {status}: {answer}");
    Ok(status.to_string())
}

fn ping() -> String {
    json!({ "id": "1000000000000000002", "application_id": "1100000000000000001", "type": 1, "token": "t", "version": 1 })
        .to_string()
}

/// Posts `body` with the signature of `signed`.
async fn post(deployment: &Deployment, key: &SigningKey, signed: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let timestamp = system_clock().now().as_secs().to_string();
    let signature = hex::encode(key.sign(format!("{timestamp}{signed}").as_bytes()).to_bytes());
    let request = http::Request::post(&deployment.interactions)
        .header("content-type", "application/json")
        .header("x-signature-ed25519", signature)
        .header("x-signature-timestamp", timestamp)
        .body(Full::new(body.to_owned().into()))?;
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.context("the API does not answer")?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.context("the answer is cut short")?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

async fn envelope(deployment: &Deployment) -> anyhow::Result<String> {
    // Two hours ago: an hour that is over, so that its snapshot is due.
    let now = system_clock().now();
    let at = now.plus_millis(-2 * 3_600_000);
    let body = guildhall_wire::encode(&messages(at, &format!("check-{}", now.as_millis()))?);
    for _ in 0..2 {
        send(deployment, &body).await?;
    }
    let counted = until(|| async {
        let counts = guildhall_store::audit::counts(&mut *deployment.database.acquire().await?).await?;
        let count: u64 = counts.iter().filter(|row| row.kind == EventKind::MessageCreate).map(|row| row.count).sum();
        ensure!(count <= EVENTS, "{count} of {EVENTS} events were counted");
        let drained = deployment.aws.waiting(&deployment.event_queue).await? == 0;
        Ok((count == EVENTS && drained).then_some(count))
    })
    .await?;
    Ok(format!("{counted} of {EVENTS} events"))
}

fn messages(at: Timestamp, session: &str) -> anyhow::Result<Envelope> {
    let guild = GuildId::new(81_384_788_765_712_384).context("a guild")?;
    let body = EventBody::Count {
        kind: EventKind::MessageCreate,
        channel: ChannelId::new(2),
        member: UserId::new(3),
        target: None,
    };
    let class: PriorityClass = ClassMap::CURRENT.class(EventKind::MessageCreate);
    Ok(Envelope {
        shard: ShardId::for_guild(guild, 1),
        session_id: session.to_owned(),
        session_started: at,
        class,
        class_map: ClassMap::CURRENT.version(),
        range: Some(SeqRange { first: 1, last: EVENTS }),
        events: (1..=EVENTS).map(|seq| Event { seq, index: 0, guild, at, body }).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    })
}

async fn poison(deployment: &Deployment) -> anyhow::Result<String> {
    let sqs = &deployment.aws.sqs;
    let answer = sqs
        .get_queue_attributes()
        .queue_url(&deployment.event_queue)
        .attribute_names(QueueAttributeName::RedrivePolicy)
        .send()
        .await
        .context("cannot read the queue's attributes")?;
    let policy = answer.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
    let policy: Value = serde_json::from_str(policy.context("the queue has no dead letters")?)?;
    let name = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next()).context("no name")?;
    let dead_letters = sqs.get_queue_url().queue_name(name).send().await.context("the dead-letter queue is away")?;
    let dead_letters = dead_letters.queue_url().context("it has no address")?.to_owned();
    ensure!(deployment.aws.waiting(&dead_letters).await? == 0, "there were dead letters before");

    sqs.set_queue_attributes()
        .queue_url(&deployment.event_queue)
        .attributes(QueueAttributeName::VisibilityTimeout, "1")
        .send()
        .await
        .context("cannot shorten the wait between deliveries")?;
    send(deployment, "g1:00000000:poison").await?;
    until(|| async { Ok((deployment.aws.waiting(&dead_letters).await? == 1).then_some(())) }).await?;
    let received =
        sqs.receive_message().queue_url(&dead_letters).send().await.context("cannot read the dead letter")?;
    let body = received.messages().first().and_then(|message| message.body()).unwrap_or_default();
    ensure!(body == "g1:00000000:poison", "the dead letter is another: {body}");
    Ok(format!("after {} deliveries", policy["maxReceiveCount"]))
}

/// Counting marked the hour; only a run of the scheduled function takes the mark away, and with it writes the snapshot.
async fn schedule(deployment: &Deployment) -> anyhow::Result<String> {
    until(|| async {
        let left = guildhall_store::rollup::left(&mut *deployment.database.acquire().await?).await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    Ok("no hour waits for its snapshot".to_owned())
}

async fn send(deployment: &Deployment, body: &str) -> anyhow::Result<()> {
    let sqs = &deployment.aws.sqs;
    sqs.send_message().queue_url(&deployment.event_queue).message_body(body).send().await.context("cannot send")?;
    Ok(())
}

/// Asks again and again; [`row`] bounds it.
async fn until<T, F>(mut condition: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let mut interval = tokio::time::interval(Duration::from_millis(100));
    loop {
        interval.tick().await;
        if let Some(value) = condition().await? {
            return Ok(value);
        }
    }
}
