//! Invoices that are paid in parts, by payment intents that are attached to them.

use serde_json::{Value, json};

use crate::client::{Answer, DAY, World, send, start, text};

struct Seller {
    world: World,
    customer: String,
}

fn fields(form: &str) -> Vec<(&str, &str)> {
    form.split('&').filter_map(|field| field.split_once('=')).collect()
}

fn path(invoice: &Value, step: &str) -> String {
    format!("/v1/invoices/{}{step}", text(&invoice["id"]))
}

/// What was paid of an invoice, what remains, what was too much, and its status.
fn state(invoice: &Value) -> (i64, i64, i64, String) {
    let amount = |name: &str| invoice[name].as_i64().unwrap();
    (
        amount("amount_paid"),
        amount("amount_remaining"),
        amount("amount_overpaid"),
        text(&invoice["status"]),
    )
}

impl Seller {
    async fn new() -> Self {
        let world = start().await;
        let customer = text(&world.post("/v1/customers", &[("email", "jenny@example.com")]).await["id"]);
        world.give_card(&customer, "visa").await;
        Self { world, customer }
    }

    async fn post(&self, path: &str, form: &str) -> Value {
        self.world.post(path, &fields(form)).await
    }

    async fn refused(&self, path: &str, form: &str) -> Value {
        let Answer { status, text, .. } = self.world.call("POST", path, &fields(form)).await;
        assert_eq!(status, 400, "{path} {form}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["error"].clone()
    }

    /// An open invoice by hand.
    async fn invoice(&self, amount: i64) -> Value {
        let customer = &self.customer;
        let item = format!("customer={customer}&currency=usd&amount={amount}");
        self.post("/v1/invoiceitems", &item).await;
        let form = format!("customer={customer}&pending_invoice_items_behavior=include");
        let draft = self.post("/v1/invoices", &form).await;
        self.post(&path(&draft, "/finalize"), "auto_advance=false").await
    }

    /// A payment intent that is not paid yet.
    async fn intent(&self, amount: i64) -> String {
        let form = format!(
            "customer={}&currency=usd&amount={amount}&payment_method=pm_card_visa",
            self.customer
        );
        text(&self.post("/v1/payment_intents", &form).await["id"])
    }

    async fn confirm(&self, intent: &str) {
        let form = "return_url=https://example.com/done";
        self.post(&format!("/v1/payment_intents/{intent}/confirm"), form).await;
    }

    async fn attach(&self, invoice: &Value, intent: &str) -> Value {
        let form = format!("payment_intent={intent}");
        self.post(&path(invoice, "/attach_payment"), &form).await
    }

    async fn again(&self, invoice: &Value) -> Value {
        self.world.get(&path(invoice, "?expand[]=payments")).await
    }

    /// What was requested and paid with each payment of an invoice, its status and whether it is the default, oldest first.
    async fn payments(&self, invoice: &Value) -> Vec<(Value, Value, String, bool)> {
        let list = self
            .world
            .get(&format!("/v1/invoice_payments?invoice={}", text(&invoice["id"])))
            .await;
        let all = list["data"].as_array().unwrap().iter().rev();
        all.map(|one| {
            (
                one["amount_requested"].clone(),
                one["amount_paid"].clone(),
                text(&one["status"]),
                one["is_default"].as_bool().unwrap(),
            )
        })
        .collect()
    }

    async fn events_since(&self, before: usize) -> Vec<String> {
        self.world.events().await.split_off(before)
    }
}

fn is(requested: i64, paid: Option<i64>, status: &str, is_default: bool) -> (Value, Value, String, bool) {
    (json!(requested), json!(paid), status.to_owned(), is_default)
}

#[tokio::test]
async fn an_invoice_is_paid_in_parts() {
    let seller = Seller::new().await;
    let invoice = seller.invoice(10_000).await;
    let first = seller.intent(3000).await;
    let before = seller.world.events().await.len();
    let attached = seller.attach(&invoice, &first).await;
    assert_eq!(state(&attached), (0, 10_000, 0, "open".to_owned()));
    assert_eq!(seller.events_since(before).await, Vec::<String>::new());
    assert_eq!(
        seller.payments(&invoice).await,
        [is(10_000, None, "open", true), is(3000, None, "open", false)]
    );
    seller.confirm(&first).await;
    let part = seller.again(&invoice).await;
    assert_eq!(state(&part), (3000, 7000, 0, "open".to_owned()));
    assert_eq!(
        seller.events_since(before).await,
        [
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice.updated",
            "invoice_payment.paid"
        ]
    );
    assert_eq!(
        seller.payments(&invoice).await,
        [is(7000, None, "open", true), is(3000, Some(3000), "paid", false)]
    );
    let default = text(&part["payments"]["data"][1]["payment"]["payment_intent"]);
    let default = seller.world.get(&format!("/v1/payment_intents/{default}")).await;
    assert_eq!(default["amount"], 7000, "it asks for what remains");

    // One that has succeeded is credited as it is attached; the page takes what remains then.
    let second = seller.intent(2500).await;
    seller.confirm(&second).await;
    let part = seller.attach(&invoice, &second).await;
    assert_eq!(state(&part), (5500, 4500, 0, "open".to_owned()));
    let page = text(&part["hosted_invoice_url"]);
    let paid = send(
        seller
            .world
            .http
            .post(page)
            .form(&[("card_number", "4242424242424242")]),
    )
    .await;
    assert_eq!(paid.status, 303, "{}", paid.text);
    let paid = seller.again(&invoice).await;
    assert_eq!(state(&paid), (10_000, 0, 0, "paid".to_owned()));
    assert_eq!(
        seller.payments(&invoice).await,
        [
            is(4500, Some(4500), "paid", true),
            is(3000, Some(3000), "paid", false),
            is(2500, Some(2500), "paid", false)
        ]
    );
}

#[tokio::test]
async fn the_last_part_makes_an_invoice_paid() {
    let seller = Seller::new().await;
    let invoice = seller.invoice(2000).await;
    let intents = [seller.intent(500).await, seller.intent(1500).await];
    for intent in &intents {
        seller.attach(&invoice, intent).await;
        seller.confirm(intent).await;
    }
    let paid = seller.again(&invoice).await;
    assert_eq!(state(&paid), (2000, 0, 0, "paid".to_owned()));
    let events = seller.world.events().await;
    assert_eq!(
        events.split_at(events.len() - 7).1,
        [
            "charge.succeeded",
            "payment_intent.succeeded",
            "payment_intent.canceled",
            "invoice.updated",
            "invoice_payment.paid",
            "invoice.paid",
            "invoice.payment_succeeded"
        ]
    );
    // Its own payment is not needed any more.
    assert_eq!(
        seller.payments(&invoice).await,
        [
            is(1500, None, "canceled", true),
            is(500, Some(500), "paid", false),
            is(1500, Some(1500), "paid", false)
        ]
    );
    let by_intent = format!(
        "/v1/invoice_payments?payment[type]=payment_intent&payment[payment_intent]={}",
        intents[0]
    );
    let found = seller.world.get(&by_intent).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["invoice"], invoice["id"]);
    let open = format!("/v1/invoice_payments?invoice={}&status=open", text(&invoice["id"]));
    assert_eq!(seller.world.get(&open).await["data"], json!([]));
}

#[tokio::test]
async fn what_is_paid_too_much_is_the_customers() {
    let seller = Seller::new().await;
    let invoice = seller.invoice(10_000).await;
    let intents = [
        seller.intent(6000).await,
        seller.intent(6000).await,
        seller.intent(700).await,
    ];
    for intent in &intents {
        seller.attach(&invoice, intent).await;
    }
    seller.confirm(&intents[0]).await;
    let before = seller.world.events().await.len();
    seller.confirm(&intents[1]).await;
    assert_eq!(
        state(&seller.again(&invoice).await),
        (10_000, 0, 2000, "paid".to_owned())
    );
    let story = [
        "charge.succeeded",
        "payment_intent.succeeded",
        "payment_intent.canceled",
        "invoice.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.overpaid",
        "customer.updated",
    ];
    assert_eq!(seller.events_since(before).await, story);
    // What is paid of it after that is all too much.
    seller.confirm(&intents[2]).await;
    assert_eq!(
        state(&seller.again(&invoice).await),
        (10_000, 0, 2700, "paid".to_owned())
    );
    let customer = format!("/v1/customers/{}", seller.customer);
    assert_eq!(seller.world.get(&customer).await["balance"], -2700);
    let moves = seller.world.get(&format!("{customer}/balance_transactions")).await;
    let last = &moves["data"][0];
    assert_eq!(
        (&last["type"], &last["amount"], &last["invoice"]),
        (&json!("invoice_overpaid"), &json!(-700), &invoice["id"])
    );
}

#[tokio::test]
async fn one_payment_pays_several_invoices_while_it_lasts() {
    let seller = Seller::new().await;
    let invoices = [seller.invoice(1000).await, seller.invoice(1500).await];
    let intent = seller.intent(900).await;
    for invoice in &invoices {
        seller.attach(invoice, &intent).await;
    }
    let captured = format!("/v1/payment_intents/{intent}");
    seller.post(&captured, "capture_method=manual&amount=1000").await;
    seller.confirm(&intent).await;
    assert_eq!(seller.payments(&invoices[0]).await[1], is(1000, None, "open", false));
    seller
        .post(&format!("{captured}/capture"), "amount_to_capture=800")
        .await;
    assert_eq!(
        seller.payments(&invoices[0]).await[1],
        is(1000, Some(800), "paid", false),
        "less than was requested"
    );
    assert_eq!(seller.payments(&invoices[1]).await[1], is(1000, None, "open", false));
    assert_eq!(state(&seller.again(&invoices[0]).await).1, 200);
}

#[tokio::test]
async fn what_was_paid_before_is_kept_in_sight() {
    let seller = Seller::new().await;
    // Out of band: what was left.
    let invoice = seller.invoice(2000).await;
    let intent = seller.intent(500).await;
    seller.attach(&invoice, &intent).await;
    seller.confirm(&intent).await;
    let paid = seller.post(&path(&invoice, "/pay"), "paid_out_of_band=true").await;
    assert_eq!(state(&paid), (2000, 0, 0, "paid".to_owned()));
    assert_eq!(paid["amount_paid_off_stripe"], 1500);
    // A credit note takes off what remains, and gives back of what was paid.
    let invoice = seller.invoice(2000).await;
    let intents = [seller.intent(600).await, seller.intent(500).await];
    for intent in &intents {
        seller.attach(&invoice, intent).await;
        seller.confirm(intent).await;
    }
    let line = text(&invoice["lines"]["data"][0]["id"]);
    let form = format!(
        "invoice={}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]=1800\
         &refund_amount=900",
        text(&invoice["id"])
    );
    let note = seller.post("/v1/credit_notes", &form).await;
    assert_eq!(
        (&note["type"], &note["pre_payment_amount"], &note["post_payment_amount"]),
        (&json!("mixed"), &json!(900), &json!(900))
    );
    let refunds = note["refunds"].as_array().unwrap().iter();
    let amounts: Vec<&Value> = refunds.map(|one| &one["amount_refunded"]).collect();
    assert_eq!(amounts, [500, 400], "the latest payment first");
    assert_eq!(state(&seller.again(&invoice).await), (1100, 0, 0, "paid".to_owned()));
}

#[tokio::test]
async fn an_invoice_of_a_subscription_is_paid_in_parts_where_it_is_sent() {
    let seller = Seller::new().await;
    let price = seller.world.price().await;
    let form = format!(
        "customer={}&items[0][price]={price}&collection_method=send_invoice&days_until_due=3",
        seller.customer
    );
    let subscription = seller.post("/v1/subscriptions", &form).await;
    let draft = json!({ "id": subscription["latest_invoice"] });
    let invoice = seller.post(&path(&draft, "/finalize"), "").await;
    let due = invoice["amount_due"].as_i64().unwrap();
    let part = seller.intent(due - 100).await;
    seller.attach(&invoice, &part).await;
    seller.confirm(&part).await;
    seller.world.advance(4 * DAY).await;
    let own = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    assert_eq!(seller.world.get(&own).await["status"], "past_due", "a part is not all");
    let rest = seller.intent(100).await;
    seller.attach(&invoice, &rest).await;
    seller.confirm(&rest).await;
    assert_eq!(seller.world.get(&own).await["status"], "active");

    let charged = format!(
        "customer={}&items[0][price]={price}&payment_behavior=default_incomplete",
        seller.customer
    );
    let subscription = seller.post("/v1/subscriptions", &charged).await;
    let invoice = json!({ "id": subscription["latest_invoice"] });
    let part = seller.intent(100).await;
    let form = format!("payment_intent={part}");
    let error = seller.refused(&path(&invoice, "/attach_payment"), &form).await;
    assert_eq!(error["param"], "payment_intent");
    let whole = seller.intent(due).await;
    seller.confirm(&whole).await;
    seller.attach(&invoice, &whole).await;
    let own = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    assert_eq!(seller.world.get(&own).await["status"], "active");
}

#[tokio::test]
async fn what_does_not_fit_is_not_attached() {
    let seller = Seller::new().await;
    let invoice = seller.invoice(1000).await;
    let attach = path(&invoice, "/attach_payment");
    let other = text(&seller.post("/v1/customers", "name=Other").await["id"]);
    let own = text(&seller.again(&invoice).await["payments"]["data"][0]["payment"]["payment_intent"]);
    let canceled = seller.intent(100).await;
    seller.post(&format!("/v1/payment_intents/{canceled}/cancel"), "").await;
    let attached = seller.intent(100).await;
    seller.attach(&invoice, &attached).await;
    let spent = seller.intent(500).await;
    seller.confirm(&spent).await;
    seller.attach(&seller.invoice(500).await, &spent).await;
    let of_other = format!("amount=100&currency=usd&customer={other}");
    let euros = format!("amount=100&currency=eur&customer={}", seller.customer);
    let made = [
        text(&seller.post("/v1/payment_intents", &of_other).await["id"]),
        text(&seller.post("/v1/payment_intents", &euros).await["id"]),
        text(&seller.post("/v1/payment_intents", "amount=100&currency=usd").await["id"]),
        seller.intent(1001).await,
    ];
    for intent in made.iter().chain([&own, &canceled, &attached, &spent]) {
        let error = seller.refused(&attach, &format!("payment_intent={intent}")).await;
        assert_eq!(error["param"], "payment_intent", "{error}");
    }
    assert_eq!(seller.refused(&attach, "").await["code"], "parameter_missing");
    assert_eq!(
        seller.refused(&attach, "payment_record=pr_1").await["code"],
        "sandbox_unsupported_parameter"
    );
    // Of one that is attached the amount is changed, and with it what is requested.
    let path_of = format!("/v1/payment_intents/{attached}");
    seller.post(&path_of, "amount=250").await;
    assert_eq!(seller.payments(&invoice).await[1], is(250, None, "open", false));
    let error = seller.refused(&path_of, &format!("customer={other}")).await;
    assert_eq!(error["param"], "customer");

    for step in ["/void", "/mark_uncollectible"] {
        let error = seller.refused(&path(&invoice, step), "").await;
        assert_eq!(error["code"], "invoice_not_editable", "{step}");
    }
    seller.post(&format!("{path_of}/cancel"), "").await;
    assert_eq!(seller.payments(&invoice).await[1], is(250, None, "canceled", false));
    let again = seller.intent(100).await;
    seller.attach(&invoice, &again).await;
    seller.confirm(&again).await;
    seller.post(&path(&invoice, "/mark_uncollectible"), "").await;
    assert_eq!(
        seller.refused(&path(&invoice, "/void"), "").await["code"],
        "invoice_not_editable"
    );
    // One that was written off is paid all the same.
    let rest = seller.intent(900).await;
    seller.attach(&invoice, &rest).await;
    seller.confirm(&rest).await;
    assert_eq!(state(&seller.again(&invoice).await), (1000, 0, 0, "paid".to_owned()));
    let late = seller.intent(100).await;
    let error = seller.refused(&attach, &format!("payment_intent={late}")).await;
    assert!(text(&error["message"]).ends_with("This invoice is paid."), "{error}");
}
