//! Payloads as text.

use super::protocol::op;

/// A dispatch. `data` is JSON already.
pub(super) fn dispatch(event: &str, sequence: u64, data: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(data.len() + event.len() + 48);
    // Writing to a String cannot fail.
    let _ = write!(text, r#"{{"t":"{event}","s":{sequence},"op":0,"d":"#);
    text.push_str(data);
    text.push('}');
    text
}

/// The first payload of a connection.
pub(super) fn hello(heartbeat_interval: std::time::Duration) -> String {
    plain(op::HELLO, &format!(r#"{{"heartbeat_interval":{},"_trace":[]}}"#, heartbeat_interval.as_millis()))
}

/// The answer to a heartbeat.
pub(super) fn heartbeat_ack() -> String {
    plain(op::HEARTBEAT_ACK, "null")
}

/// Asks for a heartbeat now.
pub(super) fn heartbeat_request() -> String {
    plain(op::HEARTBEAT, "null")
}

/// Asks the client to reconnect and resume.
pub(super) fn reconnect() -> String {
    plain(op::RECONNECT, "null")
}

/// The session cannot be used, or only after a reconnect.
pub(super) fn invalid_session(resumable: bool) -> String {
    plain(op::INVALID_SESSION, if resumable { "true" } else { "false" })
}

fn plain(op: u8, data: &str) -> String {
    format!(r#"{{"t":null,"s":null,"op":{op},"d":{data}}}"#)
}
