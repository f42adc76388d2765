//! The bank accounts an account is paid out to.
//!
//! Source: <https://docs.stripe.com/api/external_accounts>. Stripe has those of the platform itself entered in its dashboard;
//! here they are served as those of connected accounts are.

use super::{Call, Operation, account, currency, list_of, merge_metadata, retrieve};
use crate::{
    billing::bank_accounts::{self, Details},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/accounts/{account}/external_accounts",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/accounts/{account}/external_accounts",
        run: |world, call| {
            let url = format!("/v1/accounts/{}/external_accounts", call.id());
            let wanted = call.params.text("object");
            of_account(world, call, |world| {
                list_of(world, "bank_account", &url, &call.params, |_| {
                    wanted.is_none_or(|kind| kind == "bank_account")
                })
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/accounts/{account}/external_accounts/{id}",
        run: |world, call| of_account(world, call, |world| retrieve(world, "bank_account", own_id(call))),
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{account}/external_accounts/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/accounts/{account}/external_accounts/{id}",
        run: |world, call| {
            of_account(world, call, |world| {
                let bank_account = world.get("bank_account", own_id(call), "id")?;
                bank_accounts::remove(world, &bank_account)
            })
        },
    },
];

/// The id of the bank account in the path.
fn own_id(call: &Call) -> &str {
    call.ids.get(1).map(String::as_str).unwrap_or_default()
}

/// Runs `step` on the data of the account in the path, if the caller has access to it.
fn of_account(world: &mut World, call: &Call, step: impl FnOnce(&mut World) -> Answer) -> Answer {
    let id = call.id();
    let data_set = if id == world.platform_id() { "" } else { id };
    if !world.account.is_empty() && world.account != data_set {
        return Err(ApiError::missing("account", id, "account"));
    }
    if !data_set.is_empty() {
        account::on_platform(world, |world| world.get("account", id, "account"))?;
    }
    account::in_account(world, data_set, step)
}

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let name = if params.has("external_account") {
        "external_account"
    } else {
        "bank_account"
    };
    if !params.has(name) {
        return Err(ApiError::parameter_missing("external_account"));
    }
    let details = read(params, name)?;
    let metadata = merge_metadata(&json!({}), params, "metadata")?;
    let is_default = params.boolean("default_for_currency").unwrap_or_default();
    of_account(world, call, |world| {
        Ok(rendered(&bank_accounts::add(world, &details, metadata, is_default)))
    })
}

/// The bank account sent under `name`: a test token, or its numbers.
pub(crate) fn read(params: &Params, name: &str) -> Result<Details, ApiError> {
    if let Value::String(token) = params.at(name) {
        return bank_accounts::of_token(token, name);
    }
    let text = |part: &str| params.text(&format!("{name}[{part}]")).map(str::to_owned);
    if text("object").is_some_and(|kind| kind != "bank_account") {
        let param = format!("{name}[object]");
        return Err(ApiError::unserved(
            &param,
            "The sandbox pays out to bank accounts only.",
        ));
    }
    let country = text("country").unwrap_or_default().to_uppercase();
    let sent = currency(params, &format!("{name}[currency]"));
    let details = Details {
        currency: if sent.is_empty() {
            account::default_currency(&country).to_owned()
        } else {
            sent
        },
        country,
        account_number: text("account_number").unwrap_or_default(),
        routing_number: text("routing_number"),
        holder_name: text("account_holder_name"),
        holder_type: text("account_holder_type"),
    };
    bank_accounts::check(&details, name)?;
    Ok(details)
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    of_account(world, call, |world| {
        let mut changed = world.get("bank_account", own_id(call), "id")?;
        let metadata = merge_metadata(field::at(&changed, "metadata"), params, "metadata")?;
        field::set(&mut changed, "metadata", metadata);
        super::copy_texts(&mut changed, params, &["account_holder_name", "account_holder_type"]);
        match params.boolean("default_for_currency") {
            Some(true) => field::set(&mut changed, "default_for_currency", true),
            Some(false) if field::flag(&changed, "default_for_currency") => {
                let message =
                    "A default external account stays it until another one of its currency is made the default.";
                return Err(ApiError::invalid(message).param("default_for_currency"));
            }
            _ => {}
        }
        Ok(rendered(&bank_accounts::change(world, own_id(call), |one| {
            *one = changed
        })))
    })
}
