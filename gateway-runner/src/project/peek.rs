//! A look at a frame's `op`, `s` and `t` without parsing the rest.
//!
//! **Invariant:** where a full JSON parse succeeds, the peek reads the same three values and finds the same data; whatever
//! the bytes are, it never panics and never allocates.

/// The envelope of a gateway payload (Discord documentation, "Gateway event payload structure").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frame<'a> {
    /// The opcode.
    pub op: Option<u64>,
    /// The sequence, present on dispatches.
    pub seq: Option<u64>,
    /// The name of the dispatched event, as its bytes stand in the JSON. Discord's names need no escapes.
    pub name: Option<&'a str>,
    /// All of the frame.
    pub text: &'a str,
    /// The frame from the value of `d` on, to its end; empty when there is none.
    pub data: &'a str,
}

impl<'a> Frame<'a> {
    /// Reads the fields; `None` when the text is not a JSON object as far as one has to look. Data that comes last, as
    /// Discord's does, is not looked at.
    pub fn peek(text: &'a str) -> Option<Self> {
        let mut scan = Scan { text, at: 0 };
        let mut frame = Self { text, ..Self::default() };
        let mut missing = 4;
        scan.expect(b'{')?;
        if scan.next_is(b'}') {
            return Some(frame);
        }
        loop {
            let key = scan.string()?;
            scan.expect(b':')?;
            missing -= u8::from(matches!(key, "op" | "s" | "t" | "d"));
            match key {
                "op" => frame.op = scan.number()?,
                "s" => frame.seq = scan.number()?,
                "t" => frame.name = scan.string_or_null()?,
                "d" => {
                    scan.peek_byte()?;
                    frame.data = text.get(scan.at..).unwrap_or_default();
                    if missing > 0 {
                        scan.skip_value()?;
                    }
                }
                _ => scan.skip_value()?,
            }
            if missing == 0 {
                return Some(frame);
            }
            match scan.token()? {
                b',' => {}
                b'}' => return Some(frame),
                _ => return None,
            }
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek_byte(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn token(&mut self) -> Option<u8> {
        let byte = self.peek_byte()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.token()? == wanted).then_some(())
    }

    fn next_is(&mut self, wanted: u8) -> bool {
        self.peek_byte() == Some(wanted)
    }

    /// The raw content between the quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        self.close_string()?;
        // Both ends stand beside an ASCII quote, hence on character boundaries.
        self.text.get(start..self.at - 1)
    }

    /// Moves behind the quote that ends the string one is in.
    fn close_string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn string_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.next_is(b'"') {
            return self.string().map(Some);
        }
        self.skip_value()?;
        Some(None)
    }

    /// An unsigned number; `Some(None)` for any other value.
    fn number(&mut self) -> Option<Option<u64>> {
        self.peek_byte()?;
        let start = self.at;
        self.skip_value()?;
        Some(self.text.get(start..self.at).and_then(|digits| digits.trim_end().parse().ok()))
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.peek_byte()? {
            b'"' => {
                self.at += 1;
                self.close_string()
            }
            b'{' | b'[' => self.skip_nested(),
            _ => {
                let bytes = self.text.as_bytes();
                let start = self.at;
                while let Some(byte) = bytes.get(self.at) {
                    if matches!(byte, b',' | b'}' | b']') {
                        break;
                    }
                    self.at += 1;
                }
                (self.at > start).then_some(())
            }
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        loop {
            match bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    self.close_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no infinities", |x| x.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_peek_reads_what_a_full_parse_reads(
            data in value(),
            op in proptest::option::of(0_u64..20),
            seq in proptest::option::of(any::<u64>()),
            name in proptest::option::of("[A-Z_]{1,30}"),
            pretty in any::<bool>(),
            order in Just(vec!["op", "s", "t", "d"]).prop_shuffle(),
        ) {
            let mut fields = Vec::new();
            for key in &order {
                let text = match *key {
                    "op" => json!(op),
                    "s" => json!(seq),
                    "t" => json!(name),
                    _ => data.clone(),
                };
                let text = if pretty { serde_json::to_string_pretty(&text) } else { serde_json::to_string(&text) };
                fields.push(format!("\"{key}\" : {}", text.expect("plain JSON")));
            }
            let text = format!("{{ {} }}", fields.join(" , "));
            let frame = Frame::peek(&text).expect("a JSON object");
            let full: Value = serde_json::from_str(&text).expect("a JSON object");
            prop_assert_eq!(frame.op, full["op"].as_u64());
            prop_assert_eq!(frame.seq, full["s"].as_u64());
            prop_assert_eq!(frame.name, full["t"].as_str());
            let mut data = serde_json::Deserializer::from_str(frame.data).into_iter::<Value>();
            prop_assert_eq!(&data.next().expect("data").expect("JSON"), &full["d"]);
        }

        #[test]
        fn rubbish_never_panics(text in any::<String>(), noise in "[\\{\\}\\[\\]\":,\\\\a-t0-9 ]{0,60}") {
            let _text = Frame::peek(&text);
            let _noise = Frame::peek(&noise);
            let _cut = Frame::peek(&format!("{{\"t\":\"READY\",\"d\":{noise}"));
        }
    }

    #[test]
    fn absent_fields_are_none() {
        assert_eq!(Frame::peek("{}"), Some(Frame { text: "{}", ..Frame::default() }));
        let text = r#"{"op":11}"#;
        assert_eq!(Frame::peek(text), Some(Frame { op: Some(11), text, ..Frame::default() }));
        assert_eq!(Frame::peek("[]"), None);
        assert_eq!(Frame::peek(r#"{"d":]"#), None);
    }
}
