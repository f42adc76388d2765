//! Checkout sessions and what paying one on its hosted page does.
//!
//! Source: <https://docs.stripe.com/api/checkout/sessions>.

use super::{
    Call, Operation, address, checkout_lines::new_lines, currency, intent, is_web_url, list_of, merge_metadata,
    retrieve, subscription,
};
use crate::{
    billing::{discounts::Purchase, payment, recovery, setup, test_clock, totals},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/checkout/sessions",
        run: |world, call| create(world, &call.params).map(|session| rendered(&session)),
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
                        &["customer", "payment_intent", "payment_link", "subscription", "status"],
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
pub(crate) const LONGEST_LIFE: i64 = 24 * 3600;

/// The id of a new session: the same in both modes but for the word that says which.
pub(crate) fn new_id(world: &mut World) -> String {
    let prefix = if world.livemode { "cs_live_" } else { "cs_test_" };
    world.id("cs_", 58).replacen("cs_", prefix, 1)
}

/// A new session, stored.
pub(crate) fn create(world: &mut World, params: &Params) -> Answer {
    let mode = params.required("mode")?.to_owned();
    if params.text("ui_mode").is_some_and(|ui_mode| ui_mode != "hosted_page") {
        let message = "The sandbox has hosted pages only.";
        return Err(ApiError::unserved("ui_mode", message));
    }
    // What is set up has no price to tell the currency by.
    let wanted = if mode == "setup" { "currency" } else { "line_items" };
    if !params.has(wanted) {
        return Err(ApiError::parameter_missing(wanted));
    }
    if params.text("success_url").is_none() {
        return Err(ApiError::parameter_missing("success_url"));
    }
    for name in ["success_url", "cancel_url"] {
        is_web_url(params, name)?;
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
    if let Some(customer) = customer.as_ref().filter(|_| mode == "subscription") {
        test_clock::has_room_for_subscription(world, customer)?;
    }
    let (lines, subtotal) = match &*mode {
        "setup" => (Vec::new(), 0),
        _ => new_lines(world, params, &mode)?,
    };
    let trial_days = subscription::trial_days(params, "subscription_data[trial_period_days]")?;

    let id = new_id(world);
    let now = world.now;
    let expires_at = params.integer("expires_at").unwrap_or(now + LONGEST_LIFE);
    if !(now + SHORTEST_LIFE..=now + LONGEST_LIFE).contains(&expires_at) {
        let message =
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(ApiError::invalid(message).param("expires_at"));
    }
    let automatic_tax = params.boolean("automatic_tax[enabled]").unwrap_or(false);
    let currency = currency_of(params, &lines)?;
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
    if let Some(recovery) = recovery::asked_for(params, &mode)? {
        field::set(&mut session, "after_expiration", json!({ "recovery": recovery }));
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
    if let Some((coupon, listed)) = &discount {
        field::set(&mut session, "discounts", json!([listed]));
        field::set(&mut session, "_sandbox.coupon", coupon.clone());
    }
    if mode == "setup" {
        for name in ["amount_subtotal", "amount_total", "total_details"] {
            field::set(&mut session, name, Value::Null);
        }
        field::set(&mut session, "payment_status", "no_payment_required");
        let intent = new_setup_intent(world, params, &id)?;
        field::set(&mut session, "setup_intent", intent);
    } else {
        totals::write(
            &mut session,
            customer.as_ref(),
            discount.as_ref().map(|(coupon, _)| coupon),
        );
    }
    // Creating a session is no event at Stripe.
    world.put(&session);
    Ok(session)
}

/// The currency of the lines, or the one that is sent where there are none.
pub(crate) fn currency_of(params: &Params, lines: &[Value]) -> Result<String, ApiError> {
    let sent = currency(params, "currency");
    let Some(line) = lines.first() else { return Ok(sent) };
    let sold = field::text(line, "currency");
    if !sent.is_empty() && sent != sold {
        let message = "The sandbox sells in the first currency of a price only.";
        return Err(ApiError::unserved("currency", message));
    }
    Ok(sold.to_owned())
}

/// The setup intent that a session in `setup` mode has from its beginning.
fn new_setup_intent(world: &mut World, params: &Params, session: &str) -> Result<String, ApiError> {
    let mut intent = setup::new_intent(world, params.text("customer"));
    let id = field::text(&intent, "id").to_owned();
    let metadata = merge_metadata(&json!({}), params, "setup_intent_data[metadata]")?;
    field::set(&mut intent, "metadata", metadata);
    field::set(
        &mut intent,
        "description",
        params.text("setup_intent_data[description]"),
    );
    field::set(&mut intent, "_sandbox.session", session);
    world.create("setup_intent.created", &intent);
    Ok(id)
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

/// Only its metadata can be changed here.
fn update(world: &mut World, call: &Call) -> Answer {
    let session = world.get("checkout.session", call.id(), "session")?;
    let metadata = merge_metadata(field::at(&session, "metadata"), &call.params, "metadata")?;
    let changed = world.edit(call.id(), |one| field::set(one, "metadata", metadata));
    Ok(rendered(&changed))
}

/// Refuses what does not go together, or not with the mode.
pub(crate) fn check_combinations(params: &Params, has_customer: bool, mode: &str) -> Result<(), ApiError> {
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
    let misplaced: &[&str] = match mode {
        "payment" => &["setup_intent_data", "subscription_data"],
        "setup" => &[
            "allow_promotion_codes",
            "discounts",
            "line_items",
            "payment_intent_data",
            "subscription_data",
        ],
        _ => &["payment_intent_data", "setup_intent_data"],
    };
    if let Some(misplaced) = misplaced.iter().find(|name| params.has(name)) {
        return Err(ApiError::invalid(format!("You can not pass `{misplaced}` in `{mode}` mode.")).param(*misplaced));
    }
    if mode == "subscription" && params.has("customer_creation") {
        return Err(ApiError::invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.",
        ));
    }
    Ok(())
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
    let set_up = world
        .find(id)
        .and_then(|one| world.find(field::text(one, "setup_intent")))
        .filter(|intent| intent::is_open(intent))
        .cloned();
    if let Some(intent) = set_up {
        setup::cancel(world, &intent, None);
    }
    let now = world.now;
    let expired = world.edit(id, |one| {
        field::set(one, "status", "expired");
        field::set(one, "url", Value::Null);
        recovery::offer(one, now);
    });
    world.emit("checkout.session.expired", &expired, None);
}
