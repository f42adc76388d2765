//! A year of a company with ten thousand subscriptions, twice: how long it takes, what it needs, and that it comes out the same.
//!
//! The sandbox runs as a process of its own and is called as any client calls it. Customers come evenly over the first month;
//! one in twenty pays with a card that is declined from the first renewal on. Then the clock is moved a year on.
//!
//! `SUBSCRIPTIONS` (10000) and `DAYS` (365) choose another size.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::{Value, json};

const START: &str = "1800000000";
const MONTH: u64 = 30 * 86_400;
const KEY: &str = "sk_test_year";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let subscriptions = number("SUBSCRIPTIONS", 10_000)?;
    let days = number("DAYS", 365)?;
    let first = Year::live(subscriptions, days).await?;
    let second = Year::live(subscriptions, days).await?;
    println!("{subscriptions} subscriptions, {days} days");
    println!("run | begun, s | the year, s | CPU of it, s | peak, MiB | events | invoices | hash, s | sha256");
    for (run, year) in [&first, &second].into_iter().enumerate() {
        println!(
            "{} | {:.1} | {:.1} | {:.1} | {} | {} | {} | {:.1} | {}",
            run + 1,
            year.begun.as_secs_f64(),
            year.passed.as_secs_f64(),
            year.cpu.as_secs_f64(),
            year.peak / 1024,
            year.events,
            year.invoices,
            year.hashed.as_secs_f64(),
            year.hash
        );
    }
    ensure!(first.hash == second.hash, "the same seed made two worlds");
    println!("the same seed made the same world");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark's size is chosen where it is started"
)]
fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

/// What one run came to.
struct Year {
    begun: Duration,
    passed: Duration,
    /// Both threads' time on a processor.
    cpu: Duration,
    hashed: Duration,
    /// The most memory the process ever had, in KiB.
    peak: u64,
    events: u64,
    invoices: u64,
    hash: String,
}

impl Year {
    async fn live(subscriptions: u64, days: u64) -> anyhow::Result<Self> {
        let sandbox = Sandbox::start()?;
        let at = Instant::now();
        let product = sandbox.make("/v1/products", &[("name", "Plan")]).await?;
        let mut prices = Vec::new();
        for amount in ["1900", "4900", "9900"] {
            let form = [
                ("product", product.as_str()),
                ("currency", "usd"),
                ("unit_amount", amount),
                ("recurring[interval]", "month"),
            ];
            prices.push(sandbox.make("/v1/prices", &form).await?);
        }
        for (index, price) in (0..subscriptions).zip(prices.iter().cycle()) {
            sandbox.subscribe(index, price).await?;
            let share = MONTH / subscriptions.max(1);
            if share > 0 {
                sandbox.advance(share).await?;
            }
        }
        let begun = at.elapsed();
        let cpu = sandbox.cpu()?;
        let at = Instant::now();
        let step = days.div_ceil(12).max(1);
        let mut left = days;
        while left > 0 {
            let now = step.min(left);
            sandbox.advance(now * 86_400).await?;
            left -= now;
            eprint!("\r{left} days left  ");
        }
        let passed = at.elapsed();
        let cpu = sandbox.cpu()?.saturating_sub(cpu);
        eprintln!("\r{:.1} s           ", passed.as_secs_f64());
        let peak = sandbox.peak()?;
        let counts = sandbox.control("GET", "/_sandbox/objects", &Value::Null).await?;
        let count = |kind: &str| {
            counts
                .pointer(&format!("/counts/{kind}"))
                .and_then(Value::as_u64)
                .unwrap_or_default()
        };
        let at = Instant::now();
        let world = sandbox.control("GET", "/_sandbox/world", &Value::Null).await?;
        Ok(Self {
            begun,
            passed,
            cpu,
            hashed: at.elapsed(),
            peak,
            events: count("event"),
            invoices: count("invoice"),
            hash: world
                .get("sha256")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

/// A sandbox in memory, killed when dropped.
struct Sandbox {
    process: Child,
    url: String,
    client: Client,
}

impl Sandbox {
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
            .args(["--in-memory", "--frozen-time", START, "--secret-key", KEY])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = process.stdout.take().context("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let url = words.find(|word| word.starts_with("http://"));
        Ok(Self {
            url: url.context("no address")?.to_owned(),
            process,
            client: Client::builder().timeout(Duration::from_secs(600)).build()?,
        })
    }

    async fn subscribe(&self, index: u64, price: &str) -> anyhow::Result<()> {
        let card = match index % 20 {
            19 => "pm_card_chargeCustomerFail",
            _ => "pm_card_visa",
        };
        let form = [
            ("payment_method", card),
            ("invoice_settings[default_payment_method]", card),
        ];
        let customer = self.make("/v1/customers", &form).await?;
        let form = [
            ("customer", customer.as_str()),
            ("items[0][price]", price),
            ("trial_period_days", if card == "pm_card_visa" { "0" } else { "7" }),
        ];
        self.make("/v1/subscriptions", &form).await?;
        Ok(())
    }

    /// The id of what a call makes.
    async fn make(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(KEY);
        let body: Value = request.form(form).send().await?.json().await?;
        let id = body
            .get("id")
            .and_then(Value::as_str)
            .with_context(|| format!("{path}: {body}"))?;
        Ok(id.to_owned())
    }

    async fn control(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.request(method.parse()?, format!("{}{path}", self.url));
        let answer = match body {
            Value::Null => request.send().await?,
            body => request.json(body).send().await?,
        };
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn advance(&self, seconds: u64) -> anyhow::Result<()> {
        let body = json!({ "advance_seconds": seconds });
        self.control("POST", "/_sandbox/clock", &body).await.map(|_| ())
    }

    /// The time its threads had on a processor, which Linux counts in hundredths of a second.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, after_name) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> { Ok(fields.get(index).context("short")?.parse()?) };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    /// The most memory the process had so far, in KiB.
    fn peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmHWM")?.parse()?)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::io::stderr().flush();
    }
}
