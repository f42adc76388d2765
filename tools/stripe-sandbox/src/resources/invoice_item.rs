//! Invoice items: what is put on a customer's next invoice, or on a draft.

use super::{
    Call, Operation, copy_texts, currency, delete_for_good, list_of, merge_metadata, price, quantity, retrieve,
};
use crate::{
    billing::{
        discounts::Purchase,
        invoice_items::{self, NewItem},
        invoice_totals, invoicing, lines, pricing, redemptions,
        start::product_name,
        test_clock,
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::Value,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/invoiceitems",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/invoiceitems",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/invoiceitems/{id}",
        run: |world, call| retrieve(world, "invoiceitem", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/invoiceitems/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/invoiceitems/{id}",
        run: delete,
    },
];

pub(crate) fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    let customer = field::text(&customer, "id").to_owned();
    let draft = match params.text("invoice") {
        Some(id) => Some(draft_of(world, id, &customer)?),
        None => None,
    };
    let subscription = match params.text("subscription") {
        Some(id) => Some(subscription_of(world, id, &customer)?),
        None => None,
    };
    let (amount, quantity, price) = cost(world, params)?;
    let currency = match field::some_text(&price, "currency") {
        Some(currency) => currency.to_owned(),
        None => currency(params, "currency"),
    };
    if currency.is_empty() {
        return Err(ApiError::parameter_missing("currency"));
    }
    let now = world.now;
    let period = (
        params.integer("period[start]").unwrap_or(now),
        params.integer("period[end]").unwrap_or(now),
    );
    if period.0 > period.1 {
        return Err(ApiError::invalid("The period must end after it starts.").param("period[end]"));
    }
    let described = params.text("description").map(str::to_owned);
    let name = (!price.is_null()).then(|| product_name(world, &price));
    let mut item = invoice_items::build(
        world,
        &NewItem {
            customer: &customer,
            currency: &currency,
            amount,
            quantity,
            price,
            description: described.or(name),
            period,
            metadata: merge_metadata(&Value::Null, params, "metadata")?,
            subscription: subscription.as_deref(),
            ..NewItem::default()
        },
    );
    if let Some(discountable) = params.boolean("discountable") {
        field::set(&mut item, "discountable", discountable);
    }
    discount(world, &mut item, params)?;
    if let Some(draft) = &draft {
        if field::text(draft, "currency") != currency {
            let message = format!("The invoice is in {}.", field::text(draft, "currency"));
            return Err(ApiError::invalid(message).param("currency"));
        }
        field::set(&mut item, "invoice", field::at(draft, "id").clone());
        world.create("invoiceitem.created", &item);
        put_on(world, draft, &item);
    } else {
        invoice_items::add_pending(world, &item);
    }
    Ok(rendered(&item))
}

/// Redeems the discounts that are sent for an item, in place of those it has.
fn discount(world: &mut World, item: &mut Value, params: &Params) -> Result<(), ApiError> {
    let purchase = Purchase {
        customer: field::some_text(item, "customer"),
        currency: field::text(item, "currency"),
        subtotal: field::integer(item, "amount"),
    };
    if let Some(asked) = redemptions::asked(world, params, "discounts", &purchase)? {
        invoice_items::discount(world, item, &asked);
    }
    Ok(())
}

/// The amount, quantity and price that are sent: an amount alone, or a price and how many.
fn cost(world: &mut World, params: &Params) -> Result<(i64, i64, Value), ApiError> {
    if let Some(amount) = params.integer("amount") {
        let other = ["pricing", "price_data", "unit_amount_decimal", "quantity"];
        if let Some(other) = other.into_iter().find(|name| params.has(name)) {
            let message = format!("You may only specify one of these parameters: amount, {other}.");
            return Err(ApiError::invalid(message).param("amount"));
        }
        return Ok((amount, 1, Value::Null));
    }
    let line = match params.text("pricing[price]") {
        Some(id) => Params::default().with("price", id),
        None => params.clone(),
    };
    if !line.has("price") && !line.has("price_data") {
        return Err(ApiError::parameter_missing("amount"));
    }
    let price = price::of_line(world, &line, "pricing")?;
    if field::text(&price, "type") != "one_time" {
        let message =
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.";
        return Err(ApiError::invalid(message).param("pricing[price]"));
    }
    let quantity = quantity(params, "quantity")?;
    Ok((pricing::amount_at(world, &price, quantity), quantity, price))
}

fn draft_of(world: &World, id: &str, customer: &str) -> Answer {
    let invoice = world.get("invoice", id, "invoice")?;
    if field::text(&invoice, "customer") != customer {
        let message = format!("The invoice {id} belongs to another customer.");
        return Err(ApiError::invalid(message).param("invoice"));
    }
    invoicing::editable(&invoice)?;
    Ok(invoice)
}

fn subscription_of(world: &World, id: &str, customer: &str) -> Result<String, ApiError> {
    let subscription = world.get("subscription", id, "subscription")?;
    if field::text(&subscription, "customer") != customer {
        let message = format!("The subscription {id} belongs to another customer.");
        return Err(ApiError::invalid(message).param("subscription"));
    }
    Ok(id.to_owned())
}

/// Puts an item on a draft.
fn put_on(world: &mut World, draft: &Value, item: &Value) {
    let id = field::text(draft, "id").to_owned();
    let line = lines::of_invoice_item(world, item);
    let line = lines::written(world, &id, field::text(draft, "currency"), &line);
    let mut changed = draft.clone();
    let mut all = field::elements(&changed, "lines.data").to_vec();
    all.push(line);
    field::set(&mut changed, "lines.data", all);
    invoice_totals::write(world, &mut changed);
    world.update(&id, "invoice.updated", |one| *one = changed);
}

/// The draft that an item stands on, if it does; an item of an invoice that is no draft any more is fixed.
fn own_draft(world: &World, item: &Value) -> Result<Option<Value>, ApiError> {
    let Some(id) = field::some_text(item, "invoice") else {
        return Ok(None);
    };
    let invoice = world.get("invoice", id, "invoice")?;
    invoicing::editable(&invoice)?;
    Ok(Some(invoice))
}

pub(crate) fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let item = world.get("invoiceitem", call.id(), "id")?;
    let draft = own_draft(world, &item)?;
    let mut changed = item.clone();
    copy_texts(&mut changed, params, &["description"]);
    let metadata = merge_metadata(field::at(&changed, "metadata"), params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    if let Some(discountable) = params.boolean("discountable") {
        field::set(&mut changed, "discountable", discountable);
    }
    if ["amount", "pricing", "price_data"].iter().any(|name| params.has(name)) {
        let (amount, quantity, price) = cost(world, params)?;
        field::set(&mut changed, "amount", amount);
        field::set(&mut changed, "net_amount", amount);
        field::set(&mut changed, "quantity", quantity);
        field::set(&mut changed, "quantity_decimal", quantity.to_string());
        field::set(&mut changed, "pricing", lines::pricing_of(&price));
    }
    discount(world, &mut changed, params)?;
    world.put(&changed);
    if let Some(draft) = draft {
        let without = invoicing::without_item(&draft, call.id());
        put_on(world, &without, &changed);
    }
    Ok(rendered(&changed))
}

fn delete(world: &mut World, call: &Call) -> Answer {
    let item = world.get("invoiceitem", call.id(), "id")?;
    if let Some(draft) = own_draft(world, &item)? {
        let mut without = invoicing::without_item(&draft, call.id());
        invoice_totals::write(world, &mut without);
        let id = field::text(&draft, "id").to_owned();
        world.update(&id, "invoice.updated", |one| *one = without);
    }
    invoice_items::stop_waiting(world, field::text(&item, "customer"), &[Value::from(call.id())]);
    delete_for_good(world, "invoiceitem", call.id())
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let pending = params.boolean("pending");
    list_of(world, "invoiceitem", "/v1/invoiceitems", params, |one| {
        matches(one, params, &["customer", "invoice"])
            && test_clock::is_listed(one, params, &["customer", "invoice"])
            && pending.is_none_or(|pending| field::at(one, "invoice").is_null() == pending)
    })
}
