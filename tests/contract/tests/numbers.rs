//! Card numbers and what is none, in every text field of every method, past the wire: by the rules that a server reads from
//! the descriptors when it starts.

use bytes::Bytes;
use counterfoil_chassis::Streamed;
use counterfoil_chassis::redirect::AllowedOrigins;
use counterfoil_contract::fields::{Place, texts};
use counterfoil_contract::specimen::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tonic_types::StatusExt;
use uuid::Uuid;

const SEED: u64 = 0x5eed;

/// The rules of one file descriptor set, and every place in it for a text.
struct Texts {
    rules: Streamed,
    places: Vec<(MessageDescriptor, Place)>,
}

impl Texts {
    fn of(descriptors: &[u8]) -> Texts {
        let pool = DescriptorPool::decode(descriptors).unwrap();
        let ours = pool
            .services()
            .filter(|service| service.full_name().starts_with("counterfoil."));
        let services: Vec<_> = ours.collect();
        let names: Vec<_> = services.iter().map(|service| service.full_name()).collect();
        let rules = Streamed::described(descriptors, &names, AllowedOrigins::default()).unwrap();
        let requests = services
            .iter()
            .flat_map(|service| service.methods())
            .map(|method| method.input());
        let places = requests.flat_map(|request| {
            let places = texts(&request).into_iter();
            places.map(move |place| (request.clone(), place))
        });
        Texts {
            rules,
            places: places.collect(),
        }
    }

    /// The place of this field in a message.
    fn place(&self, message: &str, path: &str) -> &(MessageDescriptor, Place) {
        let mut places = self.places.iter();
        places
            .find(|(of, place)| of.name() == message && place.path() == path)
            .unwrap()
    }
}

/// A message with `text` in one place and nothing else.
fn holding(message: &MessageDescriptor, place: &Place, text: &str) -> Bytes {
    let mut holding = DynamicMessage::new(message.clone());
    place.put(&mut holding, text);
    holding.encode_to_vec().into()
}

/// Whether the rules refuse the text in a place as a card number, whatever else they say of the message.
fn is_refused(texts: &Texts, message: &MessageDescriptor, place: &Place, text: &str) -> bool {
    let checked = texts
        .rules
        .check_encoded(message.full_name(), &holding(message, place, text));
    checked.is_err_and(|status| {
        status
            .get_details_error_info()
            .is_some_and(|info| info.reason == "CARD_NUMBER")
    })
}

/// A number of `length` digits that begins with `prefix` and is right by Luhn.
fn card(random: &mut StdRng, prefix: &str, length: usize) -> String {
    let digits = format!("{prefix}{}", digits(random, length - 1 - prefix.len()));
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            if place % 2 == 0 {
                digit * 2 / 10 + digit * 2 % 10
            } else {
                digit
            }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// Beginnings of the numbers of schemes with their lengths. Source: each scheme's own, by way of
/// <https://en.wikipedia.org/wiki/Payment_card_number>.
const SCHEMES: [(&str, usize); 12] = [
    ("4", 16),
    ("4", 13),
    ("4", 19),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("34", 15),
    ("37", 15),
    ("6011", 16),
    ("3566", 16),
    ("36", 14),
    ("62", 17),
];

/// The same number with something between its digits, or around it.
fn disguised(random: &mut StdRng, number: &str) -> String {
    let between = ["", " ", "-", "\u{a0}", "\u{2009}", "\u{2013}", " - ", "\u{200b}", "\t"];
    let between = between[random.random_range(0..between.len())];
    let every = random.random_range(1..=6);
    let mut text = String::new();
    for (place, digit) in number.chars().enumerate() {
        if place > 0 && place % every == 0 {
            text += between;
        }
        let wide = random.random_ratio(1, 4);
        text.push(if wide {
            char::from_u32(0xff10 + digit as u32 - '0' as u32).unwrap()
        } else {
            digit
        });
    }
    match random.random_range(0..4) {
        0 => format!("card: {text}."),
        1 => format!("\"{text}\""),
        _ => text,
    }
}

#[test]
fn no_card_number_passes_in_any_text_that_is_not_marked() {
    let mut random = StdRng::seed_from_u64(SEED);
    for descriptors in [counterfoil_proto::FILE_DESCRIPTOR_SET, FILE_DESCRIPTOR_SET] {
        let texts = Texts::of(descriptors);
        for (message, place) in texts.places.iter().filter(|(_, place)| !place.may_look_like_a_card()) {
            for n in 0..TIMES {
                let (prefix, length) = SCHEMES[n % SCHEMES.len()];
                let number = card(&mut random, prefix, length);
                let text = disguised(&mut random, &number);
                let refused = is_refused(&texts, message, place, &text);
                assert!(refused, "{} {}: {text:?} is taken", message.name(), place.path());
            }
        }
    }
}

/// Numbers for each text.
const TIMES: usize = 400;

/// Values that are no card numbers, in a field of their own.
struct Field {
    message: &'static str,
    /// What the message has besides, in protobuf's text format.
    base: &'static str,
    path: &'static str,
    count: usize,
    value: fn(&mut StdRng) -> String,
}

const KEY_AND_ID: &str = r#"idempotency_key: "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d" subscription_id: "sub_1""#;
const TAX: &str = r#"line_items { reference: "one" amount { currency_code: "eur" } } address { country_code: "DE" }
    tax_ids { type: "eu_vat" value: "1" }"#;

/// A million in all.
const FIELDS: [Field; 11] = [
    Field {
        message: "counterfoil.billing.v1.CancelSubscriptionRequest",
        base: KEY_AND_ID,
        path: "idempotency_key",
        count: 150_000,
        value: |random| Uuid::from_u128(random.random()).to_string(),
    },
    Field {
        message: "counterfoil.billing.v1.CancelSubscriptionRequest",
        base: KEY_AND_ID,
        path: "idempotency_key",
        count: 50_000,
        // Digits only.
        value: |random| {
            let digits = digits(random, 32);
            let parts = [
                &digits[..8],
                &digits[8..12],
                &digits[12..16],
                &digits[16..20],
                &digits[20..],
            ];
            parts.join("-")
        },
    },
    Field {
        message: "counterfoil.billing.v1.GetSubscriptionRequest",
        base: "",
        path: "subscription_id",
        count: 100_000,
        value: |random| stripe_id(random, "sub_"),
    },
    Field {
        message: "counterfoil.customer.v1.GetCustomerRequest",
        base: "",
        path: "stripe_customer_id",
        count: 100_000,
        value: |random| stripe_id(random, "cus_"),
    },
    Field {
        message: "counterfoil.event.v1.GetEventRequest",
        base: "",
        path: "event_id",
        count: 100_000,
        value: |random| stripe_id(random, "evt_"),
    },
    Field {
        message: "counterfoil.tax.v1.CreateCalculationRequest",
        base: TAX,
        path: "tax_ids[0].value",
        count: 100_000,
        value: |random| {
            let length = random.random_range(8..=15);
            let country = ["", "DE", "FR", "ATU", "NL", "GB"][random.random_range(0..6)];
            format!("{country}{}", digits(random, length))
        },
    },
    Field {
        message: "counterfoil.tax.v1.CreateCalculationRequest",
        base: TAX,
        path: "tax_ids[0].value",
        count: 50_000,
        // A CNPJ: 14 digits, as it is printed or not.
        value: |random| {
            let cnpj = card_or_digits(random, 14);
            if random.random() {
                return cnpj;
            }
            let parts = (&cnpj[..2], &cnpj[2..5], &cnpj[5..8], &cnpj[8..12], &cnpj[12..]);
            format!("{}.{}.{}/{}-{}", parts.0, parts.1, parts.2, parts.3, parts.4)
        },
    },
    Field {
        message: "counterfoil.specimen.v1.CreateSpecimenRequest",
        base: r#"idempotency_key: "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d" user_id: "user" title: "A title""#,
        path: "account_number",
        count: 100_000,
        value: |random| {
            let length = random.random_range(8..=18);
            let country = ["", "DE", "AT"][random.random_range(0..3)];
            format!("{country}{}", card_or_digits(random, length))
        },
    },
    Field {
        message: "counterfoil.billing.v1.CheckAccessRequest",
        base: r#"feature: "reports""#,
        path: "user_id",
        count: 100_000,
        value: |random| card_or_digits(random, 19),
    },
    Field {
        message: "counterfoil.customer.v1.GetCustomerRequest",
        base: "",
        path: "user_id",
        count: 100_000,
        value: |random| card_or_digits(random, 16),
    },
    Field {
        message: "counterfoil.customer.v1.GetOrCreateCustomerRequest",
        base: "",
        path: "user_id",
        count: 50_000,
        value: |random| card_or_digits(random, 18),
    },
];

#[test]
fn of_a_million_values_in_their_own_fields_none_is_refused() {
    let mut random = StdRng::seed_from_u64(SEED);
    let sets = [counterfoil_proto::FILE_DESCRIPTOR_SET, FILE_DESCRIPTOR_SET].map(Texts::of);
    let mut count = 0;
    for field in FIELDS {
        let name = field.message.rsplit('.').next().unwrap();
        let of_field = |texts: &&Texts| {
            texts
                .places
                .iter()
                .any(|(message, _)| message.full_name() == field.message)
        };
        let texts = sets.iter().find(of_field).unwrap();
        let (message, place) = texts.place(name, field.path);
        let mut request = DynamicMessage::parse_text_format(message.clone(), field.base).unwrap();
        let base = request.encode_to_vec();
        for _ in 0..field.count {
            let value = (field.value)(&mut random);
            let encoded = if field.path.contains('.') {
                place.put(&mut request, &value);
                request.encode_to_vec()
            } else {
                // Of a field that comes twice the last one counts.
                let mut encoded = base.clone();
                prost::encoding::string::encode(place.field().number(), &value, &mut encoded);
                encoded
            };
            let checked = texts.rules.check_encoded(field.message, &encoded.into());
            assert!(
                checked.is_ok(),
                "{name} {}: {value:?} is refused: {checked:?}",
                field.path
            );
            count += 1;
        }
    }
    assert_eq!(count, 1_000_000);
}

/// An id of Stripe's in a text that is not for one: at most one in a thousand may be taken for a card number.
#[test]
fn ids_of_stripes_pass_in_any_text() {
    let mut random = StdRng::seed_from_u64(SEED);
    let texts = Texts::of(counterfoil_proto::FILE_DESCRIPTOR_SET);
    let (message, place) = texts.place("GetOrCreateCustomerRequest", "name");
    let base = r#"user_id: "user""#;
    let mut request = DynamicMessage::parse_text_format(message.clone(), base).unwrap();
    let mut refused = 0;
    for _ in 0..20_000 {
        place.put(&mut request, &format!("see {}, please", stripe_id(&mut random, "pi_")));
        let checked = texts
            .rules
            .check_encoded(message.full_name(), &request.encode_to_vec().into());
        refused += u32::from(checked.is_err());
    }
    assert!(refused <= 20, "{refused} of 20,000");
}

/// At most 38 digits. One number is drawn for all of them, as there are millions.
fn digits(random: &mut StdRng, length: usize) -> String {
    let drawn = format!("{:039}", random.random::<u128>());
    drawn[drawn.len() - length..].to_owned()
}

/// Digits, every third time those of a card number.
fn card_or_digits(random: &mut StdRng, length: usize) -> String {
    if random.random_ratio(1, 3) {
        card(random, "4", length)
    } else {
        digits(random, length)
    }
}

/// Fourteen or twenty characters, every fourth time digits only.
fn stripe_id(random: &mut StdRng, prefix: &str) -> String {
    const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut drawn: u128 = random.random();
    let length = if drawn & 1 == 0 { 14 } else { 20 };
    if drawn & 6 == 0 {
        return format!("{prefix}{}", digits(random, length));
    }
    let mut id = prefix.to_owned();
    for _ in 0..length {
        id.push(char::from(CHARACTERS[(drawn % 62) as usize]));
        drawn /= 62;
    }
    id
}
