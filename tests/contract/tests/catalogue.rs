//! `docs/errors.md`: every reason there is, out of the protos. It is written anew with `UPDATE_DOCS=1`, and a page that does
//! not say what the protos do fails.

use std::fmt::Write;

use counterfoil_contract::reasons::{COMMON, comment, in_order};
use prost_reflect::{DescriptorPool, EnumDescriptor};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");

const HEAD: &str = "\
# Reasons

Every failed call carries `google.rpc.ErrorInfo` with the domain `counterfoil.dev` and one of the reasons below. A client
decides by code and reason, never by the message. Reasons are never renamed or given another meaning.

<!-- Written by `UPDATE_DOCS=1 cargo nextest run -p counterfoil-contract catalogue` out of proto/. -->
";

#[test]
fn the_page_of_reasons_says_what_the_protos_do() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let there = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        there == page,
        "docs/errors.md is stale: run this test with UPDATE_DOCS=1"
    );
}

/// Each reason has a meaning, and all but the one for what nobody knows a code that there is.
#[test]
fn every_reason_has_a_meaning_and_a_code() {
    for reason in reasons().iter().flat_map(|reasons| in_order(reasons, "ERROR_REASON_")) {
        assert!(reason.meaning.ends_with('.'), "{} has no meaning", reason.name);
        let codes = (1..=16).map(|code| counterfoil_chassis::status::code_name(tonic::Code::from(code)));
        let known = codes.into_iter().any(|code| code == reason.code);
        assert!(
            known != (reason.name == "UNEXPLAINED"),
            "{}: {}",
            reason.name,
            reason.code
        );
    }
}

/// The enums of reasons, that of all services first.
fn reasons() -> Vec<EnumDescriptor> {
    let pool = DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut reasons: Vec<_> = pool.all_enums().filter(|one| one.name() == "ErrorReason").collect();
    reasons.sort_by_key(|one| (one.package_name() != COMMON, one.full_name().to_owned()));
    reasons
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for reasons in reasons() {
        let said = comment(reasons.parent_file().file_descriptor_proto(), reasons.path());
        write!(page, "\n## `{}`\n\n{said}\n\n", reasons.package_name()).unwrap();
        page += "| reason | code | meaning |\n|---|---|---|\n";
        for reason in in_order(&reasons, "ERROR_REASON_") {
            let code = if reason.code.is_empty() { "any" } else { &reason.code };
            writeln!(page, "| `{}` | {code} | {} |", reason.name, reason.meaning).unwrap();
        }
    }
    let pool = DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
    let fields = pool.get_enum_by_name(&format!("{COMMON}.FieldReason")).unwrap();
    let said = comment(fields.parent_file().file_descriptor_proto(), fields.path());
    write!(
        page,
        "\n## Reasons of fields\n\n{said}\n\n| reason | meaning |\n|---|---|\n"
    )
    .unwrap();
    for reason in in_order(&fields, "FIELD_REASON_") {
        writeln!(page, "| `{}` | {} |", reason.name, reason.meaning).unwrap();
    }
    page
}
