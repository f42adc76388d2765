//! `counterfoil`, as an operator runs it, over a suite that has played its story.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use counterfoil_dev::addresses::AddressFile;
use counterfoil_dev::database::Database;
use counterfoil_dev::story::{Hop, Options, Story};
use counterfoil_dev::suite::{self, Ports, Suite};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use uuid::Uuid;

use counterfoil_journeys::{Fleet, binary, database_name, database_url};

const RUN: Uuid = Uuid::from_u128(11);
const TYPE: &str = "customer.subscription.deleted";

/// A suite, its `suite.json`, and the operator who sits before it.
struct Desk {
    suite: Suite,
    database: Database,
    folder: TempDir,
    _file: AddressFile,
}

/// What a command came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    /// The lines of a table, in words, without its header.
    fn rows(&self) -> Vec<Vec<&str>> {
        let rows = self.stdout.lines().skip(1);
        rows.map(|row| row.split_whitespace().collect()).collect()
    }
}

impl Desk {
    async fn open(test: &str) -> Desk {
        let database = Database::create(&database_url(), &database_name(test), "journeys")
            .await
            .unwrap();
        let options = suite::Options {
            secret_key: "sk_test_journeys".to_owned(),
            webhook_secret: "whsec_journeys".to_owned(),
            seed: 7,
            journal: None,
            ports: Ports::default(),
            lease_ms: 1_500,
            environment: Vec::new(),
        };
        let suite = Suite::start(options, &database).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = AddressFile::write(&folder.path().join("suite.json"), &suite.addresses).unwrap();
        Desk {
            suite,
            database,
            folder,
            _file: file,
        }
    }

    async fn play(&self) {
        let options = Options {
            run: RUN,
            spoiled: None,
            patience: Duration::from_secs(30),
        };
        let mut story = Story::new(&self.suite.addresses, options).await.unwrap();
        for hop in Hop::ALL {
            story.play(hop).await.unwrap_or_else(|error| panic!("{error:#}"));
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("suite.json")
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(binary("counterfoil"));
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("COUNTERFOIL_SUITE", self.file());
        command
    }

    async fn run(&self, arguments: &str) -> Done {
        let output = self.command(arguments).output().await.unwrap();
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What the command prints, as it goes well.
    async fn table(&self, arguments: &str) -> Done {
        let done = self.run(arguments).await;
        assert_eq!(done.code, Some(0), "{arguments}: {}", done.stderr);
        assert!(
            !done.stdout.contains('\u{1b}'),
            "{arguments}: colours in a pipe: {}",
            done.stdout
        );
        assert!(done.stdout.lines().all(|line| !line.ends_with(' ')), "{}", done.stdout);
        done
    }

    async fn json(&self, arguments: &str) -> Value {
        let done = self.table(&format!("{arguments} --output json")).await;
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
    }

    /// A command that goes on, and the lines it prints.
    fn start(&self, arguments: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }

    async fn close(self) {
        self.suite.stop().await.unwrap();
        self.database.drop(&database_url()).await.unwrap();
    }
}

fn user() -> String {
    format!("user-{}", RUN.simple())
}

#[tokio::test]
async fn an_operator_finds_out_what_the_story_left() {
    let desk = Desk::open("cli").await;
    // One who watches sees it happen.
    let (mut tail, mut seen) = desk.start(&format!("events tail --from-start --type {TYPE} --output json"));
    desk.play().await;
    let seen = tokio::time::timeout(Duration::from_secs(30), seen.next_line())
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(&seen.unwrap().unwrap()).unwrap();
    assert_eq!(seen["type"], TYPE);
    kill(Pid::from_raw(tail.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    assert!(tail.wait().await.unwrap().success(), "Ctrl-C is how it ends");

    status(&desk).await;
    events(&desk, &seen).await;
    customer_subscription_and_access(&desk).await;
    desk.close().await;
}

async fn status(desk: &Desk) {
    let status = desk.table("status").await;
    for service in ["gateway", "customer", "billing", "tax", "connect"] {
        let row = status
            .rows()
            .into_iter()
            .find(|row| row.first() == Some(&service))
            .unwrap();
        assert_eq!(row.last(), Some(&"serving"), "{}", status.stdout);
    }
    assert!(
        status.stdout.contains("DUPLICATES") && status.stdout.contains("+7"),
        "{}",
        status.stdout
    );
    let status = desk.json("status").await;
    let ingest = &status["ingest"];
    let heads = ingest["last_offsets"].as_array().unwrap();
    assert_eq!(heads.len(), 64);
    assert_eq!(
        heads.iter().map(|head| head.as_i64().unwrap()).sum::<i64>(),
        ingest["stored"].as_i64().unwrap()
    );
    assert!(ingest["duplicates"].as_i64() > Some(0), "{ingest}");
}

/// `deleted` is the event of [`TYPE`].
async fn events(desk: &Desk, deleted: &Value) {
    let stored = desk.json("status").await["ingest"]["stored"].as_u64().unwrap();
    let all = desk.json("events list --limit 100000").await;
    let all = all["events"].as_array().unwrap();
    assert_eq!(all.len() as u64, stored);
    let received: Vec<_> = all
        .iter()
        .map(|event| event["received_time"].as_str().unwrap())
        .collect();
    assert!(received.is_sorted(), "{received:?}");
    assert!(all.contains(deleted));

    let newest = desk.json("events list --limit 3").await;
    assert_eq!(newest["events"].as_array().unwrap(), &all[all.len() - 3..]);
    let of_type = desk
        .json(&format!("events list --type {TYPE} --type nothing.at.all"))
        .await;
    assert_eq!(of_type["events"].as_array().unwrap(), std::slice::from_ref(deleted));

    // Page by page through the partition of the event.
    let partition = &deleted["partition"];
    let (mut after, mut pages) = (0, Vec::new());
    loop {
        let list = format!("events list --partition {partition} --after {after} --limit 2");
        let page = desk.json(&list).await;
        pages.extend(page["events"].as_array().unwrap().clone());
        match page["next_after"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    let expected: Vec<_> = all
        .iter()
        .filter(|event| event["partition"] == *partition)
        .cloned()
        .collect();
    assert!(expected.len() > 2, "{} events in one partition", expected.len());
    assert_eq!(pages, expected);
    let table = desk
        .table(&format!("events list --partition {partition} --after 0 --limit 1"))
        .await;
    assert_eq!(table.rows().len(), 1, "{}", table.stdout);
    assert!(table.stderr.contains("--after 1"), "{}", table.stderr);

    let id = deleted["event_id"].as_str().unwrap();
    let shown = desk.table(&format!("events show {id}")).await.stdout;
    assert!(
        shown.contains(id) && shown.contains(TYPE) && shown.contains("webhook"),
        "{shown}"
    );
    assert!(!shown.contains("livemode"), "a body nobody asked for: {shown}");
    let body = desk.table(&format!("events show {id} --body")).await.stdout;
    assert!(body.contains("livemode"), "{body}");
    let body = desk.json(&format!("events show {id} --body")).await;
    let body: Value = serde_json::from_str(body["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["id"], id);

    let told = desk.table(&format!("events tail --from-start --limit {stored}")).await;
    assert_eq!(told.stdout.lines().count() as u64, stored);
}

async fn customer_subscription_and_access(desk: &Desk) {
    let user = user();
    let customer = desk.json(&format!("customers get --user {user}")).await;
    assert_eq!(customer["name"], "Ada Lovelace");
    let id = customer["stripe_customer_id"].as_str().unwrap();
    let same = desk.table(&format!("customers get --stripe {id}")).await.stdout;
    assert!(same.contains(&user) && same.contains("Ada Lovelace"), "{same}");

    let list = desk.table(&format!("subscriptions list --user {user}")).await;
    let rows = list.rows();
    let [row] = rows.as_slice() else {
        panic!("{}", list.stdout)
    };
    assert_eq!(row[1..3], ["canceled", "pro_monthly"], "{}", list.stdout);
    let subscription = desk.json(&format!("subscriptions get {}", row[0])).await;
    assert_eq!(subscription["status"], "canceled");
    assert_eq!(subscription["items"][0]["unit_price"]["minor_units"], 2900);
    let shown = desk.table(&format!("subscriptions get {}", row[0])).await.stdout;
    assert!(shown.contains("29.00 USD") && shown.contains("ended"), "{shown}");

    let access = desk
        .table(&format!("access check --user {user} --feature reports"))
        .await
        .stdout;
    assert!(access.contains("subscription inactive"), "{access}");
    let access = desk
        .json(&format!("access check --user {user} --feature reports"))
        .await;
    assert_eq!(
        (access["allowed"].as_bool(), access["subscription_id"].as_str()),
        (Some(false), Some(row[0]))
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_a_block_and_by_the_exit_code() {
    let desk = Desk::open("clierrors").await;
    let missing = desk.run("subscriptions get sub_unknown").await;
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""));
    assert!(
        missing.stderr.starts_with("counterfoil: billing at 127.0.0.1:")
            && missing
                .stderr
                .contains("NOT_FOUND (NOT_FOUND): no subscription `sub_unknown`"),
        "{}",
        missing.stderr
    );
    let invalid = desk.run("access check --user= --feature REPORTS").await;
    assert_eq!(invalid.code, Some(1));
    for part in ["INVALID_ARGUMENT (INVALID_REQUEST)", "\n  user_id: ", "\n  feature: "] {
        assert!(invalid.stderr.contains(part), "{}", invalid.stderr);
    }
    let partition = desk.run("events list --partition 64").await;
    assert_eq!(partition.code, Some(1), "{}", partition.stdout);
    assert!(partition.stderr.contains("\n  partition: "), "{}", partition.stderr);
    for misuse in [
        "customers get",
        "customers get --user ada --stripe cus_1",
        "events list --after 1",
        "subscriptions list --user ada --limit 0",
        "status --output yaml",
        "nonsense",
        "",
    ] {
        let misused = desk.run(misuse).await;
        assert_eq!(misused.code, Some(2), "{misuse}: {}", misused.stderr);
    }
    let nothing = desk.table("events list").await;
    assert_eq!(nothing.stdout, "none\n");

    // One that is not there, while the others are.
    let mut command = desk.command("status");
    let down = command
        .env("COUNTERFOIL_TAX_ADDRESS", "127.0.0.1:1")
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&down.stdout),
        String::from_utf8_lossy(&down.stderr),
    );
    assert_eq!(down.status.code(), Some(1));
    assert!(
        stdout.contains("cannot be reached") && stderr.contains("not serving: tax"),
        "{stdout}{stderr}"
    );

    // Nobody told it where to look.
    let mut command = desk.command("status");
    let lost = command.env_remove("COUNTERFOIL_SUITE").current_dir(desk.folder.path());
    let lost = lost.args(["--timeout", "1"]).output().await.unwrap();
    assert_eq!(lost.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&lost.stdout).contains("COUNTERFOIL_GATEWAY_ADDRESS"));
    desk.close().await;
}

#[tokio::test]
async fn a_tail_goes_on_where_it_was_when_the_gateway_comes_back() {
    let mut fleet = Fleet::start("clitail", "sk_test_journeys").await;
    let gateway = fleet.addresses.grpc.gateway.clone();
    let counterfoil = |arguments: &str| {
        let mut command = Command::new(binary("counterfoil"));
        command.args(arguments.split_whitespace());
        command.args(["--gateway", &gateway, "--output", "json"]).env_clear();
        command
    };
    let mut tail = counterfoil("events tail --from-start")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let options = Options {
        run: RUN,
        spoiled: None,
        patience: Duration::from_secs(30),
    };
    let mut story = Story::new(&fleet.addresses, options).await.unwrap();
    for hop in Hop::ALL {
        if hop == Hop::Cancel {
            fleet.kill("webhook-gateway").await;
            fleet.start_process("webhook-gateway").await;
        }
        story.play(hop).await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    let list = counterfoil("events list --limit 100000").output().await.unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let place = |event: &Value| (event["partition"].as_i64(), event["offset"].as_i64());
    let mut stored: Vec<_> = list["events"].as_array().unwrap().iter().map(place).collect();
    let mut told = Vec::new();
    while told.len() < stored.len() {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
        let line = line.expect("all events are told").unwrap().expect("the tail goes on");
        told.push(place(&serde_json::from_str(&line).unwrap()));
    }
    // Each once: any event told twice would stand in the place of another.
    stored.sort();
    told.sort();
    assert_eq!(told, stored);
    kill(Pid::from_raw(tail.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    assert!(tail.wait().await.unwrap().success());
    fleet.stop().await;
}
