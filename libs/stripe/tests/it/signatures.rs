//! Whatever stands in a signature header: what is accepted is exactly what a plain reading of it accepts.
//!
//! `CASES=1000000 cargo test --release -p counterfoil-stripe --test it signatures` takes so many; `SEED=7` takes others.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use counterfoil_stripe::webhook::{Rejected, Secret, verify};
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use sha2::Sha256;

/// Of a test run.
const CASES: u64 = 100_000;
const NOW: i64 = 1_790_000_000;
const TOLERANCE: i64 = 300;
const SECRETS: [&str; 3] = ["whsec_new", "whsec_old", "whsec_third"];
/// The events every bit of which is flipped.
const EVENTS: u64 = 200;

/// What a number is that is asked for by hand.
fn asked_for(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by hand")]
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

fn secrets() -> Vec<Secret> {
    let secret = |value: &&str| Secret::new(*value, (*value).into()).unwrap();
    SECRETS.iter().map(secret).collect()
}

fn v1(secret: &str, time: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(&[time.as_bytes(), b".", body].concat());
    hex::encode(mac.finalize().into_bytes())
}

/// What the documentation says, as simply as it can be written: texts are compared, as Stripe's libraries do.
fn reference(header: &[u8], body: &[u8]) -> Result<&'static str, Rejected> {
    let malformed = Err(Rejected::Malformed);
    let Ok(text) = std::str::from_utf8(header) else {
        return malformed;
    };
    let items: Vec<Vec<&str>> = text.split(',').map(|item| item.splitn(2, '=').collect()).collect();
    let values = |scheme: &str| -> Vec<&str> {
        let of_scheme = items.iter().filter(|item| item[0] == scheme);
        of_scheme.filter_map(|item| item.get(1).copied()).collect()
    };
    let (times, mut signatures) = (values("t"), values("v1"));
    signatures.retain(|text| text.len() == 64 && text.chars().all(|one| "0123456789abcdef".contains(one)));
    let seconds = times.first().and_then(|time| {
        let digits = time.chars().all(|one| one.is_ascii_digit());
        digits.then(|| time.parse::<i128>().ok()).flatten()
    });
    let Some(seconds) = seconds.filter(|seconds| *seconds <= i128::from(i64::MAX)) else {
        return malformed;
    };
    let whole = header.len() <= 16 * 1024 && items.iter().all(|item| item.len() == 2);
    if !whole || times.len() != 1 || signatures.is_empty() {
        return malformed;
    }
    let made = |secret: &&&str| signatures.contains(&v1(secret, times[0], body).as_str());
    let Some(name) = SECRETS.iter().find(made) else {
        return Err(Rejected::NoMatch);
    };
    if (i128::from(NOW) - seconds).abs() > i128::from(TOLERANCE) {
        return Err(Rejected::OutOfTolerance);
    }
    Ok(name)
}

/// A header, more or less as Stripe's.
fn header(draw: &mut StdRng, body: &[u8]) -> Vec<u8> {
    if draw.random_ratio(1, 20) {
        let length = draw.random_range(0..200);
        return (0..length).map(|_| draw.random()).collect();
    }
    let time = match draw.random_range(0..8) {
        0 => (NOW + draw.random_range(-1_000..=1_000)).to_string(),
        1 => (NOW + [-301, -300, 300, 301].choose(draw).unwrap()).to_string(),
        2 => [
            "0",
            "00",
            "",
            "-1",
            "+1",
            "9223372036854775807",
            "9223372036854775808",
            "1e9",
            " 1",
            "١",
        ]
        .choose(draw)
        .unwrap()
        .to_string(),
        _ => NOW.to_string(),
    };
    let mut items = vec![format!("t={time}")];
    for _ in 0..draw.random_range(1..5) {
        let secret = if draw.random_ratio(1, 2) {
            SECRETS.choose(draw).unwrap()
        } else {
            "whsec_x"
        };
        items.push(format!("v1={}", v1(secret, &time, body)));
    }
    for _ in 0..draw.random_range(0..3) {
        let place = draw.random_range(0..items.len());
        match draw.random_range(0..12) {
            0 => items[place] = items[place].to_uppercase(),
            1 => items[place].insert(0, ' '),
            2 => items[place] = items[place].replace("v1=", "v0="),
            3 => items[place] = items[place].replace("v1=", "v2=v1="),
            4 => items[place] = items[place].replace('=', ""),
            5 => items.push(items[place].clone()),
            6 => items[place].push('='),
            7 => {
                let length = items[place].floor_char_boundary(draw.random_range(0..70));
                items[place].truncate(length);
            }
            8 => items[place].push(*['0', 'f', 'g', 'é', ' '].choose(draw).unwrap()),
            9 => items.push(
                ["", "=", "t", "v1", "v1=", "v0=x", "scheme=é"]
                    .choose(draw)
                    .unwrap()
                    .to_string(),
            ),
            10 => items.extend(vec![format!("v1={}", "0".repeat(64)); draw.random_range(0..20)]),
            _ => items.shuffle(draw),
        }
    }
    let mut header = items.join(",").into_bytes();
    if draw.random_ratio(1, 8) {
        let place = draw.random_range(0..header.len());
        match draw.random_range(0..3) {
            0 => header[place] ^= 1 << draw.random_range(0..8),
            1 => header[place] = draw.random(),
            _ => drop(header.remove(place)),
        }
    }
    header
}

#[test]
fn any_header_is_accepted_just_where_a_plain_reading_of_it_is() {
    let (cases, seed) = (asked_for("CASES", CASES), asked_for("SEED", 0));
    let mut draw = StdRng::seed_from_u64(seed);
    let (secrets, tolerance) = (secrets(), Duration::from_secs(TOLERANCE.unsigned_abs()));
    let mut outcomes = BTreeMap::<String, u64>::new();
    for _ in 0..cases {
        let length = draw.random_range(0..40);
        let body: Vec<u8> = (0..length).map(|_| draw.random()).collect();
        let header = header(&mut draw, &body);
        let expected = reference(&header, &body);
        let found = verify(&header, &body, &secrets, tolerance, NOW);
        assert_eq!(found, expected, "seed {seed}: {} over {body:?}", header.escape_ascii());
        *outcomes.entry(format!("{found:?}")).or_default() += 1;
    }
    println!("{cases} headers: {outcomes:?}");
    // Each secret, and each reason to refuse.
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
    assert!(outcomes.values().all(|count| count * 100 > cases), "{outcomes:?}");
}

/// An event of a random length, of 100 to 500 bytes, and as many times more as there are more cases than usual.
fn event(draw: &mut StdRng, number: u64) -> Vec<u8> {
    let length = draw.random_range(0..400) * asked_for("CASES", CASES).div_ceil(CASES);
    let text: String = (0..length)
        .map(|_| char::from(draw.random_range(b'a'..=b'z')))
        .collect();
    format!(
        r#"{{"id":"evt_{number}","type":"invoice.paid","created":{NOW},"livemode":false,"data":{{"object":{{"x":"{text}"}}}}}}"#
    )
    .into_bytes()
}

/// How many flips of one bit in this event's body and header are accepted, of how many.
fn flips(seed: u64, number: u64) -> (u64, u64) {
    let mut draw = StdRng::seed_from_u64(seed.wrapping_add(number));
    let (secrets, tolerance) = (
        [Secret::new("new", SECRETS[0].into()).unwrap()],
        Duration::from_secs(300),
    );
    let mut body = event(&mut draw, number);
    let mut header = format!("t={NOW},v1={}", v1(SECRETS[0], &NOW.to_string(), &body)).into_bytes();
    let believed = |header: &[u8], body: &[u8]| verify(header, body, &secrets, tolerance, NOW).is_ok();
    assert!(believed(&header, &body));
    let (mut accepted, mut flipped) = (0, 0);
    for at in 0..body.len() * 8 {
        body[at / 8] ^= 1 << (at % 8);
        accepted += u64::from(believed(&header, &body));
        body[at / 8] ^= 1 << (at % 8);
        flipped += 1;
    }
    for at in 0..header.len() * 8 {
        header[at / 8] ^= 1 << (at % 8);
        accepted += u64::from(believed(&header, &body));
        header[at / 8] ^= 1 << (at % 8);
        flipped += 1;
    }
    assert!(believed(&header, &body));
    (accepted, flipped)
}

#[test]
fn no_event_with_one_bit_flipped_is_accepted() {
    let (seed, halves) = (asked_for("SEED", 0), [0, EVENTS / 2]);
    let counted = thread::scope(|scope| {
        let half = |from: u64| {
            (from..from + EVENTS / 2)
                .map(|number| flips(seed, number))
                .collect::<Vec<_>>()
        };
        let running = halves.map(|from| scope.spawn(move || half(from)));
        running.map(|half| half.join().unwrap()).concat()
    });
    let (accepted, flipped) = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{flipped} flips of {} events: {accepted} accepted", counted.len());
    assert_eq!((accepted, counted.len()), (0, 200));
    assert!(flipped > 500_000, "{flipped}");
}
