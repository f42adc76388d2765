use proptest::prelude::*;

use super::{Map, Value, json};

#[test]
fn a_copy_keeps_what_the_original_was() {
    let mut one = json!({ "id": "in_1", "lines": { "data": [{ "amount": 1 }, { "amount": 2 }] } });
    let copy = one.clone();
    crate::field::set(&mut one, "lines.data.1.amount", 3);
    assert_eq!(one["lines"]["data"][1]["amount"], 3);
    assert_eq!(copy["lines"]["data"][1]["amount"], 2);
}

#[test]
fn fields_keep_their_order_and_equal_in_any() {
    let mut map = Map::new();
    for name in ["b", "a", "c"] {
        map.insert(name, json!(1));
    }
    assert_eq!(map.insert("a", json!(2)), Some(json!(1)));
    assert_eq!(map.shift_remove("b"), Some(json!(1)));
    let written = Value::Object(map);
    assert_eq!(written.to_string(), r#"{"a":2,"c":1}"#);
    assert_eq!(written, json!({ "c": 1, "a": 2 }));
    assert_ne!(written, json!({ "c": 1, "b": 2 }));
    assert_ne!(written, json!({ "c": 1 }));
}

#[test]
fn any_expression_may_stand_in_json() {
    let (name, list, none) = ("key", vec!["a".to_owned()], None::<i64>);
    let written = json!({
        name: -1, ("other".to_owned()): list, "none": none, "null": null, "half": 0.5,
        "deep": [null, [], {}, [1], { "is": true }, list.len(), json!("x")],
    });
    let expected =
        r#"{"key":-1,"other":["a"],"none":null,"null":null,"half":0.5,"deep":[null,[],{},[1],{"is":true},1,"x"]}"#;
    assert_eq!(written.to_string(), expected);
}

fn anything() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(".{0,30}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Read and written as `serde_json`'s own values are.
    #[test]
    fn reads_and_writes_as_serde_json(one in anything(), other in anything()) {
        let (text, others) = (one.to_string(), other.to_string());
        let (ours, theirs): (Value, Value) = (serde_json::from_str(&text).unwrap(), serde_json::from_str(&others).unwrap());
        let (one, other): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&text).unwrap(), serde_json::from_str(&others).unwrap());
        prop_assert_eq!(ours.to_string(), one.to_string());
        prop_assert_eq!(ours == theirs, one == other);
        prop_assert_eq!(&ours, &ours.clone());
    }
}
