//! The binary, killed at any moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use reqwest::Client;
use serde_json::{Value, json};

use crate::client::{client, send, text};

/// A sandbox on a journal, killed when dropped.
struct Process(Child);

impl Process {
    fn start(journal: &Path) -> (Self, String) {
        let mut process = Self::spawn(journal);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect(&line)
            .to_owned();
        (process, url)
    }

    /// Starts it, and does not wait until it answers.
    fn spawn(journal: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
            .args([
                "--secret-key",
                "sk_test_process",
                "--frozen-time",
                "1800000000",
                "--journal",
            ])
            .arg(journal)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A call under a key, and its answer if one came.
#[derive(Clone)]
struct Call {
    key: String,
    path: &'static str,
    form: Vec<(&'static str, &'static str)>,
}

impl Call {
    /// Makes, pays and is declined in turn.
    fn new(key: String, index: usize) -> Self {
        let (path, form): (_, &[_]) = match index % 3 {
            0 => ("/v1/customers", &[("email", "a@example.com")]),
            1 => ("/v1/products", &[("name", "Pro")]),
            _ => (
                "/v1/payment_intents",
                &[
                    ("amount", "900"),
                    ("currency", "usd"),
                    ("confirm", "true"),
                    ("payment_method", "pm_card_chargeDeclined"),
                ],
            ),
        };
        let form = form.to_vec();
        Self { key, path, form }
    }

    /// The answer (status, whether it is a replay, body), or that none came whole.
    async fn send(&self, http: &Client, url: &str) -> Result<(u16, bool, String), reqwest::Error> {
        let call = http.post(format!("{url}{}", self.path)).bearer_auth("sk_test_process");
        let answer = call
            .header("idempotency-key", &self.key)
            .form(&self.form)
            .send()
            .await?;
        let (status, replayed) = (
            answer.status().as_u16(),
            answer.headers().contains_key("idempotent-replayed"),
        );
        Ok((status, replayed, answer.text().await?))
    }
}

/// Every answered call of all rounds: its key, and what was answered.
type Answered = Arc<Mutex<Vec<(Call, u16, String)>>>;

/// Calls without end, until no answer comes any more.
async fn hammer(http: Client, url: String, caller: String, answered: Answered) {
    for index in 0.. {
        let call = Call::new(format!("{caller}-{index}"), index);
        match call.send(&http, &url).await {
            Ok((status, _, body)) => answered.lock().unwrap().push((call, status, body)),
            Err(_) => return,
        }
    }
}

#[tokio::test]
async fn every_answered_call_is_there_after_each_of_twenty_kills_and_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let http = client();
    let answered = Answered::default();
    let mut replayed = 0;
    for round in 0..20 {
        let (mut process, url) = Process::start(&journal);
        // What was answered before the kill is answered again, word for word.
        let before: Vec<_> = answered.lock().unwrap()[replayed..].to_vec();
        for (call, status, body) in &before {
            let again = call.send(&http, &url).await.unwrap();
            assert_eq!(again, (*status, true, body.clone()), "round {round}, {}", call.key);
        }
        replayed += before.len();
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (http, url, answered) = (http.clone(), url.clone(), answered.clone());
                tokio::spawn(hammer(http, url, format!("{round}-{caller}"), answered))
            })
            .collect();
        let enough = replayed + 5 + (round * 37) % 23;
        while answered.lock().unwrap().len() < enough {
            tokio::task::yield_now().await;
        }
        process.0.kill().unwrap();
        for caller in callers {
            caller.await.unwrap();
        }
    }
    let (_process, url) = Process::start(&journal);
    let look = async |path: &str| send(http.get(format!("{url}/_sandbox/{path}"))).await.json();
    let mut ids = BTreeSet::new();
    for kind in ["customer", "product", "payment_intent"] {
        let objects = look(&format!("objects/{kind}")).await;
        let objects = objects["data"].as_array().unwrap().clone();
        ids.extend(objects.iter().map(|one| text(&one["object"]["id"])));
    }
    let answered = answered.lock().unwrap().clone();
    for (call, _, body) in answered.iter() {
        let body: Value = serde_json::from_str(body).unwrap();
        let object = body.pointer("/error/payment_intent").unwrap_or(&body);
        assert!(ids.contains(&text(&object["id"])), "{}: {object}", call.key);
    }
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for effect in look("ledger").await["effects"].as_array().unwrap() {
        if effect["effect"] == "created"
            && ["customer", "product", "payment_intent"].contains(&&*text(&effect["object"]))
        {
            *made.entry(text(&effect["idempotency_key"])).or_default() += 1;
        }
    }
    assert!(answered.iter().all(|(call, ..)| made[&call.key] == 1));
    assert!(made.values().all(|count| *count == 1), "a key had its effect twice");
}

#[tokio::test]
async fn an_advance_of_a_test_clock_is_whole_though_it_is_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let http = client();
    let post = async |url: &str, path: &str, form: &[(&str, &str)]| {
        let call = http.post(format!("{url}/v1/{path}")).bearer_auth("sk_test_process");
        let answer = send(call.form(form)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    };
    // Forty payments, of each of which the money becomes available after two days: forty steps.
    let (process, url) = Process::start(&made);
    let clock = post(&url, "test_helpers/test_clocks", &[("frozen_time", "1577836800")]).await;
    let clock = text(&clock["id"]);
    let customer = post(&url, "customers", &[("test_clock", &clock)]).await;
    let payment = [
        ("customer", &*text(&customer["id"])),
        ("amount", "900"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("return_url", "https://example.com"),
    ];
    for _ in 0..40 {
        post(&url, "payment_intents", &payment).await;
    }
    let advance = format!("test_helpers/test_clocks/{clock}/advance");
    post(&url, &advance, &[("frozen_time", "1580515200")]).await;
    drop(process);
    let lines = |journal: &Path| std::fs::read_to_string(journal).unwrap().lines().count();
    let begun = lines(&made);

    let ended = async |journal: &Path| {
        let (_process, url) = Process::start(journal);
        let look = http.get(format!("{url}/v1/test_helpers/test_clocks/{clock}"));
        let clock = send(look.bearer_auth("sk_test_process")).await.json();
        assert_eq!(
            (&clock["status"], &clock["frozen_time"]),
            (&json!("ready"), &json!(1_580_515_200))
        );
        send(http.get(format!("{url}/_sandbox/world"))).await.json()
    };
    let whole = folder.path().join("whole");
    std::fs::copy(&made, &whole).unwrap();
    let hash = ended(&whole).await;
    let steps = lines(&whole) - begun;
    assert!(steps > 40, "{steps}");
    let mut in_the_middle = 0;
    for round in 0..6 {
        let journal = folder.path().join(format!("round{round}"));
        std::fs::copy(&made, &journal).unwrap();
        // The advance goes on as the process starts, before it says that it listens.
        let mut child = Process::spawn(&journal);
        while lines(&journal) < begun + 1 + 6 * round {
            std::thread::yield_now();
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        in_the_middle += usize::from(lines(&journal) < begun + steps);
        assert_eq!(ended(&journal).await, hash, "round {round}");
    }
    assert!(in_the_middle > 0, "all were killed too late");
}

#[tokio::test]
async fn the_process_ends_cleanly_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, url) = Process::start(&folder.path().join("world"));
    assert_eq!(
        send(client().get(format!("{url}/_sandbox/clock"))).await.json(),
        json!({ "now": 1_800_000_000, "ticks": false })
    );
    Command::new("kill")
        .args(["-TERM", &process.0.id().to_string()])
        .status()
        .unwrap();
    let status = tokio::task::spawn_blocking(move || process.0.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success());
}

#[test]
fn what_is_wrong_at_the_start_is_told_in_a_line() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
        .args(["--secret-key", "mine"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("stripe-sandbox: secret key must begin with"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
