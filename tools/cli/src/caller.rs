//! Who asks, and whom we believe: the token or the certificate that is shown, and the authorities of the services.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use counterfoil_chassis::client::{self, Channel, Tls};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::addresses::Service;

/// What is read of a token's file, in bytes; tokens that services make are 76 long.
const MAX_FILE: u64 = 64 * 1024;

/// What the command line and the environment say about the caller. A token is not among it: whoever may list processes
/// sees their arguments.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Caller")]
pub(crate) struct Credentials {
    /// The authorities that signed the services' certificates, in PEM; needed for https://
    #[arg(long, global = true, env = "COUNTERFOIL_CA", value_name = "FILE")]
    ca: Option<OsString>,
    /// The token to show, alone in a file that only its owner may read
    #[arg(long, global = true, env = "COUNTERFOIL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<OsString>,
    /// The certificate to show, in PEM, with --key
    #[arg(long, global = true, env = "COUNTERFOIL_CERT", value_name = "FILE")]
    cert: Option<OsString>,
    /// The certificate's private key, in PEM; may be the same file
    #[arg(long, global = true, env = "COUNTERFOIL_KEY", value_name = "FILE")]
    key: Option<OsString>,
}

/// Who asks.
pub(crate) struct Caller {
    tls: Option<Tls>,
    token: Token,
}

/// Shows the token, where there is one, with each call.
#[derive(Clone)]
pub(crate) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Caller {
    /// # Errors
    /// When the token's file cannot be used, or what is given makes no sense together.
    pub(crate) fn new(given: Credentials) -> anyhow::Result<Caller> {
        // An empty variable is none.
        let path = |given: Option<OsString>| given.filter(|path| !path.is_empty()).map(PathBuf::from);
        let (cert, key) = (path(given.cert), path(given.key));
        ensure!(cert.is_some() == key.is_some(), "--cert and --key go together");
        let ca = path(given.ca);
        ensure!(ca.is_some() || cert.is_none(), "--cert needs --ca");
        let token = path(given.token_file).map(|path| read(&path)).transpose()?;
        Ok(Caller {
            tls: ca.map(|ca| Tls { ca, cert, key }),
            token: Token(token),
        })
    }

    /// What shows the token.
    pub(crate) fn token(&self) -> Token {
        self.token.clone()
    }

    /// A channel to `service` at `uri`, over which nothing is sent yet.
    ///
    /// # Errors
    /// When `uri` is no address; is encrypted, and there is no authority to know the other end by; or is not, and the token
    /// would leave this machine in plain text.
    pub(crate) fn channel(&self, service: Service, uri: &str) -> anyhow::Result<Channel> {
        let name = service.name();
        let address: tonic::codegen::http::Uri = uri.parse().ok().with_context(|| no_address(name, uri))?;
        if uri.starts_with("https://") {
            ensure!(
                self.tls.is_some(),
                "{uri} is encrypted: give --ca FILE (or COUNTERFOIL_CA), the authority that signed the certificate of the \
                 {name} service"
            );
        } else if self.token.0.is_some() && !is_loopback(address.host().unwrap_or_default()) {
            bail!(
                "the token is not sent to {uri}: it would travel in plain text. Give the {name} service's address as \
                 https://host:port, or as 127.0.0.1:port where it is on this machine"
            );
        }
        let config = client::Config { tls: self.tls.clone() };
        client::channel_to(name, uri, &config).map_err(|error| match error {
            file @ counterfoil_chassis::config::Error::File { .. } => file.into(),
            _ => anyhow::anyhow!(no_address(name, uri)),
        })
    }
}

fn no_address(name: &str, uri: &str) -> String {
    format!("the address of the {name} service must be host:port or https://host:port, not {uri:?}")
}

/// Only numbers are: what a name stands for is told by somebody else.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Reads the token. A file that others may read is refused, as ssh refuses such a key: they have the token already.
fn read(path: &Path) -> anyhow::Result<MetadataValue<Ascii>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let metadata = file.metadata().with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        metadata.permissions().mode() & 0o077 == 0,
        "others may read {shown}, and with it the token: make a new token and keep it with chmod 600"
    );
    let mut text = String::new();
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {shown}"))?;
    let token = text.trim();
    let usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = usable.then(|| MetadataValue::try_from(format!("Bearer {token}")).ok());
    let mut value = value
        .flatten()
        .with_context(|| format!("{shown} must hold a token and nothing else"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_holds_a_token_alone_and_is_its_owners_alone() {
        let (_folder, path) = file("counterfoil_1\n", 0o600);
        let value = read(&path).unwrap();
        assert_eq!(value, "Bearer counterfoil_1");
        assert!(!format!("{value:?}").contains("counterfoil_1"), "it is never shown");
        for (text, mode, told) in [
            ("", 0o600, "nothing else"),
            ("\n", 0o600, "nothing else"),
            ("counterfoil_1\n0123 ada\n", 0o600, "nothing else"),
            ("Bearer counterfoil_1", 0o600, "nothing else"),
            ("counterfoil_\u{e9}", 0o400, "nothing else"),
            ("counterfoil_1", 0o640, "chmod 600"),
            ("counterfoil_1", 0o604, "chmod 600"),
        ] {
            let (_folder, path) = file(text, mode);
            let refusal = format!("{:#}", read(&path).unwrap_err());
            assert!(refusal.contains(told) && !refusal.contains("counterfoil_"), "{refusal}");
        }
        assert!(read(Path::new("/nowhere/token")).is_err());
    }

    #[tokio::test]
    async fn a_token_goes_in_plain_text_to_loopback_only() {
        let (_folder, path) = file("counterfoil_1", 0o600);
        let with = |token_file| {
            let given = Credentials {
                token_file,
                ..Credentials::default()
            };
            Caller::new(given).unwrap()
        };
        let (token, none) = (with(Some(path.into())), with(Some(OsString::new())));
        for here in ["http://127.0.0.1:1", "http://127.8.0.1:1", "http://[::1]:1"] {
            assert!(token.channel(Service::Billing, here).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1:1",
            "http://0.0.0.0:1",
            "http://localhost:1",
            "http://127.0.0.1.example:1",
            "http://127.0.0.1@example:1",
            "http://[::2]:1",
        ] {
            let refusal = token.channel(Service::Billing, elsewhere).unwrap_err().to_string();
            assert!(refusal.contains("plain text"), "{elsewhere}: {refusal}");
            assert!(none.channel(Service::Billing, elsewhere).is_ok(), "{elsewhere}");
        }
        for wrong in ["http://", "http://a b", "ftp://host:1"] {
            assert!(none.channel(Service::Billing, wrong).is_err(), "{wrong}");
        }
        let unbelieved = none
            .channel(Service::Billing, "https://billing:1")
            .unwrap_err()
            .to_string();
        assert!(unbelieved.contains("--ca"), "{unbelieved}");
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_an_authority() {
        let file = || Some(OsString::from("file"));
        let given = |ca, cert, key| Credentials {
            ca,
            cert,
            key,
            token_file: None,
        };
        assert!(Caller::new(given(file(), file(), file())).is_ok());
        assert!(Caller::new(given(file(), None, None)).is_ok());
        assert!(Caller::new(given(file(), file(), None)).is_err());
        assert!(Caller::new(given(file(), None, file())).is_err());
        assert!(Caller::new(given(None, file(), file())).is_err());
    }
}
