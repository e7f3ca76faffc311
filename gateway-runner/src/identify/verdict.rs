//! What Discord refused for good, remembered for whoever has the shard next.
//!
//! **Invariant:** a shard that Discord closed for good is not tried again, by this runner or another, until what could
//! make a difference has changed, however long that takes: the token, the intents, the number of shards, the program, or the operator's word.

use std::collections::HashMap;
use std::time::Duration;

use guildhall_domain::ShardId;
use sha2::{Digest as _, Sha256};

use super::Gate;
use crate::lease::item::{number, string, text};
use crate::lease::{Key, TableError};

/// How long the verdict's record may take.
const RECORDING: Duration = Duration::from_secs(10);

/// What Discord's refusal was about, so that a refusal of something else is not held against it. It tells nothing of
/// the token.
pub fn fingerprint(token: &str, intents: u64, retry: &str) -> String {
    let mut hash = Sha256::new();
    for part in [token, &intents.to_string(), retry, env!("CARGO_PKG_VERSION")] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Gate {
    fn verdict_key(&self, shard: ShardId) -> Key {
        self.table.own("fatal", format!("{}#{}", shard.count, shard.id))
    }

    /// The code with which Discord closed the shard for good under this configuration; `None` also when the table does
    /// not say: whoever wants to identify asks once more.
    pub async fn closed_for_good(&self, shard: ShardId) -> Option<u16> {
        self.verdict(shard).await.unwrap_or_else(|error| {
            tracing::warn!(shard = %shard, error = %error, "it is not known whether Discord closed the shard for good");
            None
        })
    }

    pub(super) async fn verdict(&self, shard: ShardId) -> Result<Option<u16>, TableError> {
        let item = self.table.get(&self.verdict_key(shard)).await?;
        let same = item.filter(|item| string(item, "configuration") == Some(self.configuration.as_str()));
        Ok(same.and_then(|item| number(&item, "code")))
    }

    /// Records that Discord closed the shard for good.
    pub async fn close_for_good(&self, shard: ShardId, code: u16) {
        let record = async {
            let mut pause = Duration::from_millis(200);
            while let Err(error) = self.record(shard, code).await {
                tracing::error!(shard = %shard, error = %error, "Discord's refusal cannot be recorded yet");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        };
        if tokio::time::timeout(RECORDING, record).await.is_err() {
            tracing::error!(shard = %shard, "Discord's refusal is not recorded; the next holder will try once");
        }
    }

    async fn record(&self, shard: ShardId, code: u16) -> Result<(), TableError> {
        let key = self.verdict_key(shard);
        let seen = self.table.get(&key).await?.as_ref().and_then(|item| number(item, "counter"));
        let item = HashMap::from([
            ("code".to_owned(), crate::lease::item::int(code)),
            ("configuration".to_owned(), text(self.configuration.as_str())),
        ]);
        // Refused means that another write came between, which was as good. It never expires: time mends no token.
        self.table.put_lasting(&key, seen, item).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_make_a_difference_makes_another_fingerprint() {
        let same = fingerprint("token", 7, "");
        assert_eq!(same, fingerprint("token", 7, ""));
        assert_eq!(same.len(), 32);
        for other in [fingerprint("token2", 7, ""), fingerprint("token", 8, ""), fingerprint("token", 7, "again")] {
            assert_ne!(other, same);
        }
    }
}
