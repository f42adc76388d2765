//! Encryption between our processes: TLS 1.3, both sides with a certificate. Files name the certificates; they are read
//! again when they change, so that whoever rotates them restarts nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;

use crate::config::Error;

/// What both sides speak. Source: <https://www.iana.org/assignments/tls-extensiontype-values>.
const HTTP2: &[u8] = b"h2";

/// The files of a server's side, all in PEM.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Our certificate, and those between it and its authority. May be the same file as `key`, so that one rename rotates
    /// both.
    pub cert: PathBuf,
    /// Our private key.
    pub key: PathBuf,
    /// The authorities whose clients we believe; several while one is replaced by another.
    pub client_ca: PathBuf,
}

/// The files of a client's side, all in PEM.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// The authorities whose servers we believe; several while one is replaced by another.
    pub ca: PathBuf,
    /// Our certificate, and those between it and its authority. Nobody but a person with a token needs none. May be the
    /// same file as `key`, so that one rename rotates both.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    /// Our private key, where there is a `cert`.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl ServerTls {
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        vec![self.cert.clone(), self.key.clone(), self.client_ca.clone()]
    }

    /// Reads the files. Where `people` may come with a token, a caller needs no certificate.
    ///
    /// Sessions are not resumed: a resumed one is not verified anew, and connections live long.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn read(&self, people: bool) -> Result<ServerConfig, Error> {
        let authorities = Arc::new(authorities(&self.client_ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider());
        let verifier = if people {
            verifier.allow_unauthenticated()
        } else {
            verifier
        };
        let verifier = verifier.build().map_err(|_| no_authority(&self.client_ca))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Error::file(&self.cert, &error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&self.cert)?, key(&self.key)?)
            .map_err(|_| no_pair(&self.cert, &self.key))?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used, or there is a `cert` and no `key`.
    fn read(&self) -> Result<ClientConfig, Error> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Error::file(&self.ca, &error.to_string()))?
            .with_root_certificates(authorities(&self.ca)?);
        let mut config = match (&self.cert, &self.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(own), Some(private)) => config
                .with_client_auth_cert(certificates(own)?, key(private)?)
                .map_err(|_| no_pair(own, private))?,
            _ => return Err(Error::invalid("client.tls", "must have both cert and key, or neither")),
        };
        config.alpn_protocols = vec![HTTP2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Makes the encrypted connections of a channel. The files are read for each of them, which are few.
#[derive(Clone)]
pub(crate) struct Connector {
    files: ClientTls,
    last: Arc<Mutex<Arc<ClientConfig>>>,
}

impl Connector {
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn new(files: &ClientTls) -> Result<Connector, Error> {
        let last = Arc::new(Mutex::new(Arc::new(files.read()?)));
        let files = files.clone();
        Ok(Connector { files, last })
    }

    /// Connects to the host and port of `uri`.
    ///
    /// # Errors
    /// When nobody listens there, or the other end is not who it should be.
    pub(crate) async fn connect(self, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let (host, name) = named(&uri).ok_or(io::ErrorKind::InvalidInput)?;
        let config = {
            let connector = self.clone();
            tokio::task::spawn_blocking(move || connector.config()).await?
        };
        let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(TokioIo::new(stream))
    }

    /// What the files say, or said when they last could be used: they may be in the middle of a change.
    fn config(&self) -> Arc<ClientConfig> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match self.files.read() {
            Ok(config) => *last = Arc::new(config),
            Err(error) => {
                tracing::error!(error = %error, "a file cannot be used, what it said before stays in force");
            }
        }
        last.clone()
    }
}

/// The endpoint at `uri`, an `https://host:port`. Tonic is shown it as a plain one: the encryption is ours.
pub(crate) fn endpoint(uri: &str) -> Option<Endpoint> {
    let origin = Uri::try_from(uri).ok()?;
    named(&origin)?;
    let mut plain = origin.clone().into_parts();
    plain.scheme = Some(Scheme::HTTP);
    Some(Endpoint::from(Uri::from_parts(plain).ok()?).origin(origin))
}

/// The host of `uri`, and what its certificate must name.
fn named(uri: &Uri) -> Option<(&str, ServerName<'static>)> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host, ServerName::try_from(host.to_owned()).ok()?))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|_| no_authority(path))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    // The parser's own message would repeat the line that is wrong, and a key may stand beside a certificate.
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::file(path, "has no certificate in PEM")),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&bytes(path)?).map_err(|_| Error::file(path, "has no private key in PEM"))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::file(path, &error.to_string()))
}

fn no_authority(path: &Path) -> Error {
    Error::file(path, "has a certificate that cannot be an authority's")
}

fn no_pair(cert: &Path, key: &Path) -> Error {
    Error::file(cert, &format!("does not fit the key in {}", key.display()))
}
