//! Invoices that are sent to be paid, of subscriptions and by hand.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, send, start, text};

const HOUR: i64 = 3600;
const RENEWAL: i64 = 31 * DAY;

/// A subscription whose invoices are sent and due after ten days.
async fn subscribed(world: &World) -> Value {
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("collection_method", "send_invoice"),
        ("days_until_due", "10"),
    ];
    world.post("/v1/subscriptions", &form).await
}

async fn now(world: &World, subscription: &Value) -> Value {
    world
        .get(&format!("/v1/subscriptions/{}", text(&subscription["id"])))
        .await
}

async fn latest(world: &World, subscription: &Value) -> Value {
    let id = text(&now(world, subscription).await["latest_invoice"]);
    world.get(&format!("/v1/invoices/{id}")).await
}

fn path(invoice: &Value, step: &str) -> String {
    format!("/v1/invoices/{}{step}", text(&invoice["id"]))
}

async fn pay_on_page(world: &World, invoice: &Value) {
    let page = text(&invoice["hosted_invoice_url"]);
    let paid = send(world.http.post(page).form(&[("card_number", "4242424242424242")])).await;
    assert_eq!(paid.status, 303, "{}", paid.text);
}

async fn drafted(world: &World, customer: &str, more: &[(&str, &str)]) -> Value {
    let form = [("customer", customer), ("currency", "usd"), ("amount", "1500")];
    world.post("/v1/invoiceitems", &form).await;
    let form = [("customer", customer), ("pending_invoice_items_behavior", "include")];
    world.post("/v1/invoices", &[&form[..], more].concat()).await
}

#[tokio::test]
async fn a_subscription_is_active_while_its_invoices_are_drafted_sent_and_paid() {
    let world = start().await;
    let subscription = subscribed(&world).await;
    assert_eq!(
        (&subscription["status"], &subscription["days_until_due"]),
        (&json!("active"), &json!(10))
    );
    let draft = latest(&world, &subscription).await;
    assert_eq!(
        [
            &draft["status"],
            &draft["due_date"],
            &draft["automatically_finalizes_at"]
        ],
        [&json!("draft"), &json!(START + 10 * DAY), &json!(START + HOUR)]
    );
    world.advance(HOUR).await;
    let sent = latest(&world, &subscription).await;
    assert_eq!(
        [&sent["status"], &sent["attempt_count"], &sent["next_payment_attempt"]],
        [&json!("open"), &json!(0), &Value::Null]
    );
    pay_on_page(&world, &sent).await;
    let paid = latest(&world, &subscription).await;
    assert_eq!((&paid["status"], &paid["amount_paid"]), (&json!("paid"), &json!(2900)));
    world.advance(RENEWAL).await;
    let renewed = latest(&world, &subscription).await;
    assert_eq!(
        [&renewed["status"], &renewed["billing_reason"], &renewed["due_date"]],
        [
            &json!("open"),
            &json!("subscription_cycle"),
            &json!(START + RENEWAL + 10 * DAY)
        ]
    );
    assert_eq!(now(&world, &subscription).await["status"], "active");
    let story = [
        "invoice.created",
        "customer.subscription.created",
        "invoice.finalized",
        "invoice.sent",
        "invoice.paid",
        "invoice.sent",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");
}

#[tokio::test]
async fn what_is_not_paid_when_it_is_due_is_past_due_and_given_up_by_the_setting() {
    for (setting, status, left) in [
        (json!({}), "past_due", "open"),
        (json!({ "days": 5, "subscription": "unpaid" }), "unpaid", "open"),
        (
            json!({ "days": 0, "subscription": "canceled", "invoice": "uncollectible" }),
            "canceled",
            "uncollectible",
        ),
    ] {
        let world = start().await;
        let answer = world.control("billing", json!({ "sent_invoices": setting })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let subscription = subscribed(&world).await;
        world.advance(10 * DAY - 1).await;
        assert_eq!(now(&world, &subscription).await["status"], "active");
        world.advance(1).await;
        if status != "canceled" {
            assert_eq!(now(&world, &subscription).await["status"], "past_due");
            world.advance(6 * DAY).await;
        }
        assert_eq!(now(&world, &subscription).await["status"], status);
        let invoice = latest(&world, &subscription).await;
        assert_eq!(invoice["status"], left);
        let reason = &invoice["status_details"]["uncollectible"]["reason"];
        assert_eq!(reason == "payment_not_received", left == "uncollectible");
        if left == "open" {
            pay_on_page(&world, &invoice).await;
            assert_eq!(now(&world, &subscription).await["status"], "active");
            world.advance(60 * DAY).await;
            assert_ne!(now(&world, &subscription).await["status"], "canceled");
        }
    }
}

#[tokio::test]
async fn notice_is_given_around_the_due_date_where_it_is_set() {
    for (notices, days, told) in [
        (json!({}), "10", &[][..]),
        (
            json!({ "will_be_due_days": 3, "overdue_days": 2 }),
            "10",
            &["invoice.will_be_due", "invoice.overdue"],
        ),
        (
            json!({ "will_be_due_days": 11, "overdue_days": 0 }),
            "10",
            &["invoice.overdue"],
        ),
        (
            json!({ "will_be_due_days": 1, "overdue_days": 0 }),
            "0",
            &["invoice.overdue"],
        ),
    ] {
        let world = start().await;
        world.control("billing", json!({ "sent_invoices": notices })).await;
        let customer = world.customer().await;
        let more = [
            ("collection_method", "send_invoice"),
            ("days_until_due", days),
            ("auto_advance", "true"),
        ];
        drafted(&world, &customer, &more).await;
        world.advance(30 * DAY).await;
        let events = world.events().await;
        let found: Vec<&str> = events
            .iter()
            .map(String::as_str)
            .filter(|event| event.ends_with("due"))
            .collect();
        assert_eq!(found, told, "{notices}");
        assert!(has_in_order(&events, &["invoice.finalized", "invoice.sent"]));
    }
}

#[tokio::test]
async fn an_invoice_is_sent_by_hand_if_it_is_one_to_be_sent() {
    let world = start().await;
    let customer = world.customer().await;
    let more = [("collection_method", "send_invoice"), ("days_until_due", "7")];
    let invoice = drafted(&world, &customer, &more).await;
    let sent = world.post(&path(&invoice, "/send"), &[]).await;
    assert_eq!(
        (&sent["status"], &sent["due_date"]),
        (&json!("open"), &json!(START + 7 * DAY))
    );
    world.post(&path(&invoice, "/send"), &[]).await;
    let events = world.events().await;
    let times = events.iter().filter(|event| *event == "invoice.sent").count();
    assert_eq!(times, 2);
    world.post(&path(&invoice, "/void"), &[]).await;
    assert_eq!(world.call("POST", &path(&invoice, "/send"), &[]).await.status, 400);

    let charged = drafted(&world, &customer, &[]).await;
    assert_eq!(world.call("POST", &path(&charged, "/send"), &[]).await.status, 400);
    let changed = world.post(&path(&charged, ""), &more).await;
    assert_eq!(changed["due_date"], START + 7 * DAY);
    let back = world
        .post(&path(&charged, ""), &[("collection_method", "charge_automatically")])
        .await;
    assert_eq!(back["due_date"], Value::Null);

    let nobody = text(&world.post("/v1/customers", &[]).await["id"]);
    let form = [&[("customer", &*nobody)][..], &more].concat();
    let answer = world.call("POST", "/v1/invoices", &form).await;
    assert!(
        answer.status == 400 && answer.text.contains("Missing email"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_subscription_changes_how_its_invoices_are_collected() {
    let world = start().await;
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let (price, dearer) = (world.price().await, world.price().await);
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    let subscription = world.post("/v1/subscriptions", &form).await;
    let own = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    for (form, param) in [
        (&[("collection_method", "send_invoice")][..], "days_until_due"),
        (&[("days_until_due", "3")], "days_until_due"),
        (
            &[("collection_method", "send_invoice"), ("days_until_due", "-1")],
            "days_until_due",
        ),
    ] {
        let answer = world.call("POST", &own, form).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(param)));
    }
    let form = [("collection_method", "send_invoice"), ("days_until_due", "3")];
    let sends = world.post(&own, &form).await;
    assert_eq!(
        (&sends["collection_method"], &sends["days_until_due"]),
        (&json!("send_invoice"), &json!(3))
    );
    let item = text(&subscription["items"]["data"][0]["id"]);
    let form = [
        ("items[0][id]", &*item),
        ("items[0][price]", &*dearer),
        ("items[0][quantity]", "2"),
        ("proration_behavior", "always_invoice"),
    ];
    world.post(&own, &form).await;
    let invoice = latest(&world, &subscription).await;
    assert_eq!(
        (&invoice["status"], &invoice["amount_due"]),
        (&json!("open"), &json!(2900))
    );
    assert_eq!(world.events().await.last().unwrap(), "invoice.sent");
    let charged = world.post(&own, &[("collection_method", "charge_automatically")]).await;
    assert_eq!(charged["days_until_due"], Value::Null);
    world.advance(RENEWAL + HOUR).await;
    assert_eq!(latest(&world, &subscription).await["status"], "paid");
}

#[tokio::test]
async fn an_invoice_advances_when_and_if_it_is_told_to() {
    let world = start().await;
    let customer = world.customer().await;
    world.give_card(&customer, "chargeCustomerFail").await;
    let invoice = drafted(&world, &customer, &[]).await;
    assert_eq!(invoice["auto_advance"], false);
    for wrong in [START, START + 6 * 366 * DAY] {
        let form = [("automatically_finalizes_at", &*wrong.to_string())];
        let answer = world.call("POST", &path(&invoice, ""), &form).await;
        assert_eq!(answer.json()["error"]["param"], "automatically_finalizes_at");
    }
    let later = (START + 5 * DAY).to_string();
    let planned = world
        .post(&path(&invoice, ""), &[("automatically_finalizes_at", &later)])
        .await;
    assert_eq!(planned["auto_advance"], true);
    world.advance(5 * DAY - 1).await;
    assert_eq!(world.get(&path(&invoice, "")).await["status"], "draft");
    world.advance(1).await;
    let open = world.get(&path(&invoice, "")).await;
    assert_eq!(
        [&open["status"], &open["attempt_count"], &open["next_payment_attempt"]],
        [&json!("open"), &json!(1), &json!(START + 8 * DAY)]
    );
    let stopped = world.post(&path(&invoice, ""), &[("auto_advance", "false")]).await;
    assert_eq!(stopped["next_payment_attempt"], Value::Null);
    world.advance(10 * DAY).await;
    world.give_card(&customer, "visa").await;
    world.post(&path(&invoice, ""), &[("auto_advance", "true")]).await;
    world.advance(HOUR).await;
    assert_eq!(world.get(&path(&invoice, "")).await["status"], "paid");
    let answer = world
        .call("POST", &path(&invoice, ""), &[("auto_advance", "true")])
        .await;
    assert_eq!(answer.json()["error"]["code"], "invoice_not_editable");
}
