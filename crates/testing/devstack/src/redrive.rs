//! Puts dead letters of the event queues back, where that can help.
//!
//! An event message is given up after ten deliveries: because it cannot be counted, or because the database was away for
//! longer than that. The latter are whole and go back as they are. The former are left where they are, and written to a
//! folder on request, so that a person can look at them; a file that was mended there goes back in the message's place.
//!
//! **Invariant:** a message is deleted from the dead-letter queue only after the event queue has accepted it. Whoever is
//! interrupted in between has it in both, which counts nothing twice.
//! **Invariant:** each message is looked at once in a run, and what is left is visible again at its end.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::Message;
use guildhall_domain::Timestamp;
use guildhall_store::ingest;

/// How long a message is hidden from others while this looks at it.
const HIDDEN_SECS: i32 = 120;
/// Receives that bring nothing new before a queue counts as looked through: SQS asks a part of its servers each time.
const EMPTY: u32 = 3;

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
    /// Messages that were received and are still in the dead-letter queue.
    left: Vec<String>,
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
        if let Some(folder) = &self.folder {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot use {}", folder.display()))?;
        }
        let mut pass = Pass::default();
        let outcome = self.pass(sqs, now, &mut pass, &mut say).await;
        self.show_again(sqs, &pass.left).await;
        outcome.map(|()| pass.report)
    }

    async fn pass(
        &self,
        sqs: &Client,
        now: Timestamp,
        pass: &mut Pass,
        say: &mut impl FnMut(String),
    ) -> anyhow::Result<()> {
        let (mut seen, mut empty) = (HashSet::new(), 0);
        while empty < EMPTY {
            let messages = self.receive(sqs).await?;
            // What is left is hidden until the end, and so comes again only when this takes very long.
            let news = messages.iter().filter(|message| seen.insert(message.message_id.clone())).count();
            // All of them, before the first that fails ends the run.
            pass.left.extend(messages.iter().filter_map(|message| message.receipt_handle.clone()));
            for message in &messages {
                if self.look(sqs, message, now, &mut pass.report, say).await? {
                    pass.left.retain(|handle| Some(handle) != message.receipt_handle.as_ref());
                }
            }
            empty = if news > 0 { 0 } else { empty + 1 };
        }
        Ok(())
    }

    async fn receive(&self, sqs: &Client) -> anyhow::Result<Vec<Message>> {
        let received = sqs
            .receive_message()
            .queue_url(&self.from)
            .max_number_of_messages(10)
            .visibility_timeout(HIDDEN_SECS)
            .wait_time_seconds(1)
            .send()
            .await
            .context("the dead-letter queue does not answer")?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deals with one message; `false` when it is left.
    async fn look(
        &self,
        sqs: &Client,
        message: &Message,
        now: Timestamp,
        report: &mut Report,
        say: &mut impl FnMut(String),
    ) -> anyhow::Result<bool> {
        let (Some(id), Some(body)) = (&message.message_id, &message.body) else { return Ok(false) };
        let (body, mended) = match countable(body, now) {
            Ok(()) => (body.clone(), false),
            Err(reason) => match self.mended(id, now)? {
                Some(mended) => (mended, true),
                None => {
                    self.keep(id, body)?;
                    say(format!("left     {id}: {reason}"));
                    report.left += 1;
                    return Ok(false);
                }
            },
        };
        say(format!("{} {id}", if mended { "mended  " } else { "put back" }));
        if !self.dry_run {
            let sent = sqs.send_message().queue_url(&self.to).message_body(body).send().await;
            sent.context("the event queue does not accept a message; it stays in the dead-letter queue")?;
            let handle = message.receipt_handle.clone().unwrap_or_default();
            let deleted = sqs.delete_message().queue_url(&self.from).receipt_handle(handle).send().await;
            deleted.context("a message was put back and could not be deleted; it may be put back again, harmlessly")?;
        }
        *(if mended { &mut report.mended } else { &mut report.whole }) += 1;
        Ok(!self.dry_run)
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
            Some(path) if !path.exists() => {
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
    async fn show_again(&self, sqs: &Client, handles: &[String]) {
        for handle in handles {
            let shown = sqs.change_message_visibility().queue_url(&self.from).receipt_handle(handle);
            let _later = shown.visibility_timeout(0).send().await.is_err();
        }
    }
}
