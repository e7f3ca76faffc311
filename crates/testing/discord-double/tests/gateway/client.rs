//! A gateway client that shows everything it receives and does nothing by itself.

use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Longer than anything here takes, short enough to notice what never comes.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    inflate: Inflate,
    /// The last sequence received; 0 before the first.
    pub(crate) sequence: u64,
}

enum Inflate {
    Plain,
    Zlib(Box<Decompress>),
    Zstd(Decoder<'static>),
}

/// What comes next on the connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Payload(Value),
    /// The connection ended, with the close code if there was a close frame.
    End(Option<u16>),
}

impl Client {
    /// Connects to a full address, such as `ws://…/gateway?v=10`.
    pub(crate) async fn dial(address: &str, compress: &str) -> Result<Self, Error> {
        let address = if compress.is_empty() { address.to_owned() } else { format!("{address}&compress={compress}") };
        let (socket, _) = connect_async(address).await?;
        let inflate = match compress {
            "zlib-stream" => Inflate::Zlib(Box::new(Decompress::new(true))),
            "zstd-stream" => Inflate::Zstd(Decoder::new().expect("a decoder")),
            _ => Inflate::Plain,
        };
        Ok(Self { socket, inflate, sequence: 0 })
    }

    /// Connects and reads HELLO.
    pub(crate) async fn connect(gateway: &str, compress: &str) -> Self {
        let mut client = Self::dial(&format!("{gateway}?v=10&encoding=json"), compress).await.expect("connects");
        assert_eq!(client.payload().await["op"], 10);
        client
    }

    /// Connects, identifies and answers with READY's `d`.
    pub(crate) async fn identified(gateway: &str, shard: (u32, u32), intents: u64) -> (Self, Value) {
        let mut client = Self::connect(gateway, "").await;
        client.send(&identify(shard, intents)).await;
        let ready = client.event("READY").await;
        (client, ready)
    }

    /// Connects to READY's `resume_gateway_url` and resumes after `sequence`.
    pub(crate) async fn resuming(ready: &Value, sequence: u64) -> Self {
        let mut client = Self::connect(ready["resume_gateway_url"].as_str().expect("an address"), "").await;
        client.send(&resume(ready, sequence)).await;
        client.sequence = sequence;
        client
    }

    pub(crate) async fn send(&mut self, payload: &Value) {
        self.send_text(&payload.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sends");
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.expect("closes");
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    pub(crate) async fn receive(&mut self) -> Received {
        let message = timeout(DEADLINE, self.socket.next()).await.expect("something in time");
        let text = match message {
            Some(Ok(Message::Text(text))) => text.to_string(),
            Some(Ok(Message::Binary(bytes))) => self.inflate.inflate(&bytes),
            Some(Ok(Message::Close(frame))) => return Received::End(frame.map(|frame| frame.code.into())),
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => return Received::End(None),
        };
        let payload: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(sequence) = payload["s"].as_u64() {
            assert!(self.sequence == 0 || sequence == self.sequence + 1, "{sequence} after {}", self.sequence);
            self.sequence = sequence;
        }
        Received::Payload(payload)
    }

    /// The next payload.
    pub(crate) async fn payload(&mut self) -> Value {
        match self.receive().await {
            Received::Payload(payload) => payload,
            Received::End(code) => panic!("closed with {code:?}"),
        }
    }

    /// The next payload, which must be this event; answers with its `d`.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        let mut payload = self.payload().await;
        assert_eq!(payload["t"], name, "{payload}");
        payload["d"].take()
    }

    /// Reads until the connection ends; answers with its close code.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            if let Received::End(code) = self.receive().await {
                return code;
            }
        }
    }
}

impl Inflate {
    fn inflate(&mut self, bytes: &[u8]) -> String {
        let mut text = Vec::with_capacity(bytes.len() * 8 + 1_024);
        match self {
            Self::Plain => panic!("binary without compression"),
            Self::Zlib(stream) => {
                assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]), "a flush point");
                let start = stream.total_in();
                while stream.total_in() - start < bytes.len() as u64 || text.len() == text.capacity() {
                    text.reserve(bytes.len().max(1_024));
                    let read = usize::try_from(stream.total_in() - start).expect("small");
                    stream.decompress_vec(&bytes[read..], &mut text, FlushDecompress::Sync).expect("valid zlib");
                }
            }
            Self::Zstd(stream) => {
                let mut input = InBuffer::around(bytes);
                loop {
                    text.reserve(bytes.len().max(1_024));
                    let (len, room) = (text.len(), text.capacity());
                    let mut output = OutBuffer::around_pos(&mut text, len);
                    stream.run(&mut input, &mut output).expect("valid zstd");
                    if input.pos() == bytes.len() && output.pos() < room {
                        break;
                    }
                }
            }
        }
        String::from_utf8(text).expect("UTF-8")
    }
}

pub(crate) fn identify(shard: (u32, u32), intents: u64) -> Value {
    let properties = json!({"os": "linux", "browser": "test", "device": "test"});
    json!({"op": 2, "d": {"token": super::TOKEN, "intents": intents, "shard": shard, "properties": properties}})
}

pub(crate) fn resume(ready: &Value, sequence: u64) -> Value {
    json!({"op": 6, "d": {"token": super::TOKEN, "session_id": ready["session_id"], "seq": sequence}})
}
