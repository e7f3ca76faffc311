//! Puts dead letters of the event queues back, where that can help.
//!
//! An event message is given up after ten deliveries: because it cannot be counted, or because the database was away for
//! longer than that. The latter are whole and go back as they are. The former are left where they are, and written to a
//! folder on request, so that a person can look at them; a file that was mended there goes back in the message's place.
//!
//! **Invariant:** a message is deleted from the dead-letter queue only after the event queue has accepted it. Whoever is
//! interrupted in between has it in both, which counts nothing twice.
//! **Invariant:** each message is looked at once in a run, also when it comes back while the run goes on; what is left is
//! visible again at its end.
//! **Invariant:** nothing is received before it is sure that the one queue is the other's dead-letter queue, whose count of
//! receives decides nothing; a dry run sends, deletes and writes nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use guildhall_domain::Timestamp;
use guildhall_store::ingest;

/// How long a message is hidden from others while this looks at it.
const HIDDEN_SECS: i32 = 120;
/// Messages of one receive.
const BATCH: usize = 10;
/// Receives that bring nothing before a queue counts as looked through: SQS asks a part of its servers each time.
const EMPTY: usize = 3;

/// From where to where.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// The dead-letter queue.
    pub from: String,
    /// The queue its messages came from.
    pub to: String,
    /// Where bodies that cannot be counted are written, one file for each message, and mended ones are read.
    pub folder: Option<PathBuf>,
    /// Whether only to say what would be done.
    pub dry_run: bool,
}

/// What became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Put back as they were.
    pub whole: u64,
    /// Put back as somebody mended them.
    pub mended: u64,
    /// Left in the dead-letter queue.
    pub left: u64,
}

/// How far a run is.
#[derive(Debug, Default)]
struct Pass {
    report: Report,
    /// Messages that were looked at, and those that were sent, under the ids that they would come back with.
    seen: HashSet<String>,
    /// Message in the dead-letter queue → the handle of its last receipt.
    left: HashMap<String, String>,
}

/// What a queue says of itself.
struct Queue {
    arn: String,
    /// Its dead-letter queue.
    dead_letters: Option<String>,
}

impl Queue {
    async fn of(sqs: &Client, url: &str) -> anyhow::Result<Self> {
        let names = [QueueAttributeName::QueueArn, QueueAttributeName::RedrivePolicy];
        let asked = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec())).send().await;
        let asked = asked.with_context(|| format!("the queue {url} does not answer"))?;
        let said = |name| asked.attributes().and_then(|all| all.get(name)).map(String::as_str);
        let arn = said(&names[0]).with_context(|| format!("the queue {url} does not say its name"))?.to_owned();
        let policy: serde_json::Value = match said(&names[1]) {
            Some(policy) => serde_json::from_str(policy).context("a redrive policy cannot be read")?,
            None => serde_json::Value::Null,
        };
        Ok(Self { arn, dead_letters: policy["deadLetterTargetArn"].as_str().map(str::to_owned) })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} put back whole, {} put back mended, {} left", self.whole, self.mended, self.left)
    }
}

/// Whether ingest can count a body; otherwise why not.
///
/// # Errors
/// With the reason.
pub fn countable(body: &str, now: Timestamp) -> Result<(), String> {
    let envelope = guildhall_wire::decode(body).map_err(|error| guildhall_runtime::telemetry::chain(&error))?;
    ingest::check(&envelope, now).map_err(|error| error.to_string())
}

impl Redrive {
    /// Looks at every dead letter once; `say` is told what becomes of it.
    ///
    /// # Errors
    /// When a queue does not answer, or the folder cannot be used. What was put back until then is put back.
    pub async fn run(&self, sqs: &Client, now: Timestamp, mut say: impl FnMut(String)) -> anyhow::Result<Report> {
        self.check(sqs).await?;
        if let Some(folder) = self.folder.as_ref().filter(|_| !self.dry_run) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot use {}", folder.display()))?;
        }
        let mut pass = Pass::default();
        let outcome = self.pass(sqs, now, &mut pass, &mut say).await;
        self.show_again(sqs, pass.left.values()).await;
        outcome.with_context(|| format!("interrupted; until then: {}", pass.report)).map(|()| pass.report)
    }

    /// Fails unless the one is the other's dead-letter queue.
    async fn check(&self, sqs: &Client) -> anyhow::Result<()> {
        let (from, to) = (Queue::of(sqs, &self.from).await?, Queue::of(sqs, &self.to).await?);
        ensure!(
            from.arn != to.arn,
            "{} is both: --from is the dead-letter queue, --to the one it belongs to",
            from.arn
        );
        let is_swapped = from.dead_letters.as_ref() == Some(&to.arn);
        ensure!(!is_swapped, "{} is the dead-letter queue of {}: --from and --to are swapped", to.arn, from.arn);
        ensure!(to.dead_letters.as_ref() == Some(&from.arn), "{} is not the dead-letter queue of {}", from.arn, to.arn);
        ensure!(
            from.dead_letters.is_none(),
            "{} has a dead-letter queue of its own, to which looking at messages would move them",
            from.arn
        );
        Ok(())
    }

    async fn pass(
        &self,
        sqs: &Client,
        now: Timestamp,
        pass: &mut Pass,
        say: &mut impl FnMut(String),
    ) -> anyhow::Result<()> {
        let (mut empty, mut known) = (0, 0);
        // What is left comes again when it was hidden for long enough, and hides what is new until all of it is hidden.
        while empty < EMPTY && known <= pass.left.len() / BATCH + EMPTY {
            let messages = self.receive(sqs).await?;
            let mut news = Vec::new();
            // All of them, before the first that fails ends the run.
            for message in &messages {
                let (Some(id), Some(handle)) = (&message.message_id, &message.receipt_handle) else { continue };
                let is_back = pass.left.insert(id.clone(), handle.clone()).is_none() && pass.seen.contains(id);
                if is_back {
                    say(format!("came back {id}; it is left"));
                    pass.report.left += 1;
                } else if pass.seen.insert(id.clone()) {
                    news.push(message);
                }
            }
            (empty, known) = match (messages.is_empty(), news.is_empty()) {
                (true, _) => (empty + 1, known),
                (false, true) => (0, known + 1),
                (false, false) => (0, 0),
            };
            for message in news {
                self.look(sqs, message, now, pass, say).await?;
            }
        }
        Ok(())
    }

    async fn receive(&self, sqs: &Client) -> anyhow::Result<Vec<Message>> {
        let received = sqs
            .receive_message()
            .queue_url(&self.from)
            .max_number_of_messages(i32::try_from(BATCH).unwrap_or(10))
            .visibility_timeout(HIDDEN_SECS)
            .wait_time_seconds(1)
            .send()
            .await
            .context("the dead-letter queue does not answer")?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deals with one message.
    async fn look(
        &self,
        sqs: &Client,
        message: &Message,
        now: Timestamp,
        pass: &mut Pass,
        say: &mut impl FnMut(String),
    ) -> anyhow::Result<()> {
        let (Some(id), Some(body)) = (&message.message_id, &message.body) else { return Ok(()) };
        let (body, mended) = match countable(body, now) {
            Ok(()) => (body.clone(), false),
            Err(reason) => match self.mended(id, now)? {
                Some(mended) => (mended, true),
                None => {
                    self.keep(id, body)?;
                    say(format!("left     {id}: {reason}"));
                    pass.report.left += 1;
                    return Ok(());
                }
            },
        };
        if !self.dry_run {
            let sent = sqs.send_message().queue_url(&self.to).message_body(body).send().await;
            let sent = sent.context("the event queue does not accept a message; it stays in the dead-letter queue")?;
            pass.seen.extend(sent.message_id);
        }
        // From here on it is in the event queue, whatever happens.
        say(format!("{} {id}", if mended { "mended  " } else { "put back" }));
        *(if mended { &mut pass.report.mended } else { &mut pass.report.whole }) += 1;
        if !self.dry_run {
            let handle = message.receipt_handle.clone().unwrap_or_default();
            let deleted = sqs.delete_message().queue_url(&self.from).receipt_handle(handle).send().await;
            deleted.context("a message was put back and could not be deleted; it may be put back again, harmlessly")?;
            pass.left.remove(id);
        }
        Ok(())
    }

    /// What somebody made of the message, if it can be counted now.
    fn mended(&self, id: &str, now: Timestamp) -> anyhow::Result<Option<String>> {
        let Some(path) = self.file(id).filter(|path| path.is_file()) else { return Ok(None) };
        let body = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let body = body.trim_end();
        Ok(countable(body, now).is_ok().then(|| body.to_owned()))
    }

    /// Writes the body down, unless somebody is at work on it.
    fn keep(&self, id: &str, body: &str) -> anyhow::Result<()> {
        match self.file(id) {
            Some(path) if !self.dry_run && !path.exists() => {
                std::fs::write(&path, body).with_context(|| format!("cannot write {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn file(&self, id: &str) -> Option<PathBuf> {
        // Ids are SQS's own, and must not name anything but a file of the folder.
        let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        self.folder.as_deref().map(|folder: &Path| folder.join(format!("{name}.txt")))
    }

    /// Lets others see again what was left. What cannot be shown shows itself when its time is over.
    async fn show_again(&self, sqs: &Client, handles: impl Iterator<Item = &String>) {
        for handle in handles {
            let shown = sqs.change_message_visibility().queue_url(&self.from).receipt_handle(handle);
            let _later = shown.visibility_timeout(0).send().await.is_err();
        }
    }
}
