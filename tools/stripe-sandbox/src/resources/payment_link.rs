//! Payment links: an address that sells the same to everybody who opens it.
//!
//! Source: <https://docs.stripe.com/api/payment-link>.

use super::{
    Call, Operation, checkout_lines::new_lines, checkout_session, copy_texts, coupon, is_web_url, list_of,
    merge_metadata, retrieve, subscription,
};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/payment_links",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/payment_links",
        run: |world, call| {
            let active = call.params.boolean("active");
            list_of(world, "payment_link", "/v1/payment_links", &call.params, |one| {
                active.is_none_or(|active| field::flag(one, "active") == active)
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/payment_links/{id}",
        run: |world, call| retrieve(world, "payment_link", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_links/{id}",
        run: update,
    },
    Operation {
        method: "GET",
        path: "/v1/payment_links/{id}/line_items",
        run: |world, call| {
            let link = world.get("payment_link", call.id(), "payment_link")?;
            let lines = field::elements(&link, "_sandbox.line_items").to_vec();
            list::page(
                &format!("/v1/payment_links/{}/line_items", call.id()),
                &call.params,
                lines,
            )
        },
    },
];

/// Source: <https://docs.stripe.com/api/payment-link/create#create_payment_link-line_items>.
const MOST_LINES: usize = 20;

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    if params.list("line_items").len() > MOST_LINES {
        let message = format!("A payment link takes 1 to {MOST_LINES} line items.");
        return Err(ApiError::invalid(message).param("line_items"));
    }
    // What is sold says which mode the sessions have.
    let (lines, _) = new_lines(world, params, "")?;
    let recurs = lines.iter().any(|line| field::text(line, "price.type") == "recurring");
    let mode = if recurs { "subscription" } else { "payment" };
    let mut link = shapes::payment_link();
    let id = world.id("plink_", 24);
    field::set(&mut link, "livemode", world.livemode);
    field::set(&mut link, "url", World::page_url(&format!("/p/{id}")));
    field::set(&mut link, "id", id);
    field::set(&mut link, "currency", checkout_session::currency_of(params, &lines)?);
    field::set(&mut link, "_sandbox", json!({ "line_items": lines, "mode": mode }));
    write(&mut link, params)?;
    world.create("payment_link.created", &link);
    Ok(rendered(&link))
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("payment_link", call.id(), "payment_link")?;
    write(&mut changed, &call.params)?;
    let changed = world.update(call.id(), "payment_link.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

fn write(link: &mut Value, params: &Params) -> Result<(), ApiError> {
    let mode = field::text(link, "_sandbox.mode").to_owned();
    checkout_session::check_combinations(params, false, &mode)?;
    copy_texts(
        link,
        params,
        &[
            "billing_address_collection",
            "customer_creation",
            "inactive_message",
            "payment_method_collection",
            "submit_type",
        ],
    );
    for name in [
        "active",
        "allow_promotion_codes",
        "automatic_tax[enabled]",
        "phone_number_collection[enabled]",
        "tax_id_collection[enabled]",
    ] {
        if let Some(flag) = params.boolean(name) {
            field::set(link, &name.replace('[', ".").replace(']', ""), flag);
        }
    }
    if let Some(enabled) = params.boolean("automatic_tax[enabled]") {
        let liability = if enabled {
            json!({ "type": "self" })
        } else {
            Value::Null
        };
        field::set(link, "automatic_tax.liability", liability);
    }
    let metadata = merge_metadata(field::at(link, "metadata"), params, "metadata")?;
    field::set(link, "metadata", metadata);
    write_completion(link, params)?;
    write_limit(link, params)?;
    write_payment(link, params)?;
    write_subscription(link, params)
}

fn write_completion(link: &mut Value, params: &Params) -> Result<(), ApiError> {
    let after = match params.text("after_completion[type]") {
        None => return Ok(()),
        Some("redirect") => {
            let name = "after_completion[redirect][url]";
            let url = params.required(name)?;
            is_web_url(params, name)?;
            json!({ "redirect": { "url": url }, "type": "redirect" })
        }
        Some(_) => {
            let message = params.text("after_completion[hosted_confirmation][custom_message]");
            json!({ "hosted_confirmation": { "custom_message": message }, "type": "hosted_confirmation" })
        }
    };
    field::set(link, "after_completion", after);
    Ok(())
}

fn write_limit(link: &mut Value, params: &Params) -> Result<(), ApiError> {
    if params.clears("restrictions") {
        field::set(link, "restrictions", Value::Null);
    }
    if let Some(limit) = coupon::at_least_one(params, "restrictions[completed_sessions][limit]")? {
        let count = field::integer(link, "restrictions.completed_sessions.count");
        let restrictions = json!({ "completed_sessions": { "count": count, "limit": limit } });
        field::set(link, "restrictions", restrictions);
    }
    Ok(())
}

fn write_payment(link: &mut Value, params: &Params) -> Result<(), ApiError> {
    if !params.has("payment_intent_data") {
        return Ok(());
    }
    if field::at(link, "payment_intent_data").is_null() {
        let resting = json!({
            "capture_method": null, "description": null, "metadata": {}, "setup_future_usage": null,
            "statement_descriptor": null, "statement_descriptor_suffix": null, "transfer_group": null,
        });
        field::set(link, "payment_intent_data", resting);
    }
    copy_texts(
        link,
        params,
        &[
            "payment_intent_data.capture_method",
            "payment_intent_data.description",
            "payment_intent_data.setup_future_usage",
            "payment_intent_data.statement_descriptor",
            "payment_intent_data.statement_descriptor_suffix",
        ],
    );
    let metadata = merge_metadata(
        field::at(link, "payment_intent_data.metadata"),
        params,
        "payment_intent_data[metadata]",
    )?;
    field::set(link, "payment_intent_data.metadata", metadata);
    Ok(())
}

fn write_subscription(link: &mut Value, params: &Params) -> Result<(), ApiError> {
    if !params.has("subscription_data") {
        return Ok(());
    }
    if field::at(link, "subscription_data").is_null() {
        let resting = json!({
            "description": null, "invoice_settings": { "issuer": { "type": "self" } }, "metadata": {},
            "trial_period_days": null, "trial_settings": null,
        });
        field::set(link, "subscription_data", resting);
    }
    copy_texts(link, params, &["subscription_data.description"]);
    let days = "subscription_data[trial_period_days]";
    if params.has(days) {
        let trial = subscription::trial_days(params, days)?;
        field::set(
            link,
            "subscription_data.trial_period_days",
            json!((trial > 0).then_some(trial)),
        );
    }
    let metadata = merge_metadata(
        field::at(link, "subscription_data.metadata"),
        params,
        "subscription_data[metadata]",
    )?;
    field::set(link, "subscription_data.metadata", metadata);
    Ok(())
}
