//! Messages from a queue, and what became of them.
//!
//! **Invariant:** a handler answers for each message; a message it does not name was handled for good and is deleted.

use std::error::Error;
use std::fmt;

/// One message as a queue delivered it, perhaps not for the first time.
///
/// Its body is never printed: a job carries the token of its interaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's id of the message; the same on every delivery.
    pub message_id: String,
    /// The text.
    pub body: String,
    /// How often it was delivered, this time included.
    pub receive_count: u32,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message_id", &self.message_id)
            .field("body", &format_args!("({} bytes)", self.body.len()))
            .field("receive_count", &self.receive_count)
            .finish()
    }
}

/// Whether another delivery can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something passing: the database was away, the body was damaged on the way.
    Retry,
    /// The message itself is wrong. It is delivered until the queue gives it to its dead-letter queue.
    Fail,
}

/// A message that was not handled; the queue delivers it again or, in the end, gives it to its dead-letter queue.
pub struct Failure {
    /// The message's id.
    pub message_id: String,
    /// Whether another delivery can help.
    pub verdict: Verdict,
    /// Why, for the log.
    pub source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// Another delivery may succeed.
    pub fn retry(message_id: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message_id: message_id.into(), verdict: Verdict::Retry, source: source.into() }
    }

    /// No delivery can succeed.
    pub fn fail(message_id: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message_id: message_id.into(), verdict: Verdict::Fail, source: source.into() }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("message_id", &self.message_id)
            .field("verdict", &self.verdict)
            .field("source", &self.source.to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deliverys_body_is_not_printed() {
        let delivery = Delivery { message_id: "m".to_owned(), body: "a token".to_owned(), receive_count: 2 };
        assert_eq!(format!("{delivery:?}"), r#"Delivery { message_id: "m", body: (7 bytes), receive_count: 2 }"#);
    }
}
