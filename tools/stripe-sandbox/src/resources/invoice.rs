//! Invoices and the payments made on them.

use serde_json::Value;

use super::{Call, Operation, copy_texts, currency, list_of, merge_metadata, payment_method, retrieve};
use crate::{
    billing::{
        authentication::Presence,
        change::no_payment_method,
        dunning,
        invoice_items::{self, Sweep},
        invoicing::{self, DRAFT_LIFE, Draft},
        renewal, test_clock,
    },
    field,
    http::{
        error::{Answer, ApiError},
        list, matches,
    },
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/invoices",
        run: create,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/invoices/{id}",
        run: delete,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}/finalize",
        run: finalize,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}/pay",
        run: pay,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}/void",
        run: void,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}/mark_uncollectible",
        run: mark_uncollectible,
    },
    Operation {
        method: "GET",
        path: "/v1/invoices",
        run: all,
    },
    Operation {
        method: "GET",
        path: "/v1/invoices/{id}",
        run: |world, call| retrieve(world, "invoice", call.id()),
    },
    Operation {
        method: "GET",
        path: "/v1/invoices/{id}/lines",
        run: |world, call| {
            let invoice = world.get("invoice", call.id(), "invoice")?;
            let lines = field::elements(&invoice, "lines.data").to_vec();
            list::page(&format!("/v1/invoices/{}/lines", call.id()), &call.params, lines)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/invoice_payments",
        run: |world, call| {
            list_of(world, "invoice_payment", "/v1/invoice_payments", &call.params, |one| {
                let intent = call.params.text("payment[payment_intent]");
                matches(one, &call.params, &["invoice", "status"])
                    && intent.is_none_or(|wanted| field::text(one, "payment.payment_intent") == wanted)
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/invoice_payments/{id}",
        run: |world, call| retrieve(world, "invoice_payment", call.id()),
    },
];

fn all(world: &mut World, call: &Call) -> Answer {
    let subscription = call.params.text("subscription");
    list_of(world, "invoice", "/v1/invoices", &call.params, |one| {
        matches(one, &call.params, &["customer", "status", "collection_method"])
            && test_clock::is_listed(one, &call.params, &["customer", "subscription"])
            && subscription.is_none_or(|id| field::text(one, "parent.subscription_details.subscription") == id)
    })
}

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    let subscription = match params.text("subscription") {
        Some(id) => Some(world.get("subscription", id, "subscription")?),
        None => None,
    };
    let sent = currency(params, "currency");
    let currency = [
        Some(sent.as_str()),
        subscription.as_ref().map(|one| field::text(one, "currency")),
        field::some_text(&customer, "currency"),
        Some("usd"),
    ];
    let currency = currency.into_iter().flatten().find(|one| !one.is_empty());
    let currency = currency.unwrap_or_default().to_owned();
    let include = params.text("pending_invoice_items_behavior") == Some("include") || subscription.is_some();
    let sweep = match (&subscription, include) {
        (_, false) => Sweep::None,
        (Some(subscription), true) => Sweep::Only(field::text(subscription, "id")),
        (None, true) => Sweep::Loose,
    };
    let advances = params.boolean("auto_advance").unwrap_or(false);
    let customer = field::text(&customer, "id").to_owned();
    if subscription.is_some() && invoice_items::waiting(world, &customer, &currency, sweep).is_empty() {
        let message = "Nothing to invoice for subscription";
        return Err(ApiError::invalid(message).code("invoice_no_subscription_line_items"));
    }
    let draft = Draft {
        customer: &customer,
        currency: &currency,
        subscription: subscription.as_ref(),
        reason: "manual",
        lines: Vec::new(),
        sweep,
        finalizes_at: advances.then(|| world.now + DRAFT_LIFE),
    };
    let mut invoice = invoicing::build(world, draft);
    field::set(&mut invoice, "auto_advance", advances);
    write(&mut invoice, call, world.now)?;
    if params.boolean("automatic_tax[enabled]") == Some(true) {
        invoicing::tax_automatically(&mut invoice);
    }
    Ok(rendered(&invoicing::open_draft(world, invoice)))
}

/// Writes what a draft's creation and its update both take.
fn write(invoice: &mut Value, call: &Call, now: i64) -> Result<(), ApiError> {
    let params = &call.params;
    copy_texts(invoice, params, &["description", "footer", "statement_descriptor"]);
    let metadata = merge_metadata(field::at(invoice, "metadata"), params, "metadata")?;
    field::set(invoice, "metadata", metadata);
    if let Some(method) = params.text("collection_method") {
        field::set(invoice, "collection_method", method);
    }
    let sends = field::text(invoice, "collection_method") == "send_invoice";
    let due = match (params.integer("due_date"), params.integer("days_until_due")) {
        (Some(due), _) => Some(due),
        (None, Some(days)) => Some(now + days.clamp(0, 3650) * 86_400),
        (None, None) => None,
    };
    match (sends, due) {
        (false, Some(_)) => {
            let message = "`days_until_due` and `due_date` can only be sent with `collection_method=send_invoice`.";
            Err(ApiError::invalid(message).param("days_until_due"))
        }
        (true, Some(due)) => {
            field::set(invoice, "due_date", due);
            Ok(())
        }
        (true, None) if field::at(invoice, "due_date").is_null() => Err(ApiError::parameter_missing("days_until_due")),
        _ => Ok(()),
    }
}

fn update(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    let mut changed = invoice.clone();
    let fixed = [
        "description",
        "footer",
        "collection_method",
        "due_date",
        "days_until_due",
    ];
    if fixed.iter().any(|name| call.params.has(name)) {
        invoicing::editable(&invoice)?;
    }
    write(&mut changed, call, world.now)?;
    if let Some(advances) = call.params.boolean("auto_advance") {
        field::set(&mut changed, "auto_advance", advances);
        if field::text(&changed, "status") == "draft" {
            field::set(
                &mut changed,
                "automatically_finalizes_at",
                advances.then(|| world.now + DRAFT_LIFE),
            );
        }
    }
    Ok(rendered(
        &world.update(call.id(), "invoice.updated", |one| *one = changed),
    ))
}

fn delete(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    let of_subscription = !field::at(&invoice, "parent.subscription_details.subscription").is_null();
    if field::text(&invoice, "status") != "draft" || of_subscription {
        let message = "You can only delete draft invoices that were not created by a subscription.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    invoicing::release_items(world, &invoice);
    super::delete_for_good(world, "invoice", call.id())
}

fn finalize(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    if field::text(&invoice, "status") != "draft" {
        let message = "This invoice is already finalized, you can't re-finalize a non-draft invoice.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    if let Some(advances) = call.params.boolean("auto_advance") {
        world.edit(call.id(), |one| field::set(one, "auto_advance", advances));
    }
    invoicing::finalize(world, call.id());
    let is_left = field::flag(&world.get("invoice", call.id(), "invoice")?, "auto_advance");
    if is_left && field::text(&invoice, "collection_method") == "charge_automatically" {
        let soon = world.now + DRAFT_LIFE;
        world.edit(call.id(), |one| {
            if field::text(one, "status") == "open" {
                field::set(one, "next_payment_attempt", soon);
            }
        });
    }
    retrieve(world, "invoice", call.id())
}

fn pay(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let invoice = world.get("invoice", call.id(), "invoice")?;
    match field::text(&invoice, "status") {
        "draft" => invoicing::finalize(world, call.id()),
        "open" | "uncollectible" => {}
        "paid" => {
            return Err(ApiError::invalid("Invoice is already paid").code("invoice_already_paid"));
        }
        other => {
            let message =
                format!("You can only pay an invoice that is open or uncollectible. This invoice is {other}.");
            return Err(ApiError::invalid(message).code("invoice_not_editable"));
        }
    }
    let status = field::text(&world.get("invoice", call.id(), "invoice")?, "status").to_owned();
    if status == "paid" {
        return retrieve(world, "invoice", call.id());
    }
    if params.boolean("paid_out_of_band") == Some(true) {
        invoicing::settle_elsewhere(world, call.id());
        return retrieve(world, "invoice", call.id());
    }
    let customer = field::text(&invoice, "customer").to_owned();
    let method = match params.text("payment_method") {
        Some(id) => Some(payment_method::of_customer(world, id, &customer, "payment_method")?),
        None => invoicing::payer(world, &invoice),
    };
    let Some(method) = method else {
        return Err(no_payment_method());
    };
    let presence = match params.boolean("off_session") {
        Some(false) => Presence::Present,
        _ => Presence::AskedLater,
    };
    if let Err(error) = invoicing::pay(world, call.id(), &method, presence) {
        renewal::fail_first(world, call.id());
        return Err(error);
    }
    retrieve(world, "invoice", call.id())
}

fn void(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    if !matches!(field::text(&invoice, "status"), "open" | "uncollectible") {
        let message = "You can only void an invoice that is open or uncollectible.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    invoicing::void(world, call.id());
    retrieve(world, "invoice", call.id())
}

fn mark_uncollectible(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    if field::text(&invoice, "status") != "open" {
        let message = "You can only mark an open invoice as uncollectible.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    Ok(rendered(&dunning::write_off(world, call.id(), "user_forgiven")))
}
