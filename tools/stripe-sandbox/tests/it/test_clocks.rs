//! Test clocks: a time of their own for customers and all that is theirs.

use serde_json::{Value, json};
use stripe_sandbox::Config;

use crate::client::{DAY, World, config, has_in_order, start, start_with, text};

/// 2020-01-01T00:00:00Z, long before the sandbox's own time.
pub(crate) const PAST: i64 = 1_577_836_800;
/// 2040-01-01T00:00:00Z, long after it.
pub(crate) const FUTURE: i64 = 2_208_988_800;
pub(crate) const CLOCKS: &str = "/v1/test_helpers/test_clocks";

pub(crate) async fn clock(world: &World, frozen_time: i64) -> String {
    let clock = world
        .post(
            CLOCKS,
            &[("frozen_time", &frozen_time.to_string()), ("name", "Renewal")],
        )
        .await;
    text(&clock["id"])
}

pub(crate) async fn customer(world: &World, clock: &str, card: &str) -> String {
    let form = [("test_clock", clock), ("email", "jenny@example.com")];
    let customer = text(&world.post("/v1/customers", &form).await["id"]);
    if !card.is_empty() {
        world.give_card(&customer, card).await;
    }
    customer
}

pub(crate) async fn subscription(world: &World, customer: &str, more: &[(&str, &str)]) -> Value {
    let price = world.price().await;
    let form = [&[("customer", customer), ("items[0][price]", &*price)], more].concat();
    world.post("/v1/subscriptions", &form).await
}

/// Advances a clock and looks until it is there.
pub(crate) async fn advance(world: &World, clock: &str, to: i64) -> Value {
    let path = format!("{CLOCKS}/{clock}");
    let sent = world
        .post(&format!("{path}/advance"), &[("frozen_time", &to.to_string())])
        .await;
    assert_eq!(sent["status"], "advancing");
    assert_eq!(sent["status_details"]["advancing"]["target_frozen_time"], to);
    let clock = world.get(&path).await;
    assert_eq!((&clock["status"], &clock["frozen_time"]), (&json!("ready"), &json!(to)));
    assert_eq!(clock["status_details"], json!({}));
    clock
}

pub(crate) async fn invoices(world: &World, customer: &str) -> Vec<Value> {
    let list = world.get(&format!("/v1/invoices?customer={customer}&limit=100")).await;
    list["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_subscription_lives_in_its_clocks_time_and_nowhere_else() {
    for from in [PAST, FUTURE] {
        let world = start().await;
        let clock = clock(&world, from).await;
        let customer = customer(&world, &clock, "visa").await;
        let subscription = subscription(&world, &customer, &[]).await;
        assert_eq!(
            (
                &subscription["created"],
                &subscription["test_clock"],
                &subscription["status"]
            ),
            (&json!(from), &json!(clock), &json!("active"))
        );
        let other = world.subscription().await;
        world.advance(29 * DAY).await;
        advance(&world, &clock, from + DAY).await;
        world.advance(DAY / 2).await;
        assert_eq!(invoices(&world, &customer).await.len(), 1, "other time does nothing");
        advance(&world, &clock, from + 31 * DAY).await;
        let all = invoices(&world, &customer).await;
        assert_eq!(
            (&all[0]["status"], &all[0]["created"], &all[0]["test_clock"]),
            (&json!("draft"), &json!(from + 31 * DAY), &json!(clock))
        );
        advance(&world, &clock, from + 31 * DAY + 3600).await;
        let all = invoices(&world, &customer).await;
        assert_eq!(
            (&all[0]["status"], &all[0]["amount_paid"]),
            (&json!("paid"), &json!(2900))
        );
        assert_eq!(all[0]["status_transitions"]["paid_at"], from + 31 * DAY + 3600);
        assert_eq!(all.len(), 2);
        world.advance(2 * DAY).await;
        assert_eq!(invoices(&world, &text(&other["customer"])).await.len(), 2);
        let payments = world.get(&format!("/v1/payment_intents?customer={customer}")).await;
        assert_eq!(payments["data"][0]["created"], from + 31 * DAY + 3600);
    }
}

#[tokio::test]
async fn two_clocks_are_independent() {
    let world = start().await;
    let (one, other) = (clock(&world, PAST).await, clock(&world, FUTURE).await);
    let first = customer(&world, &one, "visa").await;
    let second = customer(&world, &other, "visa").await;
    subscription(&world, &first, &[]).await;
    subscription(&world, &second, &[]).await;
    advance(&world, &one, PAST + 40 * DAY).await;
    assert_eq!(invoices(&world, &first).await.len(), 2);
    assert_eq!(invoices(&world, &second).await.len(), 1);
    let untouched = world.get(&format!("{CLOCKS}/{other}")).await;
    assert_eq!(untouched["frozen_time"], FUTURE);
}

#[tokio::test]
async fn usage_is_reported_and_taken_back_in_the_clocks_time() {
    let world = start().await;
    let meter = [
        ("display_name", "Calls"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    let meter = text(&world.post("/v1/billing/meters", &meter).await["id"]);
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    let product = text(&world.post("/v1/products", &[("name", "Calls")]).await["id"]);
    let metered = [
        ("product", &*product),
        ("currency", "usd"),
        ("unit_amount", "10"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", &*meter),
    ];
    let price = text(&world.post("/v1/prices", &metered).await["id"]);
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    world.post("/v1/subscriptions", &form).await;
    advance(&world, &clock, PAST + 10 * DAY).await;
    for (identifier, value) in [("a", "7"), ("b", "100")] {
        let used = [
            ("event_name", "calls"),
            ("identifier", identifier),
            ("payload[stripe_customer_id]", &*customer),
            ("payload[value]", value),
        ];
        let event = world.post("/v1/billing/meter_events", &used).await;
        assert_eq!(
            (&event["created"], &event["timestamp"]),
            (&json!(PAST + 10 * DAY), &json!(PAST + 10 * DAY))
        );
    }
    let back = [("event_name", "calls"), ("type", "cancel"), ("cancel[identifier]", "b")];
    world.post("/v1/billing/meter_event_adjustments", &back).await;
    advance(&world, &clock, PAST + 31 * DAY + 3600).await;
    let all = invoices(&world, &customer).await;
    assert_eq!(
        (&all[0]["status"], &all[0]["amount_paid"]),
        (&json!("paid"), &json!(70))
    );
}

#[tokio::test]
async fn a_clock_has_three_customers_with_three_subscriptions_each() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    for _ in 0..2 {
        customer(&world, &clock, "").await;
    }
    let third = customer(&world, &clock, "visa").await;
    let answer = world.call("POST", "/v1/customers", &[("test_clock", &*clock)]).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("test_clock"))
    );
    let mut last = Value::Null;
    for _ in 0..3 {
        last = subscription(&world, &third, &[]).await;
    }
    let price = world.price().await;
    let one_more = [("customer", &*third), ("items[0][price]", &*price)];
    let answer = world.call("POST", "/v1/subscriptions", &one_more).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("customer"))
    );
    let session = [
        ("customer", &*third),
        ("mode", "subscription"),
        ("line_items[0][price]", &*price),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://example.com"),
    ];
    assert_eq!(world.call("POST", "/v1/checkout/sessions", &session).await.status, 400);
    let path = format!("/v1/subscriptions/{}", text(&last["id"]));
    assert_eq!(world.call("DELETE", &path, &[]).await.status, 200);
    subscription(&world, &third, &[]).await;
}

#[tokio::test]
async fn a_clock_is_deleted_with_its_customers() {
    let world = start().await;
    let kept = clock(&world, PAST).await;
    let staying = customer(&world, &kept, "visa").await;
    let gone = clock(&world, PAST).await;
    let going = customer(&world, &gone, "visa").await;
    let subscription = subscription(&world, &going, &[]).await;
    advance(&world, &gone, PAST + 3 * DAY).await;
    let path = format!("{CLOCKS}/{gone}");
    let stub = world.call("DELETE", &path, &[]).await.json();
    assert_eq!(
        stub,
        json!({ "id": gone, "object": "test_helpers.test_clock", "deleted": true })
    );
    let answer = world.call("GET", &path, &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json()["error"]["message"],
        format!("No such billingclock: '{gone}'")
    );
    assert_eq!(world.get(&format!("/v1/customers/{going}")).await["deleted"], true);
    let ended = world
        .get(&format!("/v1/subscriptions/{}", text(&subscription["id"])))
        .await;
    assert_eq!(
        (&ended["status"], &ended["ended_at"]),
        (&json!("canceled"), &json!(PAST + 3 * DAY))
    );
    assert_eq!(
        world.get(&format!("/v1/customers/{staying}")).await["test_clock"],
        json!(kept)
    );
    let form = [("test_clock", &*gone)];
    let answer = world.call("POST", "/v1/customers", &form).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!("resource_missing"))
    );
    let story = [
        "customer.subscription.deleted",
        "customer.deleted",
        "test_helpers.test_clock.deleted",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");

    // 30 days after it was made, of the sandbox's own time, the other goes as well.
    world.advance(30 * DAY - 1).await;
    world.get(&format!("{CLOCKS}/{kept}")).await;
    world.advance(1).await;
    assert_eq!(world.get(CLOCKS).await["data"], json!([]));
    assert_eq!(world.get(&format!("/v1/customers/{staying}")).await["deleted"], true);
}

#[tokio::test]
async fn lists_leave_out_what_belongs_to_a_clock_unless_asked() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let clocked = customer(&world, &clock, "visa").await;
    subscription(&world, &clocked, &[]).await;
    let item = [("customer", &*clocked), ("amount", "5"), ("currency", "usd")];
    world.post("/v1/invoiceitems", &item).await;
    for (list, by_customer) in [
        ("customers", false),
        ("subscriptions", true),
        ("invoices", true),
        ("invoiceitems", true),
    ] {
        assert_eq!(world.get(&format!("/v1/{list}")).await["data"], json!([]), "{list}");
        if by_customer {
            let theirs = world.get(&format!("/v1/{list}?customer={clocked}")).await;
            assert_eq!(theirs["data"][0]["test_clock"], json!(clock), "{list}");
        }
    }
    for list in ["customers", "subscriptions"] {
        let theirs = world.get(&format!("/v1/{list}?test_clock={clock}")).await;
        assert_eq!(theirs["data"].as_array().unwrap().len(), 1);
        let answer = world
            .call("GET", &format!("/v1/{list}?test_clock=clock_none"), &[])
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains("No such billingclock"), "{}", answer.text);
    }
    let expanded = world.get(&format!("/v1/customers/{clocked}?expand[]=test_clock")).await;
    assert_eq!(expanded["test_clock"]["frozen_time"], PAST);
}

#[tokio::test]
async fn a_session_and_what_is_paid_on_its_page_are_of_the_customers_time() {
    let world = start().await;
    let clock = clock(&world, FUTURE).await;
    let customer = customer(&world, &clock, "").await;
    let session = world.session(&customer).await;
    assert_eq!(session["created"], FUTURE);
    assert_eq!(
        world.pay(&session, "4242424242424242").await.status,
        402,
        "expired cards are"
    );
    let form = [
        ("card_number", "4242424242424242"),
        ("card_expiry", "12 / 44"),
        ("card_cvc", "123"),
    ];
    let paid = crate::client::send(world.http.post(text(&session["url"])).form(&form)).await;
    assert_eq!(paid.status, 303, "{}", paid.text);
    let session = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    let path = format!("/v1/subscriptions/{}", text(&session["subscription"]));
    let subscription = world.get(&path).await;
    assert_eq!(
        (&subscription["created"], &subscription["test_clock"]),
        (&json!(FUTURE), &json!(clock))
    );
    let other = world.session(&customer).await;
    advance(&world, &clock, FUTURE + DAY).await;
    let other = world
        .get(&format!("/v1/checkout/sessions/{}", text(&other["id"])))
        .await;
    assert_eq!(other["status"], "expired");
}

#[tokio::test]
async fn what_is_due_at_the_clocks_moment_is_not_put_off() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    subscription(&world, &customer, &[("trial_period_days", "2")]).await;
    let events = world.events().await;
    assert_eq!(events.last().unwrap(), "customer.subscription.trial_will_end");
}

#[tokio::test]
async fn a_connected_account_has_clocks_of_its_own() {
    let world = start().await;
    let account = text(&world.post("/v1/accounts", &[("country", "DE")]).await["id"]);
    let call = async |method: &str, path: &str, form: &[(&str, &str)]| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = world.request(method, path).header("stripe-account", &*account);
        crate::client::send(request.form(form)).await
    };
    let clock = call("POST", CLOCKS, &[("frozen_time", &*PAST.to_string())])
        .await
        .json();
    let clock = text(&clock["id"]);
    let form = [("test_clock", &*clock), ("payment_method", "pm_card_visa")];
    let customer = text(&call("POST", "/v1/customers", &form).await.json()["id"]);
    let answer = world.call("POST", "/v1/customers", &form).await;
    assert_eq!(answer.status, 400, "it is not the platform's: {}", answer.text);
    let paid = [
        ("customer", &*customer),
        ("amount", "900"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("return_url", "https://example.com"),
    ];
    assert_eq!(call("POST", "/v1/payment_intents", &paid).await.status, 200);
    let to = (PAST + 2 * DAY).to_string();
    let path = format!("{CLOCKS}/{clock}");
    call("POST", &format!("{path}/advance"), &[("frozen_time", &*to)]).await;
    assert_eq!(call("GET", &path, &[]).await.json()["status"], "ready");
    let balance = call("GET", "/v1/balance", &[]).await.json();
    assert_eq!(balance["available"][0]["amount"], 900 - 56);
    let objects = world.look("objects/event").await;
    let told = &objects["data"][0];
    assert_eq!(
        (&told["account"], &told["object"]["account"], &told["object"]["type"]),
        (
            &json!(account),
            &json!(account),
            &json!("test_helpers.test_clock.ready")
        )
    );
}

#[tokio::test]
async fn live_mode_has_no_test_clocks() {
    let live = Config {
        secret_key: "sk_live_other".to_owned(),
        ..config()
    };
    let world = start_with(live).await;
    for (method, form) in [("POST", &[("frozen_time", "1")][..]), ("GET", &[])] {
        let answer = world.call(method, CLOCKS, form).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["error"]["message"],
            "This endpoint is only available in testmode. Try using your test keys instead."
        );
    }
}
