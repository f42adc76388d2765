//! Customers.

use std::sync::Arc;

use super::{
    Call, Operation, address, check_email, copy_texts, list_of, merge_metadata, payment_method, search, tax_id,
    tax_rates,
};
use crate::{
    billing::{cancellation, schedules, test_clock},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::{Value, json},
    shapes,
    world::{World, ids, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/customers",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/customers",
        run: |world, call| {
            test_clock::check_filter(world, &call.params)?;
            list_of(world, "customer", "/v1/customers", &call.params, |one| {
                matches(one, &call.params, &["email"]) && test_clock::is_listed(one, &call.params, &[])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/search",
        run: |world, call| search::run(world, "customer", "/v1/customers/search", &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{id}",
        run: get,
    },
    Operation {
        method: "POST",
        path: "/v1/customers/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/customers/{id}",
        run: delete,
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{id}/discount",
        run: no_discount,
    },
    Operation {
        method: "DELETE",
        path: "/v1/customers/{id}/discount",
        run: no_discount,
    },
];

/// Nothing gives a customer a discount since 2025-03-31.basil: discounts are those of subscriptions and sessions.
/// Source: <https://docs.stripe.com/changelog/basil>.
fn no_discount(world: &mut World, call: &Call) -> Answer {
    world.get("customer", call.id(), "customer")?;
    let message = format!("No active discount for customer: {}", call.id());
    Err(ApiError::new(404, "invalid_request_error", message)
        .code("resource_missing")
        .param("customer"))
}

fn create(world: &mut World, call: &Call) -> Answer {
    if let Some(clock) = call.params.text("test_clock") {
        test_clock::get(world, clock, "test_clock")?;
        test_clock::has_room_for_customer(world, clock)?;
    }
    let id = world.id("cus_", 14);
    let customer = new(world, id, &call.params)?;
    world.create("customer.created", &customer);
    if let Some(method) = call.params.text("payment_method") {
        payment_method::attach(world, method, field::text(&customer, "id"), "payment_method")?;
    }
    let customer = set_default(world, &customer, &call.params, None)?;
    let id = field::text(&customer, "id");
    for (index, tax_id) in call.params.list("tax_id_data").iter().enumerate() {
        let param = format!("tax_id_data[{index}][value]");
        tax_id::create_for(world, Some(id), tax_id.given("type"), tax_id.given("value"), &param)?;
    }
    Ok(rendered(&customer))
}

fn new(world: &World, id: String, params: &Params) -> Answer {
    let mut customer = shapes::customer();
    field::set(&mut customer, "created", world.now);
    field::set(&mut customer, "livemode", world.livemode);
    field::set(&mut customer, "test_clock", world.test_clock.clone());
    field::set(&mut customer, "invoice_prefix", ids::letters(&id, 8).to_uppercase());
    field::set(&mut customer, "id", id);
    write(&mut customer, params)?;
    Ok(customer)
}

/// A customer that a hosted page creates for someone who gave only an email.
pub(crate) fn create_for_page(world: &mut World, email: &str, name: Option<&str>) -> Value {
    let id = world.id("cus_", 14);
    let mut customer = new(world, id, &Params::default()).unwrap_or_default();
    field::set(&mut customer, "email", email);
    field::set(&mut customer, "name", name);
    world.create("customer.created", &customer);
    customer
}

fn get(world: &mut World, call: &Call) -> Answer {
    let stored = world
        .find(call.id())
        .filter(|value| field::text(value, "object") == "customer");
    stored
        .map(rendered)
        .ok_or_else(|| ApiError::missing("customer", call.id(), "id"))
}

pub(crate) fn update(world: &mut World, call: &Call) -> Answer {
    let customer = world.get("customer", call.id(), "id")?;
    let mut changed = customer.clone();
    write(&mut changed, &call.params)?;
    let changed = set_default(world, &customer, &call.params, Some(changed))?;
    Ok(rendered(&changed))
}

/// Writes `changed` (or `customer` as it is) with the default payment method asked for, as one `customer.updated`.
fn set_default(world: &mut World, customer: &Value, params: &Params, changed: Option<Value>) -> Answer {
    const NAME: &str = "invoice_settings[default_payment_method]";
    let id = field::text(customer, "id");
    let mut changed = changed.unwrap_or_else(|| customer.clone());
    if params.clears(NAME) {
        field::set(&mut changed, "invoice_settings.default_payment_method", Value::Null);
    } else if let Some(method) = params.text(NAME) {
        let method = payment_method::of_customer(world, method, id, NAME)?;
        field::set(
            &mut changed,
            "invoice_settings.default_payment_method",
            field::at(&method, "id").clone(),
        );
    }
    let updated = world.update(id, "customer.updated", |one| *one = changed);
    Ok(Arc::unwrap_or_clone(updated))
}

fn write(customer: &mut Value, params: &Params) -> Result<(), ApiError> {
    copy_texts(
        customer,
        params,
        &[
            "description",
            "email",
            "name",
            "phone",
            "business_name",
            "individual_name",
        ],
    );
    copy_texts(customer, params, &["invoice_prefix"]);
    check_email(params, "email")?;
    let metadata = merge_metadata(field::at(customer, "metadata"), params, "metadata")?;
    field::set(customer, "metadata", metadata);
    if params.has("address") {
        field::set(customer, "address", address(params, "address"));
    }
    if params.has("shipping") {
        let shipping = match params.at("shipping") {
            Value::Object(_) => json!({
                "name": params.text("shipping[name]"),
                "phone": params.text("shipping[phone]"),
                "address": address(params, "shipping[address]"),
            }),
            _ => Value::Null,
        };
        field::set(customer, "shipping", shipping);
    }
    if let Some(exempt) = params.text("tax_exempt") {
        field::set(customer, "tax_exempt", exempt);
    }
    if params.has("preferred_locales") {
        field::set(customer, "preferred_locales", params.texts("preferred_locales"));
    }
    if let Some(ip_address) = params.text("tax[ip_address]") {
        field::set(customer, "_sandbox.ip_address", ip_address);
    }
    let how = params.text("tax[validate_location]");
    if how == Some("immediately") && field::text(&tax(customer), "automatic_tax") != "supported" {
        return Err(
            ApiError::invalid("The customer's location isn't recognized. Set a valid customer address.")
                .code("customer_tax_location_invalid"),
        );
    }
    Ok(())
}

/// The customer's `tax` hash: whether their place is known well enough to tax.
pub(crate) fn tax(customer: &Value) -> Value {
    let known = tax_rates::is_location(field::at(customer, "address"));
    json!({
        "automatic_tax": if known { "supported" } else { "unrecognized_location" },
        "ip_address": field::at(customer, "_sandbox.ip_address"),
        "location": if known {
            json!({
                "country": field::at(customer, "address.country"),
                "state": field::at(customer, "address.state"),
                "source": "billing_address",
            })
        } else {
            Value::Null
        },
        "provider": "stripe",
    })
}

fn delete(world: &mut World, call: &Call) -> Answer {
    let customer = world.get("customer", call.id(), "id")?;
    Ok(remove(world, &customer))
}

/// Deletes a customer: their subscriptions are canceled, their payment methods are nobody's.
pub(crate) fn remove(world: &mut World, customer: &Value) -> Value {
    let id = field::text(customer, "id");
    for subscription in world.of(id, "subscription") {
        cancellation::cancel_now(world, field::text(&subscription, "id"), None);
    }
    for schedule in world.of(id, schedules::KIND) {
        if field::text(&schedule, "status") == "not_started" {
            schedules::cancel(world, &schedule);
        }
    }
    for method in world.all("payment_method") {
        if field::text(&method, "customer") == id {
            payment_method::release(world, field::text(&method, "id"));
        }
    }
    world.emit("customer.deleted", customer, None);
    let stub = json!({ "id": id, "object": "customer", "deleted": true });
    world.put(&stub);
    stub
}
