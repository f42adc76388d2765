//! Card numbers in all disguises, and what must not be taken for one. Every number is from a seed.

use counterfoil_chassis::card::contains_card_number;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use uuid::Builder;

/// How the numbers of each scheme begin, and their lengths, as the schemes' own test numbers show them: not read from the
/// table under test.
const SCHEMES: &[(&str, &[usize])] = &[
    ("4", &[13, 16, 19]),
    ("51", &[16]),
    ("55", &[16]),
    ("2221", &[16]),
    ("2720", &[16]),
    ("34", &[15]),
    ("37", &[15]),
    ("6011", &[16, 19]),
    ("644", &[16]),
    ("65", &[16]),
    ("300", &[14, 16]),
    ("36", &[14, 16, 19]),
    ("38", &[14]),
    ("3528", &[16, 19]),
    ("3589", &[16]),
    ("62", &[16, 17, 18, 19]),
    ("81", &[16]),
    ("5018", &[13, 16, 19]),
    ("6304", &[13, 14, 15, 16, 17, 18, 19]),
    ("6759", &[16]),
    ("6763", &[19]),
    ("2200", &[16, 19]),
    ("2204", &[16]),
    ("60", &[16]),
    ("508", &[16]),
    ("50611", &[16, 19]),
    ("650002", &[18]),
    ("9792", &[16]),
    ("636368", &[16]),
];

const SPACES: &[&str] = &[
    " ", "  ", "\u{a0}", "\u{2009}", "\u{202f}", "\u{3000}", "\u{200b}", "\t", "\n", "\r\n",
];
const DASHES: &[&str] = &[
    "-", "\u{2010}", "\u{2011}", "\u{2013}", "\u{2014}", "\u{2212}", "\u{ff0d}", " - ", "\u{ad}",
];
const LEADING: &[&str] = &[
    "",
    "card: ",
    "card:",
    "\"",
    "x=",
    "{\"metadata\":{\"note\":\"",
    "kaart №",
    "カード",
    "Invoice A-7b, ",
    "(",
    "\n",
    "2026/11/26, ",
    "pi_3Mxyz ",
    "-",
    "'",
];
const TRAILING: &[&str] = &[
    "",
    " exp 12/27",
    "\"",
    "\"}}",
    ".",
    ", cvc 123",
    "です",
    ")",
    "\n",
    " please",
    ";x",
    "-",
    "&y=1",
];

fn digits(rng: &mut StdRng, count: usize) -> String {
    (0..count)
        .map(|_| char::from(b'0' + rng.random_range(0..10_u8)))
        .collect()
}

/// A number with this beginning, whose last digit is right by Luhn: the one of ten that is.
fn valid(rng: &mut StdRng, beginning: &str, length: usize) -> String {
    let body = format!("{beginning}{}", digits(rng, length - 1 - beginning.len()));
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 2 } else { 1 })
        .map(|weighted| weighted / 10 + weighted % 10)
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn any_valid(rng: &mut StdRng) -> String {
    let (beginning, lengths) = *SCHEMES.choose(rng).unwrap();
    let length = *lengths.choose(rng).unwrap();
    valid(rng, beginning, length)
}

/// The number, cut by what `separator` gives before each digit but the first.
fn cut(number: &str, mut separator: impl FnMut(usize) -> &'static str) -> String {
    let mut text = String::new();
    for (place, digit) in number.chars().enumerate() {
        if place > 0 {
            text.push_str(separator(place));
        }
        text.push(digit);
    }
    text
}

fn in_digits_from(number: &str, zero: u32) -> String {
    number
        .chars()
        .map(|character| {
            character
                .to_digit(10)
                .and_then(|value| char::from_u32(zero + value))
                .unwrap_or(character)
        })
        .collect()
}

fn disguised(rng: &mut StdRng, number: &str) -> String {
    let space = *SPACES.choose(rng).unwrap();
    let dash = *DASHES.choose(rng).unwrap();
    let cut = match rng.random_range(0..6) {
        0 => number.to_owned(),
        1 => cut(number, |place| if place % 4 == 0 { space } else { "" }),
        2 => cut(number, |place| if place % 4 == 0 { dash } else { "" }),
        3 => cut(number, |place| {
            if place % 5 == 0 {
                space
            } else if place % 3 == 0 {
                dash
            } else {
                ""
            }
        }),
        4 => cut(number, |_| space),
        _ => cut(number, |_| {
            if rng.random_bool(0.3) {
                *DASHES.choose(rng).unwrap()
            } else {
                ""
            }
        }),
    };
    let cut = match rng.random_range(0..4) {
        0 => in_digits_from(&cut, 0xFF10),
        1 => in_digits_from(&cut, *[0x660, 0x6F0, 0x966, 0x1D7CE, 0xE50].choose(rng).unwrap()),
        _ => cut,
    };
    format!("{}{cut}{}", LEADING.choose(rng).unwrap(), TRAILING.choose(rng).unwrap())
}

#[test]
fn ten_thousand_card_numbers_in_all_disguises_are_found() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..10_000 {
        let number = any_valid(&mut rng);
        let text = disguised(&mut rng, &number);
        assert!(contains_card_number(&text), "{number} as {text:?}");
    }
}

#[test]
fn a_number_as_cards_print_it_is_found_among_other_numbers() {
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..2_000 {
        let number = valid(&mut rng, "4", 16);
        let printed = cut(&number, |place| if place % 4 == 0 { " " } else { "" });
        for text in [
            format!("{printed} 12/27 123"),
            format!("1 {printed} 12 27"),
            format!("2026-11-26 {number}"),
            format!("{number} 1227"),
            format!("B2 {printed}"),
        ] {
            assert!(contains_card_number(&text), "{text}");
        }
    }
}

#[test]
fn a_number_with_one_digit_wrong_is_none() {
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..2_000 {
        let number = any_valid(&mut rng);
        let at = rng.random_range(0..number.len());
        let mut wrong = number.into_bytes();
        wrong[at] = b'0' + (wrong[at] - b'0' + rng.random_range(1..10)) % 10;
        assert!(!contains_card_number(std::str::from_utf8(&wrong).unwrap()));
    }
}

/// How many of `count` texts are taken for card numbers.
fn taken(count: u32, mut text: impl FnMut(&mut StdRng) -> String) -> u32 {
    let mut rng = StdRng::seed_from_u64(4);
    (0..count)
        .map(|_| u32::from(contains_card_number(&text(&mut rng))))
        .sum()
}

/// Texts of each kind. A million of each were counted once, with the same limits.
const COUNT: u32 = 10_000;

fn uuid_v4(rng: &mut StdRng) -> String {
    Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}

fn uuid_v7(rng: &mut StdRng) -> String {
    let millis = rng.random_range(1_700_000_000_000..1_900_000_000_000);
    Builder::from_unix_timestamp_millis(millis, &rng.random())
        .into_uuid()
        .to_string()
}

const PREFIXES: &[&str] = &[
    "acct",
    "ba",
    "bpc",
    "bps",
    "btok",
    "card",
    "ch",
    "cn",
    "cs_live",
    "cs_test",
    "cus",
    "di",
    "dp",
    "du",
    "evt",
    "fee",
    "file",
    "fr",
    "ii",
    "il",
    "in",
    "link",
    "mandate",
    "mbur",
    "msg",
    "pi",
    "plan",
    "plink",
    "pm",
    "po",
    "price",
    "prod",
    "promo",
    "prv",
    "pst",
    "pyr",
    "qt",
    "re",
    "req",
    "rp",
    "seti",
    "shr",
    "si",
    "sli",
    "src",
    "sub",
    "sub_sched",
    "tax",
    "taxcalc",
    "tax_li",
    "tok",
    "tr",
    "trr",
    "txi",
    "txn",
    "txr",
    "we",
    "whsec",
];

fn stripe_id(rng: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let length = *[14, 16, 24, 28].choose(rng).unwrap();
    let random: String = (0..length).map(|_| char::from(*LETTERS.choose(rng).unwrap())).collect();
    format!("{}_{random}", PREFIXES.choose(rng).unwrap())
}

/// The worst there can be: as if all characters of an id came out as digits.
fn stripe_id_of_digits(rng: &mut StdRng) -> String {
    let length = rng.random_range(13..=19);
    format!("{}_{}", PREFIXES.choose(rng).unwrap(), digits(rng, length))
}

fn vat_number(rng: &mut StdRng) -> String {
    let (country, length) = *[("DE", 9), ("FR", 11), ("SE", 12), ("NL", 9), ("PL", 10)]
        .choose(rng)
        .unwrap();
    format!("{country}{}", digits(rng, length))
}

fn cpf_or_cnpj(rng: &mut StdRng) -> String {
    let is_cpf = rng.random_bool(0.5);
    let mut part = |length| digits(rng, length);
    if is_cpf {
        format!("{}.{}.{}-{}", part(3), part(3), part(3), part(2))
    } else {
        format!("{}.{}.{}/{}-{}", part(2), part(3), part(3), part(4), part(2))
    }
}

fn bare_cnpj(rng: &mut StdRng) -> String {
    digits(rng, 14)
}

fn iban(rng: &mut StdRng) -> String {
    format!("DE{}", digits(rng, 20))
}

fn printed_iban(rng: &mut StdRng) -> String {
    let number = iban(rng);
    cut(&number, |place| if place % 4 == 0 { " " } else { "" })
}

fn phone_number(rng: &mut StdRng) -> String {
    let (country, length) = (rng.random_range(1..999_u32), rng.random_range(7..=11));
    let number = digits(rng, length);
    format!(
        "+{country} {}",
        cut(&number, |place| if place % 3 == 0 { " " } else { "" })
    )
}

fn millis(rng: &mut StdRng) -> String {
    rng.random_range(1_500_000_000_000..2_000_000_000_000_u64).to_string()
}

fn nanos(rng: &mut StdRng) -> String {
    rng.random_range(1_500_000_000_000_000_000..2_000_000_000_000_000_000_u64)
        .to_string()
}

fn order_number(rng: &mut StdRng) -> String {
    let length = rng.random_range(13..=19);
    digits(rng, length)
}

/// A kind of text, and how many of a million may be taken for a card number. Nothing but its digits tells a bare order
/// number from a card's: one in ten has a right last digit, and one in nine of those a scheme's beginning and length.
/// Fields for such numbers are declared `not_card`.
type Kind = (&'static str, fn(&mut StdRng) -> String, u32);

const KINDS: &[Kind] = &[
    ("uuid v4", uuid_v4, 1_000),
    ("uuid v7", uuid_v7, 1_000),
    ("stripe id", stripe_id, 1_000),
    ("stripe id of digits", stripe_id_of_digits, 0),
    ("vat number", vat_number, 0),
    ("cpf or cnpj", cpf_or_cnpj, 1_000),
    ("cnpj without punctuation", bare_cnpj, 20_000),
    ("iban", iban, 0),
    ("iban as printed", printed_iban, 40_000),
    ("phone number", phone_number, 20_000),
    ("milliseconds", millis, 0),
    ("nanoseconds", nanos, 0),
    ("order number", order_number, 40_000),
];

#[test]
fn other_numbers_are_seldom_taken_for_one() {
    for (kind, text, most) in KINDS {
        let per_million = u64::from(taken(COUNT, text)) * 1_000_000 / u64::from(COUNT);
        assert!(per_million <= u64::from(*most), "{kind}: {per_million} of a million");
    }
}
