//! What random histories have found: the fewest steps that came to it, and what it should have been.

use super::{COUPONS, LICENSED};
use crate::{http::in_process::InProcess, json::Value};

/// A customer with a card, and what there is in a history.
struct Seller {
    stripe: InProcess,
    customer: String,
    prices: Vec<String>,
}

impl Seller {
    fn new() -> Self {
        let stripe = InProcess::new();
        let product = stripe.make("/v1/products", "name=Thing");
        let price = |terms: &&str| stripe.make("/v1/prices", &format!("currency=usd&product={product}&{terms}"));
        let prices = LICENSED.iter().map(price).collect();
        for coupon in COUPONS {
            stripe.post("/v1/coupons", coupon);
        }
        let customer = "email=jenny@example.com&address[country]=DE&payment_method=pm_card_visa\
            &invoice_settings[default_payment_method]=pm_card_visa";
        Self {
            customer: stripe.make("/v1/customers", customer),
            stripe,
            prices,
        }
    }

    /// A subscription to the first price.
    fn subscribe(&self, more: &str) -> String {
        let form = format!("customer={}&items[0][price]={}{more}", self.customer, self.prices[0]);
        self.stripe.make("/v1/subscriptions", &form)
    }

    fn subscription(&self, id: &str) -> Value {
        self.stripe.get(&format!("/v1/subscriptions/{id}"), "")
    }
}

#[test]
fn a_subscription_that_has_ended_is_not_paused() {
    let seller = Seller::new();
    for waits in [false, true] {
        let id = seller.subscribe("");
        let path = format!("/v1/subscriptions/{id}");
        if waits {
            let end = seller.stripe.app.world().clock.now() + 60;
            seller.stripe.post(&path, &format!("cancel_at={end}"));
        }
        seller.stripe.post(&format!("{path}/pause"), "");
        match waits {
            true => seller.stripe.advance(60),
            false => assert_eq!(seller.stripe.call("DELETE", &path, "").0, 200),
        }
        let ended = seller.subscription(&id);
        assert_eq!(ended["status"], "canceled");
        assert_eq!(ended["status_details"], Value::Null, "{ended}");
    }
}

#[test]
fn a_price_stands_on_a_new_subscription_once() {
    let seller = Seller::new();
    let second = format!("items[1][price]={}", seller.prices[0]);
    let form = format!(
        "customer={}&items[0][price]={}&{second}",
        seller.customer, seller.prices[0]
    );
    let (status, body) = seller.stripe.call("POST", "/v1/subscriptions", &form);
    assert_eq!(
        (status, body["error"]["param"].as_str()),
        (400, Some("items[1][price]")),
        "{body}"
    );
}

#[test]
fn a_payment_begun_on_a_page_takes_what_the_invoice_asks_for() {
    let seller = Seller::new();
    let Seller {
        stripe,
        customer,
        prices,
    } = &seller;
    let line = format!("line_items[0][price]={}&line_items[0][quantity]=1", prices[0]);
    let form = format!("mode=subscription&customer={customer}&success_url=http://a.b&{line}");
    for first in ["chargeDeclined", "authenticationRequired"] {
        stripe.post(
            &format!("/v1/customers/{customer}/balance_transactions"),
            "currency=usd&amount=-369",
        );
        // What waits goes on the first invoice, too.
        let item = format!("customer={customer}&currency=usd&amount=100");
        stripe.post("/v1/invoiceitems", &item);
        let page = stripe.make("/v1/checkout/sessions", &form);
        let path = format!("/v1/payment_pages/{page}/confirm");
        stripe.call("POST", &path, &format!("payment_method=pm_card_{first}"));
        match first {
            "chargeDeclined" => drop(stripe.post(&path, "payment_method=pm_card_visa")),
            _ => {
                let intents = stripe.get("/v1/payment_intents", "");
                let page = format!("/3d_secure/{}", intents["data"][0]["id"].as_str().unwrap());
                assert_eq!(stripe.visit("POST", &page, "action=complete"), 303);
            }
        }
        let invoices = stripe.get("/v1/invoices", "");
        let invoice = &invoices["data"][0];
        let charge = &stripe.get("/v1/charges", "")["data"][0];
        let amounts = [&invoice["amount_due"], &invoice["amount_paid"], &charge["amount"]];
        assert_eq!(amounts, [2631; 3], "{first}: {invoice}");
    }
}

#[test]
fn an_update_that_waits_gives_way_to_a_pause() {
    let seller = Seller::new();
    let (stripe, customer) = (&seller.stripe, &seller.customer);
    let id = seller.subscribe("");
    let path = format!("/v1/subscriptions/{id}");
    let bad = stripe.make(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={customer}"),
    );
    stripe.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    let how = "proration_behavior=always_invoice&payment_behavior=pending_if_incomplete";
    let form = format!("items[0][price]={}&{how}", seller.prices[1]);
    stripe.post(&path, &form);
    let waits = seller.subscription(&id);
    assert!(waits["pending_update"].is_object(), "{waits}");
    stripe.post(&format!("{path}/pause"), "");
    assert_eq!(seller.subscription(&id)["pending_update"], Value::Null);
    let invoice = waits["latest_invoice"].as_str().unwrap();
    assert_eq!(stripe.get(&format!("/v1/invoices/{invoice}"), "")["status"], "void");
}

#[test]
fn what_is_changed_while_a_resumption_waits_stays_changed() {
    let seller = Seller::new();
    let stripe = &seller.stripe;
    let id = seller.subscribe("");
    let path = format!("/v1/subscriptions/{id}");
    stripe.post(&format!("{path}/pause"), "bill_for[unused_time_from][type]=none");
    stripe.advance(86_400);
    let paused = seller.subscription(&id);
    stripe.post(&format!("{path}/resume"), "");
    let added = format!("items[0][price]={}&items[0][quantity]=3", seller.prices[1]);
    stripe.post(&path, &added);
    // Nobody pays: the invoice is void, and the subscription as it was.
    stripe.advance(86_400);
    let left = seller.subscription(&id);
    assert_eq!(
        (&left["status"], &left["items"]["data"][1]["quantity"]),
        (&"paused".into(), &3.into()),
        "{left}"
    );
    for name in ["current_period_start", "current_period_end"] {
        assert_eq!(
            left["items"]["data"][0][name], paused["items"]["data"][0][name],
            "{name}"
        );
    }
}

#[test]
fn what_was_paid_stays_so_when_a_first_payment_never_comes() {
    let seller = Seller::new();
    let stripe = &seller.stripe;
    let id = seller.subscribe("&billing_mode[type]=classic&payment_behavior=default_incomplete");
    let first = seller.subscription(&id)["latest_invoice"].clone();
    let data = "add_invoice_items[0][price_data]";
    let product = stripe.make("/v1/products", "name=Once");
    let form = format!(
        "{data}[currency]=usd&{data}[product]={product}&{data}[unit_amount]=700&proration_behavior=always_invoice\
         &payment_behavior=pending_if_incomplete"
    );
    stripe.post(&format!("/v1/subscriptions/{id}"), &form);
    stripe.advance(86_400);
    let expired = seller.subscription(&id);
    assert_eq!(expired["status"], "incomplete_expired");
    let status = |id: &Value| stripe.get(&format!("/v1/invoices/{}", id.as_str().unwrap()), "")["status"].clone();
    assert_eq!([status(&expired["latest_invoice"]), status(&first)], ["paid", "void"]);
}
