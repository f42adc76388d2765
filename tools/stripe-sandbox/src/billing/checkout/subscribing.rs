//! The subscription that a session's payer begins.

use super::{Attempt, complete, payer};
use crate::{
    billing::{
        authentication::Presence,
        first_period::FirstPeriod,
        invoicing,
        redemptions::Asked,
        start::{self, NewSubscription, Once},
    },
    field,
    http::error::ApiError,
    json::Value,
    resources::payment_method,
    world::World,
};

/// Begins the subscription, and pays its first invoice.
pub(super) fn pay(world: &mut World, attempt: &Attempt<'_>) -> Result<(), ApiError> {
    let Attempt { session, method, .. } = *attempt;
    let customer = payer(world, attempt);
    let method = payment_method::attach(world, field::text(method, "id"), &customer, "payment_method")?;
    let begun = field::some_text(session, "_sandbox.payment_intent").map(str::to_owned);
    if let Some(intent) = &begun {
        world.edit(intent, |one| field::set(one, "customer", customer.clone()));
    }
    let new = NewSubscription {
        default_payment_method: Some(field::text(&method, "id").to_owned()),
        intent: begun,
        ..wanted(session, &customer, world.now)
    };
    let (subscription, invoice) = start::begin(world, &new);
    let is_due = |id: &String| world.find(id).is_some_and(|one| field::integer(one, "amount_due") > 0);
    let due = invoice.clone().filter(is_due);
    let mut status = "no_payment_required";
    if let Some(due) = due {
        invoicing::pay(world, &due, &method, Presence::Present)?;
        status = "paid";
    }
    complete(
        world,
        attempt,
        Some(&customer),
        status,
        Some((&subscription, invoice.as_deref())),
    );
    Ok(())
}

/// What the first invoice asks for: what is sold, with what waits for the customer's next invoice, and less what their balance
/// bears.
pub(super) fn due(world: &mut World, session: &Value) -> i64 {
    let Some(customer) = field::some_text(session, "customer") else {
        return field::integer(session, "amount_total");
    };
    let new = wanted(session, customer, world.now);
    world.as_if(|world| {
        let (_, invoice) = start::draft(world, &new);
        let invoice = invoice.and_then(|id| world.find(&id));
        invoice.map_or(0, |one| field::integer(one, "amount_due"))
    })
}

/// What a session sells, without what pays for it.
fn wanted(session: &Value, customer: &str, now: i64) -> NewSubscription {
    let lines = field::elements(session, "_sandbox.line_items");
    let sold = |kind: &str| -> Vec<(Value, i64, Value)> {
        lines
            .iter()
            .filter(|line| field::text(line, "price.type") == kind)
            .map(|line| {
                (
                    field::at(line, "price").clone(),
                    field::integer(line, "quantity"),
                    field::at(line, "metadata").clone(),
                )
            })
            .collect()
    };
    NewSubscription {
        items: sold("recurring"),
        once: sold("one_time")
            .into_iter()
            .map(|(price, quantity, _)| Once {
                price,
                quantity,
                discountable: true,
                metadata: Value::Null,
                period: Value::Null,
                discounts: Vec::new(),
            })
            .collect(),
        item_discounts: Vec::new(),
        first: FirstPeriod::default(),
        metadata: field::at(session, "_sandbox.subscription.metadata").clone(),
        description: field::some_text(session, "_sandbox.subscription.description").map(str::to_owned),
        default_payment_method: None,
        billing_mode: field::text(session, "_sandbox.subscription.billing_mode").to_owned(),
        automatic_tax: field::flag(session, "automatic_tax.enabled"),
        trial_end: Some(field::integer(session, "_sandbox.subscription.trial_days"))
            .filter(|days| *days > 0)
            .map(|days| now + days * 86_400),
        missing_payment_method: "create_invoice".to_owned(),
        days_until_due: None,
        save_default_payment_method: false,
        customer: customer.to_owned(),
        discounts: redeemed(session),
        intent: None,
        schedule: None,
    }
}

/// The discounts that a session's subscription begins with.
fn redeemed(session: &Value) -> Vec<Asked> {
    let coupon = field::at(session, "_sandbox.coupon");
    let code = field::some_text(session, "discounts.0.promotion_code").map(str::to_owned);
    match coupon.is_object() {
        true => vec![Asked::Coupon(Box::new(coupon.clone()), code)],
        false => Vec::new(),
    }
}
