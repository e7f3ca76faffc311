//! A client for HTTP/1.1 on loopback: enough to ask a health page and to talk to the double's control routes.
//!
//! The peers are programs this command has started, so there is no TLS, no redirect, no proxy and no connection reuse. An
//! HTTP library would triple the time a fresh clone needs to compile this crate.
//!
//! **Invariant:** it connects to loopback addresses only.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// More than any answer of a double; a body beyond it is an error, not a swollen process.
const MAX_BODY: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn get(url: &str, patience: Duration) -> Result<Answer> {
    request("GET", url, &[], None, patience)
}

pub(crate) fn post_json(url: &str, body: &serde_json::Value, patience: Duration) -> Result<Answer> {
    let body = serde_json::to_vec(body).context("cannot encode the request")?;
    request("POST", url, &[], Some(&body), patience)
}

/// A call in the JSON protocol of AWS, to the emulator: it asks for no signature.
pub(crate) fn call_aws(url: &str, target: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    let body = serde_json::to_vec(body).context("cannot encode the request")?;
    let answer = request("POST", url, &[("x-amz-target", target)], Some(&body), Duration::from_secs(30))?;
    if answer.status != 200 {
        bail!("{target} was refused ({}): {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("the answer to {target} is not JSON"))
}

fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    patience: Duration,
) -> Result<Answer> {
    let (address, path) = split(url)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))
        .with_context(|| format!("nothing answers at {url}"))?;
    stream.set_read_timeout(Some(patience)).context("cannot set a deadline")?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.unwrap_or_default()))
        .context("cannot send")?;
    read(BufReader::new(stream)).with_context(|| format!("{url} gave no proper answer"))
}

fn split(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not an http:// address"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = authority.replacen("localhost", &Ipv4Addr::LOCALHOST.to_string(), 1);
    let address: SocketAddr = authority.parse().with_context(|| format!("{url} does not name a host and a port"))?;
    if !address.ip().is_loopback() {
        bail!("{url} is not on this machine");
    }
    Ok((address, format!("/{path}")))
}

fn read(mut reader: impl BufRead) -> Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line).context("the connection failed")?;
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.trim().parse().ok())
        .context("the first line is not a status")?;
    let mut length = None;
    let mut chunked = false;
    loop {
        line.clear();
        if reader.read_line(&mut line).context("the connection failed")? == 0 {
            bail!("the headers end in the middle");
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        match header.split_once(':') {
            Some(("content-length", value)) => length = Some(value.trim().parse().context("a bad content-length")?),
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            _ => {}
        }
    }
    let body = match (chunked, length) {
        (true, _) => read_chunks(&mut reader)?,
        (false, Some(length)) => read_exactly(&mut reader, length)?,
        (false, None) => {
            let mut body = Vec::new();
            reader.take(MAX_BODY).read_to_end(&mut body).context("the connection failed")?;
            body
        }
    };
    Ok(Answer { status, body })
}

fn read_chunks(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).context("the connection failed")?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).with_context(|| format!("\"{size}\" is not a chunk's size"))?;
        if size == 0 {
            return Ok(body);
        }
        if body.len() as u64 + size > MAX_BODY {
            bail!("the answer is larger than {MAX_BODY} bytes");
        }
        body.extend(read_exactly(reader, size)?);
        let mut end = [0; 2];
        reader.read_exact(&mut end).context("a chunk is cut short")?;
        if &end != b"\r\n" {
            bail!("a chunk does not end where it says");
        }
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64) -> Result<Vec<u8>> {
    if length > MAX_BODY {
        bail!("the answer is larger than {MAX_BODY} bytes");
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).context("the connection failed")?;
    if body.len() as u64 != length {
        bail!("the answer is cut short: {} of {length} bytes", body.len());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Answer> {
        read(text.as_bytes())
    }

    #[test]
    fn a_counted_body_is_read() {
        let answer = parse("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello and more").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, b"hello".as_slice()));
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\nB\r\n, wonderful\r\n0\r\n\r\n";
        assert_eq!(parse(text).unwrap().body, b"hello, wonderful");
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\n\r\nall of it").unwrap().body, b"all of it");
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_an_error() {
        for text in [
            "",
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_this_machine_is_talked_to() {
        assert!(split("http://127.0.0.1:80/a?b").is_ok_and(|(_, path)| path == "/a?b"));
        assert!(split("http://localhost:80").is_ok_and(|(_, path)| path == "/"));
        assert!(split("http://10.0.0.1:80/").unwrap_err().to_string().contains("not on this machine"));
        assert!(split("https://127.0.0.1:80/").is_err());
    }
}
