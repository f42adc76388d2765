//! The balance of a customer, which is what changes of it add up to: a credit is negative.
//!
//! Source: <https://docs.stripe.com/billing/customer/balance>.

use super::{Call, Operation, copy_texts, currency, list_of, merge_metadata};
use crate::{
    billing::customer_credit::{self, Reason},
    field,
    http::{
        error::{Answer, ApiError},
        matches,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/customers/{customer}/balance_transactions",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/balance_transactions",
        run: |world, call| {
            world.get("customer", call.id(), "customer")?;
            let url = format!("/v1/customers/{}/balance_transactions", call.id());
            list_of(world, "customer_balance_transaction", &url, &call.params, |one| {
                field::text(one, "customer") == call.id() && matches(one, &call.params, &["invoice"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/balance_transactions/{id}",
        run: |world, call| Ok(rendered(&named(world, call)?)),
    },
    Operation {
        method: "POST",
        path: "/v1/customers/{customer}/balance_transactions/{id}",
        run: update,
    },
];

/// A balance stays within what is far from the edge of the numbers.
const LARGEST_BALANCE: i64 = 999_999_999_999;

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let customer = world.get("customer", call.id(), "customer")?;
    let currency = currency(params, "currency");
    if let Some(own) = field::some_text(&customer, "currency").filter(|own| *own != currency) {
        let message = format!("The customer's currency is {own}: their balance cannot be changed in {currency}.");
        return Err(ApiError::invalid(message).param("currency"));
    }
    let amount = params.integer("amount").unwrap_or_default();
    let balance = field::integer(&customer, "balance") + amount;
    if balance.abs() > LARGEST_BALANCE {
        let message = format!("Invalid amount: the balance would be {balance}.");
        return Err(ApiError::invalid(message).param("amount"));
    }
    let mut written = json!({ "description": null, "metadata": {} });
    write(&mut written, call)?;
    let reason = Reason {
        kind: "adjustment",
        invoice: None,
        description: field::at(&written, "description").clone(),
        metadata: field::at(&written, "metadata").clone(),
    };
    let made = customer_credit::apply(world, call.id(), amount, &currency, reason);
    Ok(rendered(&made))
}

fn write(made: &mut Value, call: &Call) -> Result<(), ApiError> {
    copy_texts(made, &call.params, &["description"]);
    let metadata = merge_metadata(field::at(made, "metadata"), &call.params, "metadata")?;
    field::set(made, "metadata", metadata);
    Ok(())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = named(world, call)?;
    write(&mut changed, call)?;
    world.put(&changed);
    Ok(rendered(&changed))
}

fn named(world: &World, call: &Call) -> Answer {
    world.get("customer", call.id(), "customer")?;
    let id = call.ids.get(1).map(String::as_str).unwrap_or_default();
    let found = world.get("customer_balance_transaction", id, "transaction")?;
    if field::text(&found, "customer") == call.id() {
        Ok(found)
    } else {
        Err(ApiError::missing("customer_balance_transaction", id, "transaction"))
    }
}
