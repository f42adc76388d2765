//! `counterfoil-dev demo`: the suite is started, the story played and told, and all is stopped.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use counterfoil_dev::database::Database;
use counterfoil_dev::postgres::{self, Postgres};
use counterfoil_dev::story::{self, Hop, Spoiled, Story, Summary};
use counterfoil_dev::suite::{Options, Ports, Suite};
use uuid::Uuid;

use crate::paint::Paint;
use crate::secrets;

/// How long the story waits for what must come.
const PATIENCE: Duration = Duration::from_secs(15);
/// A spoiled story waits in vain, so not for long.
const PATIENCE_SPOILED: Duration = Duration::from_secs(6);

/// Plays the story once. With `spoiled` it is played in a world of its own, thrown away afterwards.
///
/// # Errors
/// When a part does not start or an expectation of the story does not hold.
pub(crate) async fn demo(home: PathBuf, database_url: Option<String>, spoiled: Option<Spoiled>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let paint = Paint::of_stdout();
    println!(
        "{}",
        paint.bold("Counterfoil: from signup to a paid subscription and back")
    );
    let postgres = postgres::start(postgres::Options {
        home: home.clone(),
        port: None,
        database_url,
    })
    .await?;
    let name = match spoiled {
        None => "counterfoil_demo".to_owned(),
        Some(_) => format!("counterfoil_spoiled_{}", secrets::word(8)),
    };
    let ended = play(&postgres, &name, &home, spoiled, begun, paint).await;
    postgres.stop().await?;
    let summary = ended?;
    summarise(&summary, begun.elapsed(), paint);
    Ok(())
}

async fn play(
    postgres: &Postgres,
    name: &str,
    home: &Path,
    spoiled: Option<Spoiled>,
    begun: Instant,
    paint: Paint,
) -> anyhow::Result<Summary> {
    let database = Database::create(postgres.url(), name, &secrets::word(32)).await?;
    let options = Options {
        secret_key: secrets::sandbox_key(),
        webhook_secret: secrets::webhook_secret(),
        seed: 1,
        journal: spoiled.is_none().then(|| home.join("sandbox.journal")),
        ports: Ports::default(),
        lease_ms: 2_000,
        environment: Vec::new(),
    };
    let mut suite = Suite::start(options, &database).await?;
    let (url, gateway) = (&suite.addresses.sandbox.url, &suite.addresses.gateway.webhook_url);
    println!(
        "{}",
        paint.dim(&format!(
            "PostgreSQL, sandbox ({url}), gateway ({gateway}) and four services are up"
        ))
    );
    // A person who has seen enough ends the story, not the cleaning up after it.
    let told = tokio::select! {
        told = tell(&mut suite, &database, spoiled, begun, paint) => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = suite.stop().await;
    if spoiled.is_some() {
        database.drop(postgres.url()).await?;
    }
    let summary = told?;
    stopped.context("the suite did not stop well")?;
    Ok(summary)
}

async fn tell(
    suite: &mut Suite,
    database: &Database,
    spoiled: Option<Spoiled>,
    begun: Instant,
    paint: Paint,
) -> anyhow::Result<Summary> {
    let patience = if spoiled.is_some() { PATIENCE_SPOILED } else { PATIENCE };
    let options = story::Options {
        run: Uuid::from_u128(rand::random()),
        spoiled,
        patience,
    };
    let mut story = Story::new(&suite.addresses, options).await?;
    for hop in Hop::ALL {
        if spoiled == Some(Spoiled::ApplyTwice) && hop == Hop::Books {
            suite.restart_billing(database, story.forget_applied()).await?;
        }
        let told = story.play(hop).await;
        let at = begun.elapsed().as_secs_f64();
        match told {
            Ok(line) => println!("{} {at:7.3} s  {:<9} {line}", paint.green("ok"), hop.name()),
            Err(error) => {
                println!("{} {at:7.3} s  {:<9} {error:#}", paint.red("no"), hop.name());
                return Err(error.context(format!("hop `{}`", hop.name())));
            }
        }
    }
    story.summary().await
}

fn summarise(summary: &Summary, took: Duration, paint: Paint) {
    let Summary {
        received,
        duplicates,
        counts,
        ..
    } = summary;
    println!();
    println!("{}", paint.bold("What happened"));
    println!("  webhooks received   {received:>6}   (each is delivered twice, and two are swapped)");
    println!("  duplicates          {duplicates:>6}   known already, answered 200, not stored again");
    println!(
        "  stored in the log   {:>6}   offsets dense, all that Stripe made, nothing else",
        counts.stored
    );
    println!(
        "  delivered           {:>6}   to billing, over gRPC; each taken once",
        counts.delivered
    );
    println!(
        "  applied             {:>6}   of them changed a row; the others told nothing new",
        counts.applied
    );
    println!(
        "  webhook to access   {:>6.0} ms",
        summary.webhook_to_access.as_secs_f64() * 1_000.0
    );
    println!();
    println!(
        "{} in {:.1} s",
        paint.green("Every expectation held,"),
        took.as_secs_f64()
    );
}
