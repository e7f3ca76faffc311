//! Answers as API Gateway takes them.
//!
//! **Invariant:** a body that is text travels as text; base64, a third longer, is for what is not.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::Shape;
use crate::Response;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Joined<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<Many<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<&'a str>,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

/// The answer in this shape.
pub(in super::super) fn write(shape: Shape, response: &Response) -> serde_json::Result<Vec<u8>> {
    let (body, is_base64_encoded) = match std::str::from_utf8(response.body()) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(BASE64.encode(response.body())), true),
    };
    let headers = response.headers();
    let answer = Answer {
        status_code: response.status().as_u16(),
        headers: (shape == Shape::Two).then_some(Joined(headers)),
        multi_value_headers: (shape == Shape::One).then_some(Many(headers)),
        cookies: match shape {
            Shape::One => Vec::new(),
            Shape::Two => texts(headers, &header::SET_COOKIE).collect(),
        },
        body,
        is_base64_encoded,
    };
    let mut written = Vec::with_capacity(answer.body.len() + 512);
    serde_json::to_writer(&mut written, &answer)?;
    Ok(written)
}

/// The values of a header that are text; JSON has no room for others.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let text = |value: &'a HeaderValue| std::str::from_utf8(value.as_bytes()).ok();
    headers.get_all(name).iter().filter_map(text)
}

/// A list of values for each header.
struct Many<'a>(&'a HeaderMap);

impl Serialize for Many<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.0.keys() {
            map.serialize_entry(name.as_str(), &Values(self.0, name))?;
        }
        map.end()
    }
}

struct Values<'a>(&'a HeaderMap, &'a HeaderName);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(None)?;
        for value in texts(self.0, self.1) {
            values.serialize_element(value)?;
        }
        values.end()
    }
}

/// One text for each header, but for cookies, which format 2.0 has apart.
struct Joined<'a>(&'a HeaderMap);

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.0.keys().filter(|name| *name != header::SET_COOKIE) {
            map.serialize_entry(name.as_str(), &texts(self.0, name).collect::<Vec<_>>().join(", "))?;
        }
        map.end()
    }
}
