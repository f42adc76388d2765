//! Endpoints change while they are served: the real process, its file, its signals.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use counterfoil_test_support::TestDb;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::gateway::{OWN, event, now, sign};

/// A gateway's process, and what it says.
struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    address: String,
}

impl Process {
    async fn start(db: &TestDb, file: &Path, reload_ms: u64) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_counterfoil-webhook-gateway"))
            .args(["serve", "--config", file.to_str().unwrap()])
            .env("DATABASE_URL", db.config().url.expose_secret())
            .env("COUNTERFOIL_DATABASE__SCHEMA", &db.config().schema)
            .env("COUNTERFOIL_SERVER__RELOAD_MS", reload_ms.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut process = Process {
            child,
            log,
            address: String::new(),
        };
        let line = process.says("webhooks are received").await;
        let (_, rest) = line.split_once("127.0.0.1:").unwrap();
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        process.address = format!("127.0.0.1:{port}");
        process
    }

    /// The next line of the log with this text.
    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.log.next_line().await.unwrap().expect("the process ended");
            let secrets = ["whsec_old", "whsec_new", "whsec_x"];
            assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn hang_up(&self) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    /// The answer to an event of its own that `secret` signs.
    async fn deliver(&self, path: &str, secret: &str) -> StatusCode {
        let body = event(&secret.replace("whsec", "evt"), "invoice.paid", "cus_1");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .post(format!("http://{}{path}", self.address))
            .header("stripe-signature", sign(body.as_bytes(), secret, now()));
        request.body(body).send().await.unwrap().status()
    }
}

/// One endpoint with these secrets.
fn file(path: &str, secrets: &[&str]) -> String {
    let mut text = format!("[endpoints.platform]\nmode = \"test\"\npath = \"{path}\"\n");
    for secret in secrets {
        let name = secret.trim_start_matches("whsec_");
        let secret = format!("[[endpoints.platform.secrets]]\nname = \"{name}\"\nvalue = \"{secret}\"\n");
        text.push_str(&secret);
    }
    text
}

#[tokio::test]
async fn a_hangup_puts_a_changed_file_in_force_and_a_wrong_one_changes_nothing() {
    let db = TestDb::new(&OWN).await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, file("/a", &["whsec_old"])).unwrap();
    // Nothing is looked at but on the signal.
    let mut gateway = Process::start(&db, &path, 86_400_000).await;
    assert_eq!(gateway.deliver("/a", "whsec_old").await, 200);
    assert_eq!(gateway.deliver("/a", "whsec_new").await, 400);

    std::fs::write(&path, file("/b", &["whsec_new", "whsec_old"])).unwrap();
    gateway.hang_up().await;
    gateway.says("files were read again and are in force").await;
    assert_eq!(gateway.deliver("/a", "whsec_old").await, 404);
    assert_eq!(gateway.deliver("/b", "whsec_old").await, 200);
    assert_eq!(gateway.deliver("/b", "whsec_new").await, 200);

    for (wrong, why) in [
        (
            file("/b", &["whsec_x"]).replace("value = \"whsec_x", "value = \""),
            "endpoints.platform.secrets[0] is empty",
        ),
        (file("/b", &[]), "endpoints.platform.secrets"),
        (format!("{}\nnonsense", file("/b", &["whsec_x"])), "gateway.toml"),
        (
            format!("{}\nnobody = \"reads this\"", file("/b", &["whsec_x"])),
            "nobody",
        ),
    ] {
        std::fs::write(&path, wrong).unwrap();
        gateway.hang_up().await;
        let line = gateway.says("cannot be used, what it said before stays in force").await;
        assert!(line.contains(why), "{line}");
        assert_eq!(gateway.deliver("/b", "whsec_new").await, 200);
    }
}

#[tokio::test]
async fn a_file_that_kubernetes_replaces_is_in_force_without_a_signal() {
    let db = TestDb::new(&OWN).await;
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As a mounted secret: the file is a link into a folder, which is a link that is moved.
    for (version, secrets) in [("1", &["whsec_old"][..]), ("2", &["whsec_new"])] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("gateway.toml"), file("/a", secrets)).unwrap();
    }
    symlink("1", at("data")).unwrap();
    symlink("data/gateway.toml", at("gateway.toml")).unwrap();
    let mut gateway = Process::start(&db, &at("gateway.toml"), 20).await;
    assert_eq!(gateway.deliver("/a", "whsec_old").await, 200);
    assert_eq!(gateway.deliver("/a", "whsec_new").await, 400);

    symlink("2", at("data.new")).unwrap();
    std::fs::rename(at("data.new"), at("data")).unwrap();
    gateway.says("files were read again and are in force").await;
    assert_eq!(gateway.deliver("/a", "whsec_new").await, 200);
    assert_eq!(gateway.deliver("/a", "whsec_old").await, 400);
}
