//! One WebSocket connection: a reader that handles what the client sends, and a writer that sends the session's events.
//!
//! **Invariant:** reader and writer live in one task and end together; neither waits for the other.
//! **Invariant:** close 1000 or 1001 by the client ends the session; any other end leaves it resumable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Router, extract::Path};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use guildhall_domain::UserId;
use http::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use super::link::{End, Link, Next};
use super::protocol::{CloseCode, Incoming, op};
use super::transport::Transport;
use super::{Gateway, content, frame, lock};

/// How many events are encoded between two looks at the outbox.
const BATCH: usize = 256;
/// The same while the connection is told to be slow.
const SLOW_BATCH: usize = 1;
/// How long a closing connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// More than any payload may have, so that the gateway can refuse the larger ones with its own close code.
const MAX_MESSAGE: usize = 1 << 20;
/// Intervals without a heartbeat after which a client counts as dead.
const MISSED_HEARTBEATS: f64 = 1.5;

/// `GET /gateway` and the addresses that sessions are resumed at.
pub fn routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/gateway", any(open))
        .route("/gateway/", any(open))
        .route("/gateway/resume/{number}", any(reopen))
        .route("/gateway/resume/{number}/", any(reopen))
        .with_state(gateway)
}

#[derive(Debug, Deserialize)]
struct Options {
    v: Option<u8>,
    encoding: Option<String>,
    compress: Option<String>,
}

async fn open(State(gateway): State<Gateway>, Query(options): Query<Options>, upgrade: WebSocketUpgrade) -> Response {
    upgraded(gateway, &options, None, upgrade)
}

async fn reopen(
    State(gateway): State<Gateway>,
    Path(number): Path<u64>,
    Query(options): Query<Options>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgraded(gateway, &options, Some(number), upgrade)
}

fn upgraded(gateway: Gateway, options: &Options, address: Option<u64>, upgrade: WebSocketUpgrade) -> Response {
    if gateway.is_down() || gateway.0.stop.is_cancelled() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Ok(transport) = Transport::new(options.compress.as_deref()) else {
        return (StatusCode::BAD_REQUEST, "compress is zlib-stream or zstd-stream").into_response();
    };
    let refusal = match (options.v, options.encoding.as_deref()) {
        (Some(10), Some("json") | None) => None,
        (Some(10), _) => Some(CloseCode::DecodeError),
        _ => Some(CloseCode::InvalidApiVersion),
    };
    upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| {
        let tracker = gateway.0.tasks.clone();
        tracker.track_future(serve(gateway, socket, transport, address, refusal))
    })
}

async fn serve(
    gateway: Gateway,
    socket: WebSocket,
    transport: Transport,
    address: Option<u64>,
    refusal: Option<CloseCode>,
) {
    let link = gateway.connect();
    let (mut sink, mut stream) = socket.split();
    let end = match refusal {
        Some(code) => code.into(),
        None => {
            link.send(frame::hello(gateway.0.plan.settings.heartbeat_interval));
            let mut reader = Reader { gateway: &gateway, link: &link, address, sends: VecDeque::new() };
            tokio::select! {
                end = reader.run(&mut stream) => end,
                end = write(&link, gateway.0.community.bot, &mut sink, transport) => end,
                end = link.ended() => end,
                // As Discord does when it restarts a host: the session can be resumed elsewhere.
                () = gateway.0.stop.cancelled() => End::Close(1001, "Going away."),
            }
        }
    };
    if let Some(session) = link.session() {
        match end {
            End::Client(Some(1000 | 1001)) => gateway.end_session(&session, "closed by the client", None),
            _ => session.detach(&link),
        }
    }
    link.set_session(None);
    gateway.disconnect(&link);
    if let End::Close(code, reason) = end {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let goodbye = async {
            // The client may be gone already, and then there is nobody to tell.
            if sink.send(close).await.is_ok() {
                while let Some(Ok(_)) = stream.next().await {}
            }
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// Sends until told to stop. Events are fed in batches and flushed when there are no more.
async fn write(link: &Link, bot: UserId, sink: &mut SplitSink<WebSocket, Message>, mut transport: Transport) -> End {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let sent = match link.next() {
            Next::Payload(payload) => feed(sink, &mut transport, payload).await,
            Next::Events(session, rest) => {
                let limit = if rest.is_zero() { BATCH } else { SLOW_BATCH };
                session.take(link, limit, &mut batch);
                if batch.is_empty() {
                    rest_until_woken(link, sink).await
                } else {
                    let mut sent = Ok(());
                    for (sequence, event) in batch.drain(..) {
                        let withheld = content::withheld(&session, &event, bot);
                        let data = withheld.as_deref().unwrap_or(&event.data);
                        let payload = frame::dispatch(event.event, sequence, data);
                        sent = sent.and(feed(sink, &mut transport, payload).await);
                    }
                    if !rest.is_zero() {
                        sent = sent.and(flush(sink).await);
                        tokio::time::sleep(rest).await;
                    }
                    sent
                }
            }
            Next::Idle => rest_until_woken(link, sink).await,
            Next::Silent(until) => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = link.woken() => {}
                }
                Ok(())
            }
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

async fn feed(sink: &mut SplitSink<WebSocket, Message>, transport: &mut Transport, payload: String) -> Result<(), End> {
    let message = transport.encode(payload).map_err(|_| End::from(CloseCode::UnknownError))?;
    sink.feed(message).await.map_err(|_| End::Client(None))
}

async fn flush(sink: &mut SplitSink<WebSocket, Message>) -> Result<(), End> {
    sink.flush().await.map_err(|_| End::Client(None))
}

async fn rest_until_woken(link: &Link, sink: &mut SplitSink<WebSocket, Message>) -> Result<(), End> {
    flush(sink).await?;
    link.woken().await;
    Ok(())
}

struct Reader<'a> {
    gateway: &'a Gateway,
    link: &'a Arc<Link>,
    address: Option<u64>,
    sends: VecDeque<Instant>,
}

impl Reader<'_> {
    async fn run(&mut self, stream: &mut SplitStream<WebSocket>) -> End {
        let patience = self.gateway.0.plan.settings.heartbeat_interval.mul_f64(MISSED_HEARTBEATS);
        let mut deadline = Instant::now() + patience;
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                // A connection that plays dead leaves it to the client to notice.
                () = sleep_until(deadline) => {
                    if !self.link.is_silent() {
                        return CloseCode::SessionTimedOut.into();
                    }
                    deadline = Instant::now() + patience;
                    continue;
                }
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(_))) => return CloseCode::DecodeError.into(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => return End::Client(frame.map(|frame| frame.code)),
                Some(Err(_)) | None => return End::Client(None),
            };
            if self.link.is_silent() {
                deadline = Instant::now() + patience;
                continue;
            }
            match self.handle(&text) {
                Ok(op::HEARTBEAT) => deadline = Instant::now() + patience,
                Ok(_) => {}
                Err(code) => return code.into(),
            }
        }
    }

    /// Handles one payload and answers with its opcode.
    fn handle(&mut self, text: &str) -> Result<u8, CloseCode> {
        let settings = &self.gateway.0.plan.settings;
        let now = Instant::now();
        self.sends.retain(|at| now - *at < Duration::from_secs(60));
        self.sends.push_back(now);
        if self.sends.len() > settings.sends_per_minute {
            return Err(CloseCode::RateLimited);
        }
        let payload = Incoming::parse(text, settings.max_payload)?;
        let session = self.link.session();
        match (payload.op, session) {
            (op::HEARTBEAT, session) => {
                let sequence: Option<u64> = payload.data()?;
                if let (Some(session), Some(sequence)) = (session, sequence) {
                    session.confirm(sequence);
                }
                self.link.send(frame::heartbeat_ack());
            }
            (op::IDENTIFY | op::RESUME, Some(_)) => return Err(CloseCode::AlreadyAuthenticated),
            (op::IDENTIFY, None) => self.gateway.identify(self.link, &payload.data()?)?,
            (op::RESUME, None) => self.gateway.resume(self.link, &payload.data()?, self.address)?,
            (op::PRESENCE_UPDATE | op::VOICE_STATE_UPDATE | op::REQUEST_GUILD_MEMBERS, None) => {
                return Err(CloseCode::NotAuthenticated);
            }
            // The bot's presence and its own voice connection are nobody's business here.
            (op::PRESENCE_UPDATE | op::VOICE_STATE_UPDATE, Some(_)) => {}
            (op::REQUEST_GUILD_MEMBERS, Some(session)) => self.gateway.members(&session, payload.data()?)?,
            _ => return Err(CloseCode::UnknownOpcode),
        }
        Ok(payload.op)
    }
}

impl Gateway {
    fn connect(&self) -> Arc<Link> {
        let link = Link::new(self.next_number());
        self.hub_mut().connect(&link);
        self.count(|counts| counts.connections += 1);
        link
    }

    fn disconnect(&self, link: &Link) {
        self.hub_mut().disconnect(link);
    }

    pub(super) fn next_number(&self) -> u64 {
        self.0.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn is_down(&self) -> bool {
        lock(&self.0.down_until).is_some_and(|until| until > Instant::now())
    }
}
