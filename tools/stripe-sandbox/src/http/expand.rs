//! `expand[]`: ids in an answer replaced by the objects they name, at most four deep.
//!
//! Source: <https://docs.stripe.com/expand>.

use super::{error::ApiError, form::Params};
use crate::{
    field,
    json::{Value, json},
    resources::{coupon, price_terms, refund, tax_id},
    world::{World, rendered},
};

const DEEPEST: usize = 4;

/// The paths asked for.
pub(crate) fn paths(params: &Params) -> Result<Vec<String>, ApiError> {
    let mut paths = params.texts("expand");
    paths.extend(params.text("expand").map(str::to_owned));
    for path in &paths {
        if path.split('.').filter(|step| *step != "data").count() > DEEPEST {
            let message = format!("You cannot expand more than {DEEPEST} levels of a property ({path}).");
            return Err(ApiError::invalid(message).param("expand").before_execution());
        }
    }
    Ok(paths)
}

/// Expands one path of `answer`.
pub(crate) fn expand(world: &World, answer: &mut Value, path: &str) -> Result<(), ApiError> {
    let steps: Vec<&str> = path.split('.').collect();
    walk(world, answer, &steps, path)
}

fn walk(world: &World, here: &mut Value, steps: &[&str], path: &str) -> Result<(), ApiError> {
    let Some((step, deeper)) = steps.split_first() else {
        return Ok(());
    };
    if let Value::Array(elements) = here {
        return elements
            .iter_mut()
            .try_for_each(|element| walk(world, element, steps, path));
    }
    if here.is_null() {
        return Ok(());
    }
    let is_list = matches!(field::text(here, "object"), "list" | "search_result");
    if let Some(included) = included(world, here, step) {
        field::set(here, step, included);
    }
    let may_be_without = matches!(
        (field::text(here, "object"), *step),
        ("coupon", "applies_to" | "currency_options") | ("price", "tiers") | ("refund", "failure_balance_transaction")
    );
    let Some(next) = here.get_mut(step) else {
        if may_be_without {
            return Ok(());
        }
        let message = format!("This property cannot be expanded ({path}).");
        return Err(ApiError::invalid(message).param("expand"));
    };
    if *step == "data" && is_list {
        return walk(world, next, deeper, path);
    }
    if let Value::String(id) = next {
        match world.find(id) {
            Some(object) => *next = rendered(object),
            None => {
                let message = format!("This property cannot be expanded ({path}).");
                return Err(ApiError::invalid(message).param("expand"));
            }
        }
    }
    if let Value::Array(ids) = next {
        for id in ids.iter_mut() {
            if let Some(object) = id.as_str().and_then(|id| world.find(id)) {
                *id = rendered(object);
            }
        }
    }
    walk(world, next, deeper, path)
}

/// Fields that are left out of an object unless they are asked for.
fn included(world: &World, object: &Value, step: &str) -> Option<Value> {
    let id = field::text(object, "id");
    match (field::text(object, "object"), step) {
        ("charge", "refunds") => {
            let refunds = refund::list_on_charge(world, id);
            Some(list(&format!("/v1/charges/{id}/refunds"), json!(refunds)))
        }
        ("checkout.session", "line_items") => {
            let lines = field::at(world.find(id)?, "_sandbox.line_items").clone();
            Some(list(&format!("/v1/checkout/sessions/{id}/line_items"), lines))
        }
        ("payment_link", "line_items") => {
            let lines = field::at(world.find(id)?, "_sandbox.line_items").clone();
            Some(list(&format!("/v1/payment_links/{id}/line_items"), lines))
        }
        ("coupon", "applies_to" | "currency_options") => coupon::hidden(world.find(id)?, step),
        ("price", "tiers" | "currency_options") => price_terms::hidden(world.find(id)?, step),
        ("tax.calculation", "line_items") => {
            let lines = field::at(world.find(id)?, "_sandbox.line_items").clone();
            Some(list(&format!("/v1/tax/calculations/{id}/line_items"), lines))
        }
        ("invoice", "payments") => {
            let payments = world
                .all("invoice_payment")
                .into_iter()
                .filter(|one| field::text(one, "invoice") == id);
            Some(list(
                "/v1/invoice_payments",
                payments.map(|one| rendered(&one)).collect(),
            ))
        }
        ("invoice", "confirmation_secret") => {
            let payment = world.of(id, "invoice_payment").pop()?;
            let intent = world.find(field::text(&payment, "payment.payment_intent"))?;
            Some(json!({ "client_secret": field::text(intent, "client_secret"), "type": "payment_intent" }))
        }
        ("customer", "subscriptions") => {
            let all = world.of(id, "subscription").into_iter();
            let own = all.filter(|one| field::text(one, "status") != "canceled");
            Some(list(
                &format!("/v1/customers/{id}/subscriptions"),
                own.map(|one| rendered(&one)).collect(),
            ))
        }
        ("customer", "tax_ids") => {
            let own = tax_id::of_customer(world, id);
            Some(list(&format!("/v1/customers/{id}/tax_ids"), json!(own)))
        }
        ("customer", "tax") => Some(crate::resources::customer::tax(object)),
        _ => None,
    }
}

fn list(url: &str, data: Value) -> Value {
    json!({ "object": "list", "url": url, "has_more": false, "data": data })
}
