//! Authorities and the certificates they sign, made in the test.

use std::path::{Path, PathBuf};

use counterfoil_chassis::{client, server};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use tempfile::TempDir;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for `uris`, and for a server on loopback; `change` makes it another one.
    pub(crate) fn signs(&self, uris: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

pub(crate) fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
}

pub(crate) fn not_yet_valid(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
}

/// A folder with the files of one side.
pub(crate) struct Side(TempDir);

impl Side {
    pub(crate) fn new(pair: &Pair, authorities: &[&Authority]) -> Side {
        let side = Side::empty();
        side.present(pair);
        side.trust(authorities);
        side
    }

    pub(crate) fn empty() -> Side {
        Side(tempfile::tempdir().unwrap())
    }

    /// Puts a new certificate and its key in place, at once, as they share a file.
    pub(crate) fn present(&self, pair: &Pair) {
        self.write("pair.pem", &format!("{}{}", pair.key, pair.cert));
    }

    pub(crate) fn trust(&self, authorities: &[&Authority]) {
        let all: String = authorities.iter().map(|one| one.pem.as_str()).collect();
        self.write("ca.pem", &all);
    }

    /// Replaces a file as a careful person does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let half = self.file("half");
        std::fs::write(&half, text).unwrap();
        std::fs::rename(half, self.file(name)).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::join(self.0.path(), name)
    }

    pub(crate) fn server(&self) -> server::Tls {
        server::Tls {
            cert: self.file("pair.pem"),
            key: self.file("pair.pem"),
            client_ca: self.file("ca.pem"),
        }
    }

    pub(crate) fn client(&self) -> client::Config {
        let tls = client::Tls {
            ca: self.file("ca.pem"),
            cert: Some(self.file("pair.pem")),
            key: Some(self.file("pair.pem")),
        };
        client::Config { tls: Some(tls) }
    }

    /// As [`Side::client`], without a certificate.
    pub(crate) fn person(&self) -> client::Config {
        let tls = client::Tls {
            ca: self.file("ca.pem"),
            cert: None,
            key: None,
        };
        client::Config { tls: Some(tls) }
    }
}
