//! Field masks: which fields of a resource an update changes. Sources: <https://aip.dev/134>, <https://aip.dev/161>

use std::collections::HashSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use prost_types::FieldMask;

/// The path that stands for every field, and stands alone.
const ALL: &str = "*";

/// Refuses a mask with a path that names no field of `resource`, or goes through one that `may_update` refuses. Paths are
/// the names of the proto file, joined by dots. They lead through messages, but not through lists, maps, or what callers
/// know as one value (`google.protobuf.Timestamp`). `*` is right when it is alone. A mask without paths is right too:
/// what it means is for the service to say, see [`Paths::is_empty`].
///
/// # Errors
/// The paths that are wrong, empty, or there a second time, in their order and as the caller wrote them.
pub fn check(
    mask: &FieldMask,
    resource: &MessageDescriptor,
    may_update: impl Fn(&FieldDescriptor) -> bool,
) -> Result<(), Vec<String>> {
    if mask.paths.iter().eq([ALL]) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let mut wrong = Vec::new();
    for path in &mask.paths {
        if !seen.insert(path) || !leads_to_field(path, resource, &may_update) {
            wrong.push(path.clone());
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn leads_to_field(path: &str, resource: &MessageDescriptor, may_update: impl Fn(&FieldDescriptor) -> bool) -> bool {
    let mut within = Some(resource.clone());
    for name in path.split('.') {
        let Some(field) = within.and_then(|message| message.get_field_by_name(name)) else {
            return false;
        };
        if !may_update(&field) {
            return false;
        }
        within = message_of(&field);
    }
    true
}

/// The message that a path may lead on into.
fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(_) if field.is_list() || field.is_map() => None,
        Kind::Message(message) if message.package_name() != "google.protobuf" => Some(message),
        _ => None,
    }
}

/// The paths of a checked mask, for the code that applies it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths(Vec<String>);

impl Paths {
    /// Whether the field of this path is to be changed: named itself, or within a message that is, or among all.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.0.iter().any(|given| {
            given == ALL
                || path
                    .strip_prefix(given.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Whether the mask named nothing. By AIP-134 it then means the fields that the request sets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<FieldMask> for Paths {
    fn from(mask: FieldMask) -> Self {
        Self(mask.paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost_reflect::DescriptorPool;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions};

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    fn field(number: i32, name: &str, label: Label, kind: Option<&str>) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            label: Some(label.into()),
            r#type: Some(kind.map_or(Type::String, |_| Type::Message).into()),
            type_name: kind.map(str::to_owned),
            ..FieldDescriptorProto::default()
        }
    }

    fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
        DescriptorProto {
            name: Some(name.to_owned()),
            field,
            ..DescriptorProto::default()
        }
    }

    fn file(package: &str, message_type: Vec<DescriptorProto>, dependency: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(format!("{package}.proto")),
            package: Some(package.to_owned()),
            message_type,
            dependency: dependency.iter().map(|&name| name.to_owned()).collect(),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        }
    }

    /// `Thing { string email; Thing part; repeated Thing parts; map<string, string> labels; string output_id; Timestamp
    /// create_time; }`
    fn thing() -> MessageDescriptor {
        let (one, many) = (Label::Optional, Label::Repeated);
        let mut entry = message(
            "LabelsEntry",
            vec![field(1, "key", one, None), field(2, "value", one, None)],
        );
        entry.options = Some(MessageOptions {
            map_entry: Some(true),
            ..MessageOptions::default()
        });
        let mut thing = message(
            "Thing",
            vec![
                field(1, "email", one, None),
                field(2, "part", one, Some(".shop.Thing")),
                field(3, "parts", many, Some(".shop.Thing")),
                field(4, "labels", many, Some(".shop.Thing.LabelsEntry")),
                field(5, "output_id", one, None),
                field(6, "create_time", one, Some(".google.protobuf.Timestamp")),
            ],
        );
        thing.nested_type.push(entry);
        let timestamp = message("Timestamp", vec![field(1, "seconds", one, None)]);
        let files = FileDescriptorSet {
            file: vec![
                file("google.protobuf", vec![timestamp], &[]),
                file("shop", vec![thing], &["google.protobuf.proto"]),
            ],
        };
        let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
        pool.get_message_by_name("shop.Thing").unwrap()
    }

    fn try_paths(paths: &[&str]) -> Result<(), Vec<String>> {
        check(&mask(paths), &thing(), |field| !field.name().starts_with("output_"))
    }

    #[test]
    fn a_path_of_proto_names_through_messages_is_right() {
        for right in [
            &["email"][..],
            &["part"],
            &["part.email", "part"],
            &["part.part.part.labels"],
            &["parts", "labels", "create_time"],
            &["*"],
            &[],
        ] {
            assert_eq!(try_paths(right), Ok(()), "{right:?}");
        }
    }

    #[test]
    fn every_wrong_path_is_told() {
        for wrong in [
            "",
            " ",
            "Email",
            "nothing",
            "createTime",
            "createtime",
            "email.x",
            "email.",
            ".email",
            "part..email",
            "parts.email",
            "labels.key",
            "labels.value",
            "create_time.seconds",
            "output_id",
            "part.output_id",
            "part.*",
            "1",
            "email,part",
            "emaıl",
        ] {
            assert_eq!(try_paths(&[wrong]), Err(vec![wrong.to_owned()]), "{wrong}");
        }
        assert_eq!(
            try_paths(&["email", "nothing", "email", "*", ""]),
            Err(["nothing", "email", "*", ""].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn a_message_that_may_not_be_updated_hides_its_fields() {
        let refused = check(&mask(&["part.email", "email"]), &thing(), |field| {
            field.name() != "part"
        });
        assert_eq!(refused, Err(vec!["part.email".to_owned()]));
    }

    #[test]
    fn a_path_covers_itself_and_what_is_within() {
        let paths = Paths::from(mask(&["email", "part.labels"]));
        for (path, covered) in [
            ("email", true),
            ("email_2", false),
            ("part", false),
            ("part.labels", true),
            ("part.labels.x", true),
            ("part.label", false),
        ] {
            assert_eq!(paths.covers(path), covered, "{path}");
        }
        assert!(Paths::from(mask(&["*"])).covers("anything.at.all"));
        assert!(Paths::default().is_empty() && !Paths::default().covers("email"));
    }

    proptest! {
        #[test]
        fn what_passes_is_made_of_field_names_only(path in "(\\*|email|part|parts|labels|nothing|output_id|\\.|,){1,6}") {
            if try_paths(&[path.as_str()]).is_ok() && path != "*" {
                let names: Vec<_> = path.split('.').collect();
                let (last, through) = names.split_last().unwrap();
                prop_assert!(["email", "part", "parts", "labels"].contains(last));
                prop_assert!(through.iter().all(|name| *name == "part"));
            }
        }

        #[test]
        fn no_path_is_a_panic(paths in proptest::collection::vec(".{0,20}", 0..4)) {
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            let _ = try_paths(&paths);
        }
    }
}
