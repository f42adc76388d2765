//! `counterfoil-dev up`: the suite is started and kept, and its addresses are printed.

use std::path::PathBuf;
use std::time::Duration;

use counterfoil_dev::addresses::{AddressFile, Addresses};
use counterfoil_dev::database::Database;
use counterfoil_dev::postgres::{self, Postgres};
use counterfoil_dev::story::{self, Story};
use counterfoil_dev::suite::{Options, Ports, Suite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::paint::Paint;
use crate::secrets;

/// Runs the suite in `home` until SIGINT or SIGTERM.
///
/// # Errors
/// When a part does not start or does not end well.
pub(crate) async fn up(home: PathBuf, database_url: Option<String>, ports: Ports) -> anyhow::Result<()> {
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    let postgres = postgres::Options {
        home: home.join("up"),
        port: None,
        database_url,
    };
    let postgres = tokio::select! {
        started = postgres::start(postgres) => started?,
        () = signals.next() => return Ok(()),
    };
    let ended = keep(&postgres, home, ports, &mut signals).await;
    postgres.stop().await?;
    ended
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn keep(postgres: &Postgres, home: PathBuf, ports: Ports, signals: &mut Signals) -> anyhow::Result<()> {
    let database = Database::create(postgres.url(), "counterfoil", &secrets::word(32)).await?;
    let options = Options {
        secret_key: secrets::sandbox_key(),
        webhook_secret: secrets::webhook_secret(),
        seed: 1,
        journal: Some(home.join("up").join("sandbox.journal")),
        ports,
        lease_ms: 30_000,
        environment: Vec::new(),
    };
    let suite = tokio::select! {
        started = Suite::start(options, &database) => started?,
        () = signals.next() => return Ok(()),
    };
    let told = tokio::select! {
        page = open_checkout(&suite.addresses) => page.map(|page| print(&suite.addresses, &page)),
        () = signals.next() => return suite.stop().await,
    };
    let file = home.join("suite.json");
    let written = AddressFile::write(&file, &suite.addresses);
    let kept = match (&told, &written) {
        (Ok(()), Ok(_)) => {
            println!(
                "\nAddresses and keys are in {} as well. Ctrl-C ends the suite.",
                file.display()
            );
            signals.next().await;
            println!("\nending");
            Ok(())
        }
        (Err(error), _) => Err(anyhow::anyhow!("{error:#}")),
        (_, Err(error)) => Err(anyhow::anyhow!("{}: {error}", file.display())),
    };
    drop(written);
    suite.stop().await?;
    kept
}

/// A checkout page somebody may open and pay on.
async fn open_checkout(addresses: &Addresses) -> anyhow::Result<String> {
    let options = story::Options {
        run: Uuid::from_u128(rand::random()),
        spoiled: None,
        patience: Duration::from_secs(15),
    };
    Story::new(addresses, options).await?.open_checkout().await
}

fn print(addresses: &Addresses, page: &str) {
    let paint = Paint::of_stdout();
    let Addresses {
        sandbox,
        gateway,
        grpc,
        postgres,
    } = addresses;
    println!("{}", paint.bold("Counterfoil is up"));
    println!();
    let database = postgres.url.rsplit('@').next().unwrap_or_default();
    let rows = [
        ("sandbox API", sandbox.url.as_str(), "an offline Stripe"),
        ("  its key", &sandbox.secret_key, "any official SDK takes it"),
        ("gateway", &grpc.gateway, "gRPC, counterfoil.event.v1"),
        ("customer", &grpc.customer, "gRPC, counterfoil.customer.v1"),
        ("billing", &grpc.billing, "gRPC, counterfoil.billing.v1"),
        ("tax", &grpc.tax, "gRPC, counterfoil.tax.v1"),
        ("connect", &grpc.connect, "gRPC, counterfoil.connect.v1"),
        ("PostgreSQL", database, "the whole url is in suite.json"),
        ("webhooks", &gateway.webhook_url, ""),
        ("a checkout page", page, ""),
    ];
    for (name, address, what) in rows {
        println!("  {name:<16} {address:<32} {}", paint.dim(what));
    }
    println!();
    println!("{}", paint.bold("What to try next"));
    println!("  open the checkout page and pay with 4242 4242 4242 4242, or 4000 0000 0000 0002 to be declined");
    let call = |address: &str, method: &str, body: &str| {
        println!("  grpcurl -plaintext -d '{body}' {address} counterfoil.{method}");
    };
    call(
        &grpc.customer,
        "customer.v1.CustomerService/GetOrCreateCustomer",
        r#"{"user_id":"ada","email":"ada@example.com"}"#,
    );
    call(
        &grpc.billing,
        "billing.v1.EntitlementService/CheckAccess",
        r#"{"user_id":"ada","feature":"reports"}"#,
    );
    call(
        &grpc.tax,
        "tax.v1.CalculationService/CreateCalculation",
        r#"{"line_items":[{"reference":"pro","amount":{"minor_units":2900,"currency_code":"eur"}}],"address":{"country_code":"DE"}}"#,
    );
    call(
        &grpc.connect,
        "connect.v1.ConnectedAccountService/CreateConnectedAccount",
        &format!(
            r#"{{"idempotency_key":"{}","country_code":"DE","refresh_url":"http://127.0.0.1/again","return_url":"http://127.0.0.1/back"}}"#,
            Uuid::from_u128(rand::random())
        ),
    );
    call(&grpc.gateway, "event.v1.EventService/GetIngestStatus", "{}");
    println!("  curl -u {}: {}/v1/customers", sandbox.secret_key, sandbox.url);
    println!(
        "  curl -d '{{\"advance_seconds\": 2700000}}' {}/_sandbox/clock   {}",
        sandbox.url,
        paint.dim("a month passes")
    );
    println!(
        "  python: stripe.StripeClient(\"{}\", base_addresses={{\"api\": \"{}\"}})",
        sandbox.secret_key, sandbox.url
    );
    println!(
        "  node:   new Stripe('{}', {{host: '127.0.0.1', port: {}, protocol: 'http'}})",
        sandbox.secret_key,
        port(&sandbox.url)
    );
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap_or_default()
}
