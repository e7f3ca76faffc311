//! What keeps a use case from its effect.

use guildhall_discord::ClientError;
use guildhall_queue::SendError;
use guildhall_store::StoreError;

use crate::chart::ChartError;

/// A use case failed. What its user reads is decided where the answer is made; this is for the log.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database did not do its part.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The work queue did not take a job.
    #[error("the work queue failed")]
    Queue(#[from] SendError),
    /// The work queue did not answer in time.
    #[error("the work queue did not answer in time")]
    QueueSilent,
    /// Discord did not do its part.
    #[error("Discord failed")]
    Discord(#[from] ClientError),
    /// The picture could not be drawn.
    #[error("the chart could not be drawn")]
    Chart(#[from] ChartError),
    /// A value does not serialise, which is a defect.
    #[error("a value does not serialise")]
    Json(#[from] serde_json::Error),
}
