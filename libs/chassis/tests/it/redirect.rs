//! Attacks on the list of allowed origins: a table of patterns times a table of what follows them.

use std::collections::HashSet;

use counterfoil_chassis::redirect::{AllowedOrigins, InvalidRedirect};
use proptest::prelude::*;
use url::Url;

const ALLOWED: [&str; 4] = [
    "https://shop.example",
    "https://pay.shop.example:8443",
    "https://xn--caf-dma.example",
    "http://localhost:3000",
];

/// Each is a URL up to its path, that somebody might take for one of an allowed origin.
const PATTERNS: &[&str] = &[
    // User names and passwords.
    "https://shop.example@evil.example",
    "https://shop.example:443@evil.example",
    "https://shop.example:x@evil.example",
    "https://evil.example@shop.example",
    "https://@shop.example",
    "https://:@shop.example",
    "https://shop.example%40evil.example",
    "https://evil.example%23@shop.example",
    // Backslashes and slashes.
    "https://shop.example\\@evil.example",
    "https://evil.example\\@shop.example",
    "https://evil.example\\.shop.example",
    "https:\\\\shop.example",
    "https:/\\shop.example",
    "https:/shop.example",
    "https:shop.example",
    "https:///shop.example",
    "https:////shop.example",
    "//shop.example",
    "///shop.example",
    "/shop.example",
    "https://shop.example%5c@evil.example",
    "https://shop.example%2f@evil.example",
    // Line breaks, spaces, control characters.
    "https://shop.example\r\n",
    "https://shop.example\r\nLocation: https://evil.example",
    "https://shop.example\t",
    "https://sh\top.example",
    "https://sh\nop.example",
    "\thttps://shop.example",
    " https://shop.example",
    "https://shop.example ",
    "https://shop.example\0",
    "https://shop.example\u{7f}",
    "https://shop.example/%0d%0aLocation:evil",
    "https://shop.example/%0D%0A",
    "https://shop.example/%00",
    "https://shop.example/%",
    "https://shop.example/%zz",
    "https://shop.example?next=%0a",
    // Letters that look alike, that are not seen, or that turn the text around.
    "https://ѕhop.example",
    "https://shоp.example",
    "https://ｓｈｏｐ.example",
    "https://shop。example",
    "https://shop．example",
    "https://shop\u{2024}example",
    "https://shop.example\u{2044}evil.example",
    "https://shop.example\u{2215}evil.example",
    "https://shop.example\u{ff0f}evil.example",
    "https://shop.example\u{ff20}evil.example",
    "https://evil.example\u{ff03}shop.example",
    "https://shop\u{200b}.example",
    "https://shop\u{ad}.example",
    "https://\u{202e}elpmaxe.pohs",
    "https://shop.example\u{202e}",
    "https://\u{feff}shop.example",
    "https://shop.example\u{2066}",
    "https://ſhop.example",
    "https://shop.exampⅼe",
    "https://café.example",
    "https://xn--shp-5cd.example",
    "https://xn--hop-zxc.example",
    "https://xn--shop.example",
    // Escapes in the host.
    "https://shop%2eexample",
    "https://%73hop.example",
    "https://shop.example%00",
    "https://shop.example%2eevil.example",
    "https://shop.example%E2%80%8B",
    // Dots, and names that only begin, end or look like ours.
    "https://shop.example.",
    "https://shop..example",
    "https://.shop.example",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://shop.example-evil.example",
    "https://evil.shop.example",
    "https://shop.examples",
    "https://shop.exampl",
    "https://shop_example",
    "https://shopxexample",
    "https://*.shop.example",
    "https://evil.example",
    "https://evil.example/https://shop.example",
    "https://evil.example?https://shop.example",
    "https://evil.example#@shop.example",
    "https://evil.example;shop.example",
    "https://evil.example&shop.example",
    "https://[shop.example]",
    // Ports.
    "https://shop.example:8443",
    "https://shop.example:80",
    "https://shop.example:65536",
    "https://shop.example:65979",
    "https://shop.example:0",
    "https://shop.example:0443",
    "https://shop.example:",
    "https://shop.example:-443",
    "https://shop.example:+443",
    "https://shop.example:443:443",
    "https://shop.example:4４3",
    "https://pay.shop.example",
    "https://pay.shop.example:443",
    // Schemes.
    "http://shop.example",
    "http://shop.example:443",
    "ftp://shop.example",
    "javascript://shop.example",
    "javascript:alert(1)//shop.example",
    "data:text/html,https://shop.example",
    "blob:https://shop.example",
    "view-source:https://shop.example",
    "file://shop.example",
    "wss://shop.example",
    "httpſ://shop.example",
    "https ://shop.example",
    "https&colon;//shop.example",
    "java\nscript://shop.example",
    "https://https://shop.example",
    "https",
    "https://",
    "https://?shop.example",
    "https://#shop.example",
    // Addresses, and this machine, other than the very origin that is allowed.
    "https://127.0.0.1",
    "http://127.0.0.1:3000",
    "http://127.1:3000",
    "http://2130706433:3000",
    "http://0x7f000001:3000",
    "http://0177.0.0.1:3000",
    "http://[::1]:3000",
    "http://[0:0:0:0:0:0:0:1]:3000",
    "http://[::ffff:127.0.0.1]:3000",
    "http://0.0.0.0:3000",
    "http://localhost",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost.:3000",
    "http://LOCALHOST.evil.example:3000",
    "http://localhost.localdomain:3000",
    "http://169.254.169.254",
    "https://169.254.169.254",
    "http://metadata.google.internal",
    "https://10.0.0.1",
    "https://[fe80::1%25eth0]",
    "https://①②⑦.0.0.1",
];

/// What may follow; the session is what Stripe puts in.
const TAILS: [&str; 4] = [
    "",
    "/done",
    "/done?session={CHECKOUT_SESSION_ID}",
    "/?next=https://shop.example/#https://shop.example",
];

fn origins() -> AllowedOrigins {
    AllowedOrigins::try_from(ALLOWED.map(str::to_owned).to_vec()).unwrap()
}

#[test]
fn none_of_five_hundred_attacks_passes() {
    let origins = origins();
    let mut tried = HashSet::new();
    for pattern in PATTERNS {
        for tail in TAILS {
            let url = format!("{pattern}{tail}");
            assert!(origins.check(&url).is_err(), "{url:?}");
            tried.insert(url);
        }
    }
    assert!(tried.len() >= 500, "{}", tried.len());
}

#[test]
fn the_tails_of_the_attacks_are_themselves_right() {
    for origin in ALLOWED {
        for tail in TAILS {
            assert!(origins().check(&format!("{origin}{tail}")).is_ok(), "{origin}{tail}");
        }
    }
}

#[test]
fn a_host_that_is_not_written_as_it_is_read_has_its_own_reason() {
    for url in [
        "https://shop.example.",
        "https://shop%2eexample/",
        "https://shop.example:0443",
        "http://2130706433:3000",
        "https://shop.example:",
    ] {
        assert_eq!(origins().check(url), Err(InvalidRedirect::Host), "{url}");
    }
}

#[test]
fn an_address_passes_where_its_very_origin_is_allowed() {
    let origins = AllowedOrigins::try_from(
        ["http://127.0.0.1:3000", "http://[::1]:3000"]
            .map(str::to_owned)
            .to_vec(),
    );
    let origins = origins.unwrap();
    assert!(origins.check("http://127.0.0.1:3000/done").is_ok());
    assert!(origins.check("http://[::1]:3000/done").is_ok());
    for other in [
        "http://127.1:3000",
        "http://[0::1]:3000",
        "http://127.0.0.2:3000",
        "http://localhost:3000",
    ] {
        assert!(origins.check(other).is_err(), "{other}");
    }
}

/// Host and port by plain text, as a reader knows nothing of `url`.
fn authority(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let authority = match scheme {
        "https" => authority.strip_suffix(":443").unwrap_or(&authority),
        _ => authority.as_str(),
    };
    Some(format!("{scheme}://{authority}"))
}

/// Pieces that make a URL which passes now and then, and one that nearly does most of the time.
fn pieced() -> impl Strategy<Value = String> {
    let pieces = [
        "https://",
        "http://",
        "shop.example",
        "SHOP.example",
        "localhost:3000",
        "pay.shop.example:8443",
        "evil.example",
        ":443",
        ":",
        "@",
        "/",
        "//",
        "\\",
        "?",
        "#",
        ".",
        "%2e",
        "%0d",
        "x",
        "{CHECKOUT_SESSION_ID}",
        "[",
        "]",
        "\u{202e}",
        "\n",
        "é",
        "xn--",
    ];
    (
        prop_oneof![4 => Just("https://"), 1 => Just("http://"), 1 => Just("")],
        prop_oneof![4 => proptest::sample::select(&["shop.example", "SHOP.example", "localhost:3000", "evil.example"][..]), 1 => Just("")],
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..6),
    )
        .prop_map(|(scheme, host, rest)| format!("{scheme}{host}{}", rest.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_passes_is_of_an_allowed_origin_however_it_is_read(text in prop_oneof![9 => pieced(), 1 => any::<String>()]) {
        let origins = origins();
        if let Ok(url) = origins.check(&text) {
            let allowed: Vec<_> = ALLOWED.iter().map(|origin| Url::parse(origin).unwrap().origin()).collect();
            prop_assert!(allowed.contains(&url.origin()) && allowed.contains(&Url::parse(&text).unwrap().origin()));
            let read = authority(&text).unwrap();
            prop_assert!(ALLOWED.contains(&read.as_str()), "{read}");
        }
    }
}
