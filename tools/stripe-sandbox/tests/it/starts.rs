//! How subscriptions begin and end within periods, to the cent, and what is sold once with them.

use serde_json::{Value, json};

use crate::{
    client::{DAY, text},
    proration::{INTO_JUNE, JULY, JUNE, Seller, amounts},
};

/// 2026-04-01T00:00:00Z.
const APRIL: i64 = JUNE - 61 * DAY;

impl Seller {
    async fn of(&self, subscription: &Value) -> Value {
        self.world.get(&path(subscription)).await
    }

    async fn update(&self, subscription: &Value, form: &[(&str, &str)]) -> Value {
        self.world.post(&path(subscription), form).await
    }

    async fn once(&self, amount: i64) -> String {
        let form = [
            ("product", &*self.product),
            ("currency", "usd"),
            ("unit_amount", &amount.to_string()),
        ];
        text(&self.world.post("/v1/prices", &form).await["id"])
    }
}

fn path(subscription: &Value) -> String {
    format!("/v1/subscriptions/{}", text(&subscription["id"]))
}

fn period(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    let at = |name: &str| item[name].as_i64().unwrap();
    (at("current_period_start"), at("current_period_end"))
}

#[tokio::test]
async fn the_time_until_an_anchor_is_billed_in_part_or_free() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let (anchor, mode) = ((JUNE + 10 * DAY).to_string(), ("billing_mode[type]", mode));
        let form = [("billing_cycle_anchor", &*anchor), mode];
        let subscription = seller.subscribe(&price, &form).await;
        assert_eq!(subscription["billing_cycle_anchor"], JUNE + 10 * DAY);
        assert_eq!(period(&subscription), (JUNE, JUNE + 10 * DAY));
        // Ten of the 31 days from the 11th of May.
        let invoice = seller.invoice(&subscription).await;
        assert_eq!((amounts(&invoice), &invoice["status"]), (vec![935], &json!("paid")));
        let line = &invoice["lines"]["data"][0];
        assert_eq!(line["parent"]["subscription_item_details"]["proration"], true);
        // Half of it is given back, whole seats are debited.
        seller.world.advance(5 * DAY).await;
        seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
        assert_eq!(seller.waiting().await, [-468, 935], "{mode:?}");
        seller.world.advance(5 * DAY).await;
        let renewed = seller.of(&subscription).await;
        assert_eq!(amounts(&seller.invoice(&renewed).await), [5800, -468, 935]);
        assert_eq!(period(&renewed), (JUNE + 10 * DAY, JUNE + 40 * DAY));

        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let form = [("billing_cycle_anchor", &*anchor), mode, ("proration_behavior", "none")];
        let subscription = seller.subscribe(&price, &form).await;
        assert_eq!(
            (&subscription["status"], &subscription["latest_invoice"]),
            (&json!("active"), &Value::Null)
        );
        let preview = [("subscription", &*text(&subscription["id"]))];
        let preview = seller.world.post("/v1/invoices/create_preview", &preview).await;
        assert_eq!(amounts(&preview), [2900]);
        // Nothing was paid, so nothing is given back.
        seller.world.advance(5 * DAY).await;
        seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
        assert_eq!(seller.waiting().await, [935], "{mode:?}");
        seller.world.advance(5 * DAY).await;
        let renewed = seller.of(&subscription).await;
        assert_eq!(amounts(&seller.invoice(&renewed).await), [5800, 935]);

        let late = (JUNE + 41 * DAY).to_string();
        let form = [
            ("customer", &*seller.customer),
            ("items[0][price]", &*price),
            ("billing_cycle_anchor", &*late),
        ];
        let refused = seller.world.call("POST", "/v1/subscriptions", &form).await.json();
        assert_eq!(refused["error"]["param"], "billing_cycle_anchor");
        let message = text(&refused["error"]["message"]);
        assert!(
            message.contains("cannot be later than next natural billing date"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn the_last_day_of_each_month_is_an_anchor() {
    let seller = Seller::new().await;
    let price = seller.price(3000, "month").await;
    let form = [("billing_cycle_anchor_config[day_of_month]", "31")];
    let subscription = seller.subscribe(&price, &form).await;
    let config = json!({ "day_of_month": 31, "month": null, "hour": null, "minute": null, "second": null });
    assert_eq!(subscription["billing_cycle_anchor_config"], config);
    assert_eq!(subscription["billing_cycle_anchor"], JULY + 30 * DAY);
    assert_eq!(period(&subscription), (JUNE, JULY - DAY));
    assert_eq!(amounts(&seller.invoice(&subscription).await), [2900]);
    let mut ends = Vec::new();
    for _ in 0..3 {
        let (_, end) = period(&seller.of(&subscription).await);
        ends.push((end - JUNE) / DAY);
        seller.world.advance(31 * DAY).await;
    }
    // The 30th of June, the 31st of July and of August.
    assert_eq!(ends, [29, 60, 91]);
    for (form, param) in [
        (
            vec![("billing_cycle_anchor_config[day_of_month]", "32")],
            "billing_cycle_anchor_config[day_of_month]",
        ),
        (
            vec![
                ("billing_cycle_anchor_config[day_of_month]", "1"),
                ("billing_cycle_anchor", "1900000000"),
            ],
            "billing_cycle_anchor_config",
        ),
    ] {
        let mut form = form;
        form.extend([("customer", &*seller.customer), ("items[0][price]", &*price)]);
        let refused = seller.world.call("POST", "/v1/subscriptions", &form).await.json();
        assert_eq!(refused["error"]["param"], param, "{refused}");
    }
}

#[tokio::test]
async fn a_subscription_that_began_earlier_is_billed_for_all_of_it() {
    let april = APRIL.to_string();
    let july = JULY.to_string();
    let anchored = ("billing_cycle_anchor", &*july);
    for (mode, more, expected, anchor) in [
        ("flexible", vec![], vec![2900, 2900, 2900], APRIL),
        ("flexible", vec![anchored], vec![2900, 2900, 2900], JULY),
        // Two months and ten and a third of thirty days, and a month that begins now.
        ("classic", vec![], vec![6799, 2900], JUNE + INTO_JUNE),
        ("classic", vec![anchored], vec![8700], JULY),
        ("flexible", vec![("proration_behavior", "none")], vec![], APRIL),
        (
            "classic",
            vec![("proration_behavior", "none")],
            vec![2900],
            JUNE + INTO_JUNE,
        ),
    ] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        seller.world.advance(INTO_JUNE).await;
        let mut form = vec![("backdate_start_date", &*april), ("billing_mode[type]", mode)];
        form.extend(&more);
        let subscription = seller.subscribe(&price, &form).await;
        assert_eq!(subscription["start_date"], APRIL);
        assert_eq!(subscription["billing_cycle_anchor"], anchor, "{mode} {more:?}");
        let billed = match subscription["latest_invoice"].is_null() {
            true => Vec::new(),
            false => amounts(&seller.invoice(&subscription).await),
        };
        assert_eq!(billed, expected, "{mode} {more:?}");
        let preview = [
            ("subscription_details[items][0][price]", &*price),
            ("subscription_details[start_date]", &*april),
            ("subscription_details[billing_mode][type]", mode),
        ];
        if more.is_empty() {
            let preview = seller.world.post("/v1/invoices/create_preview", &preview).await;
            assert_eq!(amounts(&preview), expected);
        }
    }
}

#[tokio::test]
async fn things_sold_once_stand_on_the_next_invoice() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let (setup, hour) = (seller.once(5000).await, seller.once(700).await);
    let form = [
        ("add_invoice_items[0][price]", &*setup),
        ("add_invoice_items[1][price]", &*hour),
        ("add_invoice_items[1][quantity]", "3"),
        ("add_invoice_items[1][period][start][type]", "max_item_period_start"),
        ("add_invoice_items[1][period][end][type]", "min_item_period_end"),
        ("add_invoice_items[1][metadata][ticket]", "7"),
    ];
    let subscription = seller.subscribe(&price, &form).await;
    let invoice = seller.invoice(&subscription).await;
    assert_eq!(
        (amounts(&invoice), &invoice["status"]),
        (vec![2900, 5000, 2100], &json!("paid"))
    );
    let line = &invoice["lines"]["data"][2];
    assert_eq!(line["period"], json!({ "start": JUNE, "end": JULY }));
    assert_eq!(line["metadata"], json!({ "ticket": "7" }));

    // An update alone has them wait, in flexible mode also where prorations are invoiced; with prorations they are on that invoice.
    seller.world.advance(INTO_JUNE).await;
    let form = [
        ("add_invoice_items[0][price]", &*hour),
        ("proration_behavior", "always_invoice"),
    ];
    seller.update(&subscription, &form).await;
    assert_eq!(seller.waiting().await, [700]);
    let form = [
        ("add_invoice_items[0][price]", &*hour),
        ("items[0][quantity]", "2"),
        ("proration_behavior", "always_invoice"),
    ];
    let changed = seller.change(&subscription, &form).await;
    let mut all = amounts(&seller.invoice(&changed).await);
    all.sort_unstable();
    assert_eq!(all, [-1901, 700, 700, 3802]);

    let classic = seller.price(1900, "month").await;
    let classic = seller.subscribe(&classic, &[("billing_mode[type]", "classic")]).await;
    let form = [
        ("add_invoice_items[0][price]", &*hour),
        ("proration_behavior", "always_invoice"),
    ];
    let changed = seller.update(&classic, &form).await;
    assert_eq!(amounts(&seller.invoice(&changed).await), [700]);
    let form = [("add_invoice_items[0][price]", &*price)];
    let refused = seller.world.call("POST", &path(&subscription), &form).await.json();
    assert_eq!(refused["error"]["param"], "add_invoice_items[0][price]");
}

#[tokio::test]
async fn what_lies_behind_an_end_within_a_period_is_not_paid_for() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let price = seller.price(3000, "month").await;
        let mode = ("billing_mode[type]", mode);
        let half = (JUNE + 15 * DAY).to_string();
        let short = seller.subscribe(&price, &[mode, ("cancel_at", &half)]).await;
        assert_eq!(amounts(&seller.invoice(&short).await), [1500], "{mode:?}");

        let subscription = seller.subscribe(&price, &[mode]).await;
        let until = |days: i64| (JUNE + days * DAY).to_string();
        // Ten days are given back, then five of them are debited again, then the rest.
        seller.update(&subscription, &[("cancel_at", &until(20))]).await;
        assert_eq!(seller.waiting().await, [-1000]);
        seller.update(&subscription, &[("cancel_at", &until(25))]).await;
        assert_eq!(seller.waiting().await, [-1000, 500]);
        // A change in between is billed until the end that there is.
        seller.world.advance(10 * DAY).await;
        seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
        let waiting: Vec<i64> = seller.waiting().await.split_off(2);
        assert_eq!(waiting.iter().sum::<i64>(), 1500, "{mode:?} {waiting:?}");
        seller.change(&subscription, &[("items[0][quantity]", "1")]).await;
        seller.update(&subscription, &[("cancel_at", "")]).await;
        assert_eq!(seller.waiting().await.iter().sum::<i64>(), 0, "{mode:?}");

        // An end in a later period shortens that, and one that costs nothing to move is free.
        let later = (JULY + 10 * DAY).to_string();
        seller.update(&subscription, &[("cancel_at", &later)]).await;
        assert_eq!(seller.waiting().await.iter().sum::<i64>(), 0);
        seller.world.advance(20 * DAY).await;
        let renewed = seller.of(&subscription).await;
        let invoice = seller.invoice(&renewed).await;
        assert_eq!(amounts(&invoice)[0], 968, "ten of the 31 days of July");
        seller.world.advance(10 * DAY).await;
        assert_eq!(seller.of(&subscription).await["status"], "canceled");
    }
    let seller = Seller::new().await;
    let price = seller.price(3000, "month").await;
    let half = (JUNE + 15 * DAY).to_string();
    let form = [("cancel_at", &*half), ("proration_behavior", "none")];
    let whole = seller.subscribe(&price, &form).await;
    assert_eq!(amounts(&seller.invoice(&whole).await), [3000]);
    let subscription = seller.subscribe(&price, &[]).await;
    seller.update(&subscription, &form).await;
    assert_eq!(seller.waiting().await, Vec::<i64>::new());
    // What was not given back is not paid for again, and what was free stays free.
    seller.update(&subscription, &[("cancel_at", "")]).await;
    assert_eq!(seller.waiting().await, Vec::<i64>::new());
    for mode in ["flexible", "classic"] {
        let anchor = (JUNE + 20 * DAY).to_string();
        let form = [
            ("billing_cycle_anchor", &*anchor),
            ("proration_behavior", "none"),
            ("billing_mode[type]", mode),
        ];
        let free = seller.subscribe(&price, &form).await;
        seller.update(&free, &[("cancel_at", &half)]).await;
        seller.update(&free, &[("cancel_at", "")]).await;
        assert_eq!(seller.waiting().await, Vec::<i64>::new(), "{mode}");
    }
}

#[tokio::test]
async fn a_subscription_is_migrated_to_flexible_mode_once() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let classic = seller.subscribe(&price, &[("billing_mode[type]", "classic")]).await;
    let migrate = format!("{}/migrate", path(&classic));
    let form = [("billing_mode[type]", "flexible")];
    let migrated = seller.world.post(&migrate, &form).await;
    let mode = json!({
        "type": "flexible", "flexible": { "proration_discounts": "included" }, "updated_at": JUNE,
    });
    assert_eq!(migrated["billing_mode"], mode);
    assert_eq!(seller.world.call("POST", &migrate, &form).await.status, 400);
    let classic = [("billing_mode[type]", "classic")];
    assert_eq!(seller.world.call("POST", &migrate, &classic).await.status, 400);
    // What classic mode debited is given back.
    seller.world.advance(INTO_JUNE).await;
    seller.change(&migrated, &[("items[0][quantity]", "2")]).await;
    assert_eq!(seller.waiting().await, [-1901, 3802]);
}

#[tokio::test]
async fn a_trial_begins_in_the_middle_of_a_paid_month() {
    for (how, expected, balance) in [("create_prorations", vec![0, -1901], -1901), ("none", vec![0], 0)] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let subscription = seller.subscribe(&price, &[]).await;
        seller.world.advance(INTO_JUNE).await;
        let end = (JULY + 10 * DAY).to_string();
        let form = [("trial_end", &*end), ("proration_behavior", how)];
        let trial = seller.update(&subscription, &form).await;
        assert_eq!(
            (&trial["status"], &trial["trial_end"]),
            (&json!("trialing"), &json!(JULY + 10 * DAY))
        );
        assert_eq!(trial["trial_start"], JUNE + INTO_JUNE);
        assert_eq!(trial["billing_cycle_anchor"], JULY + 10 * DAY);
        assert_eq!(period(&trial), (JUNE + INTO_JUNE, JULY + 10 * DAY));
        let invoice = seller.invoice(&trial).await;
        assert_eq!(
            (amounts(&invoice), &invoice["status"]),
            (expected, &json!("paid")),
            "{how}"
        );
        let customer = format!("/v1/customers/{}", seller.customer);
        assert_eq!(seller.world.get(&customer).await["balance"], balance);
        seller.world.advance(JULY - JUNE - INTO_JUNE).await;
        assert_eq!(
            seller.of(&subscription).await["latest_invoice"],
            trial["latest_invoice"]
        );
        seller.world.advance(10 * DAY + 7200).await;
        let paid = seller.of(&subscription).await;
        assert_eq!(paid["status"], "active");
        let invoice = seller.invoice(&paid).await;
        assert_eq!(
            (amounts(&invoice), &invoice["amount_due"]),
            (vec![2900], &json!(2900 + balance))
        );
    }
}

#[tokio::test]
async fn nothing_and_inline_prices_can_be_subscribed_to() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = [
        ("items[0][quantity]", "0"),
        ("items[1][price_data][currency]", "usd"),
        ("items[1][price_data][product]", &*seller.product),
        ("items[1][price_data][unit_amount]", "450"),
        ("items[1][price_data][recurring][interval]", "month"),
        ("trial_from_plan", "true"),
    ];
    let subscription = seller.subscribe(&price, &form).await;
    assert_eq!(subscription["status"], "active");
    assert_eq!(amounts(&seller.invoice(&subscription).await), [0, 450]);
    assert_eq!(subscription["items"]["data"][0]["quantity"], 0);
    seller.world.advance(INTO_JUNE).await;
    seller.change(&subscription, &[("items[0][quantity]", "1")]).await;
    assert_eq!(seller.waiting().await, [1901]);
    seller.change(&subscription, &[("items[0][quantity]", "0")]).await;
    assert_eq!(seller.waiting().await, [1901, -1901]);
    let item = text(&subscription["items"]["data"][1]["id"]);
    let form = [
        ("price_data[currency]", "usd"),
        ("price_data[product]", &*seller.product),
        ("price_data[unit_amount]", "900"),
        ("price_data[recurring][interval]", "month"),
        ("proration_behavior", "none"),
    ];
    let changed = seller
        .world
        .post(&format!("/v1/subscription_items/{item}"), &form)
        .await;
    assert_eq!(changed["price"]["unit_amount"], 900);
}

/// A meter, and prices of it at so much a unit and month.
async fn metered(seller: &Seller, amounts: &[&str]) -> Vec<String> {
    let form = [
        ("display_name", "Calls"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    let meter = text(&seller.world.post("/v1/billing/meters", &form).await["id"]);
    let mut prices = Vec::new();
    for amount in amounts {
        let form = [
            ("product", &*seller.product),
            ("currency", "usd"),
            ("unit_amount", amount),
            ("recurring[interval]", "month"),
            ("recurring[usage_type]", "metered"),
            ("recurring[meter]", &meter),
        ];
        prices.push(text(&seller.world.post("/v1/prices", &form).await["id"]));
    }
    prices
}

async fn use_calls(seller: &Seller, value: &str) {
    let form = [
        ("event_name", "calls"),
        ("payload[stripe_customer_id]", &*seller.customer),
        ("payload[value]", value),
    ];
    seller.world.post("/v1/billing/meter_events", &form).await;
}

#[tokio::test]
async fn what_is_not_used_yet_is_on_no_invoice_and_what_was_is_billed_when_its_price_goes() {
    for (mode, first, gone, month) in [
        ("flexible", None, vec![1000, 300], vec![150, 1000, 300]),
        ("classic", Some(vec![0]), vec![], vec![150]),
    ] {
        let seller = Seller::new().await;
        let world = &seller.world;
        let [cheap, dear, other] = metered(&seller, &["1", "3", "5"]).await.try_into().unwrap();
        let subscription = seller.subscribe(&cheap, &[("billing_mode[type]", mode)]).await;
        assert_eq!(subscription["status"], "active");
        match first {
            None => assert_eq!(subscription["latest_invoice"], Value::Null),
            Some(first) => assert_eq!(amounts(&seller.invoice(&subscription).await), first),
        }
        // A thousand calls at a cent, a hundred at three, thirty at five.
        let mut item = text(&subscription["items"]["data"][0]["id"]);
        world.advance(5 * DAY).await;
        use_calls(&seller, "1000").await;
        world.advance(DAY).await;
        seller.change(&subscription, &[("items[0][price]", &dear)]).await;
        use_calls(&seller, "100").await;
        world.advance(DAY).await;
        let form = [("subscription", &*text(&subscription["id"])), ("price", &other)];
        let added = world.post("/v1/subscription_items", &form).await;
        assert_eq!(
            world
                .call("DELETE", &format!("/v1/subscription_items/{item}"), &[])
                .await
                .status,
            200
        );
        assert_eq!(seller.waiting().await, gone, "{mode}");
        item = text(&added["id"]);
        // The meter has counted for the price that came late, too: what was used before it came is not its own.
        use_calls(&seller, "30").await;
        world.advance(JULY - JUNE - 7 * DAY).await;
        let renewed = seller.of(&subscription).await;
        assert_eq!(renewed["items"]["data"][0]["id"], item);
        assert_eq!(amounts(&seller.invoice(&renewed).await), month, "{mode}");
    }
}

#[tokio::test]
async fn a_month_that_begins_anew_bills_what_was_used_in_the_one_that_ends() {
    let seller = Seller::new().await;
    let [calls] = metered(&seller, &["2"]).await.try_into().unwrap();
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, &[("items[1][price]", &calls)]).await;
    assert_eq!(
        amounts(&seller.invoice(&subscription).await),
        [2900],
        "what is metered has no line yet"
    );
    seller.world.advance(INTO_JUNE).await;
    use_calls(&seller, "50").await;
    seller.world.advance(60).await;
    let form = [("billing_cycle_anchor[type]", "now"), ("proration_behavior", "none")];
    let changed = seller.update(&subscription, &form).await;
    assert_eq!(amounts(&seller.invoice(&changed).await), [100, 2900]);
    use_calls(&seller, "1").await;
    seller.world.advance(31 * DAY).await;
    let renewed = seller.of(&subscription).await;
    let mut month = amounts(&seller.invoice(&renewed).await);
    month.sort_unstable();
    assert_eq!(month, [2, 2900]);
}

#[tokio::test]
async fn usage_before_now_is_billed_once_where_a_subscription_began_earlier() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let [calls] = metered(&seller, &["2"]).await.try_into().unwrap();
        seller.world.advance(DAY).await;
        use_calls(&seller, "50").await;
        seller.world.advance(INTO_JUNE).await;
        let (start, july) = (JUNE.to_string(), JULY.to_string());
        let form = [
            ("backdate_start_date", &*start),
            ("billing_cycle_anchor", &*july),
            ("billing_mode[type]", mode),
        ];
        let subscription = seller.subscribe(&calls, &form).await;
        assert_eq!(subscription["latest_invoice"], Value::Null, "{mode}");
        seller.world.advance(JULY - JUNE - DAY - INTO_JUNE).await;
        let renewed = seller.of(&subscription).await;
        assert_eq!(amounts(&seller.invoice(&renewed).await), [100], "{mode}");
    }
}

#[tokio::test]
async fn what_a_change_of_a_free_first_period_costs_is_given_back_by_the_next() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        seller.world.advance(INTO_JUNE).await;
        let form = [
            ("billing_cycle_anchor", &*JULY.to_string()),
            ("proration_behavior", "none"),
            ("billing_mode[type]", mode),
        ];
        let subscription = seller.subscribe(&price, &form).await;
        seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
        assert_eq!(seller.waiting().await, [3802], "{mode}: nothing was paid before");
        seller.change(&subscription, &[("items[0][quantity]", "3")]).await;
        assert_eq!(seller.waiting().await, [3802, -3802, 5703], "{mode}");
    }
}
