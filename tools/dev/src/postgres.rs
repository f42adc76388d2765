//! A private PostgreSQL: found or installed, started on a free loopback port, stopped with us.
//!
//! Everything it needs lies in one *home* folder: `lock` (held with flock while the server is ours), `password` (0600),
//! `postgres.log` and the cluster itself in `data/`. `initdb` refuses root, so root runs the server as `postgres` or
//! `nobody`; where that account cannot reach the home, the cluster lies in the system's temporary folder and
//! `data.path` in the home says where.
//!
//! A server that outlived a killed run is adopted: same data, same port, ours to stop from then on. No other server is
//! ever touched, and a given `DATABASE_URL` is used as it is.

mod binaries;
mod place;
mod server;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_postgres::NoTls;

use binaries::Binaries;
use place::{Account, Place};
use server::Server;

/// The superuser of a private server.
const USER: &str = "counterfoil";

/// Where the private server lives, or which server to use instead.
#[derive(Clone)]
pub struct Options {
    /// The folder of this server; created when missing. Two runs on one home take turns.
    pub home: PathBuf,
    /// The port to listen on; a free one where none is given.
    pub port: Option<u16>,
    /// `DATABASE_URL`: a server that is already there. It is used and nothing is started.
    pub database_url: Option<String>,
}

impl Options {
    /// A private server in `home`, on a free port.
    pub fn in_home(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            port: None,
            database_url: None,
        }
    }
}

/// A PostgreSQL that answers. [`Postgres::stop`] ends it; dropped without that, it is told to end and not waited for.
pub struct Postgres {
    url: String,
    private: Option<Private>,
}

struct Private {
    server: Server,
    adopted: bool,
    // Released, by us or by the kernel, only after the server was told to stop.
    _lock: File,
}

impl Postgres {
    /// Where it answers: `postgres://counterfoil:<password>@127.0.0.1:<port>/postgres` as superuser, or the given
    /// `DATABASE_URL`. It holds a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the server was left by a killed run rather than started now.
    pub fn adopted(&self) -> bool {
        self.private.as_ref().is_some_and(|private| private.adopted)
    }

    /// Shuts the server down (PostgreSQL's "fast": connections are ended, everything is on disk) and waits for its end.
    /// A server given by `DATABASE_URL` is left alone.
    ///
    /// # Errors
    /// The server did not end within a minute.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self.private {
            Some(private) => private.server.stop().await,
            None => Ok(()),
        }
    }
}

/// Starts the private server in `options.home`, or adopts the one a killed run left there; installs PostgreSQL first
/// where it is missing and we may. Waits while another run holds the same home, and says so on stderr.
///
/// # Errors
/// PostgreSQL is missing and cannot be installed, the home cannot be used, the server does not start (the message holds
/// the end of its log), or the server that `DATABASE_URL` names does not answer.
pub async fn start(options: Options) -> anyhow::Result<Postgres> {
    if let Some(url) = options.database_url {
        check_given(&url).await?;
        return Ok(Postgres { url, private: None });
    }
    fs::create_dir_all(&options.home).with_context(|| format!("cannot create `{}`", options.home.display()))?;
    let home = options
        .home
        .canonicalize()
        .with_context(|| format!("cannot resolve `{}`", options.home.display()))?;
    let lock = lock(&home).await?;
    let found = Binaries::find_or_install().await?;
    let account = Account::choose()?;
    let place = Place::choose(&home, &account).await?;
    let password = password(&home, &place)?;

    if let Some(server) = server::left_behind(&place, &password).await? {
        if options.port.is_none_or(|port| port == server.port()) {
            let url = url(&password, server.port());
            return Ok(Postgres {
                url,
                private: Some(Private {
                    server,
                    adopted: true,
                    _lock: lock,
                }),
            });
        }
        server.stop().await?;
    }
    let binaries = Binaries::for_data(found, &place.data())?;
    server::initialise(&binaries, &account, &place, &password).await?;
    let server = server::launch(&binaries, &account, &place, &password, options.port).await?;
    let url = url(&password, server.port());
    Ok(Postgres {
        url,
        private: Some(Private {
            server,
            adopted: false,
            _lock: lock,
        }),
    })
}

fn url(password: &str, port: u16) -> String {
    format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres")
}

async fn check_given(url: &str) -> anyhow::Result<()> {
    // Neither the URL nor the parser's words are repeated: both may hold a password.
    if url.parse::<tokio_postgres::Config>().is_err() {
        bail!("DATABASE_URL is not a PostgreSQL connection url");
    }
    ask(url, "SHOW server_version")
        .await
        .context("the server of DATABASE_URL does not answer")?;
    Ok(())
}

/// Asks the server at `url` a question that has one text for an answer, within five seconds.
async fn ask(url: &str, question: &str) -> anyhow::Result<String> {
    let ask = async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let answer = client
            .query_one(question, &[])
            .await
            .and_then(|row| row.try_get::<_, String>(0));
        drop(client);
        driver.abort();
        anyhow::Ok(answer?)
    };
    tokio::time::timeout(Duration::from_secs(5), ask)
        .await
        .context("no answer within 5 s")?
}

/// Takes the home's lock. The kernel releases it when its holder dies, however it dies.
async fn lock(home: &Path) -> anyhow::Result<File> {
    let path = home.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if !said => {
                eprintln!("another run uses `{}`; waiting for its end", home.display());
                said = true;
            }
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
            }
        }
    }
}

/// The home's password, made on first use. It is on disk before a cluster that knows it.
fn password(home: &Path, place: &Place) -> anyhow::Result<String> {
    let path = home.join("password");
    match fs::read_to_string(&path) {
        Ok(password) if !password.trim().is_empty() => return Ok(password.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
    if place.data().exists() {
        bail!(
            "`{}` is missing; remove `{}` to begin anew",
            path.display(),
            place.data().display()
        );
    }
    let password = hex::encode(rand::random::<[u8; 24]>());
    write_private(&path, &password).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(password)
}

/// Writes `text` to a new file at `path` that only we may read, in place of any other.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
