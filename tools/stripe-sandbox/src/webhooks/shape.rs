//! Events as older API versions shape them: each change of a version undone by a small function, the newest first.
//!
//! Only what a receiver is likely to read is changed back. Sources: <https://docs.stripe.com/changelog/dahlia>,
//! <https://docs.stripe.com/changelog/clover>, <https://docs.stripe.com/changelog/basil>.

use crate::{
    field,
    json::{Value, json},
};

/// What older shapes need from outside the event.
pub(crate) struct Linked<'a> {
    pub(crate) find: &'a dyn Fn(&str) -> Option<Value>,
    /// The invoice payment that an invoice, a payment intent or a charge belongs to.
    pub(crate) payment: &'a dyn Fn(&Value) -> Option<Value>,
}

type Undo = fn(kind: &str, object: &mut Value, linked: &Linked<'_>);

/// The day of each version with breaking changes, and what shapes an object as it was before.
const CHANGES: &[(&str, Undo)] = &[
    ("2026-03-25", before_dahlia),
    ("2025-09-30", before_clover),
    ("2025-03-31", before_basil),
];

/// Gives `event` the shape of `version`, in its object and in the attributes it had before. Without a version it stays.
pub(crate) fn down_to(version: &str, event: &mut Value, linked: &Linked<'_>) {
    let Some(day) = version.get(..10) else { return };
    field::set(event, "api_version", version);
    let kind = field::text(event, "data.object.object").to_owned();
    for (changed_on, undo) in CHANGES {
        if day < *changed_on {
            for part in ["data.object", "data.previous_attributes"] {
                if field::at(event, part).is_object() {
                    undo(&kind, field::place(event, part), linked);
                }
            }
        }
    }
}

fn remove(object: &mut Value, names: &[&str]) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

fn has(object: &Value, name: &str) -> bool {
    object.get(name).is_some()
}

/// The modes of a checkout session's page had other names.
fn before_dahlia(kind: &str, object: &mut Value, _: &Linked<'_>) {
    if kind == "checkout.session" {
        let old = match field::text(object, "ui_mode") {
            "hosted_page" => "hosted",
            "embedded_page" => "embedded",
            "elements" => "custom",
            _ => return,
        };
        field::set(object, "ui_mode", old);
    }
}

/// A promotion code and a discount named their coupon themselves.
fn before_clover(kind: &str, object: &mut Value, linked: &Linked<'_>) {
    let (holder, coupon) = match kind {
        "promotion_code" => ("promotion", "promotion.coupon"),
        "discount" => ("source", "source.coupon"),
        _ => return,
    };
    if has(object, holder) {
        let coupon = field::at(object, coupon).clone();
        let whole = coupon.as_str().and_then(linked.find).unwrap_or(coupon);
        field::set(object, "coupon", whole);
        remove(object, &[holder]);
    }
}

fn before_basil(kind: &str, object: &mut Value, linked: &Linked<'_>) {
    match kind {
        "subscription" => subscription_before_basil(object, linked),
        "invoice" => invoice_before_basil(object, linked),
        "payment_intent" | "charge" if has(object, "object") => {
            let invoice = (linked.payment)(object).map(|payment| field::at(&payment, "invoice").clone());
            field::set(object, "invoice", invoice);
        }
        _ => {}
    }
}

/// A subscription had one period, not one for each item, and one discount.
fn subscription_before_basil(object: &mut Value, linked: &Linked<'_>) {
    for name in ["current_period_start", "current_period_end"] {
        let at = field::at(object, &format!("items.data.0.{name}")).clone();
        if !at.is_null() {
            field::set(object, name, at);
        }
        if let Some(Value::Array(items)) = object.get_mut("items").and_then(|items| items.get_mut("data")) {
            items.iter_mut().for_each(|item| remove(item, &[name]));
        }
    }
    first_discount(object, linked);
}

fn first_discount(object: &mut Value, linked: &Linked<'_>) {
    if has(object, "discounts") {
        let discount = field::some_text(object, "discounts.0").and_then(linked.find);
        field::set(object, "discount", discount);
    }
}

/// An invoice named its subscription and its payment itself.
fn invoice_before_basil(object: &mut Value, linked: &Linked<'_>) {
    if has(object, "parent") {
        let details = field::at(object, "parent.subscription_details").clone();
        field::set(object, "subscription", field::at(&details, "subscription").clone());
        let metadata = field::at(&details, "metadata").clone();
        field::set(object, "subscription_details", json!({ "metadata": metadata }));
        remove(object, &["parent"]);
    }
    if has(object, "status") {
        let paid = field::text(object, "status") == "paid";
        field::set(object, "paid", paid);
    }
    if has(object, "object") {
        let payment = (linked.payment)(object);
        let intent = payment.map(|payment| field::at(&payment, "payment.payment_intent").clone());
        let charge = intent.as_ref().and_then(Value::as_str).and_then(linked.find);
        field::set(object, "payment_intent", intent);
        field::set(
            object,
            "charge",
            charge.map(|intent| field::at(&intent, "latest_charge").clone()),
        );
    }
    if has(object, "total_taxes") {
        let taxes = old_taxes(field::elements(object, "total_taxes"));
        let tax = taxes.iter().map(|tax| field::integer(tax, "amount")).sum::<i64>();
        field::set(object, "tax", (!taxes.is_empty()).then_some(tax));
        field::set(object, "total_tax_amounts", taxes);
        remove(object, &["total_taxes"]);
    }
    first_discount(object, linked);
    if let Some(Value::Array(lines)) = object.get_mut("lines").and_then(|lines| lines.get_mut("data")) {
        lines.iter_mut().for_each(|line| line_before_basil(line, linked));
    }
}

/// A line named its price whole and said itself what it is.
fn line_before_basil(line: &mut Value, linked: &Linked<'_>) {
    let price = field::at(line, "pricing.price_details.price").clone();
    let price = price.as_str().and_then(linked.find).unwrap_or(price);
    let (kind, details) = match field::text(line, "parent.type") {
        "subscription_item_details" => ("subscription", "parent.subscription_item_details"),
        _ => ("invoiceitem", "parent.invoice_item_details"),
    };
    let details = field::at(line, details).clone();
    field::set(line, "price", price);
    field::set(line, "type", kind);
    field::set(line, "proration", field::flag(&details, "proration"));
    field::set(line, "subscription", field::at(&details, "subscription").clone());
    field::set(
        line,
        "subscription_item",
        field::at(&details, "subscription_item").clone(),
    );
    let taxes = old_taxes(field::elements(line, "taxes"));
    field::set(line, "tax_amounts", taxes);
    remove(line, &["parent", "pricing", "taxes"]);
}

fn old_taxes(taxes: &[Value]) -> Vec<Value> {
    let old = |tax: &Value| {
        json!({
            "amount": field::at(tax, "amount"),
            "inclusive": field::text(tax, "tax_behavior") == "inclusive",
            "tax_rate": field::at(tax, "tax_rate_details.tax_rate"),
            "taxability_reason": field::at(tax, "taxability_reason"),
            "taxable_amount": field::at(tax, "taxable_amount"),
        })
    };
    taxes.iter().map(old).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an event about `object` says in `version`.
    fn shaped(version: &str, object: Value, previous: Value) -> Value {
        let mut event = json!({
            "api_version": "2026-09-30.endive",
            "data": { "object": object, "previous_attributes": previous },
        });
        let find = |id: &str| match id {
            "pi_1" => Some(json!({ "id": "pi_1", "latest_charge": "ch_1" })),
            "price_1" => Some(json!({ "id": "price_1", "unit_amount": 2900 })),
            "coupon_1" => Some(json!({ "id": "coupon_1", "percent_off": 20 })),
            _ => None,
        };
        let payment = |_: &Value| Some(json!({ "invoice": "in_1", "payment": { "payment_intent": "pi_1" } }));
        let linked = Linked {
            find: &find,
            payment: &payment,
        };
        down_to(version, &mut event, &linked);
        assert_eq!(event["api_version"], version);
        event["data"].clone()
    }

    #[test]
    fn each_version_has_the_fields_it_had() {
        let tables = [
            (
                json!({ "object": "subscription", "discounts": [],
                    "items": { "data": [{ "id": "si_1", "current_period_start": 1, "current_period_end": 9 }] } }),
                "2025-03-31.basil",
                "2025-02-24.acacia",
                json!({ "object": "subscription", "discounts": [], "discount": null,
                    "current_period_start": 1, "current_period_end": 9, "items": { "data": [{ "id": "si_1" }] } }),
            ),
            (
                json!({ "object": "payment_intent", "id": "pi_1" }),
                "2025-03-31.basil",
                "2024-06-20",
                json!({ "object": "payment_intent", "id": "pi_1", "invoice": "in_1" }),
            ),
            (
                json!({ "object": "checkout.session", "ui_mode": "hosted_page" }),
                "2026-03-25.dahlia",
                "2026-02-25.clover",
                json!({ "object": "checkout.session", "ui_mode": "hosted" }),
            ),
            (
                json!({ "object": "promotion_code", "promotion": { "type": "coupon", "coupon": "coupon_1" } }),
                "2025-09-30.clover",
                "2025-08-27.basil",
                json!({ "object": "promotion_code", "coupon": { "id": "coupon_1", "percent_off": 20 } }),
            ),
            (
                json!({ "object": "invoice", "status": "paid", "discounts": [],
                    "parent": { "subscription_details": { "subscription": "sub_1", "metadata": { "a": "b" } } },
                    "total_taxes": [{ "amount": 7, "tax_behavior": "exclusive", "taxability_reason": "standard_rated",
                        "taxable_amount": 33, "tax_rate_details": { "tax_rate": "txr_1" } }],
                    "lines": { "data": [{ "id": "il_1", "pricing": { "price_details": { "price": "price_1" } },
                        "parent": { "type": "subscription_item_details",
                            "subscription_item_details": { "proration": true, "subscription": "sub_1",
                                "subscription_item": "si_1" } }, "taxes": [] }] } }),
                "2025-03-31.basil",
                "2024-12-18.acacia",
                json!({ "object": "invoice", "status": "paid", "discounts": [], "discount": null,
                    "subscription": "sub_1", "subscription_details": { "metadata": { "a": "b" } },
                    "paid": true, "payment_intent": "pi_1", "charge": "ch_1", "tax": 7,
                    "total_tax_amounts": [{ "amount": 7, "inclusive": false, "taxability_reason": "standard_rated",
                        "taxable_amount": 33, "tax_rate": "txr_1" }],
                    "lines": { "data": [{ "id": "il_1", "price": { "id": "price_1", "unit_amount": 2900 },
                        "type": "subscription", "proration": true, "subscription": "sub_1",
                        "subscription_item": "si_1", "tax_amounts": [] }] } }),
            ),
        ];
        for (object, since, before, old) in tables {
            assert_eq!(
                shaped("2026-09-30.endive", object.clone(), Value::Null)["object"],
                object
            );
            assert_eq!(shaped(since, object.clone(), Value::Null)["object"], object, "{since}");
            assert_eq!(shaped(before, object, Value::Null)["object"], old, "{before}");
        }
    }

    #[test]
    fn attributes_of_before_are_shaped_alike_and_nothing_is_made_up() {
        let subscription = json!({ "object": "subscription", "items": { "data": [] } });
        let renewed = json!({ "items": { "data": [{ "current_period_start": 1, "current_period_end": 2 }] } });
        assert_eq!(
            shaped("2024-06-20", subscription.clone(), renewed)["previous_attributes"],
            json!({ "items": { "data": [{}] }, "current_period_start": 1, "current_period_end": 2 })
        );
        let canceled = json!({ "cancel_at_period_end": false });
        assert_eq!(
            shaped("2024-06-20", subscription, canceled.clone())["previous_attributes"],
            canceled
        );
        let draft = json!({ "status": "draft" });
        assert_eq!(
            shaped("2024-06-20", json!({ "object": "invoice" }), draft)["previous_attributes"],
            json!({ "status": "draft", "paid": false })
        );
    }
}
