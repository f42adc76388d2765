//! Who calls: what the connection says of its other end, or the token that a person shows.

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tonic::Status;
use webpki::EndEntityCert;

use crate::config::Error;
use crate::status;

/// The identity of every caller on loopback in plain text where `server.dev_identity` is set.
pub(crate) const DEV: &str = "dev";
/// What those are called who may only ask for health and reflection.
pub(crate) const ANYONE: &str = "anonymous";

/// The other end of a connection, as far as the connection itself tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Plain text from another machine: nothing it says is believed.
    Remote,
    /// Plain text from this machine.
    Loopback,
    /// Encrypted, without a certificate.
    Encrypted,
    /// Encrypted, and its certificate names it.
    Certified(Arc<str>),
    /// Encrypted, with a certificate that our authority signed and that names nobody, or several.
    Miscertified,
}

impl Peer {
    /// The other end of an encrypted connection, whose certificate, if any, was verified.
    pub(crate) fn with(certificates: Option<&[CertificateDer<'_>]>) -> Peer {
        match certificates.and_then(<[_]>::first) {
            None => Peer::Encrypted,
            Some(leaf) => named_by(leaf).map_or(Peer::Miscertified, Peer::Certified),
        }
    }
}

/// The one URI among a certificate's alternative names.
fn named_by(leaf: &CertificateDer<'_>) -> Option<Arc<str>> {
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    let mut uris = leaf.valid_uri_names();
    match (uris.next(), uris.next()) {
        (Some(uri), None) if is_identity(uri) => Some(Arc::from(uri)),
        _ => None,
    }
}

/// Whether `text` may stand for a caller: short, in visible ASCII, as it is logged and sent back, and not a name of ours.
fn is_identity(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*')
        && ![DEV, ANYONE].contains(&text)
}

/// An identity that somebody typed.
///
/// # Errors
/// When it cannot stand for a caller.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let problem = "must be 1 to 255 visible characters of ASCII, without `*`, and neither dev nor anonymous";
    is_identity(text)
        .then(|| text.to_owned())
        .ok_or_else(|| problem.to_owned())
}

/// How callers are told apart.
#[derive(Debug, Clone)]
pub(crate) struct Identities {
    dev: Option<Arc<str>>,
    tokens: Option<watch::Receiver<Arc<Tokens>>>,
}

impl Identities {
    pub(crate) fn new(dev: bool, tokens: Option<watch::Receiver<Arc<Tokens>>>) -> Identities {
        let dev = dev.then(|| Arc::from(DEV));
        Identities { dev, tokens }
    }

    /// The caller. A token comes before a certificate, as who shows one means to be its holder; one that is wrong is
    /// refused, whatever else the caller has.
    ///
    /// # Errors
    /// UNAUTHENTICATED, with the reason.
    pub(crate) fn of(&self, peer: &Peer, headers: &HeaderMap) -> Result<Arc<str>, Status> {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        match (shown.next(), shown.next()) {
            (None, _) => {}
            (Some(value), None) if *peer != Peer::Remote => {
                return self.holder(value.as_bytes()).ok_or_else(status::unknown_token);
            }
            _ => return Err(status::unknown_token()),
        }
        match peer {
            Peer::Certified(identity) => Ok(identity.clone()),
            Peer::Miscertified => Err(status::unusable_certificate()),
            Peer::Loopback => self.dev.clone().ok_or_else(status::unauthenticated),
            Peer::Encrypted | Peer::Remote => Err(status::unauthenticated()),
        }
    }

    fn holder(&self, authorization: &[u8]) -> Option<Arc<str>> {
        let (scheme, token) = authorization.split_at_checked("bearer ".len())?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        self.tokens.as_ref()?.borrow().holder(token)
    }
}

/// The people who may show a token: a line each, `<SHA-256 of the token, in hex> <identity>`. Empty lines and those that
/// begin with `#` are passed over. A person with two lines is changing tokens.
#[derive(Default)]
pub(crate) struct Tokens(Vec<Token>);

struct Token {
    sha256: [u8; 32],
    identity: Arc<str>,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, or a line is not such a line. The error names the line and does not repeat it.
    pub(crate) fn read(path: &Path) -> Result<Tokens, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, &error.to_string()))?;
        Tokens::parse(&text).map_err(|problem| Error::file(path, &problem))
    }

    fn parse(text: &str) -> Result<Tokens, String> {
        // Half a line may name somebody else.
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end, it may be written by half".to_owned());
        }
        let mut tokens = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let wrong = || format!("line {number} is not `<SHA-256 in hex> <identity>`");
                tokens.push(Token::parse(line).ok_or_else(wrong)?);
            }
        }
        Ok(Tokens(tokens))
    }

    /// Whose token it is. Every line is compared, and each in constant time.
    fn holder(&self, token: &[u8]) -> Option<Arc<str>> {
        let sha256 = hash(token);
        let mut holder = None;
        for one in &self.0 {
            if bool::from(one.sha256.ct_eq(&sha256)) {
                holder = Some(one.identity.clone());
            }
        }
        holder
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl Token {
    fn parse(line: &str) -> Option<Token> {
        let (sha256, identity) = line.split_once(char::is_whitespace)?;
        let identity = Some(identity.trim()).filter(|identity| is_identity(identity))?;
        let mut token = Token {
            sha256: [0; 32],
            identity: Arc::from(identity),
        };
        hex::decode_to_slice(sha256, &mut token.sha256).ok()?;
        Some(token)
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A token that nobody guesses. It begins with a word by which scanners for leaked secrets can know it.
pub(crate) fn new_token() -> String {
    format!("counterfoil_{}", hex::encode(rand::random::<[u8; 32]>()))
}

/// The line of the token file that lets whoever shows `token` be `identity`; none where the token is so short that it might
/// be guessed from its hash, or has characters that no header carries.
pub(crate) fn token_line(token: &str, identity: &str) -> Option<String> {
    let usable = token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| format!("{} {identity}", hex::encode(hash(token.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    const TOKEN: &str = "counterfoil_0123456789abcdef0123456789abcdef";

    fn identities(dev: bool) -> Identities {
        let file = format!("# people\n\n{}\n", token_line(TOKEN, "ada@company.example").unwrap());
        let tokens = Tokens::parse(&file).unwrap();
        Identities::new(dev, Some(watch::channel(Arc::new(tokens)).1))
    }

    fn shown(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_comes_before_everything_else_the_caller_has() {
        let identities = identities(true);
        let (right, lower) = (format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"));
        let service = Peer::Certified(Arc::from("spiffe://company/orders"));
        for peer in [&Peer::Loopback, &Peer::Encrypted, &service, &Peer::Miscertified] {
            assert_eq!(&*identities.of(peer, &shown(&[&right])).unwrap(), "ada@company.example");
            assert!(identities.of(peer, &shown(&[&lower])).is_ok());
            let twice = [right.as_str(), right.as_str()];
            let longer = format!("{right}0");
            for wrong in [
                &["Bearer nobodys"][..],
                &["Basic YTpi"],
                &[""],
                &["Bearer "],
                &twice,
                &[&longer],
            ] {
                let refused = identities.of(peer, &shown(wrong)).unwrap_err();
                assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{wrong:?}");
            }
        }
        assert!(
            identities.of(&Peer::Remote, &shown(&[&right])).is_err(),
            "it was sent in the open"
        );
        let nobody = Identities::new(true, None);
        assert!(
            nobody.of(&Peer::Loopback, &shown(&[&right])).is_err(),
            "no tokens are known"
        );
    }

    #[test]
    fn without_a_token_the_connection_tells() {
        let none = HeaderMap::new();
        let service = Peer::Certified(Arc::from("spiffe://company/orders"));
        for dev in [true, false] {
            let identities = identities(dev);
            assert_eq!(identities.of(&Peer::Loopback, &none).is_ok(), dev);
            assert_eq!(&*identities.of(&service, &none).unwrap(), "spiffe://company/orders");
            for nobody in [Peer::Remote, Peer::Encrypted, Peer::Miscertified] {
                assert!(identities.of(&nobody, &none).is_err(), "{nobody:?}");
            }
        }
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named_and_not_repeated() {
        let hash = hex::encode(hash(TOKEN.as_bytes()));
        assert_eq!(Tokens::parse("").unwrap().0.len(), 0);
        assert_eq!(
            Tokens::parse(&format!("{hash}\tada\n{hash}  bo \r\n")).unwrap().0.len(),
            2
        );
        for wrong in [
            TOKEN.to_owned(),
            hash.clone(),
            format!("{hash} "),
            format!("{hash} two words"),
            format!("{hash} dev"),
            format!("{hash} anonymous"),
            format!("{hash} spiffe://company/*"),
            format!("{hash}0 ada"),
            format!("{TOKEN} ada"),
        ] {
            let problem = Tokens::parse(&format!("#\n{wrong}\n")).err().unwrap();
            assert_eq!(problem, "line 2 is not `<SHA-256 in hex> <identity>`", "{wrong}");
        }
        let half = Tokens::parse(&format!("{hash} ada")).err().unwrap();
        assert!(half.contains("no end"), "{half}");
    }

    #[test]
    fn a_new_token_is_long_and_no_other_one() {
        let (one, other) = (new_token(), new_token());
        assert_ne!(one, other);
        assert_eq!(one.len(), "counterfoil_".len() + 64);
        assert!(token_line(&one, "ada").is_some());
        assert!(token_line("hunter2", "ada").is_none());
        assert!(parse("ada").is_ok() && parse("dev").is_err() && parse("a b").is_err());
    }
}
