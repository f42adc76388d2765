//! Previews of invoices: what is asked for is done as if, by the operations that would do it.

use super::{Call, Operation, currency, customer, invoice, invoice_item, schedule_preview, subscription};
use crate::{
    billing::{
        cancellation,
        change::{self, Prorations},
        invoice_items::{self, Sweep},
        invoicing::{self, Draft},
        pausing::{self, Resumption},
        preview, proration, start,
    },
    field,
    http::{
        error::{Answer, ApiError},
        expand,
        form::Params,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    method: "POST",
    path: "/v1/invoices/create_preview",
    run: create_preview,
}];

fn create_preview(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let details = Params::under(params, "subscription_details");
    let is_about = ["subscription", "invoice_items"].iter().any(|name| params.has(name))
        || details.has("items")
        || schedule_preview::is_asked(params);
    schedule_preview::check(params)?;
    if !is_about {
        let message = "You must provide at least one of: `subscription`, `schedule`, `subscription_details.items`, \
            `schedule_details.phases`, `invoice_items`.";
        return Err(ApiError::invalid(message));
    }
    check(params, &details)?;
    world.as_if(|world| {
        let draft = drafted(world, params, &details)?.ok_or_else(none)?;
        let mut shown = rendered(&preview::shown(&draft));
        // What the trial made is there to be expanded now, and not later.
        for path in expand::paths(params)? {
            expand::expand(world, &mut shown, &path)?;
        }
        Ok(shown)
    })
}

/// Refuses what is about nothing that is previewed.
fn check(params: &Params, details: &Params) -> Result<(), ApiError> {
    if params.list("invoice_items").len() > 250 {
        return Err(ApiError::invalid("You may pass up to 250 `invoice_items`.").param("invoice_items"));
    }
    if params.has("subscription") {
        return Ok(());
    }
    if params.has("subscription_details") && !details.has("items") {
        let message = "`subscription_details` needs a `subscription`, or `items` of one that is not created yet.";
        return Err(ApiError::invalid(message).param("subscription_details"));
    }
    let only_there = |params: &Params, names: &[&str], within: &str| {
        let Some(name) = names.iter().find(|name| params.has(name)) else {
            return Ok(());
        };
        let message = format!("`{name}` can be previewed for a subscription there is.");
        Err(ApiError::invalid(message).param(*name).within(within))
    };
    only_there(
        details,
        &["cancel_now", "proration_date", "resume_at"],
        "subscription_details",
    )?;
    for (index, item) in details.list("items").iter().enumerate() {
        let within = format!("subscription_details[items][{index}]");
        only_there(item, &["id", "deleted", "clear_usage"], &within)?;
    }
    Ok(())
}

/// Nothing is to be invoiced. Source: <https://docs.stripe.com/error-codes#invoice-upcoming-none>.
pub(crate) fn none() -> ApiError {
    let message = "There is no upcoming invoice to preview: nothing is to be invoiced.";
    ApiError::new(404, "invalid_request_error", message).code("invoice_upcoming_none")
}

/// The draft that is asked for, if anything is to be invoiced.
fn drafted(world: &mut World, params: &Params, details: &Params) -> Result<Option<Value>, ApiError> {
    let recurs = params.text("preview_mode") == Some("recurring");
    if schedule_preview::is_asked(params) {
        return schedule_preview::drafted(world, params, recurs);
    }
    let subscribed = match params.text("subscription") {
        Some(id) => Some(world.get("subscription", id, "subscription")?),
        None => None,
    };
    let customer = payer(world, params, subscribed.as_ref())?;
    if let Some(subscribed) = &subscribed {
        one_currency(params, field::text(subscribed, "currency"))?;
        let id = field::text(subscribed, "id");
        put_items(world, params, &customer, Some(id))?;
        let prorated_from = details.integer("proration_date").unwrap_or(world.now);
        let made = changed(world, params, details, subscribed)?;
        let mut draft = match made {
            _ if recurs => preview::recurring(world, id),
            Made::Invoice(invoice) => world.find(&invoice).cloned(),
            Made::Nothing => preview::next(world, id),
            Made::End => None,
        };
        if let Some(draft) = draft.as_mut().filter(|_| params.has("subscription_details")) {
            tell_proration(draft, prorated_from);
        }
        return Ok(draft);
    }
    if details.has("items") {
        put_items(world, params, &customer, None)?;
        let asked = begun(details, world.now)
            .merged(shared(params))
            .with("customer", &customer);
        let new = subscription::asked(world, &asked).map_err(|error| within(error, params))?;
        let (id, invoice) = start::draft(world, &new);
        let begun = world.get("subscription", &id, "subscription")?;
        one_currency(params, field::text(&begun, "currency"))?;
        subscription::plan_end(world, &begun, &asked).map_err(|error| within(error, params))?;
        return Ok(match recurs {
            true => preview::recurring(world, &id),
            false => match invoice {
                Some(invoice) => world.find(&invoice).cloned(),
                None => preview::next(world, &id),
            },
        });
    }
    if recurs {
        return Ok(None);
    }
    let currency = put_items(world, params, &customer, None)?;
    by_hand(world, params, &customer, &currency).map(Some)
}

/// Writes the moment that prorations count from, if there are any.
pub(crate) fn tell_proration(draft: &mut Value, at: i64) {
    let lines = field::elements(draft, "lines.data").iter();
    let mut prorates = lines.map(|line| field::flag(line, "parent.subscription_item_details.proration"));
    if prorates.any(|prorates| prorates) {
        field::set(draft, "parent.subscription_details.subscription_proration_date", at);
    }
}

/// What asking for a change of a subscription has made.
enum Made {
    /// An invoice now.
    Invoice(String),
    /// Nothing but what the next invoice will have.
    Nothing,
    /// The subscription's end, with nothing to invoice.
    End,
}

/// Changes a subscription as its details say.
fn changed(world: &mut World, params: &Params, details: &Params, subscribed: &Value) -> Result<Made, ApiError> {
    let id = field::text(subscribed, "id");
    if details.has("billing_mode") {
        let message = "The billing mode can be chosen for a subscription that is not created yet.";
        return Err(ApiError::invalid(message).param("subscription_details[billing_mode]"));
    }
    for (name, value) in [("billing_cycle_anchor[type]", Some("timestamp")), ("start_date", None)] {
        if details.has(name) && value.is_none_or(|value| details.text(name) == Some(value)) {
            let message = format!("`{name}` can be previewed so for a subscription that is not created yet.");
            return Err(ApiError::invalid(message).param(name).within("subscription_details"));
        }
    }
    if let Some(taxes) = params.boolean("automatic_tax[enabled]") {
        world.edit(id, |one| field::set(one, "automatic_tax.enabled", taxes));
    }
    let wishes = details.clone().without("cancel_now").without("resume_at");
    let wishes = wishes.merged(shared(params)).without("automatic_tax");
    if wishes.tree().as_object().is_some_and(|wishes| !wishes.is_empty()) {
        let wishes = wishes.with("payment_behavior", change::PREVIEWED);
        let ids = vec![id.to_owned()];
        subscription::update(world, &Call { params: wishes, ids }).map_err(|error| within(error, params))?;
    }
    if details.text("resume_at") == Some("now") {
        if field::text(subscribed, "status") != "paused" {
            let message = "You can only resume subscriptions with a status of `paused`.";
            return Err(ApiError::invalid(message).param("subscription_details[resume_at]"));
        }
        let how = Resumption {
            resets_anchor: true,
            prorations: Prorations::None,
            at: None,
            pays: false,
            drafts: true,
        };
        pausing::resume(world, subscribed, &how)?;
    }
    if details.boolean("cancel_now") == Some(true) {
        let mut ending = world.get("subscription", id, "subscription")?;
        if details.text("proration_behavior") != Some("none") {
            let at = world.now;
            for credit in proration::of_rest(world, &mut ending, at) {
                invoice_items::add_pending(world, &credit);
            }
        }
        world.put(&ending);
        return Ok(cancellation::draft_rest(world, id).map_or(Made::End, Made::Invoice));
    }
    let latest = field::at(&world.get("subscription", id, "subscription")?, "latest_invoice").clone();
    Ok(match latest.as_str() {
        Some(invoice) if latest != *field::at(subscribed, "latest_invoice") => Made::Invoice(invoice.to_owned()),
        _ => Made::Nothing,
    })
}

/// What stands beside the details of a subscription and is a parameter of it elsewhere.
fn shared(params: &Params) -> Params {
    let mut shared = json!({});
    for name in ["discounts", "automatic_tax"] {
        if params.has(name) {
            field::set(&mut shared, name, params.at(name).clone());
        }
    }
    Params::saying(shared)
}

/// Names the parameter as it was sent here: what does not stand beside the details stands in them.
fn within(error: ApiError, params: &Params) -> ApiError {
    let named = error.fields.get("param").and_then(Value::as_str).unwrap_or_default();
    match params.has(named.split('[').next().unwrap_or_default()) {
        true => error,
        false => error.within("subscription_details"),
    }
}

/// The details of a new subscription as its creation takes them: when it starts, and what its periods are counted from.
fn begun(details: &Params, now: i64) -> Params {
    let mut asked = details.clone().without("billing_cycle_anchor").without("start_date");
    if let Some(anchor) = details.text("billing_cycle_anchor[timestamp]") {
        asked = asked.with("billing_cycle_anchor", anchor);
    }
    if let Some(start) = details
        .text("start_date")
        .filter(|_| details.integer("start_date") != Some(now))
    {
        asked = asked.with("backdate_start_date", start);
    }
    asked
}

/// The id of the customer who would be invoiced for a subscription or a schedule: one there is, with the details that are sent, or one for this preview only.
pub(crate) fn payer(world: &mut World, params: &Params, subscribed: Option<&Value>) -> Result<String, ApiError> {
    let owner = subscribed.map(|one| field::text(one, "customer"));
    let id = match (params.text("customer"), owner) {
        (Some(id), owner) => {
            world.get("customer", id, "customer")?;
            if owner.is_some_and(|owner| owner != id) {
                let kind = subscribed.map_or("", |one| field::text(one, "object"));
                let what = kind.strip_prefix("subscription_").unwrap_or(kind);
                let message = format!("The {what} does not belong to the customer {id}.");
                return Err(ApiError::invalid(message).param(what));
            }
            id.to_owned()
        }
        (None, Some(owner)) => owner.to_owned(),
        (None, None) => {
            let nobody = customer::create_for_page(world, "", None);
            let id = field::text(&nobody, "id").to_owned();
            world.edit(&id, |one| field::set(one, "email", Value::Null));
            id
        }
    };
    let details = Params::under(params, "customer_details");
    if params.has("customer_details") {
        let ids = vec![id.clone()];
        customer::update(world, &Call { params: details, ids })?;
    }
    Ok(id)
}

/// An invoice is in the currency of what is on it.
pub(crate) fn one_currency(params: &Params, invoiced: &str) -> Result<(), ApiError> {
    let sent = currency(params, "currency");
    if sent.is_empty() || sent == invoiced {
        return Ok(());
    }
    let message = format!("What is to be invoiced is in {invoiced}: there is no invoice in {sent}.");
    Err(ApiError::invalid(message).param("currency"))
}

/// Adds the invoice items that are sent, or changes those there are. Gives the currency of the last.
pub(crate) fn put_items(
    world: &mut World,
    params: &Params,
    customer: &str,
    subscription: Option<&str>,
) -> Result<String, ApiError> {
    let mut last = String::new();
    for (index, sent) in params.list("invoice_items").into_iter().enumerate() {
        let here = |error: ApiError| {
            // A price is named otherwise here than where an invoice item is made.
            let named = error.fields.get("param").and_then(Value::as_str);
            let error = match named {
                Some("pricing[price]") => error.param("price"),
                _ => error,
            };
            error.within(&format!("invoice_items[{index}]"))
        };
        let id = sent.text("invoiceitem").map(str::to_owned);
        let mut item = sent.clone().without("invoiceitem");
        let put = match id {
            Some(id) => {
                let call = Call {
                    params: item,
                    ids: vec![id],
                };
                invoice_item::update(world, &call).map_err(here)?
            }
            None => {
                item = item.with("customer", customer);
                if let Some(subscription) = subscription {
                    item = item.with("subscription", subscription);
                }
                if !item.has("currency") {
                    item = item.with("currency", &invoiced_in(world, params, customer));
                }
                let call = Call {
                    params: item,
                    ids: Vec::new(),
                };
                invoice_item::create(world, &call).map_err(here)?
            }
        };
        last = field::text(&put, "currency").to_owned();
    }
    Ok(last)
}

/// The currency of what says none of its own.
fn invoiced_in(world: &World, params: &Params, payer: &str) -> String {
    let sent = currency(params, "currency");
    let used = world.find(payer).and_then(|one| field::some_text(one, "currency"));
    match (sent.as_str(), used) {
        ("", Some(used)) => used.to_owned(),
        ("", None) => "usd".to_owned(),
        _ => sent,
    }
}

/// The draft of an invoice of no subscription: of the items that wait, with the discounts that are sent.
fn by_hand(world: &mut World, params: &Params, customer: &str, currency: &str) -> Answer {
    one_currency(params, currency)?;
    let draft = Draft {
        customer,
        currency,
        subscription: None,
        reason: "manual",
        lines: Vec::new(),
        sweep: Sweep::Loose,
        finalizes_at: None,
    };
    let mut invoice = invoicing::build(world, draft);
    let call = Call {
        params: params.clone(),
        ids: Vec::new(),
    };
    invoice::discount(world, &mut invoice, &call)?;
    if params.boolean("automatic_tax[enabled]") == Some(true) {
        invoicing::tax_automatically(&mut invoice);
    }
    Ok(invoicing::open_draft(world, invoice))
}
