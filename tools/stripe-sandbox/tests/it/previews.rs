//! Invoices before they are made, and a world that does not notice.

use serde_json::{Value, json};

use crate::{
    client::{Answer, text},
    proration::{INTO_JUNE, JULY, JUNE, Seller, amounts},
};

const PREVIEW: &str = "/v1/invoices/create_preview";

impl Seller {
    async fn preview(&self, form: &[(&str, &str)]) -> Value {
        let preview = self.world.post(PREVIEW, form).await;
        assert_eq!(
            (&preview["status"], &preview["number"]),
            (&json!("draft"), &Value::Null)
        );
        preview
    }

    async fn refused(&self, form: &[(&str, &str)]) -> Answer {
        let answer = self.world.call("POST", PREVIEW, form).await;
        assert!(answer.status >= 400, "{}", answer.text);
        answer
    }

    async fn nothing_upcoming(&self, form: &[(&str, &str)]) {
        let refused = self.refused(form).await;
        let code = &refused.json()["error"]["code"];
        assert_eq!((refused.status, code), (404, &json!("invoice_upcoming_none")));
    }

    async fn sha256(&self) -> String {
        text(&self.world.look("world").await["sha256"])
    }
}

#[tokio::test]
async fn the_next_month_is_previewed_and_nothing_is_kept_of_it() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, &[("items[0][quantity]", "2")]).await;
    let id = text(&subscription["id"]);
    let item = [("customer", &*seller.customer), ("currency", "usd"), ("amount", "-300")];
    world.post("/v1/invoiceitems", &item).await;
    let (hash, events) = (seller.sha256().await, world.events().await);

    let preview = seller.preview(&[("subscription", &id)]).await;
    assert_eq!(amounts(&preview), [5800, -300]);
    let upcoming = text(&preview["id"]);
    assert!(upcoming.starts_with("upcoming_in_"), "{upcoming}");
    assert_eq!(preview["lines"]["url"], format!("/v1/invoices/{upcoming}/lines"));
    let line = &preview["lines"]["data"][0];
    assert_eq!(line["invoice"], upcoming);
    assert_eq!(line["period"]["start"], JULY);
    assert_eq!(
        (&preview["created"], &preview["period_end"]),
        (&json!(JULY), &json!(JULY))
    );
    assert_eq!(preview["next_payment_attempt"], JULY + 3600);
    assert_eq!(
        (&preview["billing_reason"], &preview["amount_due"]),
        (&json!("upcoming"), &json!(5500))
    );
    assert_eq!(preview["parent"]["subscription_details"]["subscription"], id);

    assert_eq!(
        world.call("GET", &format!("/v1/invoices/{upcoming}"), &[]).await.status,
        404
    );
    assert_eq!(world.get("/v1/invoices").await["data"].as_array().unwrap().len(), 1);
    assert_eq!((seller.sha256().await, world.events().await), (hash, events));
    // What is made next has the ids that it has where nothing was previewed.
    let again = seller.preview(&[("subscription", &id)]).await;
    assert_eq!(again, preview);
    world.advance(JULY - JUNE).await;
    let renewed = world.get(&format!("/v1/subscriptions/{id}")).await;
    assert_eq!(format!("upcoming_{}", text(&renewed["latest_invoice"])), upcoming);
}

#[tokio::test]
async fn a_change_is_previewed_now_or_on_the_next_invoice() {
    let seller = Seller::new().await;
    let (old, new) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let year = seller.price(29_000, "year").await;
    let subscription = seller.subscribe(&old, &[]).await;
    let (id, item) = (text(&subscription["id"]), text(&subscription["items"]["data"][0]["id"]));
    seller.world.advance(INTO_JUNE).await;
    let date = (JUNE + INTO_JUNE).to_string();
    let change = |price: &str, more: &[(&'static str, &'static str)]| {
        let mut form = vec![
            ("subscription".to_owned(), id.clone()),
            ("subscription_details[items][0][id]".to_owned(), item.clone()),
            ("subscription_details[items][0][price]".to_owned(), price.to_owned()),
            ("subscription_details[proration_date]".to_owned(), date.clone()),
        ];
        let named = |(name, value): &(&str, &str)| (format!("subscription_details{name}"), (*value).to_owned());
        form.extend(more.iter().map(named));
        form
    };
    for (price, more, expected) in [
        (&new, vec![], vec![7900, -1901, 5179]),
        (
            &new,
            vec![("[proration_behavior]", "always_invoice")],
            vec![-1901, 5179],
        ),
        (&new, vec![("[proration_behavior]", "none")], vec![7900]),
        (
            &year,
            vec![("[billing_cycle_anchor][type]", "now")],
            vec![29_000, -1901],
        ),
    ] {
        let form = change(price, &more);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        let preview = seller.preview(&form).await;
        assert_eq!(amounts(&preview), expected, "{more:?}");
        let prorates = expected.len() > 1;
        let dated = &preview["parent"]["subscription_details"]["subscription_proration_date"];
        assert_eq!(dated.as_i64(), prorates.then_some(JUNE + INTO_JUNE));
    }
    assert_eq!(seller.waiting().await, Vec::<i64>::new());

    // As it is previewed, it is invoiced, some minutes later.
    let form = change(&new, &[("[proration_behavior]", "always_invoice")]);
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    let preview = seller.preview(&form).await;
    seller.world.advance(300).await;
    let form = [
        ("items[0][price]", &*new),
        ("proration_behavior", "always_invoice"),
        ("proration_date", &date),
    ];
    let changed = seller.change(&subscription, &form).await;
    let invoice = seller.invoice(&changed).await;
    assert_eq!(
        (amounts(&invoice), &invoice["total"]),
        (amounts(&preview), &preview["total"])
    );
}

#[tokio::test]
async fn where_nothing_will_be_invoiced_there_is_no_preview() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, &[]).await;
    let id = text(&subscription["id"]);
    let ends = ("subscription_details[cancel_at_period_end]", "true");
    seller.nothing_upcoming(&[("subscription", &id), ends]).await;
    // Canceled now, what is unused is given back.
    world.advance(INTO_JUNE).await;
    let now = ("subscription_details[cancel_now]", "true");
    let preview = seller.preview(&[("subscription", &id), now]).await;
    assert_eq!((amounts(&preview), &preview["amount_due"]), (vec![-1901], &json!(0)));
    let form = [
        ("subscription", &*id),
        now,
        ("subscription_details[proration_behavior]", "none"),
    ];
    seller.nothing_upcoming(&form).await;

    world.call("DELETE", &format!("/v1/subscriptions/{id}"), &[]).await;
    seller.nothing_upcoming(&[("subscription", &id)]).await;
    let form = [
        ("customer", &*seller.customer),
        ("payment_behavior", "default_incomplete"),
    ];
    let mut form = form.to_vec();
    form.push(("items[0][price]", &price));
    let waits = text(&world.post("/v1/subscriptions", &form).await["id"]);
    seller.nothing_upcoming(&[("subscription", &waits)]).await;
}

#[tokio::test]
async fn what_is_not_sold_yet_is_previewed_for_nobody_or_somebody() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let (plan, product) = (seller.price(4900, "month").await, seller.product.clone());
    let mut once = Vec::new();
    for amount in ["29900", "9900"] {
        let form = [("product", &*product), ("currency", "usd"), ("unit_amount", amount)];
        once.push(text(&world.post("/v1/prices", &form).await["id"]));
    }
    let coupon = world.post("/v1/coupons", &[("percent_off", "15")]).await;
    let form = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", &*text(&coupon["id"])),
    ];
    let code = text(&world.post("/v1/promotion_codes", &form).await["id"]);
    let hash = seller.sha256().await;

    let sold = [
        ("invoice_items[0][price]", &*once[0]),
        ("invoice_items[1][price]", &*once[1]),
        ("discounts[0][promotion_code]", &*code),
    ];
    let preview = seller.preview(&sold).await;
    assert_eq!(
        (&preview["subtotal"], &preview["total"]),
        (&json!(39_800), &json!(33_830))
    );
    let mut with_plan = sold.to_vec();
    with_plan.push(("subscription_details[items][0][price]", &*plan));
    let preview = seller.preview(&with_plan).await;
    assert_eq!(amounts(&preview), [4900, 29_900, 9900]);
    assert_eq!(preview["total"], 37_995);
    with_plan.push(("preview_mode", "recurring"));
    let preview = seller.preview(&with_plan).await;
    assert_eq!((amounts(&preview), &preview["total"]), (vec![4900], &json!(4900)));

    // Where the customer is, there is tax.
    let mut taxed = vec![
        ("customer", &*seller.customer),
        ("subscription_details[items][0][price]", &*plan),
        ("automatic_tax[enabled]", "true"),
        ("customer_details[address][country]", "DE"),
    ];
    let preview = seller.preview(&taxed).await;
    assert_eq!(
        (&preview["customer"], &preview["total"]),
        (&json!(seller.customer), &json!(5831))
    );
    taxed.push(("subscription_details[trial_end]", "1780876800"));
    let preview = seller.preview(&taxed).await;
    assert_eq!((amounts(&preview), &preview["total"]), (vec![0], &json!(0)));
    assert_eq!(seller.sha256().await, hash);
}

#[tokio::test]
async fn a_preview_says_what_is_wrong_with_what_was_sent() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, &[]).await;
    let id = text(&subscription["id"]);
    let other = text(&world.post("/v1/customers", &[]).await["id"]);
    let nothing = "You must provide at least one of: `subscription`, `schedule`, `subscription_details.items`, \
        `schedule_details.phases`, `invoice_items`.";
    let refused = seller.refused(&[("customer", &seller.customer)]).await.json();
    assert_eq!(refused["error"]["message"], nothing);
    for (more, param) in [
        (("customer", &*other), "subscription"),
        (("currency", "eur"), "currency"),
        (
            ("subscription_details[items][0][price]", "price_none"),
            "subscription_details[items][0][price]",
        ),
        (("invoice_items[0][price]", "price_none"), "invoice_items[0][price]"),
        (("discounts[0][coupon]", "none"), "discounts[0][coupon]"),
        (
            ("subscription_details[proration_date]", "1700000000"),
            "subscription_details[proration_date]",
        ),
        (
            ("subscription_details[resume_at]", "now"),
            "subscription_details[resume_at]",
        ),
        (("schedule", "sub_sched_none"), "schedule"),
        (
            ("subscription_details[billing_cycle_anchor][type]", "timestamp"),
            "subscription_details[billing_cycle_anchor][type]",
        ),
    ] {
        let refused = seller.refused(&[("subscription", &id), more]).await.json();
        assert_eq!(refused["error"]["param"], param, "{refused}");
    }
    // Of a subscription that is not created yet nothing can be changed.
    let new = ("subscription_details[items][0][price]", &*price);
    for (more, param) in [
        (
            vec![new, ("subscription_details[cancel_now]", "true")],
            "subscription_details[cancel_now]",
        ),
        (
            vec![new, ("subscription_details[items][0][id]", "si_none")],
            "subscription_details[items][0][id]",
        ),
        (
            vec![
                ("invoice_items[0][amount]", "100"),
                ("subscription_details[trial_end]", "now"),
            ],
            "subscription_details",
        ),
    ] {
        let refused = seller.refused(&more).await.json();
        assert_eq!(refused["error"]["param"], param, "{refused}");
    }
}
