//! Lambda's runtime API (AWS documentation, "Building a custom runtime"): invocations are asked for and answered, one
//! at a time, over one connection.
//!
//! It is spoken here and not by `lambda_runtime`, which is made for every kind of function: two requests over one connection
//! are all there is to it. X-Ray's header goes into the logs and no further. AWS's SDK would hand it on if it were put into
//! the environment, which is not safe in a process that reads it elsewhere, and no function here calls itself.
//!
//! **Invariant:** an invocation is answered before the next one is asked for.
//! **Invariant:** a request goes out a second time only when not a byte of it was sent the first time.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{ConfigError, Environment};

/// The variable in which Lambda says where the API is. It is Lambda's to set, not the template's.
const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";
const VERSION: &str = "2018-06-01";

/// Lambda's runtime API does not do its part, and the process has nothing to live for.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// Nothing says where it is.
    #[error("this is no Lambda function's environment")]
    Environment(#[from] ConfigError),
    /// It cannot be reached.
    #[error("Lambda's runtime API cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The connection failed while a request was under way.
    #[error("Lambda's runtime API broke off")]
    Connection(#[source] hyper::Error),
    /// It answered what its documentation does not know.
    #[error("Lambda's runtime API answered with {0} where an invocation was due")]
    Unexpected(StatusCode),
    /// An invocation without an id, or with one that cannot be part of a path.
    #[error("Lambda's runtime API gave an invocation without an id")]
    Nameless,
}

/// One invocation.
pub(super) struct Invocation {
    /// Lambda's id of it, in the API and in the logs.
    pub(super) id: String,
    /// X-Ray's header for it.
    pub(super) trace: Option<String>,
    /// The event.
    pub(super) payload: Bytes,
}

/// The API's client.
pub(super) struct RuntimeApi {
    /// Host and port.
    authority: String,
    host: HeaderValue,
    /// What every path begins with.
    prefix: String,
    next: Uri,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes for `sender`, and ends with it.
    _driver: JoinSet<()>,
}

impl RuntimeApi {
    /// Where the environment says. Nothing is sent yet.
    pub(super) fn of(environment: &Environment) -> Result<Self, ConfigError> {
        let address = environment.required(ADDRESS)?;
        let unusable = || ConfigError::Invalid { name: ADDRESS.to_owned(), expected: "HOST:PORT" };
        // Lambda gives no scheme and no path; local runtimes that serve many functions do.
        let address = address.strip_prefix("http://").unwrap_or(address);
        let (authority, base) = address.split_once('/').unwrap_or((address, ""));
        let base = base.trim_end_matches('/');
        let slash = if base.is_empty() { "" } else { "/" };
        let prefix = format!("{slash}{base}/{VERSION}/runtime/invocation/");
        Ok(Self {
            host: HeaderValue::from_str(authority).map_err(|_| unusable())?,
            next: format!("{prefix}next").parse().map_err(|_| unusable())?,
            authority: authority.to_owned(),
            prefix,
            connection: None,
        })
    }

    /// Waits for the next invocation, however long there is none.
    pub(super) async fn next(&mut self) -> Result<Invocation, RuntimeApiError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.next.clone();
        let response = self.exchange(request).await?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            return Err(RuntimeApiError::Unexpected(parts.status));
        }
        let payload = body.collect().await.map_err(RuntimeApiError::Connection)?.to_bytes();
        let id = text(&parts.headers, "lambda-runtime-aws-request-id").ok_or(RuntimeApiError::Nameless)?;
        Ok(Invocation { id, trace: text(&parts.headers, "lambda-runtime-trace-id"), payload })
    }

    /// Answers an invocation.
    pub(super) async fn answer(&mut self, id: &str, answer: Vec<u8>) -> Result<(), RuntimeApiError> {
        self.post(id, "response", answer).await
    }

    /// Says that an invocation failed. What is said here is shown to whoever invoked the function.
    pub(super) async fn fail(&mut self, id: &str, reason: &'static str) -> Result<(), RuntimeApiError> {
        let reason = serde_json::json!({ "errorType": "Failed", "errorMessage": reason }).to_string();
        self.post(id, "error", reason.into_bytes()).await
    }

    async fn post(&mut self, id: &str, what: &'static str, body: Vec<u8>) -> Result<(), RuntimeApiError> {
        let bytes = body.len();
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = format!("{}{id}/{what}", self.prefix).parse().map_err(|_| RuntimeApiError::Nameless)?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.exchange(request).await?;
        let status = response.status();
        // The connection is free for the next request when this one's answer was read to its end.
        response.into_body().collect().await.map_err(RuntimeApiError::Connection)?;
        if !status.is_success() {
            // Too late, or too large: whoever invoked has been told by Lambda, and the next invocation may fare better.
            tracing::error!(status = status.as_u16(), bytes, "Lambda did not take the answer");
        }
        Ok(())
    }

    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, RuntimeApiError> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        let mut again = true;
        loop {
            match self.connected().await?.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    // The connection had been closed while nobody looked.
                    Some(unsent) if std::mem::take(&mut again) => {
                        self.connection = None;
                        request = unsent;
                    }
                    _ => return Err(RuntimeApiError::Connection(error.into_error())),
                },
            }
        }
    }

    /// The connection that is there, or a new one.
    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, RuntimeApiError> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && connection.sender.ready().await.is_err()
        {
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.authority).await?,
        };
        Ok(&mut self.connection.insert(connection).sender)
    }
}

impl Connection {
    async fn open(authority: &str) -> Result<Self, RuntimeApiError> {
        let stream = TcpStream::connect(authority).await.map_err(RuntimeApiError::Connect)?;
        stream.set_nodelay(true).map_err(RuntimeApiError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(RuntimeApiError::Connection)?;
        let mut driver = JoinSet::new();
        // Whoever sends is told of its end.
        driver.spawn(async move { drop(connection.await) });
        Ok(Self { sender, _driver: driver })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests;
