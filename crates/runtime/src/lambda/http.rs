//! HTTP requests in Lambda's events, and the answers to them.
//!
//! Two shapes are read (Amazon API Gateway documentation, "Working with AWS Lambda proxy integrations for HTTP APIs"):
//! payload format 1.0 of REST APIs, and 2.0 of HTTP APIs and function URLs. Only what makes a request is looked at.
//!
//! **Invariant:** a body larger than the caller's limit is neither decoded nor copied.
//! **Invariant:** the handler sees the same request whichever shape it came in: the path without the stage, one value
//! for each time a header or a parameter was given, the body's bytes as the client sent them.

mod answer;
mod pairs;

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;

use crate::{Problem, Request};
use pairs::{Pairs, Text};

pub(super) use answer::write;

/// What an event has around the body: headers, at most 10 KB and given twice, and what API Gateway knows.
const AROUND: usize = 128 * 1_024;
/// Bytes of an event for a byte of the body at worst: `\u0000`.
const ESCAPED: usize = 6;

/// Who asks, as API Gateway saw it: among the request's extensions. Behind CloudFront that is CloudFront.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// In which shape a request came, and its answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Payload format 1.0.
    One,
    /// Payload format 2.0.
    Two,
}

/// There is no request in the event.
#[derive(Debug)]
pub(super) enum Refused {
    /// The client is answered this.
    Because(Problem),
    /// Nobody is there to be answered: something else than API Gateway has invoked the function.
    NoRequest(Option<serde_json::Error>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    // Of both.
    #[serde(borrow)]
    headers: Option<Pairs<'a>>,
    #[serde(borrow)]
    body: Option<Text<'a>>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(borrow)]
    request_context: Context<'a>,
    // Of format 1.0.
    #[serde(borrow)]
    http_method: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    multi_value_headers: Option<Pairs<'a>>,
    #[serde(borrow)]
    query_string_parameters: Option<Pairs<'a>>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<Pairs<'a>>,
    // Of format 2.0.
    #[serde(borrow)]
    raw_path: Option<Text<'a>>,
    #[serde(borrow)]
    raw_query_string: Option<Text<'a>>,
    #[serde(borrow)]
    cookies: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    stage: Option<Text<'a>>,
    #[serde(borrow)]
    identity: Option<Identity<'a>>,
    #[serde(borrow)]
    http: Option<Http<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow)]
    source_ip: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    source_ip: Option<Text<'a>>,
}

/// The request in an event, whose body has at most `limit` bytes.
pub(super) fn read(payload: &Bytes, limit: usize) -> Result<(Shape, Request), (Shape, Refused)> {
    if payload.len() > AROUND + limit.saturating_mul(ESCAPED) {
        // Both shapes understand an answer in the first.
        return Err((Shape::One, too_large()));
    }
    let event: Event<'_> =
        serde_json::from_slice(payload).map_err(|error| (Shape::One, Refused::NoRequest(Some(error))))?;
    let shape = if event.request_context.http.is_some() { Shape::Two } else { Shape::One };
    request(shape, event, payload, limit).map(|request| (shape, request)).map_err(|refused| (shape, refused))
}

fn request(shape: Shape, event: Event<'_>, payload: &Bytes, limit: usize) -> Result<Request, Refused> {
    let context = event.request_context;
    let (method, peer, path, query) = match context.http {
        Some(http) => {
            let stage = context.stage.as_deref().unwrap_or_default();
            let path = event.raw_path.unwrap_or_default();
            let path = without_stage(&path, stage).to_owned();
            (Some(http.method), http.source_ip, Cow::Owned(path), event.raw_query_string.map(|query| raw(&query)))
        }
        None => {
            let all = event.multi_value_query_string_parameters.filter(|query| !query.0.is_empty());
            let query = all.or(event.query_string_parameters).map(|query| query.encoded());
            let peer = context.identity.and_then(|identity| identity.source_ip);
            (event.http_method, peer, event.path.unwrap_or_default().0, query)
        }
    };
    let method = method.ok_or(Refused::NoRequest(None))?;
    let body = match event.body {
        None => Bytes::new(),
        Some(text) if event.is_base64_encoded => {
            // Before it is decoded: four characters make three bytes at most.
            if text.len() / 4 * 3 > limit.saturating_add(2) {
                return Err(too_large());
            }
            BASE64.decode(text.as_bytes()).map_err(|_| malformed())?.into()
        }
        Some(Text(Cow::Borrowed(text))) => payload.slice_ref(text.as_bytes()),
        Some(Text(Cow::Owned(text))) => text.into(),
    };
    if body.len() > limit {
        return Err(too_large());
    }
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| malformed())?;
    *request.uri_mut() = uri(&path, query.as_deref().unwrap_or_default()).ok_or_else(malformed)?;
    *request.headers_mut() = headers(shape, event.multi_value_headers, event.headers, event.cookies.as_deref());
    if let Some(address) = peer.and_then(|peer| peer.parse().ok()) {
        request.extensions_mut().insert(Peer(address));
    }
    Ok(request)
}

/// Format 2.0 names the stage in its path, unless it is the one without a name.
fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    let inside = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    match inside {
        Some(rest) if !stage.is_empty() && (rest.is_empty() || rest.starts_with('/')) => rest,
        _ => path,
    }
}

/// The target of the request. API Gateway hands paths on decoded or not, as it sees fit; what cannot stand in one is
/// encoded.
fn uri(path: &str, query: &str) -> Option<Uri> {
    let mut target = String::with_capacity(path.len() + query.len() + 2);
    if !path.starts_with('/') {
        target.push('/');
    }
    pairs::encode(path, &mut target, |byte| byte.is_ascii_graphic() && !b"\"<>?#`{}\\^|".contains(&byte));
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).ok().map(Uri::from)
}

/// A query that is encoded already, but for what a client should not have sent.
fn raw(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    pairs::encode(query, &mut encoded, |byte| byte.is_ascii_graphic() && !b"\"<>#`\\^|{}".contains(&byte));
    encoded
}

/// Each value of each header. What cannot be a header is left out.
fn headers(
    shape: Shape,
    many: Option<Pairs<'_>>,
    single: Option<Pairs<'_>>,
    cookies: Option<&[Text<'_>]>,
) -> HeaderMap {
    let many = many.unwrap_or_default().0;
    let single = single.unwrap_or_default().0;
    let mut headers = HeaderMap::with_capacity(many.len().max(single.len()));
    let pair = |(name, value): &(Text<'_>, Text<'_>)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    for (name, value) in many.iter().filter_map(pair) {
        headers.append(name, value);
    }
    // Format 1.0 gives all of them twice; who builds such events by hand gives them once.
    for (name, value) in single.iter().filter_map(pair) {
        if many.is_empty() || !headers.contains_key(&name) {
            headers.append(name, value);
        }
    }
    if let Some(cookies) = cookies.filter(|cookies| shape == Shape::Two && !cookies.is_empty()) {
        let joined = cookies.iter().map(|cookie| &**cookie).collect::<Vec<_>>().join("; ");
        if let Ok(value) = HeaderValue::from_str(&joined) {
            headers.insert(header::COOKIE, value);
        }
    }
    headers
}

fn too_large() -> Refused {
    const TITLE: &str = "The body is larger than anything that is taken here.";
    Refused::Because(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", TITLE))
}

fn malformed() -> Refused {
    Refused::Because(Problem::new(StatusCode::BAD_REQUEST, "/problems/malformed", "The request cannot be read."))
}

#[cfg(test)]
mod tests;
