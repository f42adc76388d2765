//! `make bench-rpc`: a read through the whole chassis (identity by token, policy, deadline, rules of the protos, trace, log
//! line) beside a bare tonic handler, with the same SQL by primary key and without any. Prints a table for
//! `docs/benchmarks.md`.
//!
//! Each server is a process of its own, so that its CPU time is its own; the load is 64 connections with one call at a
//! time on each. Servers take turns, and a ratio is that of two runs next to each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use counterfoil_bench::{Bare, MIGRATIONS, Settings, Whole};
use counterfoil_chassis::{Clock, Config, Row, serve, server};
use counterfoil_proto::customer::v1 as pb;
use counterfoil_proto::customer::v1::customer_service_client::CustomerServiceClient;
use counterfoil_proto::customer::v1::customer_service_server::CustomerServiceServer;
use counterfoil_proto::customer::v1::get_customer_request::Id;
use counterfoil_store::Db;
use counterfoil_telemetry as telemetry;
use counterfoil_test_support::TestDb;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

const CONNECTIONS: u64 = 64;
const ROUNDS: usize = 7;
const WARM_UP: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_secs(4);

const TOKEN: &str = "a-token-of-the-benchmark";
const IDENTITY: &str = "bench@company.example";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The servers, each pair one beside the other.
const PAIRS: [(&str, &str, &str); 2] = [
    ("with SQL by primary key", "bare-sql", "whole-sql"),
    ("without SQL", "bare", "whole"),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match std::env::var("BENCH_SERVER") {
        Ok(kind) => runtime.block_on(serve_until_left(&kind)),
        Err(_) => runtime.block_on(measure()),
    }
}

async fn measure() {
    println!("commit {}", output("git", &["rev-parse", "--short", "HEAD"]));
    println!("machine {} cores, {}", output("nproc", &[]), output("uname", &["-sr"]));
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {} s each", RUN.as_secs());
    let test = TestDb::new(&MIGRATIONS).await;
    println!();
    println!("| | server | calls/s (min – median – max) | server's CPU a call, µs | calls/s and core of the server |");
    println!("|---|---|---|---|---|");
    for (what, bare, whole) in PAIRS {
        let servers = [Server::start(bare, &test), Server::start(whole, &test)];
        let mut runs: [Vec<Run>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (server, runs) in servers.iter().zip(&mut runs) {
                runs.push(server.load().await);
            }
        }
        for (server, runs) in servers.iter().zip(&runs) {
            let rates = sorted(runs.iter().map(|run| run.rate));
            let cpu = median(runs.iter().map(|run| run.cpu_us));
            println!(
                "| {what} | {} | {:.0} – {:.0} – {:.0} | {cpu:.1} | {:.0} |",
                server.kind,
                rates[0],
                rates[rates.len() / 2],
                rates[rates.len() - 1],
                1e6 / cpu
            );
        }
        let ratios = runs[0].iter().zip(&runs[1]).map(|(bare, whole)| whole.rate / bare.rate);
        let ratios = sorted(ratios);
        println!(
            "| {what} | ratio | {:.2} – **{:.2}** – {:.2} | | |",
            ratios[0],
            ratios[ratios.len() / 2],
            ratios[ratios.len() - 1]
        );
    }
}

/// One load on one server.
struct Run {
    /// Calls a second.
    rate: f64,
    /// The server's CPU time a call, user and system.
    cpu_us: f64,
}

/// A server in a process of its own.
struct Server {
    kind: &'static str,
    process: Child,
    uri: String,
    _tokens: tempfile::TempDir,
}

impl Server {
    fn start(kind: &'static str, test: &TestDb) -> Server {
        let tokens = tempfile::tempdir().unwrap();
        let file = tokens.path().join("tokens");
        let hash = hex::encode(Sha256::digest(TOKEN));
        std::fs::write(&file, format!("{hash} {IDENTITY}\n")).unwrap();
        let database = test.config();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env("BENCH_SERVER", kind)
            .env("BENCH_URL", database.url.expose_secret())
            .env("BENCH_SCHEMA", &database.schema)
            .env("BENCH_TOKENS", &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut uri = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut uri)
            .unwrap();
        Server {
            kind,
            process,
            uri: uri.trim().to_owned(),
            _tokens: tokens,
        }
    }

    async fn load(&self) -> Run {
        let (calls, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut callers = Vec::new();
        for n in 0..CONNECTIONS {
            let channel = Endpoint::from_shared(self.uri.clone()).unwrap().tcp_nodelay(true);
            let channel = channel.connect().await.unwrap();
            callers.push(tokio::spawn(call(channel, n, calls.clone(), stop.clone())));
        }
        tokio::time::sleep(WARM_UP).await;
        let (before, cpu, begun) = (calls.load(Ordering::Relaxed), self.cpu(), Instant::now());
        tokio::time::sleep(RUN).await;
        let (done, cpu, took) = (
            (calls.load(Ordering::Relaxed) - before) as f64,
            self.cpu() - cpu,
            begun.elapsed(),
        );
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        Run {
            rate: done / took.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / done,
        }
    }

    /// The CPU time the server has used.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime, in hundredths of a second. Source: man 5 proc.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Calls over one connection, one call after another.
async fn call(channel: Channel, n: u64, calls: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut client = CustomerServiceClient::new(channel);
    let mut next = n;
    while !stop.load(Ordering::Relaxed) {
        next = (next + CONNECTIONS) % 10_000;
        let id = Id::StripeCustomerId(format!("cus_{next}"));
        let mut request = tonic::Request::new(pb::GetCustomerRequest { id: Some(id) });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        metadata.insert("traceparent", TRACEPARENT.parse().unwrap());
        request.set_timeout(Duration::from_secs(10));
        let answer = client.get_customer(request).await.unwrap().into_inner();
        assert!(answer.customer.is_some());
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// The server's side: prints its address and serves until its standard input ends.
async fn serve_until_left(kind: &str) {
    let database = counterfoil_store::Config {
        url: std::env::var("BENCH_URL").unwrap().into(),
        owner_url: None,
        schema: std::env::var("BENCH_SCHEMA").unwrap(),
        max_connections: 8,
        acquire_timeout_ms: 10_000,
        statement_timeout_ms: 3_000,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    let shutdown = CancellationToken::new();
    let left = shutdown.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        left.cancel();
    });
    match kind {
        "bare" => serve_bare(None, listener, shutdown).await,
        "bare-sql" => serve_bare(Some(Db::connect(&database).await.unwrap()), listener, shutdown).await,
        "whole" => serve_whole::<false>(database, listener, shutdown).await,
        "whole-sql" => serve_whole::<true>(database, listener, shutdown).await,
        other => panic!("no server {other}"),
    }
}

async fn serve_bare(db: Option<Db>, listener: TcpListener, shutdown: CancellationToken) {
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(CustomerServiceServer::new(Bare(db)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned())
        .await
        .unwrap();
}

async fn serve_whole<const SQL: bool>(
    database: counterfoil_store::Config,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    // As in production: a span and a log line for each call, which goes where standard error goes.
    let _telemetry = telemetry::init("bench", &telemetry::Config::default()).unwrap();
    let config = Config {
        server: server::Config {
            token_file: Some(std::env::var("BENCH_TOKENS").unwrap().into()),
            policy: vec![Row {
                identity: IDENTITY.to_owned(),
                methods: vec!["/counterfoil.customer.v1.CustomerService/Get*".to_owned()],
            }],
            ..server::Config::default()
        },
        database,
        telemetry: Default::default(),
        client: Default::default(),
        service: Settings::default(),
    };
    let running = serve::<Whole<SQL>>(config, listener, Clock::system(), shutdown)
        .await
        .unwrap();
    running.stopped().await.unwrap();
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
