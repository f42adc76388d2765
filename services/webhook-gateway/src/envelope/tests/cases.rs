//! Whatever a body is: what is read of it is what a plain reading of the whole document finds.
//!
//! `CASES=1000000 cargo test --release -p counterfoil-webhook-gateway --lib envelope::tests::cases` takes so many; `SEED=7` takes
//! others.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Number;

use super::super::*;

/// Of a test run.
const CASES: u64 = 100_000;

/// What a number is that is asked for by hand.
fn asked_for(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by hand")]
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

/// A document as serde_json reads it, with every key that is given twice.
enum Node {
    Null,
    Other,
    Bool(bool),
    Number(Number),
    Text(String),
    Object(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Bool(truth))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Number(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Number(number.into()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                while seq.next_element::<Node>()?.is_some() {}
                Ok(Node::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Node::Object(fields))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

impl Node {
    /// The field of an object: nothing where there is none, and no answer where it is given twice or this is no object.
    fn field(&self, name: &str) -> Result<&Node, Unreadable> {
        let Node::Object(fields) = self else {
            return Err(Unreadable::Shape);
        };
        let mut values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => Ok(&Node::Null),
            (Some(value), None) => Ok(value),
            (Some(_), Some(_)) => Err(Unreadable::Shape),
        }
    }

    /// A text, the id of an object, or an empty one.
    fn text(&self) -> Result<String, Unreadable> {
        match self {
            Node::Text(text) => Ok(text.clone()),
            Node::Object(_) => match self.field("id")? {
                Node::Null => Ok(String::new()),
                id => id.required(),
            },
            _ => Ok(String::new()),
        }
    }

    fn required(&self) -> Result<String, Unreadable> {
        match self {
            Node::Text(text) => Ok(text.clone()),
            _ => Err(Unreadable::Shape),
        }
    }

    /// Its id and customer.
    fn object(&self) -> Result<(String, String), Unreadable> {
        Ok((self.field("id")?.text()?, self.field("customer")?.text()?))
    }
}

fn reference(body: &Node) -> Result<Envelope, Unreadable> {
    let (event_id, event_type) = (body.field("id")?.required()?, body.field("type")?.required()?);
    let api_version = body.field("api_version")?.text()?;
    let (account, context) = (body.field("account")?.text()?, body.field("context")?.text()?);
    let snapshot = match body.field("data")? {
        Node::Null => None,
        data => Some(data.field("object")?.object()?),
    };
    let thin = match body.field("related_object")? {
        Node::Null => None,
        object => Some(object.object()?),
    };
    let created = match body.field("created")? {
        Node::Number(seconds) => {
            let seconds = seconds.as_i64().ok_or(Unreadable::Shape)?;
            DateTime::from_timestamp(seconds, 0)
        }
        Node::Text(text) => Some(text.parse().map_err(|_| Unreadable::Shape)?),
        _ => return Err(Unreadable::Shape),
    };
    let Node::Bool(live) = *body.field("livemode")? else {
        return Err(Unreadable::Shape);
    };
    let created: DateTime<Utc> = created.ok_or(Unreadable::Created)?;
    if created.timestamp() < 0 || created.timestamp() >= 253_402_300_800 {
        return Err(Unreadable::Created);
    }
    let account = if account.is_empty() {
        context.split('/').next_back().unwrap().to_owned()
    } else {
        account
    };
    let (object_id, customer) = snapshot.or(thin).unwrap_or_default();
    for (name, value, may_be_empty) in [
        ("id", &event_id, false),
        ("type", &event_type, false),
        ("api_version", &api_version, true),
        ("account", &account, true),
        ("data.object.id", &object_id, true),
        ("data.object.customer", &customer, true),
    ] {
        let plain = |one: char| matches!(one, 'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | ':' | '[' | ']' | '-');
        if value.len() > 255 || !value.chars().all(plain) || (value.is_empty() && !may_be_empty) {
            return Err(Unreadable::Field(name));
        }
    }
    let what = [&customer, &object_id, &account]
        .into_iter()
        .find(|text| !text.is_empty());
    Ok(Envelope {
        key: format!("{account}/{}", what.unwrap_or(&String::new())),
        event_id,
        event_type,
        api_version,
        account,
        object_id,
        created,
        mode: if live { Mode::Live } else { Mode::Test },
    })
}

/// What stands where nobody looks and no decoder need take it.
const ODDITIES: [&[u8]; 12] = [
    br#""\ud800""#,
    br#""\udc00\ud83d x""#,
    b"\"\xff\xfe\x80\"",
    br#"{"\ud800":1}"#,
    b"{\"\xc3\":1}",
    br#""\u0000""#,
    b"1e140000",
    b"-0",
    b"123456789012345678901234567890",
    br#"{"id":1,"id":2}"#,
    br#"[{"customer":[{}]},null,{"":{"livemode":5}}]"#,
    br#"{"data":{"object":[]}}"#,
];

/// A body, and the same with nothing odd where nobody looks.
struct Pen {
    draw: StdRng,
    body: Vec<u8>,
    plain: Vec<u8>,
}

/// A key, and what writes its value.
type Field = (&'static str, fn(&mut Pen));

impl Pen {
    fn once_in(&mut self, times: u32) -> bool {
        self.draw.random_ratio(1, times)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.draw).unwrap()
    }

    fn put(&mut self, bytes: impl AsRef<[u8]>) {
        self.body.extend_from_slice(bytes.as_ref());
        self.plain.extend_from_slice(bytes.as_ref());
    }

    fn space(&mut self) {
        if self.once_in(8) {
            let space = self.one_of(&[" ", "\n", "\t\r", "  \n  "]);
            self.put(space);
        }
    }

    /// A JSON string, some of it escaped.
    fn text(&mut self, text: &str) {
        self.put("\"");
        for one in text.chars() {
            if one == '"' || one == '\\' || one < ' ' || self.once_in(30) {
                for unit in one.encode_utf16(&mut [0; 2]) {
                    self.put(format!("\\u{unit:04x}"));
                }
            } else {
                self.put(one.encode_utf8(&mut [0; 4]));
            }
        }
        self.put("\"");
    }

    /// What nobody looks at.
    fn unseen(&mut self) {
        if self.once_in(40) {
            let depth = self.draw.random_range(100..3_000);
            self.body
                .extend("[".repeat(depth).bytes().chain("]".repeat(depth).bytes()));
        } else {
            let odd = self.one_of(&ODDITIES);
            self.body.extend_from_slice(odd);
        }
        self.plain.extend_from_slice(b"null");
    }

    /// An object with these fields in any order, sometimes one of them twice, and others that nobody looks at.
    fn object(&mut self, fields: &[Field], less: u32) {
        let mut chosen: Vec<Field> = Vec::new();
        for field in fields {
            if !self.once_in(less) {
                let place = self.draw.random_range(0..=chosen.len());
                chosen.insert(place, *field);
            }
        }
        if !fields.is_empty() && self.once_in(60) {
            let twice = self.one_of(fields);
            chosen.push(twice);
        }
        for _ in 0..self.draw.random_range(0..3) {
            let place = self.draw.random_range(0..=chosen.len());
            let name = self.one_of(&["x", "", "ID", "metadata", "é\u{1f600}", "id "]);
            chosen.insert(place, (name, Pen::unseen));
        }
        self.put("{");
        for (place, (name, value)) in chosen.into_iter().enumerate() {
            if place > 0 {
                self.put(",");
            }
            self.space();
            self.text(name);
            self.space();
            self.put(":");
            self.space();
            value(self);
            self.space();
        }
        self.put("}");
    }

    /// An id as it should be, mostly.
    fn id(&mut self) {
        match self.draw.random_range(0..60) {
            0 => self.put("null"),
            1 => self.put("17"),
            2 => self.text(""),
            3 => {
                let odd = self.one_of(&["evt 1", "é", "a/b", "\0", "a\"b", "acct_1/acct_2", "\u{1f600}"]);
                self.text(odd);
            }
            4 => {
                let length = self.one_of(&[254, 255, 256]);
                self.text(&"e".repeat(length));
            }
            5 => self.put("[\"evt_1\"]"),
            _ => {
                let id = self.one_of(&[
                    "evt_1",
                    "cus_9",
                    "invoice.paid",
                    "v2.core[a].b",
                    "acct_1",
                    "2026-09-30.endive",
                ]);
                self.text(id);
            }
        }
    }

    /// An id or a whole object, or something else.
    fn reference(&mut self) {
        match self.draw.random_range(0..30) {
            0..5 => self.object(&[("id", Pen::id)], 10),
            5 => {
                self.put("[");
                self.unseen();
                self.put("]");
            }
            6 => {
                let other = self.one_of(&["true", "-1", "1.5", "{}", "[]", "18446744073709551615"]);
                self.put(other);
            }
            _ => self.id(),
        }
    }

    fn context(&mut self) {
        let text = self.one_of(&["", "acct_2", "org_1/acct_2", "org_1/", "/", "a/b/c"]);
        self.text(text);
    }

    fn created(&mut self) {
        let odd = self.once_in(10);
        let value = if odd {
            self.one_of(&[
                "-1",
                "1e3",
                "-0",
                "253402300799",
                "253402300800",
                "9223372036854775807",
                "9223372036854775808",
                "null",
                "[1]",
                "{\"id\":1}",
                "\"1790000000\"",
                "\"1969-12-31T23:59:59Z\"",
                "\"+10000-01-01T00:00:00Z\"",
            ])
        } else {
            self.one_of(&[
                "1790000000",
                "0",
                "\"2026-09-17T06:20:52.246Z\"",
                "\"2026-09-17T06:20:52+02:00\"",
            ])
        };
        self.put(value);
    }

    fn livemode(&mut self) {
        let value = if self.once_in(40) {
            self.one_of(&["null", "0", "\"true\""])
        } else {
            self.one_of(&["true", "false"])
        };
        self.put(value);
    }

    /// An object that is looked into, or, rarely, what is none.
    fn or_none(&mut self, fields: &[Field], less: u32) {
        if self.once_in(40) {
            let other = self.one_of(&[
                "null",
                "[]",
                "[\"in_1\",\"cus_1\"]",
                "[{\"id\":\"in_1\"}]",
                "\"in_1\"",
                "1",
                "{}",
            ]);
            self.put(other);
        } else {
            self.object(fields, less);
        }
    }

    fn of_data(&mut self) {
        self.or_none(&[("id", Pen::reference), ("customer", Pen::reference)], 4);
    }

    fn data(&mut self) {
        self.or_none(&[("object", Pen::of_data)], 60);
    }

    fn event(&mut self) {
        self.space();
        let required: [Field; 4] = [
            ("id", Pen::id),
            ("type", Pen::id),
            ("created", Pen::created),
            ("livemode", Pen::livemode),
        ];
        let others: [Field; 5] = [
            ("api_version", Pen::reference),
            ("account", Pen::reference),
            ("context", Pen::context),
            ("data", Pen::data),
            ("related_object", Pen::of_data),
        ];
        let mut fields: Vec<Field> = required.to_vec();
        for field in others {
            if self.once_in(2) {
                fields.push(field);
            }
        }
        self.or_none(&fields, 80);
        self.space();
    }
}

/// Changes a byte, so that it may be no JSON any more, or other than was meant.
fn spoil(draw: &mut StdRng, body: &mut Vec<u8>) {
    let place = draw.random_range(0..body.len());
    let byte = *br#"{}[]",:\utn0e-1 "#.choose(draw).unwrap();
    match draw.random_range(0..9) {
        0 => body.truncate(place),
        1 | 2 => body.insert(place, byte),
        3 | 4 => drop(body.remove(place)),
        5 | 6 => body[place] = byte,
        _ => body[place] = draw.random(),
    }
}

#[test]
fn any_body_is_read_as_a_plain_reading_of_the_whole_document_is() {
    let (cases, seed) = (asked_for("CASES", CASES), asked_for("SEED", 0));
    let mut pen = Pen {
        draw: StdRng::seed_from_u64(seed),
        body: Vec::new(),
        plain: Vec::new(),
    };
    let mut outcomes = BTreeMap::<String, u64>::new();
    for _ in 0..cases {
        pen.body.clear();
        pen.plain.clear();
        pen.event();
        let mut kind = "as drawn";
        let mut whole = serde_json::from_slice::<Node>(&pen.plain).ok();
        assert!(whole.is_some(), "seed {seed}: {}", pen.plain.escape_ascii());
        if pen.once_in(3) {
            kind = "spoilt";
            spoil(&mut pen.draw, &mut pen.body);
            whole = serde_json::from_slice(&pen.body).ok();
        } else if pen.once_in(20) {
            kind = "any bytes";
            let length = pen.draw.random_range(0..64);
            pen.body = (0..length).map(|_| pen.draw.random()).collect();
            whole = serde_json::from_slice(&pen.body).ok();
        }
        let found = Envelope::read(&pen.body);
        let expected = match whole {
            Some(whole) => reference(&whole),
            // No JSON at all, or with oddities: then they may stand where nobody looks, and nothing else is read.
            None if serde_json::from_slice::<IgnoredAny>(&pen.body).is_err() => Err(Unreadable::Shape),
            None => found.clone(),
        };
        assert_eq!(found, expected, "seed {seed}, {kind}: {}", pen.body.escape_ascii());
        let outcome = found.map_or_else(|why| why.to_string(), |_| "read".to_owned());
        *outcomes.entry(format!("{kind}: {outcome}")).or_default() += 1;
    }
    println!("{cases} bodies: {outcomes:#?}");
    for outcome in ["as drawn: read", "as drawn: the body is not an event", "spoilt: read"] {
        assert!(outcomes[outcome] * 50 > cases, "{outcomes:#?}");
    }
    // As drawn, every reason to refuse; spoilt and random bytes have some of them.
    assert!(outcomes.len() > 12, "{outcomes:#?}");
}
