//! The contract, checked of every method of the whole suite.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_contract::checks;
use counterfoil_contract::examples::{SUITE, by_method};
use counterfoil_contract::target::{Audited, List, Target, Writes, path};
use counterfoil_dev::database::Database;
use counterfoil_dev::settings::{SERVICES, schema};
use counterfoil_dev::story::{Hop, Options, Story};
use counterfoil_dev::suite::{self, Ports, Suite};
use counterfoil_test_support::TestDb;
use prost_reflect::DescriptorPool;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::shelf::{COLLEAGUE, PATIENCE, STRANGER, tokens};

const RUN: Uuid = Uuid::from_u128(3);
const LISTER: &str = "lister";
/// Holds one more delivery, an event.
const HELD: &str = r#"insert into webhook_gateway.quarantine
    (reason, endpoint, secret_name, signature, traceparent, body_sha256, body)
    select 'wrong_mode', 'contract', '', '', '', sha256(n::text::bytea), convert_to(format(
        '{"id":"evt_held%s","type":"contract.held","created":1,"livemode":true}', n), 'utf8')
    from (select count(*) as n from webhook_gateway.quarantine) held returning id::text"#;
const MAX_MESSAGE: usize = 64 * 1024;

/// What every service is told besides, for the checks: tokens, a row for the colleague, short limits.
fn environment(token_file: &str) -> Vec<(String, String)> {
    let told = [
        ("TOKEN_FILE", token_file),
        (
            "POLICY",
            r#"[{identity="colleague@company.example", methods=["/counterfoil.*"]}]"#,
        ),
        ("MAX_MESSAGE_BYTES", "65536"),
        ("DEFAULT_DEADLINE_MS", "12000"),
        ("MAX_DEADLINE_MS", "12000"),
    ];
    told.map(|(key, value)| (format!("COUNTERFOIL_SERVER__{key}"), value.to_owned()))
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_of_the_suite_keeps_the_contract() {
    let name = format!("contract_{:08x}", rand::random::<u32>());
    let database = Database::create(&TestDb::admin_url(), &name, "contract").await.unwrap();
    let tokens = tokens();
    let options = suite::Options {
        secret_key: "sk_test_contract".to_owned(),
        webhook_secret: "whsec_contract".to_owned(),
        seed: 3,
        journal: None,
        ports: Ports::default(),
        lease_ms: 30_000,
        environment: environment(tokens.path().to_str().unwrap()),
    };
    let suite = Suite::start(options, &database).await.unwrap();
    let (sql, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let target = target(&suite, Arc::new(sql)).await;
    let found = checks::all(&target).await;
    drop(target);
    suite.stop().await.unwrap();
    database.drop(&TestDb::admin_url()).await.unwrap();
    assert_eq!(found, []);
}

/// A method without an example, or an example without a method.
#[test]
fn every_method_has_its_example_and_every_example_its_method() {
    let pool = DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
    let ours = pool
        .services()
        .filter(|service| service.full_name().starts_with("counterfoil."));
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    let unary = methods.filter(|method| !method.is_client_streaming() && !method.is_server_streaming());
    let mut unary: Vec<_> = unary.map(|method| path(&method)).collect();
    unary.sort();
    let examples: Vec<_> = by_method(SUITE).into_keys().collect();
    assert_eq!(examples, unary);
}

/// Plays the story until there is a subscription, and names what it made.
async fn target(suite: &Suite, sql: Arc<Client>) -> Target {
    let options = Options {
        run: RUN,
        spoiled: None,
        patience: Duration::from_secs(30),
    };
    let mut story = Story::new(&suite.addresses, options).await.unwrap();
    for hop in Hop::ALL {
        story.play(hop).await.unwrap_or_else(|error| panic!("{error:#}"));
        if hop == Hop::Access {
            break;
        }
    }
    let mut names = BTreeMap::from([
        ("user", format!("user-{}", RUN.simple())),
        ("lister", LISTER.to_owned()),
    ]);
    for kind in ["price", "subscription", "account"] {
        let objects = story.stripe().objects(kind).await.unwrap();
        names.insert(kind, objects[0]["id"].as_str().unwrap().to_owned());
    }
    for (kind, query) in [
        (
            "event",
            "select event_id from webhook_gateway.event_log where account = '' limit 1",
        ),
        ("calculation", "select calculation_id from tax.calculation limit 1"),
        ("held_released", HELD),
        ("held_discarded", HELD),
    ] {
        names.insert(kind, sql.query_one(query, &[]).await.unwrap().get(0));
    }

    let grpc = &suite.addresses.grpc;
    let pool = DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut services: Vec<(String, SocketAddr)> = Vec::new();
    for (package, addr) in [
        ("counterfoil.event.v1", &grpc.gateway),
        ("counterfoil.customer.v1", &grpc.customer),
        ("counterfoil.billing.v1", &grpc.billing),
        ("counterfoil.tax.v1", &grpc.tax),
        ("counterfoil.connect.v1", &grpc.connect),
    ] {
        for service in pool.services().filter(|service| service.package_name() == package) {
            services.push((service.full_name().to_owned(), addr.parse().unwrap()));
        }
    }
    let known = pool
        .services()
        .filter(|service| service.full_name().starts_with("counterfoil."));
    assert_eq!(services.len(), known.count(), "a service that nobody serves");
    let services: Vec<_> = services.iter().map(|(name, addr)| (name.as_str(), *addr)).collect();
    let services = Target::connect(&services, PATIENCE).await.unwrap();
    Target {
        hasty: services.clone(),
        services,
        pool,
        examples: by_method(SUITE),
        names,
        lists: lists(&sql),
        audited: audited(sql.clone()),
        samples: usize::MAX,
        stranger: STRANGER.to_owned(),
        colleague: COLLEAGUE.to_owned(),
        max_message_bytes: MAX_MESSAGE,
    }
}

fn lists(sql: &Arc<Client>) -> BTreeMap<String, List> {
    let subscriptions = List {
        request: r#"user_id: "{lister}" page_size: 3"#,
        other: r#"user_id: "{user}" page_size: 3"#,
        id: "subscription_id",
        writes: subscriptions(sql.clone()),
    };
    let events = List {
        request: "partition: 1 page_size: 3",
        other: "partition: 2 page_size: 3",
        id: "envelope.event_id",
        writes: events(sql.clone()),
    };
    let held = List {
        request: "page_size: 3",
        other: "page_size: 3 include_decided: true",
        id: "quarantined_id",
        writes: held(sql.clone()),
    };
    BTreeMap::from([
        (
            "/counterfoil.event.v1.QuarantineService/ListQuarantined".to_owned(),
            held,
        ),
        (
            "/counterfoil.billing.v1.SubscriptionService/ListSubscriptions".to_owned(),
            subscriptions,
        ),
        ("/counterfoil.event.v1.EventService/ListEvents".to_owned(), events),
    ])
}

/// In the schemas of all services: a key is only one's.
fn audited(sql: Arc<Client>) -> Audited {
    Arc::new(move |key| {
        let sql = sql.clone();
        Box::pin(async move {
            let mut recorded = 0;
            for schema in SERVICES.map(schema) {
                let count = format!("select count(*) from {schema}.audit where idempotency_key::text = $1");
                let row = sql.query_one(&count, &[&key]).await;
                recorded += row.map_err(|error| error.to_string())?.get::<_, i64>(0);
            }
            Ok(recorded)
        })
    })
}

/// Ten subscriptions of which several began in the same second; then, after each page, its last one goes and a newer and
/// an older one come.
fn subscriptions(sql: Arc<Client>) -> Writes {
    Arc::new(move |step, last| {
        let sql = sql.clone();
        Box::pin(async move {
            let began = if step == 0 {
                (0..10).map(|n| n / 4).collect()
            } else {
                vec![-1_000, 1_000]
            };
            let mut statements =
                "insert into billing.customer_user values ('cus_lister', 'lister', false, now(), now())
                on conflict do nothing;"
                    .to_owned();
            for (n, began) in began.into_iter().enumerate() {
                statements += &format!(
                    "insert into billing.subscription values ('sub_{step}x{n}', 'cus_lister', 'active', null, null,
                        to_timestamp({}), '[]', '{{}}', now(), now());",
                    1_790_000_000 + began
                );
            }
            statements += &format!("delete from billing.subscription where subscription_id = '{last}'");
            sql.batch_execute(&statements)
                .await
                .map_err(|error| error.to_string())?;
            Ok(vec![last])
        })
    })
}

/// Ten events; then, after each page, one more, until there are thirteen. None ever goes.
fn events(sql: Arc<Client>) -> Writes {
    Arc::new(move |step, _| {
        let sql = sql.clone();
        Box::pin(async move {
            let count = match step {
                0 => 10,
                1..=3 => 1,
                _ => 0,
            };
            for n in 0..count {
                let append = format!(
                    "set search_path to webhook_gateway;
                    select append_events(array[''], array['evt_{step}x{n}'], array[1], array['contract.listed'],
                        array[''], array[''], array['/'], array[now()], array['import'], array[''], array[''], array[''],
                        array[''], array['\\x00'::bytea], array['{{}}'::bytea])"
                );
                sql.batch_execute(&append).await.map_err(|error| error.to_string())?;
            }
            Ok(Vec::new())
        })
    })
}

/// Ten deliveries; then, after each page, one more, and the page's last one is discarded.
fn held(sql: Arc<Client>) -> Writes {
    Arc::new(move |step, last| {
        let sql = sql.clone();
        Box::pin(async move {
            for _ in 0..if step == 0 { 10 } else { 1 } {
                sql.query_one(HELD, &[]).await.map_err(|error| error.to_string())?;
            }
            let discard = "update webhook_gateway.quarantine set state = 'discarded', body = null where id::text = $1";
            sql.execute(discard, &[&last])
                .await
                .map_err(|error| error.to_string())?;
            Ok(vec![last])
        })
    })
}
