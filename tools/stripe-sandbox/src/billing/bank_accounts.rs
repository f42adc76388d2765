//! The bank accounts that money is paid out to, and what the test numbers of <https://docs.stripe.com/connect/testing> do.

use std::sync::Arc;

use super::payouts;
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    resources::account,
    shapes,
    world::{World, ids, rendered},
};

/// The bank of the test numbers.
const TEST_ROUTING: &str = "110000000";
/// The test number that money arrives at.
const GOOD: &str = "000123456789";

/// The numbers of accounts to which no payout comes through, with the end of their tokens and why they fail.
/// Source: <https://docs.stripe.com/connect/testing#account-numbers>.
const FAILING: &[(&str, &str, &str)] = &[
    ("000111111116", "noAccount", "no_account"),
    ("000111111113", "accountClosed", "account_closed"),
    ("000222222227", "insufficientFunds", "insufficient_funds"),
    ("000333333335", "debitNotAuthorized", "debit_not_authorized"),
    ("000444444440", "invalidCurrency", "invalid_currency"),
];

/// What a bank account is made of.
#[derive(Clone, Default)]
pub(crate) struct Details {
    pub(crate) country: String,
    pub(crate) currency: String,
    pub(crate) account_number: String,
    pub(crate) routing_number: Option<String>,
    pub(crate) holder_name: Option<String>,
    pub(crate) holder_type: Option<String>,
}

/// What a test token (`btok_us_verified_noAccount`) stands for.
pub(crate) fn of_token(token: &str, param: &str) -> Result<Details, ApiError> {
    let number = match token {
        "btok_us" | "btok_us_verified" => Some(GOOD),
        failing => failing.strip_prefix("btok_us_verified_").and_then(|end| {
            let found = FAILING.iter().find(|(_, name, _)| *name == end);
            found.map(|(number, ..)| *number)
        }),
    };
    let number = number.ok_or_else(|| ApiError::missing("token", token, param))?;
    Ok(Details {
        country: "US".to_owned(),
        currency: "usd".to_owned(),
        account_number: number.to_owned(),
        routing_number: Some(TEST_ROUTING.to_owned()),
        ..Details::default()
    })
}

/// Checks numbers as far as that is possible without a bank.
pub(crate) fn check(details: &Details, param: &str) -> Result<(), ApiError> {
    let number = &details.account_number;
    let plausible = (4..=34).contains(&number.len()) && number.bytes().all(|one| one.is_ascii_alphanumeric());
    if !plausible {
        let message = "The account number is invalid: it must have 4 to 34 letters and digits.";
        return Err(ApiError::invalid(message)
            .code("account_number_invalid")
            .param(format!("{param}[account_number]")));
    }
    if details.country != "US" {
        return Ok(());
    }
    let param = format!("{param}[routing_number]");
    let Some(routing) = &details.routing_number else {
        return Err(ApiError::parameter_missing(&param));
    };
    if routing.len() != 9 || !routing.bytes().all(|one| one.is_ascii_digit()) {
        let message = "Invalid routing number: a routing number in the US has 9 digits.";
        return Err(ApiError::invalid(message).code("routing_number_invalid").param(param));
    }
    Ok(())
}

/// Adds a bank account to the account at work; the first of its currency is the default for it.
pub(crate) fn add(world: &mut World, details: &Details, metadata: Value, is_default: bool) -> Value {
    let made = make(world, details, metadata, is_default);
    world.emit("account.external_account.created", &made, None);
    show(world);
    payouts::plan_anew(world);
    made
}

fn make(world: &mut World, details: &Details, metadata: Value, is_default: bool) -> Value {
    let mut made = shapes::bank_account();
    let is_default = is_default || default_for(world, &details.currency).is_none();
    if is_default {
        yield_default(world, &details.currency);
    }
    let number = &details.account_number;
    let routing = details.routing_number.as_deref();
    let (_, last4) = number
        .split_at_checked(number.len().saturating_sub(4))
        .unwrap_or_default();
    let source = format!("{}:{number}", routing.unwrap_or_default());
    let failing = FAILING
        .iter()
        .find(|(failing, ..)| failing == number)
        .filter(|_| routing == Some(TEST_ROUTING));
    let account = if world.account.is_empty() {
        world.platform_id()
    } else {
        world.account.clone()
    };
    for (name, value) in [
        ("id", json!(world.id("ba_", 24))),
        ("account", json!(account)),
        ("account_holder_name", json!(details.holder_name)),
        ("account_holder_type", json!(details.holder_type)),
        ("country", json!(details.country)),
        ("currency", json!(details.currency)),
        ("default_for_currency", json!(is_default)),
        ("fingerprint", json!(ids::letters(&source, 16))),
        ("last4", json!(last4)),
        ("metadata", metadata),
        ("routing_number", json!(routing)),
        ("_sandbox.created", json!(world.now)),
        ("_sandbox.fails", json!(failing.map(|(.., code)| code))),
    ] {
        field::set(&mut made, name, value);
    }
    world.put(&made);
    made
}

/// The bank account that money of a currency goes to, if there is one.
pub(crate) fn default_for(world: &World, currency: &str) -> Option<Value> {
    let all = world.all("bank_account").into_iter();
    all.filter(|one| field::text(one, "currency") == currency)
        .find(|one| field::flag(one, "default_for_currency"))
}

fn yield_default(world: &mut World, currency: &str) {
    if let Some(before) = default_for(world, currency) {
        world.edit(field::text(&before, "id"), |one| {
            field::set(one, "default_for_currency", false)
        });
    }
}

/// Whether a payout to it failed, so that none is made until its owner does something about it.
pub(crate) fn is_errored(bank_account: &Value) -> bool {
    field::text(bank_account, "status") == "errored"
}

/// The bank account for a payout in this currency. The platform, which has no page here to enter one, has a verified test
/// account in each: it is made when it is first needed.
pub(crate) fn destination(world: &mut World, currency: &str) -> Option<Value> {
    let own = default_for(world, currency);
    if own.is_some() || !world.account.is_empty() {
        return own;
    }
    let details = Details {
        country: "US".to_owned(),
        currency: currency.to_owned(),
        account_number: GOOD.to_owned(),
        routing_number: Some(TEST_ROUTING.to_owned()),
        ..Details::default()
    };
    let made = make(world, &details, json!({}), true);
    let verified = world.edit(field::text(&made, "id"), |one| field::set(one, "status", "verified"));
    Some(Arc::unwrap_or_clone(verified))
}

/// Changes a bank account of the account at work and tells of it.
pub(crate) fn change(world: &mut World, id: &str, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
    let was = world.find(id).cloned().unwrap_or_default();
    let mut changed = was.clone();
    edit(&mut changed);
    if field::flag(&changed, "default_for_currency") && !field::flag(&was, "default_for_currency") {
        yield_default(world, field::text(&was, "currency"));
    }
    let changed = world.update(id, "account.external_account.updated", |one| *one = changed);
    show(world);
    payouts::plan_anew(world);
    changed
}

/// Removes a bank account of the account at work. Gives what is left of it.
pub(crate) fn remove(world: &mut World, bank_account: &Value) -> Result<Value, ApiError> {
    let (id, currency) = (field::text(bank_account, "id"), field::text(bank_account, "currency"));
    if field::flag(bank_account, "default_for_currency") && account::own_currency(world) == currency {
        let message = "You cannot delete the default external account for your default currency. Please make another \
            external account the default using the `default_for_currency` param, and then delete this one.";
        return Err(ApiError::invalid(message));
    }
    world.emit("account.external_account.deleted", bank_account, None);
    let stub = json!({ "id": id, "object": "bank_account", "currency": currency, "deleted": true });
    world.put(&stub);
    show(world);
    payouts::plan_anew(world);
    Ok(stub)
}

/// Has the account at work show its bank accounts, and want none any more once it has one.
fn show(world: &mut World) {
    if world.account.is_empty() {
        return;
    }
    let all = listed(world);
    account::change_own(world, |one| {
        for list in ["currently_due", "eventually_due", "past_due"] {
            if let Value::Array(wanted) = field::place(one, &format!("requirements.{list}")) {
                wanted.retain(|name| all.is_empty() || name != "external_account");
            }
        }
        field::set(one, "external_accounts.data", all);
    });
}

/// The bank accounts of the account at work as its object lists them, newest first.
pub(crate) fn listed(world: &World) -> Vec<Value> {
    world.all("bank_account").iter().map(rendered).collect()
}
