//! Waiting for conditions, never for time.

use std::future::Future;
use std::time::Duration;

/// Waits until `condition` yields a value, and panics with `what` when it has not within `limit`.
///
/// # Panics
/// When the limit passes first.
pub async fn until<T, F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let attempts = async {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    };
    match tokio::time::timeout(limit, attempts).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting after {limit:?} for: {what}"),
    }
}
