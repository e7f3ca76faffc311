//! Deserialises the few fields that are asked for out of an object, and passes over the rest.
//!
//! Nearly all of a gateway frame is of no interest. serde_json checks every byte of what it ignores; this finds the
//! members first ([`Members`]) and reads only those, which takes half the time. Whatever is out of the ordinary is left to
//! serde_json.
//!
//! **Invariant:** what is read here, serde_json reads alike, unless the text is no JSON where nobody looks.
//! **Invariant:** what is not read here is no error yet: [`object`] gives `None`, and serde_json decides.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::members::{Members, Wanted};

/// Reads the object that is the last member of another one, and with whose end the text ends.
pub fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let mut end = 0;
    let value = T::deserialize(Value { text, end: &mut end }).ok()?;
    (text.get(end..) == Some("}")).then_some(value)
}

/// It takes a closer look.
#[derive(Debug)]
struct Unsure;

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of the ordinary")
    }
}

impl std::error::Error for Unsure {}

impl de::Error for Unsure {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<serde_json::Error> for Unsure {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// The value that a text begins with.
struct Value<'e, 'a> {
    text: &'a str,
    /// Where it ends, when it is an object.
    end: &'e mut usize,
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Unsure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsure> {
        if let Some(rest) = self.text.strip_prefix('"') {
            // There are no escapes in an object whose members were found; JSON allows no control characters.
            let end = rest.bytes().position(|byte| byte == b'"' || byte < b' ').ok_or(Unsure)?;
            return match rest.as_bytes()[end] {
                b'"' => visitor.visit_borrowed_str(&rest[..end]),
                _ => Err(Unsure),
            };
        }
        Ok(serde_json::Deserializer::from_str(self.text).deserialize_any(visitor)?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unsure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsure> {
        match self.text.as_bytes() {
            [b'"' | b'{', ..] => visitor.visit_some(self),
            _ => Ok(serde_json::Deserializer::from_str(self.text).deserialize_option(visitor)?),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsure> {
        visitor.visit_unit()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unsure> {
        let members = Members::of(self.text, Wanted::new(fields)).ok_or(Unsure)?;
        *self.end = members.end;
        visitor.visit_map(Fields { members: members.iter(self.text), value: "" })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map enum identifier
    }
}

/// The members of an object that may be fields of a struct.
struct Fields<'a, I> {
    members: I,
    value: &'a str,
}

impl<'a, I: Iterator<Item = (&'a str, &'a str)>> MapAccess<'a> for Fields<'a, I> {
    type Error = Unsure;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Unsure> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.value = value;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Unsure> {
        seed.deserialize(Value { text: self.value, end: &mut 0 })
    }
}
