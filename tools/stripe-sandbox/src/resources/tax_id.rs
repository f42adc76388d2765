//! Tax ids of customers and of the account itself, and whether the authorities know them.
//!
//! Sources: <https://docs.stripe.com/api/tax_ids>, <https://docs.stripe.com/tax/customer-tax-ids>.

use super::{Call, Operation, list_of, retrieve};
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
        path: "/v1/tax_ids",
        run: |world, call| {
            let owner = owner(world, &call.params)?;
            create(world, owner.as_deref(), &call.params)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/tax_ids",
        run: |world, call| {
            let owner = owner(world, &call.params)?;
            list_of(world, "tax_id", "/v1/tax_ids", &call.params, |one| {
                field::some_text(one, "customer") == owner.as_deref()
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/tax_ids/{id}",
        run: |world, call| retrieve(world, "tax_id", call.id()),
    },
    Operation {
        method: "DELETE",
        path: "/v1/tax_ids/{id}",
        run: |world, call| {
            let gone = world.get("tax_id", call.id(), "id")?;
            Ok(delete(world, &gone))
        },
    },
    Operation {
        method: "POST",
        path: "/v1/customers/{customer}/tax_ids",
        run: |world, call| {
            world.get("customer", call.id(), "customer")?;
            create(world, Some(call.id()), &call.params)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/tax_ids",
        run: |world, call| {
            world.get("customer", call.id(), "customer")?;
            let url = format!("/v1/customers/{}/tax_ids", call.id());
            list::page(&url, &call.params, of_customer(world, call.id()))
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/tax_ids/{id}",
        run: |world, call| Ok(rendered(&named(world, call)?)),
    },
    Operation {
        method: "DELETE",
        path: "/v1/customers/{customer}/tax_ids/{id}",
        run: |world, call| {
            let gone = named(world, call)?;
            Ok(delete(world, &gone))
        },
    },
];

/// The types that an authority is asked about; of all others it is not known. Source: as the module's.
const VERIFIED: &[&str] = &["au_abn", "eu_vat", "gb_vat"];
/// An authority answers after so long.
const ANSWER: i64 = 10;

/// The customer that owns the id, or nobody: the account itself.
fn owner(world: &World, params: &Params) -> Result<Option<String>, ApiError> {
    match params.text("owner[type]") {
        None | Some("self") => Ok(None),
        Some("customer") => {
            let customer = params.required("owner[customer]")?;
            world.get("customer", customer, "owner[customer]")?;
            Ok(Some(customer.to_owned()))
        }
        Some(_) => {
            let message = "The sandbox has tax ids of customers and of the account itself only.";
            Err(ApiError::unserved("owner[type]", message))
        }
    }
}

fn create(world: &mut World, customer: Option<&str>, params: &Params) -> Answer {
    let made = create_for(world, customer, params.given("type"), params.given("value"), "value")?;
    Ok(rendered(&made))
}

/// A new tax id; `param` is where its value stood, for the refusal.
pub(crate) fn create_for(world: &mut World, customer: Option<&str>, kind: &str, value: &str, param: &str) -> Answer {
    if !is_in_form(kind, value) {
        return Err(ApiError::invalid(format!("Invalid value for {kind}."))
            .code("tax_id_invalid")
            .param(param));
    }
    let mut made = shapes::tax_id();
    field::set(&mut made, "id", world.id("txi_", 24));
    field::set(&mut made, "created", world.now);
    field::set(&mut made, "livemode", world.livemode);
    field::set(&mut made, "customer", customer);
    field::set(&mut made, "type", kind);
    field::set(&mut made, "value", value);
    field::set(&mut made, "country", country(kind, value));
    let owner = match customer {
        Some(customer) => json!({ "customer": customer, "customer_account": null, "type": "customer" }),
        None => json!({ "type": "self" }),
    };
    field::set(&mut made, "owner", owner);
    if VERIFIED.contains(&kind) {
        field::set(&mut made, "verification.status", "pending");
        if outcome(value) != "pending" {
            field::set(&mut made, "_sandbox.verified_at", world.now + ANSWER);
        }
    }
    world.put(&made);
    if let Some(customer) = customer {
        remember(world, customer);
        world.emit("customer.tax_id.created", &made, None);
    }
    Ok(made)
}

/// Whether a value may be one of its type. Only those that taxes are reckoned by are looked at closely.
fn is_in_form(kind: &str, value: &str) -> bool {
    let magic = matches!(value, "000000000" | "111111111" | "222222222");
    magic
        || match kind {
            "eu_vat" => is_eu_vat(value),
            "gb_vat" => value
                .strip_prefix("GB")
                .is_some_and(|digits| matches!(digits.len(), 9 | 12) && digits.bytes().all(|it| it.is_ascii_digit())),
            _ => !value.is_empty() && value.chars().count() <= 64,
        }
}

/// What follows the letters of each member state: `9` is a digit, `A` a letter, `*` either, all else itself.
/// Source: <https://ec.europa.eu/taxation_customs/vies/#/faq> (question 11).
const EU_FORMS: &[(&str, &[&str])] = &[
    ("AT", &["U99999999"]),
    ("BE", &["9999999999"]),
    ("BG", &["999999999", "9999999999"]),
    ("CY", &["99999999A"]),
    ("CZ", &["99999999", "999999999", "9999999999"]),
    ("DE", &["999999999"]),
    ("DK", &["99999999"]),
    ("EE", &["999999999"]),
    ("EL", &["999999999"]),
    ("ES", &["*9999999*"]),
    ("FI", &["99999999"]),
    ("FR", &["**999999999"]),
    ("HR", &["99999999999"]),
    ("HU", &["99999999"]),
    ("IE", &["9*99999A", "9999999AA"]),
    ("IT", &["99999999999"]),
    ("LT", &["999999999", "999999999999"]),
    ("LU", &["99999999"]),
    ("LV", &["99999999999"]),
    ("MT", &["99999999"]),
    ("NL", &["999999999B99"]),
    ("PL", &["9999999999"]),
    ("PT", &["999999999"]),
    (
        "RO",
        &[
            "99",
            "999",
            "9999",
            "99999",
            "999999",
            "9999999",
            "99999999",
            "999999999",
            "9999999999",
        ],
    ),
    ("SE", &["999999999999"]),
    ("SI", &["99999999"]),
    ("SK", &["9999999999"]),
];

fn is_eu_vat(value: &str) -> bool {
    let fits = |form: &str, rest: &str| {
        form.len() == rest.len()
            && form.bytes().zip(rest.bytes()).all(|(wanted, byte)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                b'*' => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
                itself => byte == itself,
            })
    };
    EU_FORMS.iter().any(|(state, forms)| {
        let rest = value.strip_prefix(state);
        rest.is_some_and(|rest| forms.iter().any(|form| fits(form, rest)))
    })
}

/// What the authority will say. Source: <https://docs.stripe.com/billing/customer/tax-ids#verification-test>.
fn outcome(value: &str) -> &'static str {
    match value.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()) {
        "111111111" => "unverified",
        "222222222" => "pending",
        _ => "verified",
    }
}

fn country(kind: &str, value: &str) -> Option<String> {
    let code = match kind {
        "eu_oss_vat" => return None,
        "eu_vat" => value.get(..2).unwrap_or_default(),
        kind => kind.get(..2).unwrap_or_default(),
    };
    match code {
        "EL" => Some("GR".to_owned()),
        code if code.bytes().all(|letter| letter.is_ascii_alphabetic()) => Some(code.to_uppercase()),
        _ => None,
    }
}

/// The authority has answered.
pub(crate) fn verify(world: &mut World, tax_id: &Value) {
    let id = field::text(tax_id, "id");
    let status = outcome(field::text(tax_id, "value"));
    let customer = world.find(field::text(tax_id, "customer"));
    let name = customer.map(|customer| field::at(customer, "name").clone());
    let answered = |one: &mut Value| {
        field::set(one, "_sandbox.verified_at", Value::Null);
        field::set(one, "verification.status", status);
        if status == "verified" {
            field::set(one, "verification.verified_name", name.unwrap_or_default());
        }
    };
    if field::at(tax_id, "customer").is_null() {
        world.edit(id, answered);
    } else {
        world.update(id, "customer.tax_id.updated", answered);
    }
}

/// The tax ids of a customer, newest first, as they are answered.
pub(crate) fn of_customer(world: &World, customer: &str) -> Vec<Value> {
    let all = world.all("tax_id");
    let own = all.iter().filter(|one| field::text(one, "customer") == customer);
    own.map(rendered).collect()
}

/// Keeps with the customer what taxes are reckoned by.
fn remember(world: &mut World, customer: &str) {
    let known: Vec<Value> = of_customer(world, customer)
        .iter()
        .rev()
        .map(|one| json!({ "type": field::at(one, "type"), "value": field::at(one, "value") }))
        .collect();
    world.edit(customer, |one| field::set(one, "_sandbox.tax_ids", known));
}

fn named(world: &World, call: &Call) -> Answer {
    world.get("customer", call.id(), "customer")?;
    let id = call.ids.get(1).map(String::as_str).unwrap_or_default();
    let found = world.get("tax_id", id, "id")?;
    if field::text(&found, "customer") == call.id() {
        Ok(found)
    } else {
        Err(ApiError::missing("tax_id", id, "id"))
    }
}

fn delete(world: &mut World, gone: &Value) -> Value {
    let stub = json!({ "id": field::at(gone, "id"), "object": "tax_id", "deleted": true });
    world.put(&stub);
    if let Some(customer) = field::some_text(gone, "customer") {
        remember(world, customer);
        world.emit("customer.tax_id.deleted", gone, None);
    }
    stub
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vat_number_has_the_form_of_its_member_state() {
        for value in [
            "ATU12345678",
            "DE123456789",
            "EL123456789",
            "ESX12345678",
            "FRAB123456789",
            "IE1234567FA",
            "IE1W34567A",
            "NL123456789B12",
            "RO12",
            "LT123456789012",
        ] {
            assert!(is_eu_vat(value), "{value}");
        }
        for value in [
            "DE12",
            "DE12345678A",
            "de123456789",
            "GR123456789",
            "AT12345678",
            "XX123456789",
            "DE",
            "D",
            "",
        ] {
            assert!(!is_eu_vat(value), "{value}");
        }
    }
}
