//! The objects of the API and their operations, one file per resource.

pub(crate) mod account;
pub(crate) mod account_link;
pub(crate) mod balance;
pub(crate) mod balance_settings;
pub(crate) mod charge;
pub(crate) mod checkout_lines;
pub(crate) mod checkout_session;
pub(crate) mod collection;
pub(crate) mod coupon;
pub(crate) mod credit_note;
pub(crate) mod customer;
pub(crate) mod customer_balance;
pub(crate) mod dispute;
pub(crate) mod early_fraud_warning;
pub(crate) mod event;
pub(crate) mod external_account;
pub(crate) mod intent;
pub(crate) mod invoice;
pub(crate) mod invoice_item;
pub(crate) mod invoice_preview;
pub(crate) mod meter;
pub(crate) mod meter_event;
pub(crate) mod payment_intent;
pub(crate) mod payment_link;
pub(crate) mod payment_method;
pub(crate) mod payment_page;
pub(crate) mod payout;
pub(crate) mod pending_update;
pub(crate) mod portal_configuration;
pub(crate) mod portal_session;
pub(crate) mod price;
pub(crate) mod price_terms;
pub(crate) mod product;
pub(crate) mod promotion_code;
pub(crate) mod refund;
pub(crate) mod schedule_phases;
pub(crate) mod schedule_preview;
pub(crate) mod search;
pub(crate) mod setup_intent;
pub(crate) mod subscription;
pub(crate) mod subscription_item;
pub(crate) mod subscription_pause;
pub(crate) mod subscription_schedule;
pub(crate) mod subscription_start;
pub(crate) mod tax_calculation;
pub(crate) mod tax_id;
pub(crate) mod tax_rates;
pub(crate) mod test_clock;
pub(crate) mod webhook_endpoint;

use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    json::{Map, Value, json},
    world::{World, rendered},
};

/// One operation of the API. What it takes is in `operations/table.txt`, and has been checked when it runs.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    /// Ids stand in braces: `/v1/customers/{id}`.
    pub(crate) path: &'static str,
    pub(crate) run: fn(&mut World, &Call) -> Answer,
}

/// What an operation is called with.
pub(crate) struct Call {
    pub(crate) params: Params,
    /// What stood in the braces of the path.
    pub(crate) ids: Vec<String>,
}

impl Call {
    /// The first id in the path.
    pub(crate) fn id(&self) -> &str {
        self.ids.first().map(String::as_str).unwrap_or_default()
    }
}

const ALL: &[&[Operation]] = &[
    account::OPERATIONS,
    account_link::OPERATIONS,
    balance::OPERATIONS,
    balance_settings::OPERATIONS,
    charge::OPERATIONS,
    checkout_session::OPERATIONS,
    coupon::OPERATIONS,
    credit_note::OPERATIONS,
    customer::OPERATIONS,
    customer_balance::OPERATIONS,
    dispute::OPERATIONS,
    early_fraud_warning::OPERATIONS,
    event::OPERATIONS,
    external_account::OPERATIONS,
    invoice::OPERATIONS,
    invoice_item::OPERATIONS,
    invoice_preview::OPERATIONS,
    meter::OPERATIONS,
    meter_event::OPERATIONS,
    payment_intent::OPERATIONS,
    payment_link::OPERATIONS,
    payment_method::OPERATIONS,
    payment_page::OPERATIONS,
    payout::OPERATIONS,
    portal_configuration::OPERATIONS,
    portal_session::OPERATIONS,
    price::OPERATIONS,
    product::OPERATIONS,
    promotion_code::OPERATIONS,
    refund::OPERATIONS,
    setup_intent::OPERATIONS,
    subscription::OPERATIONS,
    subscription_item::OPERATIONS,
    subscription_pause::OPERATIONS,
    subscription_schedule::OPERATIONS,
    tax_calculation::OPERATIONS,
    tax_id::OPERATIONS,
    test_clock::OPERATIONS,
    webhook_endpoint::OPERATIONS,
];

/// All operations that are answered.
pub(crate) fn operations() -> impl Iterator<Item = &'static Operation> {
    ALL.iter().flat_map(|operations| operations.iter())
}

/// Answers with the object `id` of this kind.
pub(crate) fn retrieve(world: &World, object: &str, id: &str) -> Answer {
    world.get(object, id, "id").map(|value| rendered(&value))
}

/// Answers with a page of all objects of a kind that `keep` lets through and that were created when asked.
pub(crate) fn list_of(
    world: &World,
    object: &str,
    url: &str,
    params: &Params,
    keep: impl Fn(&Value) -> bool,
) -> Answer {
    let found = world
        .each(object)
        .filter(|value| keep(value) && list::created_within(params, field::integer(value, "created")))
        .map(|value| rendered(&value));
    list::page(url, params, found)
}

/// The id that the caller chose for a new object, if any, and if nothing has it.
pub(crate) fn given_id(world: &World, params: &Params, object: &str) -> Result<Option<String>, ApiError> {
    let Some(id) = params.text("id") else {
        return Ok(None);
    };
    if !id
        .bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
    {
        let message = format!("Invalid {object} id: it can have letters, digits, `-`, `_` and `.`.");
        return Err(ApiError::invalid(message).param("id"));
    }
    let taken = world
        .find(id)
        .is_some_and(|one| !field::flag(one, "deleted") || field::text(one, "object") != object);
    if taken {
        let message = format!("The {object} `{id}` already exists.");
        return Err(ApiError::invalid(message).code("resource_already_exists").param("id"));
    }
    Ok(Some(id.to_owned()))
}

/// Deletes the object `id`, tells of it and answers with what is left of it.
pub(crate) fn delete_for_good(world: &mut World, object: &str, id: &str) -> Answer {
    let gone = world.get(object, id, "id")?;
    world.emit(&format!("{object}.deleted"), &gone, None);
    let stub = json!({ "id": id, "object": object, "deleted": true });
    world.put(&stub);
    Ok(stub)
}

/// Copies the texts sent under these names into the object's fields of the same names; an empty one clears to null.
pub(crate) fn copy_texts(object: &mut Value, params: &Params, names: &[&str]) {
    for name in names {
        match params.at(name) {
            Value::String(text) if text.is_empty() => field::set(object, name, Value::Null),
            Value::String(text) => field::set(object, name, text.clone()),
            _ => {}
        }
    }
}

/// Most keys, longest key, longest value. Source: <https://docs.stripe.com/api/metadata>.
const METADATA_LIMITS: (usize, usize, usize) = (50, 40, 500);

/// Merges the metadata sent under `name` into `current`; an empty value removes its key, an empty hash all of them.
pub(crate) fn merge_metadata(current: &Value, params: &Params, name: &str) -> Answer {
    let mut merged = current.as_object().cloned().unwrap_or_default();
    match params.at(name) {
        Value::Null => return Ok(Value::Object(merged)),
        Value::String(text) if text.is_empty() => return Ok(json!({})),
        Value::Object(sent) => {
            for (key, value) in sent {
                let Some(value) = value.as_str() else {
                    return Err(ApiError::invalid(format!("Invalid metadata value for `{key}`.")).param(name));
                };
                if value.is_empty() {
                    merged.shift_remove(key);
                } else {
                    merged.insert(key.clone(), json!(value));
                }
            }
        }
        _ => return Err(ApiError::invalid("Invalid hash").param(name)),
    }
    check_metadata(&merged, name)?;
    Ok(Value::Object(merged))
}

fn check_metadata(merged: &Map, name: &str) -> Result<(), ApiError> {
    let (most, longest_key, longest_value) = METADATA_LIMITS;
    if merged.len() > most {
        return Err(ApiError::invalid(format!("Metadata can have at most {most} keys.")).param(name));
    }
    for (key, value) in merged {
        if key.chars().count() > longest_key {
            return Err(
                ApiError::invalid(format!("Metadata keys can be at most {longest_key} characters: {key}")).param(name),
            );
        }
        if value.as_str().unwrap_or_default().chars().count() > longest_value {
            let message = format!("Metadata values can be at most {longest_value} characters (key {key}).");
            return Err(ApiError::invalid(message).param(name));
        }
    }
    Ok(())
}

/// The address sent under `name`, complete with nulls; null where it is cleared or was not sent.
pub(crate) fn address(params: &Params, name: &str) -> Value {
    if !params.at(name).is_object() {
        return Value::Null;
    }
    let mut address = json!({});
    for part in ["city", "country", "line1", "line2", "postal_code", "state"] {
        field::set(&mut address, part, params.text(&format!("{name}[{part}]")));
    }
    address
}

/// The `shipping` sent; null where it is cleared or was not sent.
pub(crate) fn shipping(params: &Params) -> Value {
    if !params.at("shipping").is_object() {
        return Value::Null;
    }
    let mut shipping = json!({ "address": address(params, "shipping[address]") });
    for part in ["carrier", "name", "phone", "tracking_number"] {
        field::set(&mut shipping, part, params.text(&format!("shipping[{part}]")));
    }
    shipping
}

/// Whether what was sent under `name`, if anything, may be an email address.
/// Source: <https://docs.stripe.com/error-codes#email-invalid>.
pub(crate) fn check_email(params: &Params, name: &str) -> Result<(), ApiError> {
    match params.text(name) {
        Some(email) if !email.contains('@') || email.len() > 512 => {
            let message = format!("Invalid email address: {email}");
            Err(ApiError::invalid(message).code("email_invalid").param(name))
        }
        _ => Ok(()),
    }
}

/// Whether what was sent under `name`, if anything, is a URL that a browser can be sent to.
pub(crate) fn is_web_url(params: &Params, name: &str) -> Result<(), ApiError> {
    let Some(url) = params.text(name) else { return Ok(()) };
    // The template stands where a URL may not have braces.
    let parsed = url::Url::parse(&url.replace("{CHECKOUT_SESSION_ID}", "id"));
    if parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Ok(());
    }
    let message = format!("Not a valid URL: {url}");
    Err(ApiError::invalid(message).code("url_invalid").param(name))
}

/// A currency in lower case, in whichever it was sent.
pub(crate) fn currency(params: &Params, name: &str) -> String {
    params.given(name).to_ascii_lowercase()
}

/// Largest amount, in minor units. Source: <https://docs.stripe.com/currencies> (eight digits).
pub(crate) const LARGEST_AMOUNT: i64 = 99_999_999;
/// Largest quantity of one line.
pub(crate) const LARGEST_QUANTITY: i64 = 999_999;

/// A quantity, 1 where none was sent.
pub(crate) fn quantity(params: &Params, name: &str) -> Result<i64, ApiError> {
    match params.integer(name).unwrap_or(1) {
        quantity @ 1..=LARGEST_QUANTITY => Ok(quantity),
        quantity => Err(ApiError::invalid_integer(name, format!("Invalid quantity: {quantity}"))),
    }
}
