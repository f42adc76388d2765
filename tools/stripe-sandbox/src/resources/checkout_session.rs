//! Checkout sessions and what paying one on its hosted page does.
//!
//! Source: <https://docs.stripe.com/api/checkout/sessions>.

use serde_json::{Value, json};

use super::{Call, Operation, address, list_of, merge_metadata, price, quantity, retrieve, subscription};
use crate::{
    billing::{discounts::Purchase, payment, pricing, start, totals},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/checkout/sessions",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/checkout/sessions",
        run: |world, call| {
            list_of(
                world,
                "checkout.session",
                "/v1/checkout/sessions",
                &call.params,
                |one| {
                    let email = call.params.text("customer_details[email]");
                    matches(
                        one,
                        &call.params,
                        &["customer", "payment_intent", "subscription", "status"],
                    ) && email.is_none_or(|email| field::text(one, "customer_details.email") == email)
                },
            )
        },
    },
    Operation {
        method: "GET",
        path: "/v1/checkout/sessions/{id}",
        run: |world, call| retrieve(world, "checkout.session", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/checkout/sessions/{id}",
        run: update,
    },
    Operation {
        method: "GET",
        path: "/v1/checkout/sessions/{id}/line_items",
        run: |world, call| {
            let session = world.get("checkout.session", call.id(), "session")?;
            let lines = field::elements(&session, "_sandbox.line_items").to_vec();
            list::page(
                &format!("/v1/checkout/sessions/{}/line_items", call.id()),
                &call.params,
                lines,
            )
        },
    },
    Operation {
        method: "POST",
        path: "/v1/checkout/sessions/{id}/expire",
        run: |world, call| {
            let session = world.get("checkout.session", call.id(), "session")?;
            if field::text(&session, "status") != "open" {
                let message = "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a \
                    status of ";
                return Err(
                    ApiError::invalid(format!("{message}{}", field::text(&session, "status"))).param("session"),
                );
            }
            expire_now(world, call.id());
            retrieve(world, "checkout.session", call.id())
        },
    },
];

const SHORTEST_LIFE: i64 = 30 * 60;
const LONGEST_LIFE: i64 = 24 * 3600;

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let mode = params.required("mode")?.to_owned();
    if mode == "setup" {
        return Err(ApiError::unserved(
            "mode",
            "The sandbox has no sessions in `setup` mode.",
        ));
    }
    if params.text("ui_mode").is_some_and(|ui_mode| ui_mode != "hosted_page") {
        let message = "The sandbox has hosted pages only.";
        return Err(ApiError::unserved("ui_mode", message));
    }
    if !params.has("line_items") {
        return Err(ApiError::parameter_missing("line_items"));
    }
    if params.text("success_url").is_none() {
        return Err(ApiError::parameter_missing("success_url"));
    }
    for name in ["success_url", "cancel_url"] {
        if let Some(url) = params.text(name).filter(|url| !is_web_url(url)) {
            return Err(ApiError::invalid(format!("Not a valid URL: {url}"))
                .code("url_invalid")
                .param(name));
        }
    }
    let customer = match (params.text("customer"), params.text("customer_email")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "You may only specify one of these parameters: customer, customer_email.",
            ));
        }
        (Some(id), None) => Some(world.get("customer", id, "customer")?),
        (None, _) => None,
    };
    check_combinations(params, customer.is_some(), &mode)?;
    let (lines, subtotal) = new_lines(world, params, &mode)?;
    let trial_days = subscription::trial_days(params, "subscription_data[trial_period_days]")?;

    // The same in both modes but for the word that says which.
    let mode_of_id = if world.livemode { "cs_live_" } else { "cs_test_" };
    let id = world.id("cs_", 58).replacen("cs_", mode_of_id, 1);
    let now = world.now;
    let expires_at = params.integer("expires_at").unwrap_or(now + LONGEST_LIFE);
    if !(now + SHORTEST_LIFE..=now + LONGEST_LIFE).contains(&expires_at) {
        let message =
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(ApiError::invalid(message).param("expires_at"));
    }
    let automatic_tax = params.boolean("automatic_tax[enabled]").unwrap_or(false);
    let currency = lines.first().map(|line| field::text(line, "currency").to_owned());
    let currency = currency.unwrap_or_default();
    let purchase = Purchase {
        customer: params.text("customer"),
        currency: &currency,
        subtotal,
    };
    let discount = totals::discount_asked_for(world, params, &purchase)?;
    let mut session = shapes::checkout_session();
    field::set(&mut session, "id", id.clone());
    field::set(&mut session, "created", now);
    field::set(&mut session, "expires_at", expires_at);
    field::set(&mut session, "livemode", world.livemode);
    field::set(&mut session, "mode", mode.clone());
    field::set(&mut session, "url", World::page_url(&format!("/c/pay/{id}")));
    field::set(&mut session, "currency", currency.clone());
    field::set(
        &mut session,
        "customer",
        customer
            .as_ref()
            .map(|one| field::at(one, "id").clone())
            .unwrap_or_default(),
    );
    for name in [
        "success_url",
        "cancel_url",
        "client_reference_id",
        "customer_email",
        "locale",
        "submit_type",
    ] {
        field::set(&mut session, name, params.text(name));
    }
    field::set(
        &mut session,
        "metadata",
        merge_metadata(&json!({}), params, "metadata")?,
    );
    field::set(
        &mut session,
        "allow_promotion_codes",
        json!(params.boolean("allow_promotion_codes")),
    );
    if let Some(collection) = params.text("billing_address_collection") {
        field::set(&mut session, "billing_address_collection", collection);
    }
    if mode == "subscription" {
        let collection = params.text("payment_method_collection");
        field::set(
            &mut session,
            "payment_method_collection",
            collection.unwrap_or("always"),
        );
    } else {
        let creation = params.text("customer_creation").unwrap_or("if_required");
        field::set(
            &mut session,
            "customer_creation",
            if customer.is_some() {
                Value::Null
            } else {
                json!(creation)
            },
        );
    }
    if automatic_tax {
        let status = if customer.is_some() {
            "complete"
        } else {
            "requires_location_inputs"
        };
        field::set(
            &mut session,
            "automatic_tax",
            json!({ "enabled": true, "liability": { "type": "self" }, "provider": "stripe", "status": status }),
        );
    }
    if params.boolean("phone_number_collection[enabled]") == Some(true) {
        field::set(&mut session, "phone_number_collection.enabled", true);
    }
    if params.boolean("tax_id_collection[enabled]") == Some(true) {
        field::set(
            &mut session,
            "tax_id_collection",
            json!({ "enabled": true, "required": "never" }),
        );
    }
    let details = match &customer {
        Some(customer) => details_of(customer),
        None => params
            .text("customer_email")
            .map(|email| blank_details(email, None))
            .unwrap_or_default(),
    };
    field::set(&mut session, "customer_details", details);
    let intent_metadata = merge_metadata(&json!({}), params, "payment_intent_data[metadata]")?;
    let subscription_metadata = merge_metadata(&json!({}), params, "subscription_data[metadata]")?;
    let billing_mode = params.text("subscription_data[billing_mode][type]");
    field::set(
        &mut session,
        "_sandbox",
        json!({
            "line_items": lines,
            "payment_intent": null,
            "saves_name": params.text("customer_update[name]") == Some("auto"),
            "intent": {
                "metadata": intent_metadata,
                "capture_method": params.text("payment_intent_data[capture_method]"),
                "description": params.text("payment_intent_data[description]"),
                "receipt_email": params.text("payment_intent_data[receipt_email]"),
                "setup_future_usage": params.text("payment_intent_data[setup_future_usage]"),
                "shipping": shipping(params),
                "statement_descriptor": params.text("payment_intent_data[statement_descriptor]"),
                "statement_descriptor_suffix": params.text("payment_intent_data[statement_descriptor_suffix]"),
            },
            "subscription": {
                "metadata": subscription_metadata,
                "description": params.text("subscription_data[description]"),
                "trial_days": trial_days,
                "billing_mode": billing_mode.unwrap_or("flexible"),
            },
        }),
    );
    if let Some((_, listed)) = &discount {
        field::set(&mut session, "discounts", json!([listed]));
    }
    totals::write(
        &mut session,
        customer.as_ref(),
        discount.as_ref().map(|(coupon, _)| coupon),
    );
    // Creating a session is no event at Stripe.
    world.put(&session);
    Ok(rendered(&session))
}

/// Where the goods go, as the payment intent and its charge show it.
fn shipping(params: &Params) -> Value {
    if !params.has("payment_intent_data[shipping]") {
        return Value::Null;
    }
    let text = |name: &str| params.text(&format!("payment_intent_data[shipping][{name}]"));
    json!({
        "address": address(params, "payment_intent_data[shipping][address]"),
        "carrier": text("carrier"),
        "name": text("name"),
        "phone": text("phone"),
        "tracking_number": text("tracking_number"),
    })
}

/// How far a payer may change the quantity of a line. Source:
/// <https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-line_items-adjustable_quantity>.
fn adjustable_quantity(line: &Params) -> Value {
    if !line.has("adjustable_quantity") {
        return Value::Null;
    }
    let enabled = line.boolean("adjustable_quantity[enabled]").unwrap_or(false);
    let maximum = line.integer("adjustable_quantity[maximum]");
    json!({
        "enabled": enabled,
        "maximum": maximum.or(enabled.then_some(99)),
        "minimum": line.integer("adjustable_quantity[minimum]").or(enabled.then_some(0)),
    })
}

/// Only its metadata can be changed here.
fn update(world: &mut World, call: &Call) -> Answer {
    let session = world.get("checkout.session", call.id(), "session")?;
    let metadata = merge_metadata(field::at(&session, "metadata"), &call.params, "metadata")?;
    let changed = world.edit(call.id(), |one| field::set(one, "metadata", metadata));
    Ok(rendered(&changed))
}

fn is_web_url(url: &str) -> bool {
    // The template stands where a URL may not have braces.
    let url = url.replace("{CHECKOUT_SESSION_ID}", "id");
    url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn check_combinations(params: &Params, has_customer: bool, mode: &str) -> Result<(), ApiError> {
    if params.has("customer_update") && !has_customer {
        let message = "`customer_update` can only be used with `customer`.";
        return Err(ApiError::invalid(message).param("customer_update"));
    }
    let collects_tax_id = params.boolean("tax_id_collection[enabled]") == Some(true);
    if collects_tax_id && has_customer && params.text("customer_update[name]") != Some("auto") {
        let message = "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an \
            existing customer, please set `customer_update[name]` to `auto`.";
        return Err(ApiError::invalid(message));
    }
    if mode == "subscription" && params.has("discounts") {
        let message = "The sandbox takes discounts in `payment` mode only.";
        return Err(ApiError::unserved("discounts", message));
    }
    let misplaced = match mode {
        "payment" => "subscription_data",
        _ => "payment_intent_data",
    };
    if params.has(misplaced) {
        return Err(ApiError::invalid(format!("You can not pass `{misplaced}` in `{mode}` mode.")).param(misplaced));
    }
    if mode == "subscription" && params.has("customer_creation") {
        return Err(ApiError::invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.",
        ));
    }
    Ok(())
}

/// The line items sent, as answered, and their sum.
fn new_lines(world: &mut World, params: &Params, mode: &str) -> Result<(Vec<Value>, i64), ApiError> {
    let sent = params.list("line_items");
    if sent.is_empty() || sent.len() > 100 {
        return Err(ApiError::invalid("A session takes 1 to 100 line items.").param("line_items"));
    }
    let mut lines: Vec<Value> = Vec::new();
    let mut subtotal = 0;
    let mut recurring = 0;
    for (index, line) in sent.iter().enumerate() {
        let within = format!("line_items[{index}]");
        let price = price::of_line(world, line, &within)?;
        let quantity = quantity(line, "quantity")?;
        if !line.has("quantity") {
            return Err(ApiError::parameter_missing(&format!("{within}[quantity]")));
        }
        if field::text(&price, "type") == "recurring" {
            recurring += 1;
        }
        if lines
            .first()
            .is_some_and(|first| field::at(first, "currency") != field::at(&price, "currency"))
        {
            return Err(
                ApiError::invalid("All line items must have the same currency.").param(format!("{within}[price]"))
            );
        }
        let amount = pricing::amount(&price, quantity);
        subtotal += amount;
        let mut out = shapes::checkout_line_item();
        field::set(&mut out, "id", world.id("li_", 24));
        field::set(&mut out, "amount_subtotal", amount);
        field::set(&mut out, "amount_total", amount);
        field::set(&mut out, "currency", field::at(&price, "currency").clone());
        field::set(&mut out, "description", start::product_name(world, &price));
        field::set(&mut out, "price", rendered(&price));
        field::set(&mut out, "quantity", quantity);
        field::set(&mut out, "adjustable_quantity", adjustable_quantity(line));
        field::set(&mut out, "metadata", merge_metadata(&json!({}), line, "metadata")?);
        lines.push(out);
    }
    match (mode, recurring) {
        ("subscription", 0) => {
            let message = "You must provide at least one recurring price in `subscription` mode when using prices.";
            Err(ApiError::invalid(message).param("line_items"))
        }
        ("payment", 1..) => {
            let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or \
                use only one-time prices.";
            Err(ApiError::invalid(message).param("line_items"))
        }
        _ => Ok((lines, subtotal)),
    }
}

/// `customer_details` for a known customer.
pub(crate) fn details_of(customer: &Value) -> Value {
    let mut details = blank_details(field::text(customer, "email"), field::some_text(customer, "name"));
    for name in ["address", "email", "phone", "tax_exempt"] {
        field::set(&mut details, name, field::at(customer, name).clone());
    }
    let tax_ids = field::elements(customer, "_sandbox.tax_ids").to_vec();
    field::set(&mut details, "tax_ids", tax_ids);
    details
}

/// `customer_details` for somebody who gave an email and perhaps a name.
pub(crate) fn blank_details(email: &str, name: Option<&str>) -> Value {
    json!({
        "address": null, "business_name": null, "email": email, "individual_name": null, "name": name, "phone": null,
        "tax_exempt": "none", "tax_ids": [],
    })
}

/// Expires an open session and tells of it; what was begun to be paid is not any more.
pub(crate) fn expire_now(world: &mut World, id: &str) {
    let begun = world
        .find(id)
        .and_then(|one| world.find(field::text(one, "_sandbox.payment_intent")))
        .filter(|intent| !matches!(field::text(intent, "status"), "succeeded" | "canceled"))
        .cloned();
    if let Some(intent) = begun {
        payment::cancel(world, &intent, Some("automatic"));
    }
    let expired = world.edit(id, |one| {
        field::set(one, "status", "expired");
        field::set(one, "url", Value::Null);
    });
    world.emit("checkout.session.expired", &expired, None);
}
