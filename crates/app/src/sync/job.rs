//! The message in the work queue.
//!
//! **Invariant:** the interaction's token is in it because the worker needs it; it lives for 15 minutes and never prints.

use guildhall_domain::{ApplicationId, GuildId, InteractionId, Language, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A message of the queue, told apart by its field `job`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
enum Message<Sync> {
    Sync(Sync),
}

/// The work behind a `/sync`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncJob {
    /// The interaction, which is also the job's id.
    pub interaction: InteractionId,
    /// The application that answers.
    pub application: ApplicationId,
    /// The secret with which it answers.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// The guild to read.
    pub guild: GuildId,
    /// The language of the answer.
    pub language: Language,
    /// When the token stops working.
    pub expires_at: Timestamp,
}

fn expose<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}

impl SyncJob {
    /// The job as the queue carries it.
    ///
    /// # Errors
    /// Never in practice; serde's signature.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Message::Sync(self))
    }

    /// The job in a message.
    ///
    /// # Errors
    /// When the message is not one.
    pub fn decode(body: &str) -> Result<Self, serde_json::Error> {
        let Message::Sync(job) = serde_json::from_str(body)?;
        Ok(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_the_queue_and_keep_their_secret() {
        let body = r#"{"job":"sync","interaction":"1","application":"2","token":"hunter2","guild":"3","language":"fr","expires_at":900000}"#;
        let job = SyncJob::decode(body).expect("a job");
        assert_eq!(job.encode().expect("encodes"), body);
        assert!(!format!("{job:?}").contains("hunter2"), "{job:?}");
        assert!(SyncJob::decode(&body.replace("sync", "other")).is_err());
    }
}
