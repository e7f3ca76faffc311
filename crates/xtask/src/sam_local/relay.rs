//! A way from the containers' network to a service that listens on loopback.
//!
//! **Invariant:** it listens on the address that this machine has on the containers' network, which reaches no further
//! than this machine and its containers, and ends with the command.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, Result};

#[derive(Debug)]
pub(super) struct Relay {
    url: String,
}

impl Relay {
    /// A relay to the service at `url`, such as `redis://127.0.0.1:20001`.
    pub(super) fn start(address: Ipv4Addr, url: &str) -> Result<Self> {
        let (before, port, after) = split(url).with_context(|| format!("{url} names no port of this machine"))?;
        let listener = TcpListener::bind((address, 0)).with_context(|| format!("cannot listen on {address}"))?;
        let near = listener.local_addr().context("cannot tell the relay's port")?;
        thread::spawn(move || {
            // Its threads end with the process, or when a side hangs up.
            for client in listener.incoming().flatten() {
                if let Ok(service) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    let _ = join(client, service);
                }
            }
        });
        Ok(Self { url: format!("{before}{near}{after}") })
    }

    /// The service's address as the containers see it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

fn join(client: TcpStream, service: TcpStream) -> io::Result<()> {
    let (client_too, service_too) = (client.try_clone()?, service.try_clone()?);
    thread::spawn(move || carry(client, service));
    thread::spawn(move || carry(service_too, client_too));
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // A cut connection is no failure of the relay: the other side learns of it.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// The url's parts around `127.0.0.1:<port>`.
fn split(url: &str) -> Option<(&str, u16, &str)> {
    let (before, rest) = url.split_once("127.0.0.1:")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    Some((before, rest[..end].parse().ok()?, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = "postgres://postgres:secret@127.0.0.1:20001/postgres";
        assert_eq!(split(url), Some(("postgres://postgres:secret@", 20001, "/postgres")));
        assert_eq!(split("redis://127.0.0.1:6379"), Some(("redis://", 6379, "")));
        assert_eq!(split("redis://elsewhere:6379"), None);
    }

    #[test]
    fn both_directions_are_carried_to_their_end() {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(Ipv4Addr::LOCALHOST, &format!("tcp://{}", service.local_addr().unwrap())).unwrap();
        let echo = thread::spawn(move || {
            let (mut connection, _) = service.accept().unwrap();
            let mut heard = Vec::new();
            connection.read_to_end(&mut heard).unwrap();
            connection.write_all(&heard).unwrap();
        });
        let mut client = TcpStream::connect(relay.url().trim_start_matches("tcp://")).unwrap();
        client.write_all(b"there and back").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "there and back");
        echo.join().unwrap();
    }
}
