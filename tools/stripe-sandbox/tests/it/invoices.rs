//! Invoices made by hand.

use serde_json::{Value, json};

use crate::client::{DAY, World, has_in_order, start, text};

async fn customer(world: &World) -> String {
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    customer
}

async fn drafted(world: &World, customer: &str, amount: i64) -> Value {
    let form = [
        ("customer", customer),
        ("currency", "usd"),
        ("amount", &*amount.to_string()),
    ];
    world.post("/v1/invoiceitems", &form).await;
    let form = [("customer", customer), ("pending_invoice_items_behavior", "include")];
    world.post("/v1/invoices", &form).await
}

fn path(invoice: &Value, step: &str) -> String {
    format!("/v1/invoices/{}{step}", text(&invoice["id"]))
}

#[tokio::test]
async fn an_invoice_is_drafted_finalized_and_paid() {
    let world = start().await;
    let customer = customer(&world).await;
    let invoice = drafted(&world, &customer, 1500).await;
    assert_eq!(
        (&invoice["status"], &invoice["total"], &invoice["billing_reason"]),
        (&json!("draft"), &json!(1500), &json!("manual"))
    );
    let form = [
        ("customer", &*customer),
        ("invoice", &*text(&invoice["id"])),
        ("currency", "usd"),
        ("amount", "500"),
    ];
    let item = world.post("/v1/invoiceitems", &form).await;
    assert_eq!(world.get(&path(&invoice, "")).await["total"], 2000);
    let more = format!("/v1/invoiceitems/{}", text(&item["id"]));
    world.post(&more, &[("amount", "700")]).await;
    assert_eq!(world.get(&path(&invoice, "")).await["total"], 2200);
    assert_eq!(world.call("DELETE", &more, &[]).await.status, 200);
    assert_eq!(world.get(&path(&invoice, "")).await["total"], 1500);

    let open = world.post(&path(&invoice, "/finalize"), &[]).await;
    assert_eq!((&open["status"], &open["amount_due"]), (&json!("open"), &json!(1500)));
    let again = world.call("POST", &path(&invoice, "/finalize"), &[]).await;
    assert_eq!(
        (again.status, &again.json()["error"]["code"]),
        (400, &json!("invoice_not_editable"))
    );
    let paid = world.post(&path(&invoice, "/pay"), &[]).await;
    assert_eq!((&paid["status"], &paid["amount_paid"]), (&json!("paid"), &json!(1500)));
    let again = world.call("POST", &path(&invoice, "/pay"), &[]).await;
    assert_eq!(
        (again.status, &again.json()["error"]["code"]),
        (400, &json!("invoice_already_paid"))
    );
    let story = [
        "invoiceitem.created",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "invoice.paid",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");
}

#[tokio::test]
async fn an_invoice_is_voided_written_off_or_paid_elsewhere() {
    let world = start().await;
    let customer = customer(&world).await;
    for (step, status, form) in [
        ("/void", "void", &[][..]),
        ("/mark_uncollectible", "uncollectible", &[]),
        ("/pay", "paid", &[("paid_out_of_band", "true")]),
    ] {
        let invoice = drafted(&world, &customer, 1500).await;
        if step != "/pay" {
            assert_eq!(
                world.call("POST", &path(&invoice, step), form).await.status,
                400,
                "a draft"
            );
        }
        world.post(&path(&invoice, "/finalize"), &[]).await;
        assert_eq!(world.post(&path(&invoice, step), form).await["status"], status);
        let charges = world.get(&format!("/v1/charges?customer={customer}")).await;
        assert_eq!(charges["data"], json!([]));
    }
}

#[tokio::test]
async fn a_deleted_draft_gives_its_items_back() {
    let world = start().await;
    let customer = customer(&world).await;
    let invoice = drafted(&world, &customer, 1500).await;
    let waiting = format!("/v1/invoiceitems?customer={customer}&pending=true");
    assert_eq!(world.get(&waiting).await["data"], json!([]));
    assert_eq!(world.call("DELETE", &path(&invoice, ""), &[]).await.status, 200);
    assert_eq!(world.get(&waiting).await["data"][0]["amount"], 1500);
    assert_eq!(world.call("GET", &path(&invoice, ""), &[]).await.status, 404);
}

#[tokio::test]
async fn what_advances_by_itself_is_finalized_after_an_hour_and_collected() {
    let world = start().await;
    let customer = customer(&world).await;
    let form = [("customer", &*customer), ("currency", "usd"), ("amount", "900")];
    world.post("/v1/invoiceitems", &form).await;
    let form = [
        ("customer", &*customer),
        ("pending_invoice_items_behavior", "include"),
        ("auto_advance", "true"),
    ];
    let invoice = world.post("/v1/invoices", &form).await;
    world.advance(3599).await;
    assert_eq!(world.get(&path(&invoice, "")).await["status"], "draft");
    world.advance(1).await;
    assert_eq!(world.get(&path(&invoice, "")).await["status"], "paid");

    let form = [("customer", &*customer), ("collection_method", "send_invoice")];
    let answer = world.call("POST", "/v1/invoices", &form).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("days_until_due"))
    );
    let form = [&form[..], &[("days_until_due", "14")]].concat();
    let sent = world.post("/v1/invoices", &form).await;
    assert_eq!(sent["due_date"], sent["created"].as_i64().unwrap() + 14 * DAY);
}

#[tokio::test]
async fn a_void_invoice_gives_the_balance_back_what_it_bore() {
    let world = start().await;
    let customer = customer(&world).await;
    let balance = format!("/v1/customers/{customer}/balance_transactions");
    // (what the balance changes by first, what is invoiced, what is due of it)
    for (before, amount, due) in [(-1000, 1500, 500), (0, 2500, 1500), (1200, 1500, 1700)] {
        if before != 0 {
            let form = [("amount", &*before.to_string()), ("currency", "usd")];
            world.post(&balance, &form).await;
        }
        let present = world.get(&format!("/v1/customers/{customer}")).await["balance"].clone();
        let invoice = drafted(&world, &customer, amount).await;
        let open = world.post(&path(&invoice, "/finalize"), &[]).await;
        assert_eq!(open["amount_due"], due, "{open}");
        let between = world.get(&format!("/v1/customers/{customer}")).await;
        assert_eq!(between["balance"], 0);
        world.post(&path(&invoice, "/void"), &[]).await;
        let after = world.get(&format!("/v1/customers/{customer}")).await;
        assert_eq!(after["balance"], present);
        let newest = world.get(&balance).await["data"][0].clone();
        assert_eq!(
            [&newest["type"], &newest["invoice"], &newest["amount"]],
            [&json!("unapplied_from_invoice"), &invoice["id"], &present]
        );
    }
}

#[tokio::test]
async fn an_invoice_that_is_taxed_where_nobody_knows_stays_a_draft() {
    let world = start().await;
    let customer = customer(&world).await;
    let at = format!("/v1/customers/{customer}");
    let located = [("address[country]", "DE"), ("address[postal_code]", "10117")];
    world.post(&at, &located).await;
    let price = world.price().await;
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("automatic_tax[enabled]", "true"),
    ];
    let subscription = world.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["status"], "active");
    world.post(&at, &[("address", "")]).await;
    let refused = world.call("POST", "/v1/subscriptions", &form).await;
    assert_eq!(refused.json()["error"]["code"], "customer_tax_location_invalid");

    world.advance(31 * DAY + 3600).await;
    let latest = async || {
        let now = world
            .get(&format!("/v1/subscriptions/{}", text(&subscription["id"])))
            .await;
        world
            .get(&format!("/v1/invoices/{}", text(&now["latest_invoice"])))
            .await
    };
    let failed = latest().await;
    assert_eq!(
        [
            &failed["status"],
            &failed["automatically_finalizes_at"],
            &failed["automatic_tax"]["status"],
            &failed["last_finalization_error"]["code"],
        ],
        [
            &json!("draft"),
            &Value::Null,
            &json!("requires_location_inputs"),
            &json!("customer_tax_location_invalid"),
        ]
    );
    for step in ["/finalize", "/pay"] {
        let refused = world.call("POST", &path(&failed, step), &[]).await;
        assert_eq!(refused.json()["error"]["code"], "customer_tax_location_invalid");
    }
    let events = world.events().await;
    let told = events.iter().filter(|event| *event == "invoice.finalization_failed");
    assert_eq!(told.count(), 3);

    world.post(&at, &located).await;
    let paid = world.post(&path(&failed, "/pay"), &[]).await;
    // 29.00 and 19 % of it.
    assert_eq!(
        [&paid["status"], &paid["amount_paid"], &paid["last_finalization_error"]],
        [&json!("paid"), &json!(3451), &Value::Null]
    );
    assert_eq!(latest().await["automatic_tax"]["status"], "complete");
}

#[tokio::test]
async fn what_is_too_little_to_be_charged_is_owed() {
    for (balance, amount, due, moved) in [
        (0, 49, 0, vec![("invoice_too_small", 49)]),
        (0, 50, 50, vec![]),
        // Of a credit nothing is left, of a debt it becomes more.
        (
            -100,
            130,
            0,
            vec![("applied_to_invoice", 100), ("invoice_too_small", 30)],
        ),
        (20, 10, 0, vec![("invoice_too_small", 10)]),
        (20, 30, 50, vec![("applied_to_invoice", -20)]),
    ] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let path = format!("/v1/customers/{customer}");
        let transactions = format!("{path}/balance_transactions");
        if balance != 0 {
            let form = [("amount", &*balance.to_string()), ("currency", "usd")];
            world.post(&transactions, &form).await;
        }
        let amount = amount.to_string();
        let form = [("customer", &*customer), ("amount", &amount), ("currency", "usd")];
        world.post("/v1/invoiceitems", &form).await;
        let form = [("customer", &*customer), ("pending_invoice_items_behavior", "include")];
        let draft = world.post("/v1/invoices", &form).await;
        assert_eq!(draft["amount_due"], due);
        let invoice = world
            .post(&format!("/v1/invoices/{}/pay", text(&draft["id"])), &[])
            .await;
        assert_eq!(
            (&invoice["status"], &invoice["amount_due"], &invoice["amount_paid"]),
            (&json!("paid"), &json!(due), &json!(due)),
            "{balance} {amount}"
        );
        let list = world.get(&transactions).await["data"].clone();
        let found: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .skip(usize::from(balance != 0))
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one["type"].as_str().unwrap(), one["amount"].as_i64().unwrap()))
            .collect();
        assert_eq!(found, moved, "{balance} {amount}");
        let owes = world.get(&path).await["balance"].clone();
        assert_eq!(invoice["ending_balance"], owes);
        assert_eq!(owes, balance + moved.iter().map(|(_, amount)| amount).sum::<i64>());
    }
}
