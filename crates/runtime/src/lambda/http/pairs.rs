//! Names and values in events, borrowed from them.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A text, borrowed where nothing in it is escaped.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Pairs of an object whose members are texts, lists of texts, or null: each text of a list makes a pair of its own.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl Pairs<'_> {
    /// As a query string.
    pub(super) fn encoded(&self) -> String {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let mut query = String::new();
        for (name, value) in &self.0 {
            if !query.is_empty() {
                query.push('&');
            }
            encode(name, &mut query, unreserved);
            query.push('=');
            encode(value, &mut query, unreserved);
        }
        query
    }
}

/// Appends the text, with every byte percent-encoded that may not stay.
pub(super) fn encode(text: &str, into: &mut String, stays: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        if stays(byte) {
            into.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _written = write!(into, "%{byte:02X}");
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Pairs<'de>, A::Error> {
        let mut pairs = Vec::with_capacity(16);
        while let Some(name) = members.next_key::<Text<'de>>()? {
            members.next_value_seed(Member { name, pairs: &mut pairs })?;
        }
        Ok(Pairs(pairs))
    }
}

/// One member of the object.
struct Member<'p, 'de> {
    name: Text<'de>,
    pairs: &'p mut Vec<(Text<'de>, Text<'de>)>,
}

impl<'de> DeserializeSeed<'de> for Member<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, texts, or null")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.pairs.push((self.name, Text(Cow::Borrowed(value))));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.pairs.push((self.name, Text(Cow::Owned(value.to_owned()))));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while let Some(value) = values.next_element::<Text<'de>>()? {
            self.pairs.push((self.name.clone(), value));
        }
        Ok(())
    }
}
