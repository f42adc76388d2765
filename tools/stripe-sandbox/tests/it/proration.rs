//! What changes within a period cost, to the cent.

use serde_json::{Value, json};

use crate::client::{World, config, start_with, text};

/// 2026-06-01T00:00:00Z: a month of 2 592 000 seconds begins.
pub(crate) const JUNE: i64 = 1_780_272_000;
pub(crate) const JULY: i64 = JUNE + 30 * 86_400;
/// 2026-06-11T08:00:00Z, when all but 0.6555… of it is over.
pub(crate) const INTO_JUNE: i64 = 10 * 86_400 + 8 * 3600;

pub(crate) struct Seller {
    pub(crate) world: World,
    pub(crate) product: String,
    pub(crate) customer: String,
}

impl Seller {
    pub(crate) async fn new() -> Self {
        let world = start_with(stripe_sandbox::Config {
            frozen_time: Some(JUNE),
            ..config()
        })
        .await;
        let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
        let customer = text(&world.post("/v1/customers", &[]).await["id"]);
        world.give_card(&customer, "visa").await;
        Self {
            world,
            product,
            customer,
        }
    }

    pub(crate) async fn price(&self, amount: i64, interval: &str) -> String {
        let form = [
            ("product", &*self.product),
            ("currency", "usd"),
            ("unit_amount", &amount.to_string()),
            ("recurring[interval]", interval),
        ];
        text(&self.world.post("/v1/prices", &form).await["id"])
    }

    pub(crate) async fn subscribe(&self, price: &str, more: &[(&str, &str)]) -> Value {
        let mut form = vec![("customer", &*self.customer), ("items[0][price]", price)];
        form.extend(more);
        self.world.post("/v1/subscriptions", &form).await
    }

    /// Changes the subscription's only item.
    pub(crate) async fn change(&self, subscription: &Value, more: &[(&str, &str)]) -> Value {
        let item = text(&subscription["items"]["data"][0]["id"]);
        let mut form = vec![("items[0][id]", &*item)];
        form.extend(more);
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        self.world.post(&path, &form).await
    }

    /// The amounts of the invoice items that wait, oldest first.
    pub(crate) async fn waiting(&self) -> Vec<i64> {
        let list = self.world.get("/v1/invoiceitems?pending=true&limit=100").await;
        let mut amounts: Vec<i64> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["amount"].as_i64().unwrap())
            .collect();
        amounts.reverse();
        amounts
    }

    pub(crate) async fn invoice(&self, subscription: &Value) -> Value {
        self.world
            .get(&format!("/v1/invoices/{}", text(&subscription["latest_invoice"])))
            .await
    }
}

pub(crate) fn amounts(invoice: &Value) -> Vec<i64> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines.map(|line| line["amount"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_change_credits_what_is_unused_and_debits_what_is_left() {
    for mode in ["flexible", "classic"] {
        for (from, quantities, to, discount, credit, debit) in [
            (2900, (1, 1), 7900, None, -1901, 5179),
            (7900, (1, 1), 2900, None, -5179, 1901),
            (1200, (5, 8), 1200, None, -3933, 6293),
            (2900, (1, 1), 7900, Some("20"), -1521, 4143),
        ] {
            let seller = Seller::new().await;
            let world = &seller.world;
            let old = seller.price(from, "month").await;
            let new = seller.price(to, "month").await;
            let (before, after) = (quantities.0.to_string(), quantities.1.to_string());
            let mut form = vec![("billing_mode[type]", mode), ("items[0][quantity]", &*before)];
            let coupon;
            if let Some(percent) = discount {
                let made = world
                    .post("/v1/coupons", &[("percent_off", percent), ("duration", "forever")])
                    .await;
                coupon = text(&made["id"]);
                form.push(("discounts[0][coupon]", &*coupon));
            }
            let subscription = seller.subscribe(&old, &form).await;
            assert_eq!(subscription["status"], "active");
            world.advance(INTO_JUNE).await;
            let mut form = vec![("items[0][quantity]", &*after)];
            if from != to {
                form.push(("items[0][price]", &*new));
            }
            let changed = seller.change(&subscription, &form).await;
            assert_eq!(seller.waiting().await, [credit, debit], "{mode} {from}");
            let item = &changed["items"]["data"][0];
            assert_eq!(item["current_period_end"], JULY, "the period stays");
            assert_eq!(changed["billing_cycle_anchor"], JUNE);

            // They are on the next invoice, beside the new month.
            world.advance(JULY - JUNE - INTO_JUNE + 7200).await;
            let subscription = world.get(&format!("/v1/subscriptions/{}", text(&changed["id"]))).await;
            let invoice = seller.invoice(&subscription).await;
            let month = to * quantities.1;
            assert_eq!(amounts(&invoice), [month, credit, debit]);
            let off = discount.map_or(0, |_| month / 5);
            assert_eq!(invoice["total"], month - off + credit + debit);
            assert_eq!(invoice["status"], "paid");
            assert_eq!(seller.waiting().await, Vec::<i64>::new());
        }
    }
}

#[tokio::test]
async fn exactly_half_is_half() {
    let seller = Seller::new().await;
    let (ten, twenty) = (seller.price(1000, "month").await, seller.price(2000, "month").await);
    let subscription = seller.subscribe(&ten, &[]).await;
    seller.world.advance(15 * 86_400).await;
    seller.change(&subscription, &[("items[0][price]", &twenty)]).await;
    assert_eq!(seller.waiting().await, [-500, 1000]);
}

#[tokio::test]
async fn a_year_begins_today_when_it_is_said_or_in_classic_mode() {
    for (mode, more) in [
        ("flexible", vec![("billing_cycle_anchor[type]", "now")]),
        ("classic", vec![]),
    ] {
        let seller = Seller::new().await;
        let (month, year) = (seller.price(2900, "month").await, seller.price(29_000, "year").await);
        let subscription = seller.subscribe(&month, &[("billing_mode[type]", mode)]).await;
        seller.world.advance(INTO_JUNE).await;
        let mut form = vec![("items[0][price]", &*year)];
        form.extend(more);
        let changed = seller.change(&subscription, &form).await;
        let invoice = seller.invoice(&changed).await;
        assert_eq!(amounts(&invoice), [29_000, -1901], "{mode}");
        assert_eq!(
            (&invoice["total"], &invoice["status"]),
            (&json!(27_099), &json!("paid"))
        );
        assert_eq!(invoice["billing_reason"], "subscription_update");
        assert_eq!(changed["billing_cycle_anchor"], JUNE + INTO_JUNE);
        let item = &changed["items"]["data"][0];
        assert_eq!(item["current_period_end"], JUNE + INTO_JUNE + 365 * 86_400);
    }
}

#[tokio::test]
async fn what_a_new_period_began_with_is_all_that_is_given_back() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let price = seller.price(3000, "month").await;
    let coupon = world
        .post(
            "/v1/coupons",
            &[("amount_off", "1000"), ("currency", "usd"), ("duration", "once")],
        )
        .await;
    let form = [("discounts[0][coupon]", &*text(&coupon["id"]))];
    let subscription = seller.subscribe(&price, &form).await;
    assert_eq!(seller.invoice(&subscription).await["total"], 2000);
    assert_eq!(subscription["discounts"], json!([]), "once is once");
    world.advance(INTO_JUNE).await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let form = [("billing_cycle_anchor[type]", "now"), ("proration_behavior", "none")];
    let changed = world.post(&path, &form).await;
    assert_eq!(amounts(&seller.invoice(&changed).await), [3000]);
    world.advance(15 * 86_400).await;
    seller.change(&changed, &[("items[0][quantity]", "2")]).await;
    assert_eq!(seller.waiting().await, [-1500, 3000]);
}

#[tokio::test]
async fn what_is_less_than_nothing_becomes_credit_that_later_invoices_draw_on() {
    let seller = Seller::new().await;
    let (dear, cheap) = (seller.price(7900, "month").await, seller.price(2900, "month").await);
    let subscription = seller.subscribe(&dear, &[]).await;
    seller.world.advance(INTO_JUNE).await;
    let form = [("items[0][price]", &*cheap), ("proration_behavior", "always_invoice")];
    let changed = seller.change(&subscription, &form).await;
    let invoice = seller.invoice(&changed).await;
    assert_eq!((&invoice["total"], &invoice["amount_due"]), (&json!(-3278), &json!(0)));
    assert_eq!(
        (&invoice["status"], &invoice["ending_balance"]),
        (&json!("paid"), &json!(-3278))
    );
    let customer = format!("/v1/customers/{}", seller.customer);
    assert_eq!(seller.world.get(&customer).await["balance"], -3278);

    seller.world.advance(JULY - JUNE - INTO_JUNE + 7200).await;
    let subscription = seller
        .world
        .get(&format!("/v1/subscriptions/{}", text(&changed["id"])))
        .await;
    let invoice = seller.invoice(&subscription).await;
    assert_eq!((&invoice["total"], &invoice["amount_due"]), (&json!(2900), &json!(0)));
    assert_eq!(
        (&invoice["starting_balance"], &invoice["ending_balance"]),
        (&json!(-3278), &json!(-378))
    );
    let moved = seller.world.get(&format!("{customer}/balance_transactions")).await;
    let moved: Vec<_> = moved["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["amount"].clone())
        .collect();
    assert_eq!(moved, [json!(2900), json!(-3278)]);
}

#[tokio::test]
async fn many_changes_and_their_reversal_come_to_nothing() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let price = seller.price(1200, "month").await;
        let form = [("items[0][quantity]", "5"), ("billing_mode[type]", mode)];
        let subscription = seller.subscribe(&price, &form).await;
        seller.world.advance(INTO_JUNE).await;
        for quantity in ["8", "2", "11", "5"] {
            seller.change(&subscription, &[("items[0][quantity]", quantity)]).await;
        }
        let waiting = seller.waiting().await;
        assert_eq!(waiting.iter().sum::<i64>(), 0, "{mode}: {waiting:?}");
    }
}

#[tokio::test]
async fn items_come_and_go_and_none_of_it_need_cost_anything() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let (base, more) = (seller.price(2900, "month").await, seller.price(1000, "month").await);
    let subscription = seller.subscribe(&base, &[]).await;
    let id = text(&subscription["id"]);
    world.advance(INTO_JUNE).await;
    let form = [("subscription", &*id), ("price", &*more), ("quantity", "2")];
    let added = world.post("/v1/subscription_items", &form).await;
    assert_eq!(
        (&added["quantity"], &added["current_period_end"]),
        (&json!(2), &json!(JULY))
    );
    assert_eq!(seller.waiting().await, [1311]);
    let twice = world.call("POST", "/v1/subscription_items", &form).await;
    assert_eq!(twice.status, 400, "a price stands on a subscription once");

    let path = format!("/v1/subscription_items/{}", text(&added["id"]));
    world
        .post(&path, &[("quantity", "4"), ("proration_behavior", "none")])
        .await;
    assert_eq!(seller.waiting().await, [1311]);
    let listed = world.get(&format!("/v1/subscription_items?subscription={id}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);

    // Flexible mode gives back what was debited, whatever the quantity is now.
    let gone = world.call("DELETE", &path, &[]).await.json();
    assert_eq!(gone["deleted"], true);
    assert_eq!(seller.waiting().await, [1311, -1311]);
    assert_eq!(world.call("GET", &path, &[]).await.status, 404);
    let first = text(&subscription["items"]["data"][0]["id"]);
    let last = world
        .call("DELETE", &format!("/v1/subscription_items/{first}"), &[])
        .await;
    assert_eq!(last.status, 400, "one item must stay");

    let before = JUNE - 1;
    let form = [
        ("items[0][id]", &*first),
        ("items[0][quantity]", "2"),
        ("proration_date", &before.to_string()),
    ];
    let answer = world.call("POST", &format!("/v1/subscriptions/{id}"), &form).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("proration_date"))
    );
}

#[tokio::test]
async fn a_change_that_cannot_be_paid_stands_or_not_as_it_was_said() {
    for (behavior, status, quantity) in [
        ("allow_incomplete", 200, 9),
        ("default_incomplete", 200, 9),
        ("error_if_incomplete", 402, 1),
    ] {
        let seller = Seller::new().await;
        let world = &seller.world;
        let price = seller.price(1200, "month").await;
        let subscription = seller.subscribe(&price, &[]).await;
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        let form = [("customer", &*seller.customer)];
        let bad = world
            .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &form)
            .await;
        world
            .post(&path, &[("default_payment_method", &*text(&bad["id"]))])
            .await;
        let item = text(&subscription["items"]["data"][0]["id"]);
        let form = [
            ("items[0][id]", &*item),
            ("items[0][quantity]", "9"),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", behavior),
        ];
        assert_eq!(world.call("POST", &path, &form).await.status, status, "{behavior}");
        let now = world.get(&path).await;
        assert_eq!(now["items"]["data"][0]["quantity"], quantity, "{behavior}");
        let past_due = status == 200;
        assert_eq!(
            now["status"],
            if past_due { "past_due" } else { "active" },
            "{behavior}"
        );
        if past_due {
            // Paying the latest invoice makes it active again.
            let invoice = format!("/v1/invoices/{}/pay", text(&now["latest_invoice"]));
            world.post(&invoice, &[("payment_method", "pm_card_visa")]).await;
            assert_eq!(world.get(&path).await["status"], "active");
        }
    }
}

#[tokio::test]
async fn canceling_gives_back_what_is_unused_when_it_is_asked_to() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, &[]).await;
    seller.world.advance(INTO_JUNE).await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let form = [("prorate", "true"), ("invoice_now", "true")];
    let request = seller.world.request(reqwest::Method::DELETE, &path).form(&form);
    let canceled = crate::client::send(request).await.json();
    assert_eq!(canceled["status"], "canceled");
    let invoice = seller.invoice(&canceled).await;
    assert_eq!((amounts(&invoice), &invoice["status"]), (vec![-1901], &json!("paid")));
    let customer = seller.world.get(&format!("/v1/customers/{}", seller.customer)).await;
    assert_eq!(customer["balance"], -1901);
}

#[tokio::test]
async fn in_classic_mode_what_is_given_back_goes_by_the_discounts_last_used() {
    for (before, after, credit) in [
        // Half was paid for the whole month; what was given off later is not taken from it.
        (Some("once"), false, -1000),
        (None, true, -2000),
    ] {
        let seller = Seller::new().await;
        let world = &seller.world;
        let price = seller.price(4000, "month").await;
        let coupon = world.post("/v1/coupons", &[("percent_off", "50")]).await;
        let coupon = text(&coupon["id"]);
        let discount = ("discounts[0][coupon]", &*coupon);
        let mut form = vec![("billing_mode[type]", "classic")];
        form.extend(before.map(|_| discount));
        let subscription = seller.subscribe(&price, &form).await;
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        world.advance(15 * 86_400).await;
        if after {
            world.post(&path, &[discount]).await;
        }
        let form = [("prorate", "true"), ("invoice_now", "true")];
        let request = world.request(reqwest::Method::DELETE, &path).form(&form);
        let canceled = crate::client::send(request).await.json();
        assert_eq!(amounts(&seller.invoice(&canceled).await), [credit]);
    }
}

#[tokio::test]
async fn a_discount_that_is_over_takes_nothing_off_a_change() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let price = seller.price(36_500, "year").await;
    let form = [
        ("percent_off", "50"),
        ("duration", "repeating"),
        ("duration_in_months", "2"),
    ];
    let coupon = text(&world.post("/v1/coupons", &form).await["id"]);
    let subscription = seller.subscribe(&price, &[("discounts[0][coupon]", &*coupon)]).await;
    assert_eq!(seller.invoice(&subscription).await["total"], 18_250);
    // Of 365 days 100 are left.
    world.advance(265 * 86_400).await;
    let changed = seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
    assert_eq!(seller.waiting().await, [-5000, 20_000]);
    assert_eq!(changed["discounts"], json!([]));
    assert!(world.events().await.contains(&"customer.discount.deleted".to_owned()));
    // Nor off what is billed anew.
    let path = format!("/v1/subscriptions/{}", text(&changed["id"]));
    let changed = world.post(&path, &[("billing_cycle_anchor[type]", "now")]).await;
    assert_eq!(
        amounts(&seller.invoice(&changed).await),
        [73_000, -5000, 20_000, -20_000]
    );
    assert_eq!(seller.invoice(&changed).await["total"], 68_000);
}
