//! Rules compiled from small protos, against messages in text form.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_store::page::{Binding, encode};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic_types::FieldViolation;

use super::{Found, Rules};
use crate::context::Call;
use crate::redirect::AllowedOrigins;

/// A service `t.v1.T` with one method that takes a `Request`, of which `fields` are the body.
struct Specimen {
    rules: Rules,
    pool: DescriptorPool,
}

fn call() -> Call {
    Call {
        caller: Arc::from("caller"),
        method: Arc::from("t.v1.T/Do"),
    }
}

fn descriptors(body: &str) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
        syntax = "proto3";
        package t.v1;
        import "buf/validate/validate.proto";
        import "counterfoil/common/v1/options.proto";
        import "google/api/field_behavior.proto";
        import "google/protobuf/field_mask.proto";
        service T {{ rpc Do(Request) returns (Request); }}
        enum Color {{ COLOR_UNSPECIFIED = 0; COLOR_RED = 1; }}
        message Part {{
          string name = 1 [(google.api.field_behavior) = REQUIRED, (buf.validate.field).string.max_len = 3];
          string etag = 2 [(google.api.field_behavior) = OUTPUT_ONLY];
          string kind = 3 [(google.api.field_behavior) = IMMUTABLE];
        }}
        {body}"#
    );
    std::fs::write(folder.path().join("t.proto"), text).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut compiler = protox::Compiler::new([
        folder.path().to_owned(),
        root.join("proto"),
        root.join("third_party/proto"),
    ])
    .unwrap();
    compiler.include_imports(true).open_file("t.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

impl Specimen {
    fn of(fields: &str) -> Specimen {
        let descriptors = descriptors(&format!("message Request {{ {fields} }}"));
        let origins = AllowedOrigins::try_from(vec!["https://shop.example".to_owned()]).unwrap();
        Specimen {
            rules: Rules::compile(&descriptors, &["t.v1.T"], origins).unwrap(),
            pool: descriptors,
        }
    }

    fn encode(&self, text: &str) -> Bytes {
        let request = self.pool.get_message_by_name("t.v1.Request").unwrap();
        let message = DynamicMessage::parse_text_format(request, text);
        message
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .encode_to_vec()
            .into()
    }

    fn found(&self, text: &str) -> Found {
        self.rules.check("t.v1.Request", &self.encode(text), &call()).unwrap()
    }

    /// What is wrong with a message, each as `field: description (REASON)`.
    fn told(&self, text: &str) -> Vec<String> {
        let violations: Vec<FieldViolation> = self.found(text).violations.into();
        let told = |one: FieldViolation| format!("{}: {} ({})", one.field, one.description, one.reason);
        violations.into_iter().map(told).collect()
    }
}

/// A field, a message that keeps its rule, one that breaks it, and what is told of that.
const TABLE: [(&str, &str, &str, &str); 28] = [
    (
        "string a = 1 [(google.api.field_behavior) = REQUIRED];",
        "a: 'x'",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "string a = 1 [(buf.validate.field).required = true];",
        "a: 'x'",
        "a: ''",
        "a: is required (REQUIRED)",
    ),
    (
        "Part a = 1 [(google.api.field_behavior) = REQUIRED];",
        "a { name: 'x' }",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "repeated string a = 1 [(google.api.field_behavior) = REQUIRED];",
        "a: ''",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "Color a = 1 [(google.api.field_behavior) = REQUIRED];",
        "a: COLOR_RED",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "optional int64 a = 1 [(google.api.field_behavior) = REQUIRED];",
        "a: 0",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "oneof a { option (buf.validate.oneof).required = true; string b = 1; string c = 2; }",
        "b: ''",
        "",
        "a: is required (REQUIRED)",
    ),
    (
        "string a = 1 [(buf.validate.field).string = { min_len: 2, max_len: 3 }];",
        "a: 'äöü'",
        "a: 'ä'",
        "a: must be at least 2 and at most 3 characters long (LENGTH)",
    ),
    (
        "string a = 1 [(buf.validate.field).string.min_len = 2];",
        "a: 'xy'",
        "",
        "a: must be at least 2 characters long (LENGTH)",
    ),
    (
        "string a = 1 [(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).string.min_len = 2];",
        "",
        "a: 'x'",
        "a: must be at least 2 characters long (LENGTH)",
    ),
    (
        "string a = 1 [(buf.validate.field).string.pattern = '^[a-z]+$'];",
        "a: 'x'",
        "a: 'X'",
        "a: must match ^[a-z]+$ (FORMAT)",
    ),
    (
        "string a = 1 [(counterfoil.common.v1.form) = 'be small', (buf.validate.field).string.pattern = '^[a-z]+$'];",
        "a: 'x'",
        "a: 'X'",
        "a: must be small (FORMAT)",
    ),
    (
        "string a = 1 [(buf.validate.field).string.uuid = true];",
        "a: '6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d'",
        "a: '00000000-0000-0000-0000-000000000000'",
        "a: must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d (FORMAT)",
    ),
    (
        "string a = 1 [(buf.validate.field).string = { in: ['x', 'y'] }];",
        "a: 'y'",
        "a: 'z'",
        "a: must be one of the values allowed (NOT_ALLOWED)",
    ),
    (
        "string a = 1 [(buf.validate.field).string = { not_in: ['x'] }];",
        "a: 'y'",
        "a: 'x'",
        "a: must be one of the values allowed (NOT_ALLOWED)",
    ),
    (
        "int32 a = 1 [(buf.validate.field).int32 = { gte: 0, lt: 64 }];",
        "a: 63",
        "a: -1",
        "a: must be at least 0 and less than 64 (RANGE)",
    ),
    (
        "int64 a = 1 [(buf.validate.field).int64.gt = 0];",
        "a: 1",
        "a: 0",
        "a: must be more than 0 (RANGE)",
    ),
    (
        "uint64 a = 1 [(buf.validate.field).uint64.lte = 18446744073709551614];",
        "a: 18446744073709551614",
        "a: 18446744073709551615",
        "a: must be at most 18446744073709551614 (RANGE)",
    ),
    (
        "uint32 a = 1 [(buf.validate.field).uint32 = { in: [1, 2] }];",
        "a: 2",
        "a: 3",
        "a: must be one of the values allowed (NOT_ALLOWED)",
    ),
    (
        "Color a = 1 [(buf.validate.field).enum.defined_only = true];",
        "a: COLOR_RED",
        "a: 7",
        "a: must be one of the values this version knows (NOT_ALLOWED)",
    ),
    (
        "Color a = 1 [(buf.validate.field).enum = { not_in: [0] }];",
        "a: COLOR_RED",
        "",
        "a: must be one of the values this version knows (NOT_ALLOWED)",
    ),
    (
        "bytes a = 1 [(buf.validate.field).bytes.max_len = 2];",
        "a: 'xy'",
        "a: 'xyz'",
        "a: must be at most 2 bytes long (LENGTH)",
    ),
    (
        "repeated int32 a = 1 [(buf.validate.field).repeated = { min_items: 1, max_items: 2, items: { int32: { gte: 0 } } }];",
        "a: [0, 1]",
        "a: [1, -1]",
        "a[1]: must be at least 0 (RANGE)",
    ),
    (
        "repeated string a = 1 [(buf.validate.field).repeated.unique = true];",
        "a: ['x', 'y']",
        "a: ['x', 'y', 'x']",
        "a[2]: must be given once (DUPLICATE)",
    ),
    (
        "map<string, int32> a = 1 [(buf.validate.field).map = { max_pairs: 2, keys: { string: { max_len: 1 } }, values: { int32: { gte: 0 } } }];",
        "a { key: 'x' value: 1 }",
        "a { key: 'xy' value: 1 }",
        r#"a["xy"]: must be at most 1 characters long (LENGTH)"#,
    ),
    (
        "repeated Part a = 1;",
        "a { name: 'x' }",
        "a { name: 'x' } a { name: 'long' }",
        "a[1].name: must be at most 3 characters long (LENGTH)",
    ),
    (
        "string a = 1 [(counterfoil.common.v1.redirect_url) = true];",
        "a: 'https://shop.example/back'",
        "a: 'https://evil.example'",
        "a: must be of an allowed origin (REDIRECT_URL)",
    ),
    (
        "string a = 1;",
        "a: '4242 4242 4242 4241'",
        "a: 'my card is 4242 4242 4242 4242'",
        "a: must not hold the number of a payment card (CARD_NUMBER)",
    ),
];

#[test]
fn each_rule_lets_through_what_keeps_it_and_tells_what_breaks_it() {
    for (fields, right, wrong, told) in TABLE {
        let specimen = Specimen::of(fields);
        assert_eq!(specimen.told(right), [""; 0], "{fields} {right}");
        assert_eq!(specimen.told(wrong), [told], "{fields} {wrong}");
    }
}

#[test]
fn a_rule_that_is_not_understood_stops_the_start() {
    for fields in [
        "string a = 1 [(buf.validate.field).string.len_bytes = 3];",
        "string a = 1 [(buf.validate.field).string.email = true];",
        "string a = 1 [(buf.validate.field).string.pattern = '('];",
        "string a = 1 [(buf.validate.field).cel = { id: 'x', expression: 'true' }];",
        "double a = 1 [(buf.validate.field).double.gt = 0];",
        "int32 a = 1 [(buf.validate.field).int32 = { gt: 2, lt: 1 }];",
        "int32 a = 1 [(google.api.field_behavior) = REQUIRED];",
        "option (buf.validate.message).cel = { id: 'x', expression: 'true' };",
        "repeated string a = 1 [(buf.validate.field).repeated.items.string.prefix = 'x'];",
        "map<string, string> a = 1 [(buf.validate.field).map.keys.string.suffix = 'x'];",
        "string a = 1 [(counterfoil.common.v1.metadata) = true];",
        "int32 page_size = 1; string page_token = 2;",
        "google.protobuf.FieldMask update_mask = 1; Part a = 2; Part b = 3;",
    ] {
        let descriptors = descriptors(&format!("message Request {{ {fields} }}"));
        let compiled = Rules::compile(&descriptors, &["t.v1.T"], AllowedOrigins::default());
        assert!(compiled.is_err(), "{fields}");
    }
    let unknown = Rules::compile(
        &descriptors("message Request {}"),
        &["t.v1.U"],
        AllowedOrigins::default(),
    );
    assert!(unknown.is_err());
}

#[test]
fn a_card_number_is_found_in_every_text_but_those_marked() {
    let specimen = Specimen::of(
        "string a = 1;
         string id = 2 [(counterfoil.common.v1.not_card) = true];
         repeated string list = 3;
         map<string, string> map = 4;
         oneof one { string of = 5; Part part = 6; }",
    );
    let card = "4242424242424242";
    assert_eq!(specimen.told(&format!("id: '{card}'")), [""; 0]);
    for (text, field) in [
        (format!("a: '{card}'"), "a"),
        (format!("list: ['x', '{card}']"), "list[1]"),
        (format!("map {{ key: 'x' value: '{card}' }}"), r#"map["x"]"#),
        (format!("map {{ key: '{card}' value: 'x' }}"), "map[(hidden)]"),
        (format!("of: '{card}'"), "of"),
        (format!("part {{ name: 'x' kind: '{card}' }}"), "part.kind"),
    ] {
        let expected = format!("{field}: must not hold the number of a payment card (CARD_NUMBER)");
        assert_eq!(specimen.told(&text), [expected], "{text}");
    }
}

#[test]
fn metadata_keeps_to_stripes_limits_and_leaves_our_keys_alone() {
    let specimen = Specimen::of("map<string, string> a = 1 [(counterfoil.common.v1.metadata) = true];");
    assert_eq!(specimen.told("a { key: 'order' value: '17' }"), [""; 0]);
    for wrong in [
        format!("a {{ key: '{}' value: 'x' }}", "k".repeat(41)),
        format!("a {{ key: 'x' value: '{}' }}", "v".repeat(501)),
        "a { key: 'x[y]' value: 'x' }".to_owned(),
        "a { key: 'op_key' value: 'x' }".to_owned(),
    ] {
        let told = specimen.told(&wrong);
        assert!(told.len() == 1 && told[0].ends_with("(METADATA)"), "{wrong}: {told:?}");
    }
}

#[test]
fn what_only_answers_have_is_taken_out_of_a_request() {
    let specimen = Specimen::of("Part a = 1; repeated Part b = 2;");
    assert!(specimen.found("a { name: 'x' }").without_output.is_none());
    let without = specimen
        .found("a { name: 'x' etag: 'y' } b { name: 'x' etag: 'y' }")
        .without_output;
    assert_eq!(without.unwrap(), specimen.encode("a { name: 'x' } b { name: 'x' }"));
}

#[test]
fn a_request_of_a_standard_shape_is_known_by_its_fields() {
    let specimen = Specimen::of(
        "string idempotency_key = 1 [(counterfoil.common.v1.not_card) = true];
         bool validate_only = 2;
         string filter = 3;
         int32 page_size = 4 [(counterfoil.common.v1.page) = { default_size: 10, max_size: 20 }];
         string page_token = 5 [(counterfoil.common.v1.not_card) = true];",
    );
    let found = specimen.found("idempotency_key: '6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d' validate_only: true");
    assert!(found.validate_only);
    let key = found.idempotency_key.unwrap();
    assert_eq!(key.to_string(), "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d");

    for (asked, size) in [(0, 10), (-1, 10), (1, 1), (20, 20), (21, 20)] {
        let paging = specimen.found(&format!("page_size: {asked}")).paging.unwrap();
        assert_eq!(paging.page::<String>().unwrap().limit, size);
    }
    let token = specimen.found("filter: 'x'").paging.unwrap().token(Some(&7));
    let next = specimen.found(&format!("filter: 'x' page_size: 3 page_token: '{token}'"));
    assert_eq!(next.paging.unwrap().page::<i64>().unwrap().after, Some(7));
    for wrong in [
        format!("filter: 'y' page_token: '{token}'"),
        "page_token: 'none of ours'".to_owned(),
        format!(
            "page_token: '{}'",
            encode(&Binding::new("other", "t.v1.T/Do", b""), "7")
        ),
    ] {
        let told = specimen.told(&wrong);
        assert!(
            told.len() == 1 && told[0].ends_with("(PAGE_TOKEN)"),
            "{wrong}: {told:?}"
        );
    }
}

#[test]
fn an_update_masks_paths_are_fields_that_may_be_written() {
    let specimen = Specimen::of("Part part = 1; google.protobuf.FieldMask update_mask = 2;");
    let part = "part { name: 'x' }";
    assert_eq!(
        specimen.told(&format!("{part} update_mask {{ paths: 'name' }}")),
        [""; 0]
    );
    for wrong in ["nome", "etag", "kind", ""] {
        let told = specimen.told(&format!("{part} update_mask {{ paths: '{wrong}' }}"));
        assert!(
            told.len() == 1 && told[0].ends_with("(FIELD_MASK)"),
            "{wrong}: {told:?}"
        );
    }
}

#[test]
fn every_message_of_the_suite_has_rules_that_are_understood() {
    let pool = DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().map(|service| service.full_name().to_owned()).collect();
    let services: Vec<_> = services.iter().map(String::as_str).collect();
    let origins = AllowedOrigins::default();
    let rules = Rules::compile(&pool, &services, origins).unwrap();
    assert!(rules.places.len() > 10);
}
