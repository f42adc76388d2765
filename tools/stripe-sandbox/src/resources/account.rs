//! The platform's own account and the accounts connected to it.
//!
//! Source: <https://docs.stripe.com/api/accounts>, <https://docs.stripe.com/connect/migrate-to-controller-properties>.

use std::sync::Arc;

use super::{Call, Operation, copy_texts, external_account, list_of, merge_metadata, retrieve, tax_rates};
use crate::{
    billing::{bank_accounts, payout_schedule, payouts},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Map, Text, Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/account",
        run: own,
    },
    Operation {
        method: "POST",
        path: "/v1/accounts",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/accounts",
        run: |world, call| list_of(world, "account", "/v1/accounts", &call.params, |_| true),
    },
    Operation {
        method: "GET",
        path: "/v1/accounts/{id}",
        run: get,
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{id}",
        run: update,
    },
];

/// What a connected account has to tell before it may take charges.
const REQUIRED: &[&str] = &[
    "business_profile.product_description",
    "business_profile.support_phone",
    "business_profile.url",
    "external_account",
    "tos_acceptance.date",
    "tos_acceptance.ip",
];

/// The account that the key, or `Stripe-Account`, stands for.
fn own(world: &mut World, _call: &Call) -> Answer {
    if world.account.is_empty() {
        return Ok(platform(world));
    }
    let id = world.account.clone();
    on_platform(world, |world| world.get("account", &id, "account")).map(|account| rendered(&account))
}

/// Runs `step` on the platform's data, where the accounts lie, whatever data set is at work.
pub(crate) fn on_platform<T>(world: &mut World, step: impl FnOnce(&mut World) -> T) -> T {
    let account = std::mem::take(&mut world.account);
    let result = step(world);
    world.account = account;
    result
}

/// The default currency of the account at work.
pub(crate) fn own_currency(world: &mut World) -> String {
    let id = world.account.clone();
    let account = on_platform(world, |world| world.find(&id).cloned()).unwrap_or_else(|| platform(world));
    field::text(&account, "default_currency").to_owned()
}

fn platform(world: &World) -> Value {
    let mut account = shapes::account();
    field::set(&mut account, "id", world.platform_id());
    field::set(&mut account, "created", world.now);
    field::set(&mut account, "type", "standard");
    field::set(&mut account, "country", tax_rates::HOME);
    field::set(&mut account, "default_currency", "eur");
    field::set(&mut account, "business_profile.name", "Sandbox");
    field::set(&mut account, "settings.dashboard.display_name", "Sandbox");
    field::set(
        &mut account,
        "capabilities",
        json!({ "card_payments": "active", "transfers": "active" }),
    );
    for name in ["charges_enabled", "details_submitted", "payouts_enabled"] {
        field::set(&mut account, name, true);
    }
    let url = format!("/v1/accounts/{}/external_accounts", world.platform_id());
    field::set(&mut account, "external_accounts.url", url);
    // The platform's own data are at work here, or a connected account's, whose bank accounts are not the platform's.
    if world.account.is_empty() {
        field::set(&mut account, "external_accounts.data", bank_accounts::listed(world));
        field::set(&mut account, "settings.payouts", payout_schedule::settings(world));
    }
    account
}

fn get(world: &mut World, call: &Call) -> Answer {
    if call.id() == world.platform_id() {
        return Ok(platform(world));
    }
    let id = call.id().to_owned();
    on_platform(world, |world| world.get("account", &id, "account")).map(|account| rendered(&account)).map_err(|_| {
        let message = format!(
            "The provided key does not have access to account '{id}' (or that account does not exist). Application access may \
             have been revoked."
        );
        ApiError::new(403, "invalid_request_error", message).code("account_invalid")
    })
}

fn create(world: &mut World, call: &Call) -> Answer {
    if !world.account.is_empty() {
        return Err(ApiError::invalid("A connected account cannot create accounts."));
    }
    let params = &call.params;
    let country = params.text("country").unwrap_or(tax_rates::HOME).to_owned();
    if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(ApiError::invalid(format!("Country '{country}' is unknown."))
            .code("country_unsupported")
            .param("country"));
    }
    let (kind, controller) = controller(params)?;
    let id = world.id("acct_", 16);
    let mut account = shapes::account();
    field::set(&mut account, "id", id.clone());
    field::set(&mut account, "created", world.now);
    field::set(&mut account, "type", kind);
    field::set(&mut account, "controller", controller);
    field::set(&mut account, "country", country.clone());
    field::set(&mut account, "default_currency", default_currency(&country));
    field::set(
        &mut account,
        "external_accounts.url",
        format!("/v1/accounts/{id}/external_accounts"),
    );
    field::set(&mut account, "requirements.currently_due", json!(REQUIRED));
    field::set(&mut account, "requirements.eventually_due", json!(REQUIRED));
    field::set(&mut account, "requirements.past_due", json!(REQUIRED));
    field::set(&mut account, "requirements.disabled_reason", "requirements.past_due");
    write(&mut account, params)?;
    world.put(&account);
    replace_bank_account(world, &id, params)?;
    retrieve(world, "account", &id)
}

pub(crate) fn default_currency(country: &str) -> &'static str {
    match country {
        "US" => "usd",
        "GB" => "gbp",
        "CA" => "cad",
        "AU" => "aud",
        "JP" => "jpy",
        "CH" => "chf",
        "DK" => "dkk",
        "SE" => "sek",
        "PL" => "pln",
        "CZ" => "czk",
        "HU" => "huf",
        _ => "eur",
    }
}

/// The account's `type` and `controller` hash, from whichever of the two was sent.
fn controller(params: &Params) -> Result<(&'static str, Value), ApiError> {
    let kind = params.text("type");
    if kind.is_some() && params.has("controller") {
        return Err(ApiError::invalid(
            "You may only specify one of these parameters: type, controller.",
        ));
    }
    let losses = params.text("controller[losses][payments]");
    let fees = params.text("controller[fees][payer]");
    let collection = params.text("controller[requirement_collection]");
    let dashboard = params.text("controller[stripe_dashboard][type]");
    let (losses, fees, collection, dashboard) = match kind {
        Some("express") => ("application", "application", "stripe", "express"),
        Some("custom") => ("application", "application", "application", "none"),
        Some(_) => ("stripe", "account", "stripe", "full"),
        None => (
            losses.unwrap_or("stripe"),
            fees.unwrap_or("account"),
            collection.unwrap_or("stripe"),
            dashboard.unwrap_or("full"),
        ),
    };
    if dashboard == "full" && losses == "application" {
        return Err(ApiError::invalid("A full dashboard needs Stripe to be liable for losses.").param("controller"));
    }
    let kind = match (losses, fees, collection, dashboard) {
        ("application", "application", "stripe", "express") => "express",
        ("application", "application", "application", "none") => "custom",
        ("stripe", "account", "stripe", "full") => "standard",
        _ => "none",
    };
    let payer = if kind == "custom" {
        "application_custom"
    } else if kind == "express" {
        "application_express"
    } else {
        fees
    };
    Ok((
        kind,
        json!({
            "fees": { "payer": payer }, "is_controller": true, "losses": { "payments": losses },
            "requirement_collection": collection, "stripe_dashboard": { "type": dashboard }, "type": "application",
        }),
    ))
}

fn write(account: &mut Value, params: &Params) -> Result<(), ApiError> {
    copy_texts(account, params, &["email", "default_currency"]);
    if let Some(business) = params.text("business_type") {
        field::set(account, "business_type", business);
    }
    for name in [
        "mcc",
        "name",
        "product_description",
        "support_email",
        "support_phone",
        "support_url",
        "url",
    ] {
        if let Some(value) = params.text(&format!("business_profile[{name}]")) {
            field::set(account, &format!("business_profile.{name}"), value);
        }
    }
    let metadata = merge_metadata(field::at(account, "metadata"), params, "metadata")?;
    field::set(account, "metadata", metadata);
    if let Some(text) = params.text("settings[payouts][statement_descriptor]") {
        field::set(account, "settings.payouts.statement_descriptor", text);
    }
    let schedule = "settings[payouts][schedule]";
    if params.has(schedule) {
        let new = payout_schedule::read(field::at(account, "settings.payouts.schedule"), params, schedule)?;
        field::set(account, "settings.payouts.schedule", new);
    }
    let submitted = field::flag(account, "details_submitted");
    let requested: Vec<Text> = params
        .at("capabilities")
        .as_object()
        .map(|sent| sent.keys().cloned().collect())
        .unwrap_or_default();
    for name in requested {
        if params.boolean(&format!("capabilities[{name}][requested]")) == Some(true) {
            field::set(
                account,
                &format!("capabilities.{name}"),
                if submitted { "active" } else { "inactive" },
            );
        } else if let Value::Object(capabilities) = field::place(account, "capabilities") {
            capabilities.shift_remove(&name);
        }
    }
    Ok(())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("account", call.id(), "account")?;
    write(&mut changed, &call.params)?;
    change(world, call.id(), |one| *one = changed);
    replace_bank_account(world, call.id(), &call.params)?;
    in_account(world, call.id(), payouts::plan_anew);
    retrieve(world, "account", call.id())
}

/// Runs `step` on the data of a connected account.
pub(crate) fn in_account<T>(world: &mut World, id: &str, step: impl FnOnce(&mut World) -> T) -> T {
    let before = std::mem::replace(&mut world.account, id.to_owned());
    let result = step(world);
    world.account = before;
    result
}

/// Puts the `external_account` sent, if one was, in the place of the default for its currency.
fn replace_bank_account(world: &mut World, id: &str, params: &Params) -> Result<(), ApiError> {
    if !params.has("external_account") {
        return Ok(());
    }
    let details = external_account::read(params, "external_account")?;
    in_account(world, id, |world| {
        let before = bank_accounts::default_for(world, &details.currency);
        bank_accounts::add(world, &details, json!({}), true);
        match before.map(|one| field::text(&one, "id").to_owned()) {
            Some(before) => bank_accounts::remove(world, &world.get("bank_account", &before, "id")?).map(|_| ()),
            None => Ok(()),
        }
    })
}

/// Changes the account at work, which is a connected one, and tells of it.
pub(crate) fn change_own(world: &mut World, edit: impl FnOnce(&mut Value)) {
    let id = world.account.clone();
    on_platform(world, |world| change(world, &id, edit));
}

/// Changes a connected account and tells the platform's Connect endpoints.
fn change(world: &mut World, id: &str, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
    let Some(old) = world.shared(id) else {
        return Arc::default();
    };
    let new = world.edit(id, edit);
    let Some(previous) = field::previous(&rendered(&old), &rendered(&new)) else {
        return new;
    };
    let platform = std::mem::replace(&mut world.account, id.to_owned());
    world.emit("account.updated", &new, Some(previous));
    world.account = platform;
    new
}

/// Onboarding is done: nothing is required any more and every capability asked for is active.
pub(crate) fn onboard(world: &mut World, id: &str) {
    let now = world.now;
    change(world, id, |one| {
        field::set(one, "details_submitted", true);
        field::set(one, "charges_enabled", true);
        field::set(one, "payouts_enabled", true);
        for list in ["currently_due", "eventually_due", "past_due"] {
            field::set(one, &format!("requirements.{list}"), json!([]));
        }
        field::set(one, "requirements.disabled_reason", Value::Null);
        field::set(one, "tos_acceptance.date", now);
        field::set(one, "tos_acceptance.ip", "127.0.0.1");
        let active: Map = field::at(one, "capabilities")
            .as_object()
            .map(|asked| asked.keys().map(|name| (name.clone(), json!("active"))).collect())
            .unwrap_or_default();
        field::set(one, "capabilities", Value::Object(active));
    });
}
