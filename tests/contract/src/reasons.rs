//! The reasons that calls may fail for, as the protos document them.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, EnumDescriptor, EnumValueDescriptor};

/// A documented reason.
#[derive(Debug, Clone)]
pub struct Reason {
    /// Without the enum's prefix: `NOT_FOUND`.
    pub name: String,
    /// The code of its status, in capitals; empty where any may be.
    pub code: String,
    /// What is said of it.
    pub meaning: String,
}

/// The package that all services share the reasons of.
pub const COMMON: &str = "counterfoil.common.v1";

/// The reasons of a package for a failed call, by name. None where it has none of its own.
#[must_use]
pub fn of_package(pool: &DescriptorPool, package: &str) -> BTreeMap<String, Reason> {
    let reasons = pool.get_enum_by_name(&format!("{package}.ErrorReason"));
    let reasons = reasons.iter().flat_map(|reasons| in_order(reasons, "ERROR_REASON_"));
    reasons.map(|reason| (reason.name.clone(), reason)).collect()
}

/// The reasons in an enum in the order they stand there, but for the one that is never given.
#[must_use]
pub fn in_order(reasons: &EnumDescriptor, prefix: &str) -> Vec<Reason> {
    let values = reasons.values().filter(|value| value.number() != 0);
    let values = values.map(|value| Reason {
        name: value.name().trim_start_matches(prefix).to_owned(),
        code: code(&value),
        meaning: comment(reasons.parent_file().file_descriptor_proto(), value.path()),
    });
    values.collect()
}

fn code(value: &EnumValueDescriptor) -> String {
    let extension = value.parent_pool().get_extension_by_name("counterfoil.common.v1.code");
    let Some(extension) = extension else {
        return String::new();
    };
    let options = value.options();
    let code = options.get_extension(&extension).as_str().map(str::to_owned);
    code.unwrap_or_default()
}

/// The comment before what stands at `path` in a file, as one paragraph.
#[must_use]
pub fn comment(file: &prost_types::FileDescriptorProto, path: &[i32]) -> String {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let location = locations.into_iter().find(|location| location.path == path);
    let comment = location.map(|location| location.leading_comments()).unwrap_or_default();
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}
