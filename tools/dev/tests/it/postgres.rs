use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use counterfoil_dev::postgres::{Options, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::NoTls;

/// A fresh home that a server's account can reach too, when root runs the tests.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// The first column of the first row.
async fn ask(url: &str, question: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one(question, &[]).await.unwrap().get(0)
}

async fn run(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

/// `counterfoil-dev postgres` on `home`, without the server that this test run itself uses.
fn counterfoil_dev(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil-dev"));
    command
        .arg("postgres")
        .arg("--home")
        .arg(home)
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null());
    command
}

/// Starts the server without a command, and waits for the url it prints.
fn started(home: &Path) -> (Child, String) {
    let mut child = counterfoil_dev(home).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    (child, url.trim().to_owned())
}

/// The process that serves the cluster in `home`.
fn postmaster(home: &Path) -> Pid {
    let file = fs::read_to_string(home.join("data/postmaster.pid")).unwrap();
    Pid::from_raw(file.lines().next().unwrap().parse().unwrap())
}

fn terminate(child: &Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
}

#[tokio::test]
async fn a_server_starts_in_a_fresh_home_is_durable_and_keeps_its_data() {
    let home = home();
    let first = start(Options::in_home(home.path())).await.unwrap();
    assert!(!first.adopted());
    assert!(
        first.url().starts_with("postgres://counterfoil:"),
        "a superuser of ours"
    );
    assert_eq!(
        ask(
            first.url(),
            "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"
        )
        .await,
        "true"
    );
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        assert_eq!(ask(first.url(), &format!("SHOW {setting}")).await, "on", "{setting}");
    }
    assert_eq!(ask(first.url(), "SHOW listen_addresses").await, "127.0.0.1");
    let postmaster = postmaster(home.path());
    assert_eq!(
        nix::unistd::getpgid(Some(postmaster)).unwrap(),
        postmaster,
        "Ctrl-C does not reach it before us"
    );
    let mode = |name: &str| fs::metadata(home.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("password"), 0o600);
    assert_eq!(mode("postgres.log"), 0o600);

    run(first.url(), "CREATE TABLE kept AS SELECT 'a stub'::text AS word").await;
    let url = first.url().to_owned();
    first.stop().await.unwrap();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err(), "stopped");

    let second = start(Options::in_home(home.path())).await.unwrap();
    assert!(!second.adopted());
    assert_eq!(ask(second.url(), "SELECT word FROM kept").await, "a stub");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let home = home();
    let postgres = start(Options::in_home(home.path())).await.unwrap();
    let mut config: tokio_postgres::Config = postgres.url().parse().unwrap();
    let refusal = config.password("guessed").connect(NoTls).await.map(drop).unwrap_err();
    assert_eq!(refusal.code().unwrap().code(), "28P01");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_of_a_killed_run_is_adopted_and_stopped_by_the_next_one() {
    let home = home();
    let (mut killed, url) = started(home.path());
    let born = "SELECT pg_postmaster_start_time()::text";
    let time = ask(&url, born).await;
    killed.kill().unwrap();
    killed.wait().unwrap();

    let next = start(Options::in_home(home.path())).await.unwrap();
    assert!(next.adopted());
    assert_eq!(next.url(), url);
    assert_eq!(ask(next.url(), born).await, time, "the same server");
    next.stop().await.unwrap();
    assert!(
        tokio_postgres::connect(&url, NoTls).await.is_err(),
        "stopped by its adopter"
    );
    assert!(!home.path().join("data/postmaster.pid").exists());
}

#[tokio::test]
async fn a_server_left_on_another_port_than_the_wanted_one_is_restarted_there() {
    let home = home();
    let (mut killed, url) = started(home.path());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let next = start(Options {
        port: Some(port),
        ..Options::in_home(home.path())
    })
    .await
    .unwrap();
    assert!(!next.adopted());
    assert!(
        tokio_postgres::connect(&url, NoTls).await.is_err(),
        "no second server on the same data"
    );
    assert_eq!(ask(next.url(), "SHOW port").await, port.to_string());
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_ends_and_the_next_run_copes_with_its_ending() {
    let home = home();
    let dropped = start(Options::in_home(home.path())).await.unwrap();
    let url = dropped.url().to_owned();
    drop(dropped);
    let next = start(Options::in_home(home.path())).await.unwrap();
    assert_ne!(next.url(), url);
    assert_eq!(ask(next.url(), "SELECT 'anew'::text").await, "anew");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_the_end_of_its_log() {
    let home = home();
    start(Options::in_home(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(home.path().join("data/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let refusal = start(Options::in_home(home.path()))
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(refusal.starts_with("PostgreSQL does not start"), "{refusal}");
    assert!(refusal.contains("no_such_setting"), "{refusal}");
}

#[tokio::test]
async fn a_lost_password_is_said_and_no_data_is_thrown_away() {
    let home = home();
    start(Options::in_home(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::remove_file(home.path().join("password")).unwrap();
    let refusal = start(Options::in_home(home.path()))
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("password` is missing; remove"), "{refusal}");
    assert!(home.path().join("data/PG_VERSION").exists());
}

#[tokio::test]
async fn what_a_killed_initialisation_left_is_removed() {
    let home = home();
    let half_made = home.path().join("data.0a0b0c0d");
    fs::create_dir(&half_made).unwrap();
    fs::write(half_made.join("PG_VERSION"), "15\n").unwrap();
    start(Options::in_home(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert!(!half_made.exists());
}

#[tokio::test]
async fn a_server_killed_with_its_run_recovers_what_was_committed() {
    let home = home();
    let (mut killed, url) = started(home.path());
    run(&url, "CREATE TABLE kept AS SELECT 'a stub'::text AS word").await;
    let server = postmaster(home.path());
    killed.kill().unwrap();
    killed.wait().unwrap();
    kill(server, Signal::SIGKILL).unwrap();

    let next = start(Options::in_home(home.path())).await.unwrap();
    assert!(!next.adopted());
    assert_eq!(ask(next.url(), "SELECT word FROM kept").await, "a stub");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_id_that_another_program_has_by_now_does_not_stop_the_start() {
    let home = home();
    start(Options::in_home(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let data = home.path().join("data");
    fs::write(
        data.join("postmaster.pid"),
        format!("{}\n{}\n1\n1\n\n\n", std::process::id(), data.display()),
    )
    .unwrap();
    start(Options::in_home(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn root_in_a_closed_folder_gets_a_cluster_in_the_temporary_folder() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root runs the server under another account.
    }
    let outer = tempfile::tempdir().unwrap();
    let closed = outer.path().join("clone");
    fs::DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let home = closed.join(".counterfoil/test");

    let first = start(Options::in_home(&home)).await.unwrap();
    run(first.url(), "CREATE TABLE kept AS SELECT 'a stub'::text AS word").await;
    assert!(!home.join("data").exists());
    let elsewhere = |home: &Path| PathBuf::from(fs::read_to_string(home.join("data.path")).unwrap());
    let base = elsewhere(&home);
    assert!(!base.starts_with(outer.path()));
    assert_eq!(
        fs::metadata(&base).unwrap().uid(),
        0,
        "ours, so that nobody else can put something there"
    );
    first.stop().await.unwrap();

    let second = start(Options::in_home(&home)).await.unwrap();
    assert_eq!(ask(second.url(), "SELECT word FROM kept").await, "a stub");
    second.stop().await.unwrap();

    // A new clone at the same path begins anew, though the old cluster lies where its own will be.
    fs::remove_dir_all(&home).unwrap();
    let third = start(Options::in_home(&home)).await.unwrap();
    assert_eq!(elsewhere(&home), base);
    assert_eq!(
        ask(
            third.url(),
            "SELECT count(*)::text FROM pg_tables WHERE tablename = 'kept'"
        )
        .await,
        "0"
    );
    third.stop().await.unwrap();
    fs::remove_dir_all(base).unwrap();
}

#[tokio::test]
async fn a_given_database_url_is_used_and_nothing_is_started() {
    let home = home();
    let given = start(Options::in_home(home.path().join("given"))).await.unwrap();

    let unused = home.path().join("unused");
    let options = Options {
        database_url: Some(given.url().to_owned()),
        ..Options::in_home(&unused)
    };
    let postgres = start(options).await.unwrap();
    assert_eq!(postgres.url(), given.url());
    assert!(!unused.exists());
    postgres.stop().await.unwrap();
    assert_eq!(ask(given.url(), "SELECT 'there still'::text").await, "there still");

    let url = given.url().to_owned();
    given.stop().await.unwrap();
    let options = Options {
        database_url: Some(url.clone()),
        ..Options::in_home(&unused)
    };
    let refusal = format!("{:#}", start(options).await.map(drop).unwrap_err());
    assert!(
        refusal.starts_with("the server of DATABASE_URL does not answer"),
        "{refusal}"
    );
    let password = url.split(['@', ':']).nth(2).unwrap();
    assert!(!refusal.contains(password));
}

#[tokio::test]
async fn a_second_run_on_the_same_home_waits_for_the_first() {
    let home = home();
    let first = start(Options::in_home(home.path())).await.unwrap();
    let mut second = counterfoil_dev(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(second.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("another run uses"), "{said}");
    assert!(second.try_wait().unwrap().is_none());
    first.stop().await.unwrap();
    let mut url = String::new();
    BufReader::new(second.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    assert_eq!(ask(url.trim(), "SELECT 'mine now'::text").await, "mine now");
    terminate(&second);
    assert!(second.wait().unwrap().success());
}

#[tokio::test]
async fn a_port_can_be_chosen_and_a_taken_one_is_named() {
    let home = home();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = Options {
        port: Some(port),
        ..Options::in_home(home.path())
    };
    let refusal = start(options.clone()).await.map(drop).unwrap_err().to_string();
    assert_eq!(refusal, format!("port {port} is in use"));
    drop(taken);
    let postgres = start(options).await.unwrap();
    assert!(postgres.url().ends_with(&format!("@127.0.0.1:{port}/postgres")));
    postgres.stop().await.unwrap();
}

#[test]
fn a_command_gets_the_url_and_its_exit_code_is_told() {
    let home = home();
    let script = r#"case "$DATABASE_URL" in postgres://counterfoil:*) exit 7;; *) exit 1;; esac"#;
    let status = counterfoil_dev(home.path())
        .args(["--", "sh", "-c", script])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(
        !home.path().join("data/postmaster.pid").exists(),
        "the server is stopped"
    );
}

#[test]
fn a_signal_reaches_the_command_and_the_server_is_stopped_after_it() {
    let home = home();
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = counterfoil_dev(home.path())
        .args(["--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    assert_eq!(ready, "ready\n");
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(!home.path().join("data/postmaster.pid").exists());
}

#[test]
fn a_command_that_does_not_exist_is_named_in_one_line() {
    let home = home();
    let output = counterfoil_dev(home.path())
        .args(["--", "no-such-program"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    let last = words.lines().last().unwrap();
    assert!(
        last.starts_with("counterfoil-dev: cannot run `no-such-program`"),
        "{words}"
    );
}
