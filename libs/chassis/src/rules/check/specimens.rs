//! Random requests, judged by our reading of protovalidate's rules, for its official implementation to judge as well
//! (`tests/peers/test_rules.py`).

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path as FilePath;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use tonic_types::FieldViolation;

use super::*;
use crate::redirect::AllowedOrigins;

/// Requests of each kind, and more until each of its rules was broken.
const EACH: usize = 500;
const MOST_EACH: usize = 20_000;
/// How often a value is drawn until it keeps its rules.
const TRIES: usize = 3_000;
/// How many of a field's values that keep its rules are drawn; then they are drawn again.
const KEPT: usize = 24;
/// More violations than these are not told.
const TOLD: usize = 64;

/// Lengths in characters, around the bounds that the protos have.
const LENGTHS: [usize; 24] = [
    0, 1, 2, 3, 4, 8, 20, 31, 32, 33, 63, 64, 65, 79, 80, 81, 99, 101, 254, 255, 256, 257, 511, 513,
];
const COUNTS: [usize; 8] = [0, 1, 1, 2, 3, 19, 20, 21];
const MANY: [usize; 8] = [63, 64, 65, 99, 100, 101, 1000, 1001];
const ALPHABETS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789abcdef",
    "aZ09_",
    "ab09._-",
    "aZ_.:[]-",
    "a bé\u{1F600}\u{301}",
    "a\u{2028}\u{0}\n\t\u{85}\u{a0}",
];
const PREFIXES: [&str; 9] = ["", "", "cus_", "sub_", "price_", "acct_", "txcd_", "taxcalc_", "evt_"];
const SUFFIXES: [&str; 6] = ["", "", "", ".*", "\n", "ä"];
const UUIDS: [&str; 8] = [
    "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d",
    "6E9A2B1C-4D5F-4A3B-8C7D-0E1F2A3B4C5D",
    "6e9a2b1c4d5f4a3b8c7d0e1f2a3b4c5d",
    "{6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d}",
    "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5",
    "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5g",
    "urn:uuid:6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d",
    "6e9a2b1c-4d5f-0a3b-0c7d-0e1f2a3b4c5d\n",
];
/// Numbers around the bounds that the protos have.
const NUMBERS: [i64; 24] = [
    i64::MIN,
    i32::MIN as i64,
    -1,
    0,
    1,
    2,
    3,
    62,
    63,
    64,
    99_999,
    100_000,
    100_001,
    999_999,
    1_000_000,
    1_000_001,
    99_999_999,
    100_000_000,
    1_073_741_823,
    1_073_741_824,
    1_073_741_825,
    i32::MAX as i64,
    i64::MAX - 1,
    i64::MAX,
];
const ENUM_NUMBERS: [i32; 8] = [-1, 0, 1, 2, 3, 9, 1_000, i32::MAX];

/// The descriptors of the suite with no rules but protovalidate's.
fn descriptors() -> (DescriptorPool, DescriptorPool) {
    let bytes = counterfoil_proto::FILE_DESCRIPTOR_SET;
    let pool = DescriptorPool::decode(bytes).unwrap();
    let set = pool.get_message_by_name("google.protobuf.FileDescriptorSet").unwrap();
    let mut set = DynamicMessage::decode(set, bytes).unwrap();
    for file in messages(&mut set, "file") {
        for message in messages(file, "message_type") {
            strip(&pool, message);
        }
    }
    let stripped = DescriptorPool::decode(set.encode_to_vec().as_slice()).unwrap();
    (pool, stripped)
}

fn messages<'m>(of: &'m mut DynamicMessage, field: &str) -> impl Iterator<Item = &'m mut DynamicMessage> {
    let list = of.get_field_by_name_mut(field).unwrap().as_list_mut().unwrap();
    list.iter_mut().map(|value| value.as_message_mut().unwrap())
}

fn strip(pool: &DescriptorPool, message: &mut DynamicMessage) {
    let extension = |name| pool.get_extension_by_name(name).unwrap();
    for field in messages(message, "field") {
        let options = field
            .get_field_by_name_mut("options")
            .unwrap()
            .as_message_mut()
            .unwrap();
        options.clear_extension(&extension("google.api.field_behavior"));
        options.clear_extension(&extension("counterfoil.common.v1.redirect_url"));
        options.clear_extension(&extension("counterfoil.common.v1.metadata"));
        options.set_extension(&extension("counterfoil.common.v1.not_card"), Reflected::Bool(true));
    }
    for nested in messages(message, "nested_type") {
        strip(pool, nested);
    }
}

/// Draws messages: each field keeps its rules or, where it is wild, may break them.
struct Draw<'r> {
    rules: &'r Rules,
    rng: StdRng,
    /// How often a field is wild.
    wildness: f64,
    /// Values that kept the rules of a field, by its name.
    kept: HashMap<String, Vec<Reflected>>,
}

impl Draw<'_> {
    fn message(&mut self, rules: &Message) -> DynamicMessage {
        let mut message = DynamicMessage::new(rules.descriptor.clone());
        // Of a oneof the last one stays.
        let mut fields: Vec<_> = rules.fields.iter().collect();
        fields.shuffle(&mut self.rng);
        for field in fields {
            let wild = self.rng.random_bool(self.wildness);
            for _ in 0..20 {
                message.clear_field(&field.descriptor);
                if self.rng.random_bool(0.8) {
                    let value = self.field(field, wild);
                    message.set_field(&field.descriptor, value);
                }
                if wild || self.keeps(|walk| walk.field(field, &message, &Path::Request)) {
                    break;
                }
            }
        }
        message
    }

    fn keeps(&self, check: impl FnOnce(&mut Walk<'_>)) -> bool {
        let mut walk = Walk {
            rules: self.rules,
            violations: Violations::default(),
        };
        check(&mut walk);
        walk.violations.is_empty()
    }

    fn field(&mut self, field: &Field, wild: bool) -> Reflected {
        if field.descriptor.is_map() {
            let pairs = (0..self.pick(&COUNTS)).map(|place| {
                let key = MapKey::String(format!("key{place}"));
                (key, Reflected::String("value".to_owned()))
            });
            return Reflected::Map(pairs.collect());
        }
        if !field.descriptor.is_list() {
            return self.value(field, wild);
        }
        let many = self.rng.random_bool(if wild { 0.2 } else { 0.02 });
        let count = if many { self.pick(&MANY) } else { self.pick(&COUNTS) };
        let mut items: Vec<_> = (0..count.min(8))
            .map(|place| {
                let wild = wild && place > 0 && self.rng.random_bool(0.5);
                self.value(field, wild)
            })
            .collect();
        // The others are as the first.
        if let Some(first) = items.first().cloned() {
            items.resize(count, first);
        }
        Reflected::List(items)
    }

    fn value(&mut self, field: &Field, wild: bool) -> Reflected {
        if let Value::Message(place) = field.value {
            let (rules, wildness) = (self.rules, self.wildness);
            self.wildness = if wild { wildness } else { 0.0 };
            let message = self.message(&rules.messages[place]);
            self.wildness = wildness;
            return Reflected::Message(message);
        }
        let kind = field.descriptor.kind();
        if wild {
            return self.any(&kind);
        }
        let name = field.descriptor.full_name();
        match self.kept.get(name) {
            Some(kept) if kept.len() == KEPT => return kept.choose(&mut self.rng).unwrap().clone(),
            _ => {}
        }
        let mut value = self.any(&kind);
        for _ in 0..TRIES {
            if self.keeps(|walk| walk.value(&field.value, &value, &Path::Request)) {
                self.kept.entry(name.to_owned()).or_default().push(value.clone());
                break;
            }
            value = self.any(&kind);
        }
        value
    }

    fn any(&mut self, kind: &Kind) -> Reflected {
        let number = self.pick(&NUMBERS);
        match kind {
            Kind::String => Reflected::String(self.text()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Reflected::I32(number as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Reflected::I64(number),
            Kind::Uint32 | Kind::Fixed32 => Reflected::U32(number as u32),
            Kind::Uint64 | Kind::Fixed64 => Reflected::U64(number as u64),
            Kind::Bool => Reflected::Bool(self.rng.random()),
            Kind::Enum(_) => Reflected::EnumNumber(self.pick(&ENUM_NUMBERS)),
            Kind::Bytes => Reflected::Bytes(self.text().into()),
            other => panic!("no value of {other:?} can be drawn"),
        }
    }

    fn text(&mut self) -> String {
        match self.rng.random_range(0..100) {
            0..10 => self.pick(&UUIDS).to_owned(),
            // One of the two largest texts there may be, and one more.
            10 => "é".repeat(self.rng.random_range(4_999..=5_001)),
            _ => {
                let alphabet: Vec<char> = self.pick(&ALPHABETS).chars().collect();
                let prefix = self.pick(&PREFIXES);
                let length = self.pick(&LENGTHS);
                let text = (0..length).map(|_| *alphabet.choose(&mut self.rng).unwrap());
                let text: String = text.collect();
                format!("{prefix}{text}{}", self.pick(&SUFFIXES))
            }
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.rng).unwrap()
    }
}

/// The paths of all fields with rules of protovalidate's in `rules`, without subscripts.
fn ruled(rules: &Rules, place: usize, at: &str, found: &mut BTreeSet<String>) {
    let message = &rules.messages[place];
    let options = |field: &FieldDescriptor| {
        let extension = field.parent_pool().get_extension_by_name("buf.validate.field").unwrap();
        field.options().has_extension(&extension)
    };
    for field in &message.fields {
        let path = format!("{at}{}", field.descriptor.name());
        if options(&field.descriptor) {
            found.insert(path.clone());
        }
        if let Value::Message(place) = field.value {
            ruled(rules, place, &format!("{path}."), found);
        }
    }
    found.extend(
        message
            .required_oneofs
            .iter()
            .map(|oneof| format!("{at}{}", oneof.name())),
    );
}

fn without_subscripts(path: &str) -> String {
    let mut depth = 0;
    let outside = path.chars().filter(|one| {
        depth += i32::from(*one == '[');
        let outside = depth == 0;
        depth -= i32::from(*one == ']');
        outside
    });
    outside.collect()
}

/// A folder named by `COUNTERFOIL_RULES_SPECIMENS` gets the requests and the descriptors.
#[test]
fn random_requests_keep_every_rule_of_protovalidate_and_break_every_one() {
    let (pool, stripped) = descriptors();
    let ours = pool
        .services()
        .filter(|service| service.full_name().starts_with("counterfoil."));
    let services: Vec<_> = ours.collect();
    let names: Vec<_> = services.iter().map(|service| service.full_name()).collect();
    let rules = Rules::compile(&stripped, &names, AllowedOrigins::default()).unwrap();
    let requests = services
        .iter()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let requests: BTreeSet<_> = requests.map(|method| method.input().full_name().to_owned()).collect();
    let folder = std::env::var_os("COUNTERFOIL_RULES_SPECIMENS");
    let mut file = folder.map(|folder| {
        let folder = FilePath::new(&folder);
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("descriptors.bin"), counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
        BufWriter::new(File::create(folder.join("specimens.jsonl")).unwrap())
    });
    let mut draw = Draw {
        rules: &rules,
        rng: StdRng::seed_from_u64(3),
        wildness: 0.0,
        kept: HashMap::new(),
    };
    for name in &requests {
        let place = rules.places[name];
        let (mut valid, mut never) = (0, BTreeSet::new());
        ruled(&rules, place, "", &mut never);
        for number in 0..MOST_EACH {
            if number >= EACH && never.is_empty() {
                break;
            }
            draw.wildness = [0.0, 0.2, 0.4, 0.8][number % 4];
            let encoded = Bytes::from(draw.message(&rules.messages[place]).encode_to_vec());
            let found: Vec<FieldViolation> = rules.check_streamed(name, &encoded).unwrap().into();
            if found.len() >= TOLD {
                continue;
            }
            let paths: BTreeSet<_> = found.iter().map(|violation| violation.field.clone()).collect();
            valid += usize::from(paths.is_empty());
            for path in &paths {
                never.remove(&without_subscripts(path));
            }
            if let Some(file) = &mut file {
                let line = serde_json::json!({"message": name, "hex": hex::encode(&encoded), "paths": paths});
                writeln!(file, "{line}").unwrap();
            }
        }
        assert!(valid >= EACH / 10, "{name}: {valid} keep all rules");
        assert!(never.is_empty(), "{name}: these are never broken: {never:?}");
    }
    if let Some(file) = &mut file {
        file.flush().unwrap();
    }
}
