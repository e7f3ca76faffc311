//! Small writes to the server leave at once.
//!
//! sqlx leaves Nagle's algorithm on and has no setting for it. COPY ends with a message of five bytes, which then waits until
//! the server has acknowledged the rows before it, and a server that has nothing to say acknowledges after 40 ms: in
//! every transaction of ingest, while it holds its locks.
//!
//! **Invariant:** a socket that cannot be reached stays as it is: slower, never wrong.

use std::fs;
use std::net::TcpStream;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Lets every TCP connection of this process send at once; the others of a function are made that way already.
pub fn send_at_once() {
    for socket in sockets() {
        if let Err(error) = socket.set_nodelay(true) {
            // Not TCP.
            tracing::trace!(%error, "a socket stays as it is");
        }
    }
}

/// The sockets of this process, each by a descriptor of its own.
fn sockets() -> Vec<TcpStream> {
    let Ok(process) = pidfd_open(getpid(), PidfdFlags::empty()) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_socket = fs::read_link(&path).ok()?.to_str()?.starts_with("socket:");
            let number = path.file_name()?.to_str()?.parse().ok().filter(|_| is_socket)?;
            pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok().map(TcpStream::from)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn connections_send_at_once_and_stay_open() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        assert!(!stream.nodelay().expect("known"), "otherwise this proves nothing");
        send_at_once();
        assert!(stream.nodelay().expect("still open"));
    }
}
