//! Previews of subscription schedules: one that is there, or is not created yet, is changed and begun as if.
//!
//! Source: <https://docs.stripe.com/api/invoices/create_preview#create_create_preview-schedule_details>.

use super::{
    Call,
    invoice_preview::{one_currency, payer, put_items, tell_proration},
    subscription_schedule,
};
use crate::{
    billing::{
        cancellation, phases, preview,
        schedules::{self, KIND},
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::Value,
    world::World,
};

const DETAILS: &str = "schedule_details";

/// Whether a schedule is what a preview is about.
pub(crate) fn is_asked(params: &Params) -> bool {
    params.has("schedule") || Params::under(params, DETAILS).has("phases")
}

/// Refuses what is about a schedule and a subscription at once, and what a schedule is not previewed with.
pub(crate) fn check(params: &Params) -> Result<(), ApiError> {
    for name in ["schedule", DETAILS].into_iter().filter(|name| params.has(name)) {
        if let Some(other) = ["subscription", "subscription_details"]
            .into_iter()
            .find(|other| params.has(other))
        {
            let message = format!("You may only specify one of these parameters: {name}, {other}.");
            return Err(ApiError::invalid(message).param(name));
        }
        if let Some(beside) = ["automatic_tax", "discounts"].into_iter().find(|one| params.has(one)) {
            let message = format!("The sandbox previews a schedule with the `{beside}` of its phases.");
            return Err(ApiError::unserved(beside, message));
        }
    }
    if params.has(DETAILS) && !is_asked(params) {
        let message = "`schedule_details` needs a `schedule`, or `phases` of one that is not created yet.";
        return Err(ApiError::invalid(message).param(DETAILS));
    }
    Ok(())
}

/// The draft that is asked for, if anything is to be invoiced.
pub(crate) fn drafted(world: &mut World, params: &Params, recurs: bool) -> Result<Option<Value>, ApiError> {
    let stored = match params.text("schedule") {
        Some(id) => Some(world.get(KIND, id, "schedule")?),
        None => None,
    };
    let now = world.now;
    let customer = payer(world, params, stored.as_ref())?;
    let subscription = stored.as_ref().and_then(|one| field::some_text(one, "subscription"));
    put_items(world, params, &customer, subscription)?;
    let latest = subscription.and_then(|id| world.find(id));
    let latest = latest.map(|one| field::at(one, "latest_invoice").clone());
    let details = Params::under(params, DETAILS);
    let id = match &stored {
        Some(schedule) if params.has(DETAILS) => {
            if let Some(last) = change(world, schedule, &details)? {
                return Ok(world.find(&last).cloned());
            }
            field::text(schedule, "id").to_owned()
        }
        Some(schedule) if !schedules::is_open(schedule) => return Ok(None),
        Some(schedule) => field::text(schedule, "id").to_owned(),
        None => {
            let created = create(world, &details, &customer).map_err(|error| error.within(DETAILS))?;
            field::text(&created, "id").to_owned()
        }
    };
    let mut draft = match recurs {
        true => preview::recurring_of_schedule(world, &id),
        false => preview::next_of_schedule(world, &id, &latest.unwrap_or_default()),
    };
    if let Some(draft) = &mut draft {
        one_currency(params, field::text(draft, "currency"))?;
        if params.has(DETAILS) {
            tell_proration(draft, now);
        }
    }
    Ok(draft)
}

/// Changes a schedule as its details say. Where that ends its subscription now, it gives the id of the last invoice.
fn change(world: &mut World, schedule: &Value, details: &Params) -> Result<Option<String>, ApiError> {
    if details.has("billing_mode") {
        let message = "The billing mode can be chosen for a schedule that is not created yet.";
        return Err(ApiError::invalid(message).param("schedule_details[billing_mode]"));
    }
    let id = field::text(schedule, "id");
    let call = Call {
        params: details.clone(),
        ids: vec![id.to_owned()],
    };
    let changed = subscription_schedule::write_update(world, &call).map_err(|error| error.within(DETAILS))?;
    if schedules::canceling_at(&changed).is_some_and(|end| end <= world.now) {
        let last = cancellation::draft_rest(world, field::text(&changed, "subscription"));
        return last.map(Some).ok_or_else(super::invoice_preview::none);
    }
    let behavior = details.text("proration_behavior").unwrap_or_default();
    schedules::put_into_effect(world, id, phases::prorations(behavior))?;
    Ok(None)
}

/// Creates a schedule as its details say: it begins when its first phase does, or now.
fn create(world: &mut World, details: &Params, customer: &str) -> Answer {
    let first = details.list("phases").into_iter().next();
    let start = first.and_then(|phase| phase.text("start_date").map(str::to_owned));
    let params = details
        .clone()
        .with("customer", customer)
        .with("start_date", start.as_deref().unwrap_or("now"));
    let call = Call {
        params,
        ids: Vec::new(),
    };
    let at_start = |error: ApiError| match error.fields.get("param").and_then(Value::as_str) {
        Some("start_date") => error.param("phases[0][start_date]"),
        _ => error,
    };
    subscription_schedule::create(world, &call).map_err(at_start)
}
