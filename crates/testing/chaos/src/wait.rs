//! Waiting for conditions, with an error for what never came.

use std::future::Future;
use std::time::Duration;

use anyhow::bail;

/// Between two looks at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Waits until `condition` yields a value.
///
/// # Errors
/// With `what`, when it has not within `limit`, or when looking fails.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let attempts = async {
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(value) = condition().await? {
                return Ok(value);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    match tokio::time::timeout(limit, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("still waiting after {limit:?} for {what}"),
    }
}
