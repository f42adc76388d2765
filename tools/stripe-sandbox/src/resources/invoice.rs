//! Invoices and the payments made on them.

use super::{
    Call, Operation, collection, copy_texts, currency, list_of, merge_metadata, payment_method, retrieve, search,
};
use crate::{
    billing::{
        authentication::Presence,
        change::no_payment_method,
        discounts::Purchase,
        dunning, finalization,
        invoice_items::{self, Sweep},
        invoice_payments, invoice_totals,
        invoicing::{self, DRAFT_LIFE, Draft},
        redemptions, renewal, sent_invoices, test_clock,
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    json::{Value, json},
    world::{World, rendered},
};

/// The latest that a draft may be told to finalize itself, counted from now.
/// Source: <https://docs.stripe.com/api/invoices/update#update_invoice-automatically_finalizes_at>.
const FARTHEST: i64 = 5 * 366 * 86_400;

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
        path: "/v1/invoices/{id}/attach_payment",
        run: attach_payment,
    },
    Operation {
        method: "POST",
        path: "/v1/invoices/{id}/send",
        run: send,
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
        path: "/v1/invoices/search",
        run: |world, call| search::run(world, "invoice", "/v1/invoices/search", &call.params),
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
                let is = |name: &str| {
                    let wanted = call.params.text(&format!("payment[{name}]"));
                    wanted.is_none_or(|wanted| field::text(one, &format!("payment.{name}")) == wanted)
                };
                matches(one, &call.params, &["invoice", "status"]) && is("type") && is("payment_intent")
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
    let finalizes_at = finalizes_at(params, world.now, None)?;
    if params.text("collection_method") == Some("send_invoice") {
        collection::check_email(&customer)?;
    }
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
        finalizes_at,
    };
    let mut invoice = invoicing::build(world, draft);
    field::set(&mut invoice, "auto_advance", finalizes_at.is_some());
    write(&mut invoice, call, world.now)?;
    if params.boolean("automatic_tax[enabled]") == Some(true) {
        invoicing::tax_automatically(&mut invoice);
    }
    discount(world, &mut invoice, call)?;
    Ok(rendered(&invoicing::open_draft(world, invoice)))
}

/// When a draft is to finalize itself, if it is; `present` is when it is now.
fn finalizes_at(params: &Params, now: i64, present: Option<i64>) -> Result<Option<i64>, ApiError> {
    let advances = params.boolean("auto_advance");
    let name = "automatically_finalizes_at";
    match params.integer(name) {
        Some(at) if at <= now || at > now + FARTHEST => {
            let message = "Invalid timestamp: must be in the future, and at most five years ahead.";
            Err(ApiError::invalid(message).param(name))
        }
        Some(_) if advances == Some(false) => {
            let message = "You can't set `automatically_finalizes_at` of an invoice with `auto_advance=false`.";
            Err(ApiError::invalid(message).param(name))
        }
        Some(at) => Ok(Some(at)),
        None => Ok(match advances {
            Some(true) => present.or(Some(now + DRAFT_LIFE)),
            Some(false) => None,
            None => present,
        }),
    }
}

/// Redeems the discounts that are sent for a draft, in place of those it has.
pub(crate) fn discount(world: &mut World, invoice: &mut Value, call: &Call) -> Result<(), ApiError> {
    let lines = field::elements(invoice, "lines.data").iter();
    let purchase = Purchase {
        customer: field::some_text(invoice, "customer"),
        currency: field::text(invoice, "currency"),
        subtotal: lines.map(|line| field::integer(line, "amount")).sum(),
    };
    let Some(asked) = redemptions::asked(world, &call.params, "discounts", &purchase)? else {
        return Ok(());
    };
    let on = json!({ "customer": field::at(invoice, "customer"), "invoice": field::at(invoice, "id") });
    let granted = redemptions::grant(world, &asked, &on);
    field::set(invoice, "discounts", granted);
    Ok(())
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
    let due = match (params.integer("due_date"), collection::checked_days(params)?) {
        (Some(due), _) => Some(due),
        (None, Some(days)) => Some(now + days * 86_400),
        (None, None) => None,
    };
    match (sends, due) {
        (false, Some(_)) => Err(collection::not_sent()),
        (false, None) => {
            field::set(invoice, "due_date", Value::Null);
            Ok(())
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
        "discounts",
        "footer",
        "collection_method",
        "due_date",
        "days_until_due",
        "automatically_finalizes_at",
    ];
    if fixed.iter().any(|name| call.params.has(name)) {
        invoicing::editable(&invoice)?;
    }
    write(&mut changed, call, world.now)?;
    if call.params.has("discounts") {
        discount(world, &mut changed, call)?;
        invoice_totals::write(world, &mut changed);
    }
    if sent_invoices::is_sent(&changed) && !sent_invoices::is_sent(&invoice) {
        let customer = world.get("customer", field::text(&invoice, "customer"), "customer")?;
        collection::check_email(&customer)?;
    }
    if call.params.has("auto_advance") || call.params.has("automatically_finalizes_at") {
        advance_or_not(&mut changed, &call.params, world.now)?;
    }
    Ok(rendered(
        &world.update(call.id(), "invoice.updated", |one| *one = changed),
    ))
}

/// Writes whether an invoice advances by itself: a draft is finalized, one that is open is charged, and all others are done.
fn advance_or_not(invoice: &mut Value, params: &Params, now: i64) -> Result<(), ApiError> {
    if field::text(invoice, "status") == "draft" {
        let present = field::at(invoice, "automatically_finalizes_at").as_i64();
        let at = finalizes_at(params, now, present)?;
        field::set(invoice, "auto_advance", at.is_some());
        field::set(invoice, "automatically_finalizes_at", at);
        return Ok(());
    }
    if field::text(invoice, "status") != "open" {
        return invoicing::editable(invoice);
    }
    let advances = params.boolean("auto_advance") == Some(true);
    let was = field::flag(invoice, "auto_advance");
    field::set(invoice, "auto_advance", advances);
    if !advances {
        field::set(invoice, "next_payment_attempt", Value::Null);
    } else if !was && !sent_invoices::is_sent(invoice) {
        field::set(invoice, "next_payment_attempt", now + DRAFT_LIFE);
    }
    Ok(())
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
    finalization::finalize(world, call.id())?;
    let finalized = world.get("invoice", call.id(), "invoice")?;
    let is_left = field::flag(&finalized, "auto_advance");
    if sent_invoices::is_sent(&invoice) {
        if is_left && field::text(&finalized, "status") == "open" {
            sent_invoices::send(world, call.id());
        }
    } else if is_left {
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
        "draft" => finalization::finalize(world, call.id())?,
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

fn attach_payment(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    let intent = call.params.required("payment_intent")?;
    let intent = world.get("payment_intent", intent, "payment_intent")?;
    invoice_payments::attach(world, &invoice, &intent)?;
    retrieve(world, "invoice", call.id())
}

fn send(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    if !sent_invoices::is_sent(&invoice) {
        let message = "You can only manually send an invoice if its collection method is 'send_invoice'.";
        return Err(ApiError::invalid(message));
    }
    match field::text(&invoice, "status") {
        "draft" => finalization::finalize(world, call.id())?,
        "void" => {
            let message = "You can't send an invoice that is void.";
            return Err(ApiError::invalid(message).code("invoice_not_editable"));
        }
        _ => {}
    }
    sent_invoices::send(world, call.id());
    retrieve(world, "invoice", call.id())
}

fn void(world: &mut World, call: &Call) -> Answer {
    let invoice = world.get("invoice", call.id(), "invoice")?;
    if !matches!(field::text(&invoice, "status"), "open" | "uncollectible") {
        let message = "You can only void an invoice that is open or uncollectible.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    if invoice_payments::has_attached(world, call.id(), &["open", "paid"]) {
        let message = "You can't void an invoice that has open or paid payments attached to it.";
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
    if invoice_payments::has_attached(world, call.id(), &["open"]) {
        let message = "You can't mark an invoice as uncollectible that has open payments attached to it.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    Ok(rendered(&dunning::write_off(world, call.id(), "user_forgiven")))
}
