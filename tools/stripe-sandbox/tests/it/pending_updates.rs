//! Changes that take effect when they are paid, and not before.

use serde_json::{Value, json};

use crate::{
    client::{DAY, has_in_order, send, text},
    proration::{INTO_JUNE, JULY, JUNE, Seller, amounts},
};

const LIFE: i64 = 23 * 3600;

/// A subscription of two seats at 29.00, whose card pays no more.
struct Behind {
    seller: Seller,
    subscription: Value,
    path: String,
    item: String,
    dear: String,
}

impl Behind {
    async fn new(waited: i64) -> Self {
        let seller = Seller::new().await;
        let (price, dear) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let subscription = seller.subscribe(&price, &[]).await;
        seller.world.advance(waited).await;
        let behind = Self {
            path: format!("/v1/subscriptions/{}", text(&subscription["id"])),
            item: text(&subscription["items"]["data"][0]["id"]),
            seller,
            subscription,
            dear,
        };
        behind
            .seller
            .world
            .give_card(&behind.seller.customer, "chargeCustomerFail")
            .await;
        behind
    }

    async fn now(&self) -> Value {
        self.seller.world.get(&self.path).await
    }

    fn upgrade(&self) -> Vec<(&str, &str)> {
        vec![
            ("items[0][id]", &*self.item),
            ("items[0][price]", &*self.dear),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", "pending_if_incomplete"),
        ]
    }

    async fn try_upgrade(&self) -> Value {
        self.seller.world.post(&self.path, &self.upgrade()).await
    }

    async fn status_of(&self, invoice: &Value) -> String {
        let invoice = self.seller.world.get(&format!("/v1/invoices/{}", text(invoice))).await;
        text(&invoice["status"])
    }

    async fn events_after(&self, count: usize) -> Vec<String> {
        self.seller.world.events().await.split_off(count)
    }
}

fn price(subscription: &Value) -> &Value {
    &subscription["items"]["data"][0]["price"]["unit_amount"]
}

#[tokio::test]
async fn an_upgrade_waits_until_it_is_paid() {
    let behind = Behind::new(INTO_JUNE).await;
    let world = &behind.seller.world;
    let waiting = behind.try_upgrade().await;
    assert_eq!((price(&waiting), &waiting["status"]), (&json!(2900), &json!("active")));
    let update = &waiting["pending_update"];
    assert_eq!(update["expires_at"], JUNE + INTO_JUNE + LIFE);
    assert_eq!(update["subscription_items"][0]["id"], behind.item);
    assert_eq!(update["subscription_items"][0]["price"]["id"], behind.dear);
    assert_eq!(
        (&update["billing_cycle_anchor"], &update["trial_end"]),
        (&Value::Null, &Value::Null)
    );
    let invoice = behind.seller.invoice(&waiting).await;
    assert_eq!(
        (amounts(&invoice), &invoice["status"]),
        (vec![-1901, 5179], &json!("open"))
    );
    assert_eq!(
        (&invoice["amount_due"], &invoice["next_payment_attempt"]),
        (&json!(3278), &Value::Null)
    );

    // What else is changed meanwhile stays changed.
    world.post(&behind.path, &[("metadata[seen]", "1")]).await;
    let count = world.events().await.len();
    let pay = format!("/v1/invoices/{}/pay", text(&waiting["latest_invoice"]));
    assert_eq!(world.call("POST", &pay, &[]).await.status, 402);
    assert_eq!(behind.now().await["pending_update"], waiting["pending_update"]);
    world.post(&pay, &[("payment_method", "pm_card_visa")]).await;
    let upgraded = behind.now().await;
    assert_eq!(
        (price(&upgraded), &upgraded["pending_update"]),
        (&json!(7900), &Value::Null)
    );
    assert_eq!(upgraded["metadata"]["seen"], "1");
    assert_eq!(upgraded["latest_invoice"], waiting["latest_invoice"]);
    let events = behind.events_after(count).await;
    let applied = [
        "invoice.paid",
        "customer.subscription.updated",
        "customer.subscription.pending_update_applied",
    ];
    assert!(has_in_order(&events, &applied), "{events:?}");

    // What was debited for it is given back like any debit.
    behind.seller.change(&upgraded, &[("items[0][quantity]", "2")]).await;
    assert_eq!(behind.seller.waiting().await, [-5179, 10_358]);
    world.advance(LIFE + 60).await;
    assert_eq!(price(&behind.now().await), 7900);
}

#[tokio::test]
async fn an_upgrade_that_is_paid_at_once_never_waits() {
    let behind = Behind::new(INTO_JUNE).await;
    let world = &behind.seller.world;
    world.give_card(&behind.seller.customer, "visa").await;
    let count = world.events().await.len();
    let upgraded = behind.try_upgrade().await;
    assert_eq!(
        (price(&upgraded), &upgraded["pending_update"]),
        (&json!(7900), &Value::Null)
    );
    assert_eq!(behind.status_of(&upgraded["latest_invoice"]).await, "paid");
    let events = behind.events_after(count).await;
    assert!(!events.iter().any(|kind| kind.contains("pending_update")), "{events:?}");
    // Nor does what makes no invoice, or one of less than nothing.
    world.give_card(&behind.seller.customer, "chargeCustomerFail").await;
    for (quantity, how) in [("3", "create_prorations"), ("1", "always_invoice")] {
        let form = [
            ("items[0][quantity]", quantity),
            ("proration_behavior", how),
            ("payment_behavior", "pending_if_incomplete"),
        ];
        let changed = behind.seller.change(&upgraded, &form).await;
        assert_eq!(changed["pending_update"], Value::Null, "{how}");
        assert_eq!(changed["items"]["data"][0]["quantity"].to_string(), quantity);
    }
}

#[tokio::test]
async fn what_nobody_pays_for_is_forgotten() {
    // After 23 hours, or when the period is over.
    for (waited, life) in [(INTO_JUNE, LIFE), (JULY - JUNE - 12 * 3600, 12 * 3600)] {
        let behind = Behind::new(waited).await;
        let world = &behind.seller.world;
        let waiting = behind.try_upgrade().await;
        assert_eq!(waiting["pending_update"]["expires_at"], JUNE + waited + life);
        let count = world.events().await.len();
        world.advance(life - 1).await;
        assert_eq!(behind.now().await["pending_update"], waiting["pending_update"]);
        world.advance(1).await;
        let expired = behind.now().await;
        assert_eq!(
            (price(&expired), &expired["pending_update"]),
            (&json!(2900), &Value::Null)
        );
        assert_eq!(behind.status_of(&waiting["latest_invoice"]).await, "void");
        let events = behind.events_after(count).await;
        let told = [
            "invoice.voided",
            "customer.subscription.updated",
            "customer.subscription.pending_update_expired",
        ];
        assert!(has_in_order(&events, &told), "{events:?}");
        if life == LIFE {
            assert_eq!(
                expired["latest_invoice"], waiting["latest_invoice"],
                "nothing is billed for it"
            );
        } else {
            let renewal = behind.seller.invoice(&expired).await;
            assert_eq!(amounts(&renewal), [2900], "the old month goes on");
        }
    }
}

#[tokio::test]
async fn another_change_replaces_what_waits_and_voiding_drops_it() {
    let behind = Behind::new(INTO_JUNE).await;
    let world = &behind.seller.world;
    let first = behind.try_upgrade().await;
    world.advance(3600).await;
    let mut form = behind.upgrade();
    form.push(("items[0][quantity]", "3"));
    let second = world.post(&behind.path, &form).await;
    assert_ne!(second["latest_invoice"], first["latest_invoice"]);
    assert_eq!(behind.status_of(&first["latest_invoice"]).await, "void");
    let update = &second["pending_update"];
    assert_eq!(update["subscription_items"][0]["quantity"], 3);
    assert_eq!(update["expires_at"], JUNE + INTO_JUNE + 3600 + LIFE);

    // One that does not wait goes before it, and the first is not paid by accident.
    let form = [
        ("items[0][id]", &*behind.item),
        ("items[0][quantity]", "2"),
        ("proration_behavior", "none"),
    ];
    let third = world.post(&behind.path, &form).await;
    assert_eq!((&third["pending_update"], price(&third)), (&Value::Null, &json!(2900)));
    assert_eq!(behind.status_of(&second["latest_invoice"]).await, "void");

    let fourth = behind.try_upgrade().await;
    let void = format!("/v1/invoices/{}/void", text(&fourth["latest_invoice"]));
    world.post(&void, &[]).await;
    let now = behind.now().await;
    assert_eq!((&now["pending_update"], price(&now)), (&Value::Null, &json!(2900)));

    let fifth = behind.try_upgrade().await;
    let canceled = send(world.request(reqwest::Method::DELETE, &behind.path)).await.json();
    assert_eq!(
        (&canceled["status"], &canceled["pending_update"]),
        (&json!("canceled"), &Value::Null)
    );
    assert_eq!(behind.status_of(&fifth["latest_invoice"]).await, "void");
}

#[tokio::test]
async fn only_what_can_wait_is_taken() {
    let behind = Behind::new(0).await;
    let world = &behind.seller.world;
    for (name, value) in [
        ("description", "x"),
        ("off_session", "true"),
        ("cancel_at", "min_period_end"),
        ("items[1][deleted]", "true"),
        ("items[1][metadata][a]", "b"),
    ] {
        let mut form = behind.upgrade();
        form.push((name, value));
        if name.starts_with("items[1]") {
            form.push(("items[1][id]", &behind.item));
        }
        let refused = world.call("POST", &behind.path, &form).await;
        let error = &refused.json()["error"];
        let param = name.replace("[a]", "");
        let message = format!(
            "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass supported params. `{param}` is not \
             supported."
        );
        assert_eq!((refused.status, &error["message"]), (400, &json!(message)));
        assert_eq!(error["param"], param);
    }
    let form = [
        ("customer", &*behind.seller.customer),
        ("items[0][price]", &*behind.dear),
        ("payment_behavior", "pending_if_incomplete"),
    ];
    let refused = world.call("POST", "/v1/subscriptions", &form).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("payment_behavior"))
    );
    assert_eq!(behind.now().await["pending_update"], Value::Null);
    assert_eq!(behind.subscription["status"], "active");
}

#[tokio::test]
async fn an_item_a_year_or_the_end_of_a_trial_can_wait() {
    let behind = Behind::new(INTO_JUNE).await;
    let world = &behind.seller.world;
    let id = text(&behind.subscription["id"]);
    let how = [
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "pending_if_incomplete"),
    ];
    let mut form = vec![("subscription", &*id), ("price", &*behind.dear)];
    form.extend(how);
    let added = world.post("/v1/subscription_items", &form).await;
    assert_eq!(
        (&added["object"], &added["price"]["id"]),
        (&json!("subscription_item"), &json!(behind.dear))
    );
    let waiting = behind.now().await;
    assert_eq!(waiting["items"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        waiting["pending_update"]["subscription_items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let year = behind.seller.price(29_000, "year").await;
    let mut form = vec![
        ("items[0][id]", &*behind.item),
        ("items[0][price]", &*year),
        ("billing_cycle_anchor[type]", "now"),
        ("metadata[plan]", "year"),
    ];
    form.extend(how);
    let waiting = world.post(&behind.path, &form).await;
    assert_eq!(waiting["pending_update"]["billing_cycle_anchor"], JUNE + INTO_JUNE);
    assert_eq!(waiting["pending_update"]["metadata"], json!({ "plan": "year" }));
    assert_eq!(waiting["billing_cycle_anchor"], JUNE);
    let pay = format!("/v1/invoices/{}/pay", text(&waiting["latest_invoice"]));
    world.post(&behind.path, &[("metadata[seen]", "1")]).await;
    world.post(&pay, &[("payment_method", "pm_card_visa")]).await;
    let yearly = behind.now().await;
    assert_eq!(yearly["billing_cycle_anchor"], JUNE + INTO_JUNE);
    assert_eq!(yearly["metadata"], json!({ "seen": "1", "plan": "year" }));
    assert_eq!(
        yearly["items"]["data"][0]["current_period_end"],
        JUNE + INTO_JUNE + 365 * DAY
    );

    let form = [("trial_period_days", "14")];
    let trial = behind.seller.subscribe(&behind.dear, &form).await;
    let path = format!("/v1/subscriptions/{}", text(&trial["id"]));
    let form = [("trial_end", "now"), ("payment_behavior", "pending_if_incomplete")];
    let waiting = world.post(&path, &form).await;
    assert_eq!(
        (&waiting["status"], &waiting["trial_end"]),
        (&json!("trialing"), &trial["trial_end"])
    );
    assert_eq!(waiting["pending_update"]["trial_end"], JUNE + INTO_JUNE);
    let pay = format!("/v1/invoices/{}/pay", text(&waiting["latest_invoice"]));
    world.post(&pay, &[("payment_method", "pm_card_visa")]).await;
    let begun = world.get(&path).await;
    assert_eq!(
        (&begun["status"], &begun["trial_end"]),
        (&json!("active"), &json!(JUNE + INTO_JUNE))
    );
}
