//! Credit notes on open and on paid invoices.

use serde_json::{Value, json};

use crate::client::{World, has_in_order, start, text};

/// A customer with a card, and their invoice of two lines, 3 × 5.00 and 2.50, after this step.
async fn invoice(world: &World, step: &str) -> Value {
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let product = text(&world.post("/v1/products", &[("name", "Pen")]).await["id"]);
    let shared = [("customer", &*customer)];
    let pens = [
        ("quantity", "3"),
        ("price_data[currency]", "usd"),
        ("price_data[unit_amount]", "500"),
        ("price_data[product]", &*product),
    ];
    for item in [&pens[..], &[("currency", "usd"), ("amount", "250")]] {
        world.post("/v1/invoiceitems", &[&shared[..], item].concat()).await;
    }
    let form = [&shared[..], &[("pending_invoice_items_behavior", "include")]].concat();
    let drafted = world.post("/v1/invoices", &form).await;
    match step {
        "" => drafted,
        step => {
            world
                .post(&format!("/v1/invoices/{}/{step}", text(&drafted["id"])), &[])
                .await
        }
    }
}

async fn again(world: &World, object: &Value) -> Value {
    let kind = text(&object["object"]);
    world.get(&format!("/v1/{kind}s/{}", text(&object["id"]))).await
}

async fn credit(world: &World, invoice: &Value, form: &[(&str, &str)]) -> Value {
    let of = [("invoice", invoice["id"].as_str().unwrap())];
    world.post("/v1/credit_notes", &[&of[..], form].concat()).await
}

/// The message of the refusal.
async fn refused(world: &World, invoice: &Value, form: &[(&str, &str)]) -> String {
    let of = [("invoice", invoice["id"].as_str().unwrap())];
    let answer = world.call("POST", "/v1/credit_notes", &[&of[..], form].concat()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    text(&answer.json()["error"]["message"])
}

/// The line of the pens, to be credited.
fn pens(invoice: &Value) -> String {
    let lines = invoice["lines"]["data"].as_array().unwrap();
    let line = lines.iter().find(|line| line["quantity"] == 3).unwrap();
    text(&line["id"])
}

async fn intent_of(world: &World, invoice: &Value) -> Value {
    let id = text(&invoice["id"]);
    let payments = world.get(&format!("/v1/invoice_payments?invoice={id}")).await;
    let intent = text(&payments["data"][0]["payment"]["payment_intent"]);
    world.get(&format!("/v1/payment_intents/{intent}")).await
}

#[tokio::test]
async fn a_note_reduces_what_an_open_invoice_asks_for_until_it_is_void() {
    let world = start().await;
    let open = invoice(&world, "finalize").await;
    let line = pens(&open);
    let form = [
        ("lines[0][type]", "invoice_line_item"),
        ("lines[0][invoice_line_item]", &*line),
        ("lines[0][quantity]", "1"),
        ("reason", "order_change"),
        ("memo", "One pen was missing"),
    ];
    let note = credit(&world, &open, &form).await;
    assert_eq!(
        (
            &note["total"],
            &note["pre_payment_amount"],
            &note["post_payment_amount"]
        ),
        (&json!(500), &json!(500), &json!(0))
    );
    assert_eq!(
        (&note["type"], &note["status"]),
        (&json!("pre_payment"), &json!("issued"))
    );
    assert_eq!(note["number"], format!("{}-CN-01", text(&open["number"])));
    assert_eq!(
        (&note["effective_at"], &note["reason"]),
        (&note["created"], &json!("order_change"))
    );
    let reduced = again(&world, &open).await;
    assert_eq!(
        (&reduced["total"], &reduced["amount_due"], &reduced["amount_remaining"]),
        (&json!(1750), &json!(1250), &json!(1250))
    );
    assert_eq!(reduced["pre_payment_credit_notes_amount"], 500);
    assert_eq!(intent_of(&world, &open).await["amount"], 1250);

    let void = format!("/v1/credit_notes/{}/void", text(&note["id"]));
    let voided = world.post(&void, &[]).await;
    assert_eq!(
        (&voided["status"], &voided["voided_at"]),
        (&json!("void"), &voided["created"])
    );
    assert_eq!(world.call("POST", &void, &[]).await.status, 400);
    let whole = again(&world, &open).await;
    assert_eq!(
        (
            &whole["amount_due"],
            &whole["amount_remaining"],
            &whole["pre_payment_credit_notes_amount"]
        ),
        (&json!(1750), &json!(1750), &json!(0))
    );
    assert_eq!(intent_of(&world, &open).await["amount"], 1750);

    let second = credit(&world, &open, &[("amount", "750")]).await;
    assert_eq!(second["number"], format!("{}-CN-02", text(&open["number"])));
    let path = format!("/v1/invoices/{}/pay", text(&open["id"]));
    assert_eq!(world.post(&path, &[]).await["amount_paid"], 1000);
    assert_eq!(intent_of(&world, &open).await["amount_received"], 1000);
    let void = format!("/v1/credit_notes/{}/void", text(&second["id"]));
    let answer = world.call("POST", &void, &[]).await;
    assert_eq!(
        answer.json()["error"]["message"],
        "You can only void a credit note if the associated invoice is open."
    );
    let story = [
        "invoice.finalized",
        "invoice.updated",
        "credit_note.created",
        "invoice.updated",
        "credit_note.voided",
        "credit_note.created",
        "invoice.paid",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");
}

#[tokio::test]
async fn an_open_invoice_that_is_credited_whole_is_paid() {
    let world = start().await;
    let open = invoice(&world, "finalize").await;
    credit(&world, &open, &[("amount", "1750")]).await;
    let paid = again(&world, &open).await;
    assert_eq!(
        (
            &paid["status"],
            &paid["amount_paid"],
            &paid["amount_due"],
            &paid["amount_remaining"]
        ),
        (&json!("paid"), &json!(0), &json!(0), &json!(0))
    );
    assert_eq!(intent_of(&world, &open).await["status"], "canceled");
    let charges = world
        .get(&format!("/v1/charges?customer={}", text(&open["customer"])))
        .await;
    assert_eq!(charges["data"], json!([]));
    let events = world.events().await;
    assert!(
        has_in_order(
            &events,
            &["payment_intent.canceled", "invoice.paid", "credit_note.created"]
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_goes_beyond_what_an_open_invoice_asks_for_is_given_back() {
    let world = start().await;
    let draft = invoice(&world, "").await;
    let customer = text(&draft["customer"]);
    let balance = format!("/v1/customers/{customer}/balance_transactions");
    world.post(&balance, &[("amount", "-300"), ("currency", "usd")]).await;
    let open = world
        .post(&format!("/v1/invoices/{}/finalize", text(&draft["id"])), &[])
        .await;
    assert_eq!(
        (&open["total"], &open["amount_due"], &open["starting_balance"]),
        (&json!(1750), &json!(1450), &json!(-300))
    );
    let message = refused(&world, &open, &[("amount", "1750")]).await;
    assert!(message.contains("post_payment_amount ($3.00)"), "{message}");
    let message = refused(&world, &open, &[("amount", "1750"), ("refund_amount", "300")]).await;
    assert_eq!(
        message,
        "No charge paid this invoice, so nothing of it can be refunded."
    );
    let note = credit(&world, &open, &[("amount", "1750"), ("credit_amount", "300")]).await;
    assert_eq!(
        (&note["type"], &note["pre_payment_amount"], &note["post_payment_amount"]),
        (&json!("mixed"), &json!(1450), &json!(300))
    );
    let paid = again(&world, &open).await;
    assert_eq!(
        (&paid["status"], &paid["amount_due"], &paid["amount_paid"]),
        (&json!("paid"), &json!(0), &json!(0))
    );
    assert_eq!(
        (
            &paid["pre_payment_credit_notes_amount"],
            &paid["post_payment_credit_notes_amount"]
        ),
        (&json!(1450), &json!(300))
    );
    assert_eq!(world.get(&format!("/v1/customers/{customer}")).await["balance"], -300);
}

#[tokio::test]
async fn what_was_paid_is_refunded_credited_to_the_balance_or_given_back_elsewhere() {
    let world = start().await;
    let paid = invoice(&world, "pay").await;
    let message = refused(&world, &paid, &[("amount", "600")]).await;
    assert_eq!(
        message,
        "The sum of refunds, credit amount, and out of band amount ($0.00) must equal the credit note \
         post_payment_amount ($6.00)."
    );
    let parts = [
        ("amount", "600"),
        ("refund_amount", "100"),
        ("credit_amount", "200"),
        ("out_of_band_amount", "300"),
    ];
    let note = credit(&world, &paid, &parts).await;
    assert_eq!(
        (&note["type"], &note["post_payment_amount"], &note["out_of_band_amount"]),
        (&json!("post_payment"), &json!(600), &json!(300))
    );
    let refund = world
        .get(&format!("/v1/refunds/{}", text(&note["refunds"][0]["refund"])))
        .await;
    assert_eq!(
        (&refund["amount"], &refund["status"]),
        (&json!(100), &json!("succeeded"))
    );
    let customer = text(&paid["customer"]);
    let credited = text(&note["customer_balance_transaction"]);
    let credited = world
        .get(&format!("/v1/customers/{customer}/balance_transactions/{credited}"))
        .await;
    assert_eq!(
        (
            &credited["amount"],
            &credited["type"],
            &credited["credit_note"],
            &credited["invoice"]
        ),
        (&json!(-200), &json!("credit_note"), &note["id"], &paid["id"])
    );
    assert_eq!(world.get(&format!("/v1/customers/{customer}")).await["balance"], -200);
    let after = again(&world, &paid).await;
    assert_eq!(
        (
            &after["status"],
            &after["amount_paid"],
            &after["post_payment_credit_notes_amount"]
        ),
        (&json!("paid"), &json!(1750), &json!(600))
    );
    let story = [
        "charge.refunded",
        "invoice.updated",
        "customer.updated",
        "credit_note.created",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");

    let message = refused(&world, &paid, &[("amount", "1151"), ("credit_amount", "1151")]).await;
    assert_eq!(
        message,
        "The credit note amount ($11.51) is greater than what is left to be credited of the invoice ($11.50)."
    );
    credit(&world, &paid, &[("amount", "1150"), ("refund_amount", "1150")]).await;
    assert_eq!(again(&world, &paid).await["post_payment_credit_notes_amount"], 1750);
}

#[tokio::test]
async fn a_refund_that_was_made_is_linked_once() {
    let world = start().await;
    let paid = invoice(&world, "pay").await;
    let intent = text(&intent_of(&world, &paid).await["id"]);
    let form = [("payment_intent", &*intent), ("amount", "400")];
    let refund = text(&world.post("/v1/refunds", &form).await["id"]);
    let linked = |amount: &'static str| [("amount", amount), ("refunds[0][refund]", &*refund)];
    let part = [&linked("300")[..], &[("refunds[0][amount_refunded]", "300")]].concat();
    let note = credit(&world, &paid, &part).await;
    assert_eq!(
        note["refunds"],
        json!([{ "amount_refunded": 300, "payment_record_refund": null, "refund": refund, "type": "refund" }])
    );
    let message = refused(&world, &paid, &linked("400")).await;
    assert!(message.contains("100 can be linked"), "{message}");
    let rest = [&linked("100")[..], &[("refunds[0][amount_refunded]", "100")]].concat();
    credit(&world, &paid, &rest).await;

    let other = [
        ("amount", "500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    let other = text(&world.post("/v1/payment_intents", &other).await["id"]);
    let other = text(&world.post("/v1/refunds", &[("payment_intent", &*other)]).await["id"]);
    let message = refused(&world, &paid, &[("amount", "500"), ("refunds[0][refund]", &*other)]).await;
    assert!(message.contains("gave nothing of the invoice back"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_credited_is_refused() {
    let world = start().await;
    let draft = invoice(&world, "").await;
    let amount = &[("amount", "100")][..];
    let message = refused(&world, &draft, amount).await;
    assert_eq!(message, "You cannot create a credit note for a draft invoice.");
    let open = world
        .post(&format!("/v1/invoices/{}/finalize", text(&draft["id"])), &[])
        .await;
    let line = pens(&open);
    let message = refused(&world, &open, &[]).await;
    assert_eq!(
        message,
        "One of `amount`, `lines`, or `shipping_cost` must be provided."
    );
    let of_line = [
        ("lines[0][type]", "invoice_line_item"),
        ("lines[0][invoice_line_item]", &*line),
    ];
    let message = refused(&world, &open, &of_line).await;
    assert_eq!(
        message,
        "`quantity` or `amount` is required when crediting an invoice line item."
    );
    for (more, part) in [
        (&[("lines[0][quantity]", "4")][..], "left to be credited"),
        (&[("lines[0][amount]", "1501")], "left to be credited"),
        (&[("lines[0][amount]", "0")], "Invalid positive integer"),
        (
            &[("lines[0][amount]", "1"), ("lines[0][quantity]", "1")],
            "only specify one",
        ),
        (&[("lines[0][amount]", "1"), ("amount", "2")], "must equal"),
        (&[("lines[0][amount]", "1"), ("credit_amount", "1")], "must equal"),
        (
            &[("lines[0][amount]", "1"), ("shipping_cost[shipping_rate]", "x")],
            "does not serve",
        ),
        (&[("lines[0][description]", "x")], "cannot be specified"),
    ] {
        let message = refused(&world, &open, &[&of_line[..], more].concat()).await;
        assert!(message.contains(part), "{more:?}: {message}");
    }
    let unknown = [
        of_line[0],
        ("lines[0][invoice_line_item]", "il_1"),
        ("lines[0][quantity]", "1"),
    ];
    assert_eq!(
        refused(&world, &open, &unknown).await,
        "No such invoice line item: 'il_1'"
    );
    world
        .post(&format!("/v1/invoices/{}/void", text(&open["id"])), &[])
        .await;
    let message = refused(&world, &open, amount).await;
    assert_eq!(message, "You cannot create a credit note for a void invoice.");
    assert_eq!(world.get("/v1/credit_notes").await["data"], json!([]));
}

#[tokio::test]
async fn a_note_takes_its_part_of_discounts_and_tax_and_leaves_exactly_the_rest() {
    let world = start().await;
    let customer = world.customer().await;
    world
        .post(&format!("/v1/customers/{customer}"), &[("address[country]", "DE")])
        .await;
    world.give_card(&customer, "visa").await;
    let coupon = text(&world.post("/v1/coupons", &[("percent_off", "20")]).await["id"]);
    let price = world.price().await;
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("items[0][quantity]", "3"),
        ("discounts[0][coupon]", &*coupon),
        ("automatic_tax[enabled]", "true"),
        ("expand[]", "latest_invoice"),
    ];
    let sold = world.post("/v1/subscriptions", &form).await;
    let paid = &sold["latest_invoice"];
    // 87.00 less 17.40, and 19 % on 69.60.
    assert_eq!(
        (&paid["total"], &paid["total_excluding_tax"]),
        (&json!(8282), &json!(6960))
    );
    let line = text(&paid["lines"]["data"][0]["id"]);
    let credit = async |quantity: &str, back: &str| {
        let form = [
            ("lines[0][type]", "invoice_line_item"),
            ("lines[0][invoice_line_item]", &*line),
            ("lines[0][quantity]", quantity),
            ("credit_amount", back),
        ];
        credit(&world, paid, &form).await
    };
    // 440.8 of tax on a third; 29.00 less 5.80.
    let first = credit("1", "2761").await;
    assert_eq!(
        (
            &first["subtotal"],
            &first["discount_amount"],
            &first["total_excluding_tax"],
            &first["total"]
        ),
        (&json!(2900), &json!(580), &json!(2320), &json!(2761))
    );
    let tax = &first["total_taxes"][0];
    assert_eq!((&tax["amount"], &tax["taxable_amount"]), (&json!(441), &json!(2320)));
    assert_eq!(
        first["discount_amounts"],
        json!([{ "amount": 580, "discount": paid["discounts"][0] }])
    );
    let rest = credit("2", "5521").await;
    assert_eq!(
        (&rest["total"], &rest["total_taxes"][0]["amount"]),
        (&json!(5521), &json!(881))
    );
    assert_eq!(world.get(&format!("/v1/customers/{customer}")).await["balance"], -8282);
}

#[tokio::test]
async fn a_note_is_previewed_listed_and_given_another_memo() {
    let world = start().await;
    let open = invoice(&world, "finalize").await;
    let id = text(&open["id"]);
    let line = pens(&open);
    let form = [
        ("invoice", &*id),
        ("lines[0][type]", "custom_line_item"),
        ("lines[0][description]", "For the delay"),
        ("lines[0][quantity]", "2"),
        ("lines[0][unit_amount]", "100"),
        ("lines[1][type]", "invoice_line_item"),
        ("lines[1][invoice_line_item]", &*line),
        ("lines[1][amount]", "50"),
    ];
    let preview = world.call("GET", "/v1/credit_notes/preview", &form).await.json();
    assert_eq!(
        (&preview["total"], &preview["pre_payment_amount"]),
        (&json!(250), &json!(250))
    );
    let lines = world.call("GET", "/v1/credit_notes/preview/lines", &form).await.json();
    assert_eq!(lines["data"], preview["lines"]["data"]);
    assert_eq!(again(&world, &open).await["amount_due"], 1750);
    let preview = text(&preview["id"]);
    assert_eq!(
        world
            .call("GET", &format!("/v1/credit_notes/{preview}"), &[])
            .await
            .status,
        404
    );

    let note = world.post("/v1/credit_notes", &form).await;
    let path = format!("/v1/credit_notes/{}", text(&note["id"]));
    let lines = world.get(&format!("{path}/lines?limit=1")).await;
    assert_eq!(
        (&lines["has_more"], &lines["data"][0]["unit_amount"]),
        (&json!(true), &json!(100))
    );
    let changed = world.post(&path, &[("memo", "Sorry"), ("metadata[a]", "b")]).await;
    assert_eq!(
        (&changed["memo"], &changed["metadata"]["a"]),
        (&json!("Sorry"), &json!("b"))
    );
    assert_eq!(world.get(&path).await, changed);
    assert_eq!(world.events().await.last().unwrap(), "credit_note.updated");
    let listed = world.get(&format!("/v1/credit_notes?invoice={id}")).await;
    assert_eq!(listed["data"], json!([changed]));
    assert_eq!(
        world.get("/v1/credit_notes?customer=cus_other").await["data"],
        json!([])
    );
}
