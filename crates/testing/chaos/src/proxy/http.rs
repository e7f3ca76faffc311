//! Just enough HTTP to answer in a service's place.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The largest head of a request.
const MAX_HEAD: usize = 64 * 1_024;

/// An answer that does not depend on the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canned {
    status: &'static str,
    kind: &'static str,
    body: &'static str,
}

impl Canned {
    /// DynamoDB when a table's throughput is used up (Amazon DynamoDB, "Error handling").
    pub const DYNAMODB_THROTTLED: Self = Self {
        status: "400 Bad Request",
        kind: "application/x-amz-json-1.0",
        body: r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured provisioned throughput for the table was exceeded."}"#,
    };
    /// SQS when it cannot take requests (Amazon SQS, "Common Errors").
    pub const SQS_UNAVAILABLE: Self = Self {
        status: "503 Service Unavailable",
        kind: "application/x-amz-json-1.0",
        body: r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable","message":"The request has failed due to a temporary failure of the server."}"#,
    };

    /// The answer as it is sent.
    pub(super) fn text(self) -> String {
        let Self { status, kind, body } = self;
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// Answers every request on a connection.
pub(super) async fn answer(stream: &mut TcpStream, canned: Canned, answered: impl Fn()) -> std::io::Result<()> {
    let text = canned.text();
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(found) = head(&buffer) {
                break found;
            }
            if buffer.len() > MAX_HEAD || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..head + length);
        stream.write_all(text.as_bytes()).await?;
        answered();
    }
}

/// Puts the requests of a connection together again.
#[derive(Debug, Default)]
pub struct Requests {
    buffer: Vec<u8>,
}

impl Requests {
    /// Takes bytes as they pass; returns the requests that are complete now.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Request> {
        self.buffer.extend_from_slice(bytes);
        let mut requests = Vec::new();
        while let Some((head, length)) = head(&self.buffer).filter(|(head, length)| self.buffer.len() >= head + length)
        {
            let mut head: Vec<u8> = self.buffer.drain(..head + length).collect();
            let body = head.split_off(head.len() - length);
            requests.push(Request { head: String::from_utf8_lossy(&head).to_ascii_lowercase(), body });
        }
        requests
    }
}

/// A request.
#[derive(Debug)]
pub struct Request {
    head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// Whether it is made once more, after an attempt that failed (AWS SDKs, "amz-sdk-request").
    pub fn is_retry(&self) -> bool {
        let mut lines = self.head.lines();
        let attempt = lines.find_map(|line| line.strip_prefix("amz-sdk-request:")?.trim().strip_prefix("attempt="));
        attempt.is_some_and(|attempt| !attempt.starts_with("1;") && attempt != "1")
    }
}

/// The lengths of the first request's head and of its body, once the head is complete.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some((end, length.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_put_together_from_any_pieces() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nonePOST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nthree";
        for size in 1..text.len() {
            let mut requests = Requests::default();
            let bodies: Vec<_> = text.chunks(size).flat_map(|chunk| requests.take(chunk)).map(|r| r.body).collect();
            assert_eq!(bodies, [b"one".to_vec(), b"three".to_vec()]);
        }
    }

    #[test]
    fn a_request_says_whether_it_is_made_once_more() {
        for (attempt, retry) in [("1; max=3", false), ("2; max=3", true), ("1", false), ("12", true)] {
            let text = format!("POST / HTTP/1.1\r\nAmz-Sdk-Request: attempt={attempt}\r\n\r\n");
            let requests = Requests::default().take(text.as_bytes());
            assert_eq!(requests.iter().map(Request::is_retry).collect::<Vec<_>>(), [retry], "{attempt}");
        }
    }
}
