//! Discounts wherever something is invoiced: subscriptions bought on a page, items, invoices made by hand, changes.

use serde_json::{Value, json};

use crate::{
    client::{send, text},
    proration::{INTO_JUNE, JULY, JUNE, Seller, amounts},
};

impl Seller {
    async fn coupon(&self, terms: &[(&str, &str)]) -> String {
        text(&self.world.post("/v1/coupons", terms).await["id"])
    }

    async fn fifth_off(&self, duration: &str) -> String {
        self.coupon(&[("percent_off", "20"), ("duration", duration)]).await
    }

    async fn ten_off(&self) -> String {
        self.coupon(&[("amount_off", "1000"), ("currency", "usd"), ("duration", "forever")])
            .await
    }
}

fn off(invoice: &Value) -> Vec<i64> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines
        .map(|line| {
            let taken = line["discount_amounts"].as_array().unwrap().iter();
            taken.map(|one| one["amount"].as_i64().unwrap()).sum()
        })
        .collect()
}

#[tokio::test]
async fn a_subscription_bought_with_a_code_costs_less_for_as_long_as_its_coupon_says() {
    for (duration, second) in [("once", 2900), ("forever", 2320)] {
        let seller = Seller::new().await;
        let world = &seller.world;
        let price = seller.price(2900, "month").await;
        let customer = format!("/v1/customers/{}", seller.customer);
        world.post(&customer, &[("email", "jenny@example.com")]).await;
        let coupon = seller.fifth_off(duration).await;
        let form = [("promotion[type]", "coupon"), ("promotion[coupon]", &*coupon)];
        let code = text(&world.post("/v1/promotion_codes", &form).await["id"]);
        let form = [
            ("mode", "subscription"),
            ("customer", &*seller.customer),
            ("line_items[0][price]", &*price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://example.com/done"),
            ("discounts[0][promotion_code]", &*code),
        ];
        let session = world.post("/v1/checkout/sessions", &form).await;
        assert_eq!(
            (&session["amount_subtotal"], &session["amount_total"]),
            (&json!(2900), &json!(2320))
        );
        let paid = world.pay(&session, "4242424242424242").await;
        assert_eq!(paid.status, 303, "{}", paid.text);
        let session = world
            .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
            .await;
        assert_eq!(session["payment_status"], "paid");
        let path = format!("/v1/subscriptions/{}", text(&session["subscription"]));
        let subscription = world.get(&path).await;
        let invoice = seller.invoice(&subscription).await;
        assert_eq!((&invoice["total"], &invoice["status"]), (&json!(2320), &json!("paid")));
        let kept = usize::from(duration == "forever");
        assert_eq!(subscription["discounts"].as_array().unwrap().len(), kept);
        let coupon = world.get(&format!("/v1/coupons/{coupon}")).await;
        assert_eq!(coupon["times_redeemed"], 1);
        assert_eq!(
            world.get(&format!("/v1/promotion_codes/{code}")).await["times_redeemed"],
            1
        );
        world.advance(JULY - JUNE + 7200).await;
        let renewed = world.get(&path).await;
        assert_eq!(seller.invoice(&renewed).await["total"], second, "{duration}");
    }
}

#[tokio::test]
async fn invoices_made_by_hand_and_what_is_on_them_are_discounted() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let (fifth, ten) = (seller.fifth_off("once").await, seller.ten_off().await);
    let customer = ("customer", &*seller.customer);
    let usd = ("currency", "usd");
    let form = [customer, usd, ("amount", "5000"), ("discounts[0][coupon]", &*fifth)];
    let item = world.post("/v1/invoiceitems", &form).await;
    world
        .post("/v1/invoiceitems", &[customer, usd, ("amount", "3000")])
        .await;
    let form = [
        customer,
        ("pending_invoice_items_behavior", "include"),
        ("discounts[0][coupon]", &*ten),
    ];
    let invoice = world.post("/v1/invoices", &form).await;
    // A fifth off the first, then ten off both in proportion to what is left.
    assert_eq!((amounts(&invoice), off(&invoice)), (vec![5000, 3000], vec![1571, 429]));
    assert_eq!((&invoice["subtotal"], &invoice["total"]), (&json!(8000), &json!(6000)));
    let path = format!("/v1/invoices/{}", text(&invoice["id"]));
    let expanded = world.get(&format!("{path}?expand[]=discounts")).await;
    assert_eq!(expanded["discounts"][0]["invoice"], invoice["id"]);
    assert_eq!(expanded["discounts"][0]["source"]["coupon"], ten);

    let bare = world.post(&path, &[("discounts", "")]).await;
    assert_eq!((&bare["total"], &bare["discounts"]), (&json!(7000), &json!([])));
    let own = format!("/v1/invoiceitems/{}", text(&item["id"]));
    world.post(&own, &[("discounts", "")]).await;
    assert_eq!(world.get(&path).await["total"], 8000);
    let again = world.post(&path, &[("discounts[0][coupon]", &*fifth)]).await;
    assert_eq!(again["total"], 6400);
    world.post(&format!("{path}/finalize"), &[]).await;
    let late = world.call("POST", &path, &[("discounts", "")]).await;
    assert_eq!(
        (late.status, &late.json()["error"]["code"]),
        (400, &json!("invoice_not_editable"))
    );

    let form = [
        ("invoice_items[0][amount]", "1000"),
        ("invoice_items[0][currency]", "usd"),
        ("invoice_items[0][discounts][0][coupon]", &*fifth),
    ];
    let preview = world.post("/v1/invoices/create_preview", &form).await;
    assert_eq!(preview["total"], 800);
}

#[tokio::test]
async fn an_item_has_a_discount_of_its_own() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let (base, seats) = (seller.price(2900, "month").await, seller.price(1000, "month").await);
    let fifth = seller.fifth_off("forever").await;
    let form = [
        ("items[1][price]", &*seats),
        ("items[1][discounts][0][coupon]", &*fifth),
        ("add_invoice_items[0][price_data][currency]", "usd"),
        ("add_invoice_items[0][price_data][product]", &*seller.product),
        ("add_invoice_items[0][price_data][unit_amount]", "500"),
        ("add_invoice_items[0][discounts][0][coupon]", &*fifth),
    ];
    let subscription = seller.subscribe(&base, &form).await;
    let invoice = seller.invoice(&subscription).await;
    assert_eq!(
        (amounts(&invoice), off(&invoice)),
        (vec![2900, 1000, 500], vec![0, 200, 100])
    );
    assert_eq!(subscription["discounts"], json!([]));
    let item = &subscription["items"]["data"][1];
    let discount = text(&item["discounts"][0]);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let expanded = world.get(&format!("{path}?expand[]=items.data.discounts")).await;
    let expanded = &expanded["items"]["data"][1]["discounts"][0];
    assert_eq!(
        (&expanded["id"], &expanded["subscription_item"]),
        (&json!(discount), &item["id"])
    );

    // Another seat costs a fifth less too, and the discount goes when it is cleared.
    world.advance(INTO_JUNE).await;
    let path = format!("/v1/subscription_items/{}", text(&item["id"]));
    world.post(&path, &[("quantity", "2")]).await;
    assert_eq!(seller.waiting().await, [-524, 1049]);
    let cleared = world.post(&path, &[("discounts", "")]).await;
    assert_eq!(cleared["discounts"], json!([]));
    assert_eq!(seller.waiting().await, [-524, 1049], "that alone prorates nothing");
    let refused = world
        .call("POST", &path, &[("discounts[0][coupon]", "none")])
        .await
        .json();
    assert_eq!(refused["error"]["param"], "discounts[0][coupon]");
}

#[tokio::test]
async fn an_amount_off_is_in_what_a_change_costs() {
    for (mode, credit, debit) in [
        // 29.00 less 10.00 was paid; 79.00 less 10.00 is to be.
        ("flexible", -1246, 4523),
        ("classic", -1246, 4523),
    ] {
        let seller = Seller::new().await;
        let (old, new) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let ten = seller.ten_off().await;
        let form = [("billing_mode[type]", mode), ("discounts[0][coupon]", &*ten)];
        let subscription = seller.subscribe(&old, &form).await;
        assert_eq!(seller.invoice(&subscription).await["total"], 1900);
        seller.world.advance(INTO_JUNE).await;
        seller.change(&subscription, &[("items[0][price]", &new)]).await;
        assert_eq!(seller.waiting().await, [credit, debit], "{mode}");
    }
    // Of two items each bears its share: by what they cost, or in classic mode the half.
    for (mode, credit, debit) in [("flexible", -1475, 3371), ("classic", -1639, 3606)] {
        let seller = Seller::new().await;
        let (one, other) = (seller.price(3000, "month").await, seller.price(1000, "month").await);
        let ten = seller.ten_off().await;
        let form = [
            ("items[0][quantity]", "1"),
            ("items[1][price]", &*other),
            ("billing_mode[type]", mode),
            ("discounts[0][coupon]", &*ten),
        ];
        let subscription = seller.subscribe(&one, &form).await;
        assert_eq!(seller.invoice(&subscription).await["total"], 3000);
        seller.world.advance(INTO_JUNE).await;
        seller.change(&subscription, &[("items[0][quantity]", "2")]).await;
        assert_eq!(seller.waiting().await, [credit, debit], "{mode}");
    }
}

#[tokio::test]
async fn a_payer_types_a_promotion_code() {
    let seller = Seller::new().await;
    let world = &seller.world;
    let customer = format!("/v1/customers/{}", seller.customer);
    world.post(&customer, &[("email", "jenny@example.com")]).await;
    let price = seller.price(2900, "month").await;
    let ten = seller.ten_off().await;
    let form = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", &*ten),
        ("code", "WELCOME"),
    ];
    let code = text(&world.post("/v1/promotion_codes", &form).await["id"]);
    let form = [
        ("mode", "subscription"),
        ("customer", &*seller.customer),
        ("line_items[0][price]", &*price),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://example.com/done"),
    ];
    let type_code = async |session: &Value, code: &str| {
        let form = [("promotion_code", code)];
        send(world.http.post(text(&session["url"])).form(&form)).await
    };
    let closed = world.post("/v1/checkout/sessions", &form).await;
    assert_eq!(type_code(&closed, "WELCOME").await.status, 400);

    let mut form = form.to_vec();
    form.push(("allow_promotion_codes", "true"));
    let session = world.post("/v1/checkout/sessions", &form).await;
    // An attempt that is declined has an intent already, for all of it.
    assert_eq!(world.pay(&session, "4000000000000002").await.status, 402);
    let wrong = type_code(&session, "NOTHING").await;
    assert!(
        wrong.status == 400 && wrong.text.contains("This code is invalid."),
        "{}",
        wrong.text
    );
    let taken = type_code(&session, "welcome").await;
    assert!(
        taken.status == 200 && taken.text.contains("19.00 usd"),
        "{}",
        taken.text
    );
    let path = format!("/v1/checkout/sessions/{}", text(&session["id"]));
    let discounted = world.get(&path).await;
    assert_eq!(
        (
            &discounted["amount_total"],
            &discounted["total_details"]["amount_discount"]
        ),
        (&json!(1900), &json!(1000))
    );
    assert_eq!(
        discounted["discounts"],
        json!([{ "coupon": null, "promotion_code": code }])
    );
    assert_eq!(world.get(&format!("/v1/coupons/{ten}")).await["times_redeemed"], 0);
    assert_eq!(world.pay(&session, "4242424242424242").await.status, 303);
    let paid = world
        .get(&format!("{path}?expand[]=invoice&expand[]=subscription"))
        .await;
    assert_eq!(
        (&paid["invoice"]["total"], &paid["invoice"]["status"]),
        (&json!(1900), &json!("paid"))
    );
    assert_eq!(paid["subscription"]["discounts"].as_array().unwrap().len(), 1);
    let charge = &world.get("/v1/charges").await["data"][0];
    assert_eq!(
        (&charge["amount"], &charge["status"]),
        (&json!(1900), &json!("succeeded"))
    );
    assert_eq!(
        world.get(&format!("/v1/promotion_codes/{code}")).await["times_redeemed"],
        1
    );

    // With nothing left to pay, what was begun is given up.
    let all = seller.coupon(&[("percent_off", "100"), ("duration", "once")]).await;
    let free = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", &*all),
        ("code", "FREE"),
    ];
    world.post("/v1/promotion_codes", &free).await;
    let session = world.post("/v1/checkout/sessions", &form).await;
    assert_eq!(world.pay(&session, "4000000000000002").await.status, 402);
    assert_eq!(type_code(&session, "FREE").await.status, 200);
    let intent = &world.get("/v1/payment_intents").await["data"][0];
    assert_eq!(intent["status"], "canceled");
    assert_eq!(world.pay(&session, "4242424242424242").await.status, 303);
    let paid = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    assert_eq!(paid["payment_status"], "no_payment_required");
}

#[tokio::test]
async fn a_discount_begins_with_a_subscription_that_began_earlier() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = [
        ("percent_off", "50"),
        ("duration", "repeating"),
        ("duration_in_months", "2"),
    ];
    let coupon = seller.coupon(&form).await;
    seller.world.advance(INTO_JUNE).await;
    let april = (JUNE - 61 * 86_400).to_string();
    let form = [("backdate_start_date", &*april), ("discounts[0][coupon]", &*coupon)];
    let subscription = seller.subscribe(&price, &form).await;
    let invoice = seller.invoice(&subscription).await;
    // April and May are its own, June is not.
    assert_eq!((amounts(&invoice), off(&invoice)), (vec![2900; 3], vec![1450, 1450, 0]));
    seller.world.advance(JULY - JUNE - INTO_JUNE).await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let renewed = seller.world.get(&path).await;
    assert_eq!(seller.invoice(&renewed).await["total"], 2900);
    assert_eq!(renewed["discounts"], json!([]));
}
