//! Where the parts of a running suite are found: what `make up` writes to `suite.json`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the parts of a running suite are found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// The offline Stripe.
    pub sandbox: Sandbox,
    /// The gateway's webhook listener.
    pub gateway: Gateway,
    /// The gRPC listeners, as `host:port`.
    pub grpc: Grpc,
    /// The database.
    pub postgres: Postgres,
}

/// The offline Stripe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    /// The API's base URL, without a slash at the end.
    pub url: String,
    /// The secret key it takes.
    pub secret_key: String,
}

/// The gateway's webhook listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gateway {
    /// Where webhooks are posted to.
    pub webhook_url: String,
    /// The secret they are signed with.
    pub webhook_secret: String,
}

/// The gRPC listeners, as `host:port`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grpc {
    /// `counterfoil.event.v1`.
    pub gateway: String,
    /// `counterfoil.customer.v1`.
    pub customer: String,
    /// `counterfoil.billing.v1`.
    pub billing: String,
    /// `counterfoil.tax.v1`.
    pub tax: String,
    /// `counterfoil.connect.v1`.
    pub connect: String,
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Postgres {
    /// As its administrator.
    pub url: String,
}

/// The file with the addresses of a running suite, readable by its owner only. Removed when dropped.
pub struct AddressFile(PathBuf);

impl AddressFile {
    /// Writes `addresses` to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(path: &Path, addresses: &Addresses) -> std::io::Result<Self> {
        let new = path.with_extension("json.new");
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        serde_json::to_writer_pretty(&mut file, addresses)?;
        file.write_all(b"\n")?;
        std::fs::rename(&new, path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
