//! Where Stripe may send a user's browser: only to origins the company named.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The origins that a redirect may lead to, `https://shop.example`. Plain `http` only on loopback. None by default.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AllowedOrigins(Vec<url::Origin>);

/// Why a text is not an origin that can be allowed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an origin such as https://shop.example (http only on loopback)")]
pub struct InvalidOrigin(String);

/// Why a browser may not be sent somewhere. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirect {
    /// Not a URL, too long, or with characters that programs read differently.
    #[error("must be an absolute URL of at most 2048 characters, all of them ASCII and of those that RFC 3986 allows")]
    Malformed,
    /// It has a user name or password.
    #[error("must not have a user name or password")]
    Credentials,
    /// Its host or port is not written as it would be printed: `0x7f.1`, `shop.example.`, `shop%2eexample`, `:0443`.
    #[error("must have its host and port in their usual form")]
    Host,
    /// Neither https, nor http on loopback.
    #[error("must be https (or http on loopback)")]
    Scheme,
    /// Nobody allowed its origin.
    #[error("must be of an allowed origin")]
    Origin,
}

impl AllowedOrigins {
    /// Takes `url` apart if a browser may be sent there. What is handed to Stripe is the text as it came: a URL that is
    /// printed again may have lost its `{CHECKOUT_SESSION_ID}`.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, url: &str) -> Result<Url, InvalidRedirect> {
        let parsed = parse(url)?;
        if self.0.contains(&parsed.origin()) {
            Ok(parsed)
        } else {
            Err(InvalidRedirect::Origin)
        }
    }
}

impl TryFrom<Vec<String>> for AllowedOrigins {
    type Error = InvalidOrigin;

    fn try_from(origins: Vec<String>) -> Result<Self, InvalidOrigin> {
        let origin = |text: String| match parse(&text) {
            Ok(url) if url.path() == "/" && url.query().is_none() && url.fragment().is_none() => Ok(url.origin()),
            _ => Err(InvalidOrigin(text)),
        };
        Ok(Self(origins.into_iter().map(origin).collect::<Result<_, _>>()?))
    }
}

impl From<AllowedOrigins> for Vec<String> {
    fn from(origins: AllowedOrigins) -> Self {
        origins.0.iter().map(url::Origin::ascii_serialization).collect()
    }
}

/// Reads a URL that is read the same way by everyone: URL parsers forgive much, and each forgives something else. So its
/// host and port have to be written as the parser would print them, but for capital letters and a default port.
fn parse(text: &str) -> Result<Url, InvalidRedirect> {
    let after_scheme = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let after_scheme = after_scheme.ok_or(InvalidRedirect::Malformed)?;
    if text.len() > 2048 || !text.chars().all(is_plain) || !escapes_are_plain(text) {
        return Err(InvalidRedirect::Malformed);
    }
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(InvalidRedirect::Malformed);
    }
    if authority.contains('@') {
        return Err(InvalidRedirect::Credentials);
    }
    let url = Url::parse(text).map_err(|_| InvalidRedirect::Malformed)?;
    let host = url.host().ok_or(InvalidRedirect::Malformed)?;
    if !is_as_printed(authority, &url) {
        return Err(InvalidRedirect::Host);
    }
    if url.scheme() == "https" || is_loopback(&host) {
        Ok(url)
    } else {
        Err(InvalidRedirect::Scheme)
    }
}

/// Characters of RFC 3986, and the braces of `{CHECKOUT_SESSION_ID}`.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%{}".contains(character)
}

/// Whether every `%` begins an escape of no control character, as a line break that somebody decodes into a header.
fn escapes_are_plain(text: &str) -> bool {
    text.split('%').skip(1).all(|escape| {
        let digits = escape
            .get(..2)
            .filter(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !byte.is_ascii_control())
    })
}

/// Whether `authority` is the host and port that `url` was read to have. Numbers that become an address, escapes, names
/// that end in a dot and names outside ASCII (an `xn--` name that is written as one is as good as any) differ, or are
/// not made of a host's characters.
fn is_as_printed(authority: &str, url: &Url) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_printed_host = |printed: &str| {
        let of_name = |character: char| character.is_ascii_alphanumeric() || "-.[]:".contains(character);
        host.eq_ignore_ascii_case(printed) && host.chars().all(of_name) && !host.ends_with('.')
    };
    let is_printed_port = |port: &str| {
        url.port_or_known_default()
            .is_some_and(|number| number != 0 && port == number.to_string())
    };
    url.host_str().is_some_and(is_printed_host) && port.is_none_or(is_printed_port)
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str]) -> Result<AllowedOrigins, InvalidOrigin> {
        AllowedOrigins::try_from(origins.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_a_plain_url_of_an_allowed_origin_passes() {
        let origins = allowed(&["https://shop.example", "http://127.0.0.1:8080", "http://localhost:3000"]).unwrap();
        for right in [
            "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
            "https://SHOP.example:443/",
            "https://shop.example?x=a@b",
            "http://127.0.0.1:8080/back",
            "http://localhost:3000",
        ] {
            assert!(origins.check(right).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("", InvalidRedirect::Malformed),
            ("/done", InvalidRedirect::Malformed),
            ("javascript:alert(1)", InvalidRedirect::Malformed),
            ("HTTPS:shop.example", InvalidRedirect::Malformed),
            ("https://shop.example\\@evil.example", InvalidRedirect::Malformed),
            ("https://shop.example/\t", InvalidRedirect::Malformed),
            ("https://shop.example/a b", InvalidRedirect::Malformed),
            (" https://shop.example", InvalidRedirect::Malformed),
            ("https:///shop.example/", InvalidRedirect::Malformed),
            ("https://shop.example@evil.example/", InvalidRedirect::Credentials),
            ("https://@shop.example/", InvalidRedirect::Credentials),
            ("https://user:password@shop.example/", InvalidRedirect::Credentials),
            ("http://shop.example/", InvalidRedirect::Scheme),
            ("https://shop.example.evil.example/", InvalidRedirect::Origin),
            ("https://shop.example:8443/", InvalidRedirect::Origin),
            ("https://evil.example/https://shop.example", InvalidRedirect::Origin),
            ("http://127.0.0.1:8081/", InvalidRedirect::Origin),
        ] {
            assert_eq!(origins.check(wrong), Err(why), "{wrong}");
        }
        assert_eq!(
            AllowedOrigins::default().check("https://shop.example"),
            Err(InvalidRedirect::Origin)
        );
    }

    #[test]
    fn an_origin_has_no_path_and_is_https_off_loopback() {
        for wrong in [
            "shop.example",
            "http://shop.example",
            "https://shop.example/path",
            "https://a@shop.example",
            "*",
        ] {
            assert!(allowed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
