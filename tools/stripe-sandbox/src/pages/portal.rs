//! `GET` and `POST /p/session/{id}`: the customer portal that a session leads to.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    Form,
    extract::{Path, Query, State},
    response::Response,
};
use chrono::DateTime;
use http::StatusCode;

use super::{alert, cause, checkout, escaped, find, page, redirect};
use crate::{
    app::App,
    billing::{
        checkout::Typed,
        latest_period_end,
        portal::{self, Wish},
        start::{money, product_name, worded},
    },
    field,
    http::error::ApiError,
    json::{Value, json},
    resources::payment_method,
    world::World,
};

/// What the page shows of the world.
struct View {
    session: Value,
    configuration: Value,
    customer: Value,
    /// Each with the names of what it is for, joined.
    subscriptions: Vec<(Arc<Value>, String)>,
    /// The changes to come, each with the subscription's id: when, to how many of what, at which price.
    planned: Vec<(String, i64, String)>,
    card: Option<Value>,
    invoices: Vec<Arc<Value>>,
    /// The prices that a subscription can be changed to, each with the name of its product.
    offered: Vec<(Value, String)>,
}

/// Shows what the session is for: a flow, or all that the configuration allows.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let failed = asked.get("redirect_status").is_some_and(|status| status == "failed");
    let error =
        failed.then(|| ApiError::invalid("Your card was not authenticated. Please try again, or another card."));
    shown(&app, &id, StatusCode::OK, error.as_ref(), asked.contains_key("done"))
}

/// Does what the field `action` says.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let Some((account, _)) = find(&app, portal::KIND, &id) else {
        return gone();
    };
    let outcome = match wish(&sent) {
        Some(wish) => app.change(&account, cause(&app, "portal page"), |world| {
            world.go_by_clock_of(&id, true)?;
            portal::fulfil(world, &id, &wish)
        }),
        None => Err(ApiError::invalid("The portal does not know what to do.")),
    };
    match outcome {
        Ok(url) => redirect(&app.world().resolve(&url)),
        Err(error) => shown(&app, &id, error.status_code(), Some(&error), false),
    }
}

fn wish(sent: &BTreeMap<String, String>) -> Option<Wish<'_>> {
    let value = |name: &str| {
        sent.get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let subscription = value("subscription").unwrap_or_default();
    Some(match value("action")? {
        "card" => Wish::Card(Typed {
            number: value("card_number").unwrap_or_default(),
            expiry: value("card_expiry").unwrap_or_default(),
            cvc: value("card_cvc").unwrap_or_default(),
            name: None,
            email: None,
        }),
        "cancel" => Wish::Cancel {
            subscription,
            feedback: value("feedback"),
            comment: value("comment"),
        },
        "renew" => Wish::Renew { subscription },
        "change" => Wish::Change {
            subscription,
            price: value("price"),
            // What is no number is no quantity either.
            quantity: value("quantity").map(|quantity| quantity.parse().unwrap_or(0)),
        },
        "confirm" => Wish::Confirm,
        "customer" => Wish::Customer {
            email: value("email"),
            name: value("name"),
            phone: value("phone"),
        },
        _ => return None,
    })
}

fn shown(app: &App, id: &str, status: StatusCode, error: Option<&ApiError>, done: bool) -> Response {
    let Some((account, _)) = find(app, portal::KIND, id) else {
        return gone();
    };
    let view = app.change(&account, cause(app, "portal page"), |world| {
        world.go_by_clock_of(id, false)?;
        view(world, id).ok_or_else(|| ApiError::invalid("This session has expired."))
    });
    match view {
        Ok(view) => render(&view, status, error, done),
        Err(_) => gone(),
    }
}

fn view(world: &mut World, id: &str) -> Option<View> {
    let (session, configuration) = portal::enter(world, id)?;
    let customer = world
        .get("customer", field::text(&session, "customer"), "customer")
        .ok()?;
    let named = |one: Arc<Value>| {
        let items = field::elements(&one, "items.data");
        let names: Vec<String> = items
            .iter()
            .map(|item| product_name(world, field::at(item, "price")))
            .collect();
        let names = names.join(", ");
        (one, names)
    };
    let subscriptions: Vec<_> = portal::subscriptions(world, &session).into_iter().map(named).collect();
    // Without a subscription, the card is the customer's own.
    let payer = json!({ "customer": field::at(&customer, "id") });
    let payer = subscriptions.first().map_or(&payer, |(one, _)| one);
    let card = payment_method::responsible(world, payer);
    let mut invoices = world.of(field::text(&customer, "id"), "invoice");
    invoices.retain(|one| field::text(one, "status") != "draft");
    let offered = field::elements(&configuration, "features.subscription_update.products")
        .iter()
        .flat_map(|product| field::elements(product, "prices"))
        .filter_map(|id| world.find(id.as_str()?))
        .map(|price| (price.clone(), product_name(world, price)))
        .collect();
    let planned = subscriptions
        .iter()
        .filter_map(|(one, _)| planned(world, one))
        .collect();
    Some(View {
        session,
        configuration,
        customer,
        subscriptions,
        planned,
        card,
        invoices,
        offered,
    })
}

/// The change of a subscription that is to come: its id, when, and to what.
fn planned(world: &World, one: &Value) -> Option<(String, i64, String)> {
    let schedule = portal::planned(world, one)?;
    let phase = field::elements(schedule, "phases").last()?;
    let item = field::at(phase, "items.0");
    let price = world.find(field::text(item, "price"))?;
    let start = field::at(phase, "start_date")
        .as_i64()
        .filter(|start| *start > world.now)?;
    let (quantity, name) = (field::integer(item, "quantity"), product_name(world, price));
    let text = format!("{quantity} × {name}, {}", worded(price));
    Some((field::text(one, "id").to_owned(), start, text))
}

fn gone() -> Response {
    page(
        StatusCode::GONE,
        "This link has expired",
        "<p>It leads to no portal session, or to one that is over. Go back to where you found it for a new one.</p>",
    )
}

fn render(view: &View, status: StatusCode, error: Option<&ApiError>, done: bool) -> Response {
    let flow = field::at(&view.session, "flow");
    let flow_done = field::flag(&view.session, "_sandbox.flow_done");
    let mut body = error.map(alert).unwrap_or_default();
    if done && flow_done && field::text(flow, "after_completion.type") == "hosted_confirmation" {
        let message = field::some_text(flow, "after_completion.hosted_confirmation.custom_message");
        let _ = writeln!(
            body,
            "<p role=\"status\">{}</p>",
            escaped(message.unwrap_or("All is saved."))
        );
        back(&mut body, &view.session);
        return page(status, "Done", &body);
    }
    if done {
        body.push_str("<p role=\"status\">Your change is saved.</p>\n");
    }
    match field::some_text(flow, "type").filter(|_| !flow_done) {
        Some(kind) => flow_part(&mut body, view, kind),
        None => home(&mut body, view),
    }
    back(&mut body, &view.session);
    let headline = field::some_text(&view.configuration, "business_profile.headline");
    page(status, headline.unwrap_or("Your subscriptions and invoices"), &body)
}

fn back(body: &mut String, session: &Value) {
    if let Some(url) = field::some_text(session, "return_url") {
        let _ = writeln!(
            body,
            "<p><a href=\"{}\">Return to where you came from</a></p>",
            escaped(url)
        );
    }
}

fn may(view: &View, feature: &str) -> bool {
    field::flag(&view.configuration, &format!("features.{feature}.enabled"))
}

fn flow_part(body: &mut String, view: &View, kind: &str) {
    let about = field::at(&view.session, "flow");
    let id = field::text(about, &format!("{kind}.subscription"));
    let subscription = view.subscriptions.iter().find(|(one, _)| field::text(one, "id") == id);
    match (kind, subscription) {
        ("payment_method_update", _) => card(body, view),
        ("subscription_cancel", Some((one, names))) => {
            terms(body, one, names);
            cancel_form(body, view, one, 0);
        }
        ("subscription_update", Some((one, names))) => {
            terms(body, one, names);
            change_form(body, view, one, 0);
        }
        ("subscription_update_confirm", Some((one, names))) => {
            terms(body, one, names);
            let item = field::at(about, "subscription_update_confirm.items.0");
            let price = view
                .offered
                .iter()
                .find(|(price, _)| field::at(price, "id") == field::at(item, "price"));
            if let Some((price, name)) = price {
                let _ = writeln!(
                    body,
                    "<p>It will be <strong>{} × {}</strong>, {}.</p>",
                    field::integer(item, "quantity"),
                    escaped(name),
                    escaped(&worded(price))
                );
            }
            form(body, "confirm", one, "", "Confirm");
        }
        _ => body.push_str("<p>This subscription cannot be changed any more.</p>\n"),
    }
}

fn home(body: &mut String, view: &View) {
    body.push_str("<h2>Subscriptions</h2>\n");
    if view.subscriptions.is_empty() {
        body.push_str("<p>There is none.</p>\n");
    }
    for (index, (one, names)) in view.subscriptions.iter().enumerate() {
        terms(body, one, names);
        if let Some((_, start, what)) = view.planned.iter().find(|(id, ..)| field::text(one, "id") == id) {
            let _ = writeln!(body, "<p>Changes on {} to {}.</p>", date(*start), escaped(what));
        }
        if may(view, "subscription_update") && field::elements(one, "items.data").len() == 1 {
            change_form(body, view, one, index);
        }
        if may(view, "subscription_cancel") {
            match field::at(one, "cancel_at").is_null() {
                true => cancel_form(body, view, one, index),
                false => form(body, "renew", one, "", "Do not cancel"),
            }
        }
    }
    if may(view, "payment_method_update") {
        body.push_str("<h2>Payment method</h2>\n");
        card(body, view);
    }
    if may(view, "customer_update") {
        customer(body, view);
    }
    if may(view, "invoice_history") {
        invoices(body, &view.invoices);
    }
}

/// A form about a subscription; `fields` is HTML already.
fn form(body: &mut String, action: &str, one: &Value, fields: &str, verb: &str) {
    let _ = writeln!(
        body,
        "<form method=\"post\">\n<input type=\"hidden\" name=\"action\" value=\"{action}\">\n\
         <input type=\"hidden\" name=\"subscription\" value=\"{}\">\n{fields}<button type=\"submit\">{verb}</button>\n</form>",
        escaped(field::text(one, "id"))
    );
}

/// What a subscription is for, what it costs and when it goes on or ends.
fn terms(body: &mut String, one: &Value, names: &str) {
    let _ = writeln!(body, "<h3>{}</h3>\n<ul>", escaped(names));
    for item in field::elements(one, "items.data") {
        let _ = writeln!(
            body,
            "<li>{} × {}</li>",
            field::integer(item, "quantity"),
            escaped(&worded(field::at(item, "price")))
        );
    }
    let ends = field::at(one, "cancel_at").as_i64();
    let verb = match (ends, field::text(one, "status")) {
        (Some(_), _) => "Ends on",
        (None, "trialing") => "Free until",
        (None, "past_due" | "unpaid") => "A payment is missing; paid until",
        _ => "Renews on",
    };
    let _ = writeln!(
        body,
        "</ul>\n<p>{verb} {}.</p>",
        date(ends.or_else(|| latest_period_end(one)).unwrap_or_default())
    );
}

fn change_form(body: &mut String, view: &View, one: &Value, index: usize) {
    let feature = field::at(&view.configuration, "features.subscription_update");
    let updates = field::elements(feature, "default_allowed_updates");
    let item = field::at(one, "items.data.0");
    let mut fields = String::new();
    if updates.contains(&json!("price")) {
        let _ = writeln!(
            fields,
            "<label for=\"price-{index}\">Plan</label>\n<select id=\"price-{index}\" name=\"price\">"
        );
        let is_offered = |id: &Value| view.offered.iter().any(|(price, _)| field::at(price, "id") == id);
        if !is_offered(field::at(item, "price.id")) {
            fields.push_str("<option value=\"\">As it is</option>\n");
        }
        for (price, name) in &view.offered {
            let chosen = field::at(price, "id") == field::at(item, "price.id");
            let _ = writeln!(
                fields,
                "<option value=\"{}\"{}>{}, {}</option>",
                escaped(field::text(price, "id")),
                if chosen { " selected" } else { "" },
                escaped(name),
                escaped(&worded(price))
            );
        }
        fields.push_str("</select>\n");
    }
    if updates.contains(&json!("quantity")) {
        let _ = writeln!(
            fields,
            "<label for=\"quantity-{index}\">Quantity</label>\n<input id=\"quantity-{index}\" name=\"quantity\" \
             type=\"number\" min=\"1\" value=\"{}\" required>",
            field::integer(item, "quantity")
        );
    }
    form(body, "change", one, &fields, "Change plan");
}

fn cancel_form(body: &mut String, view: &View, one: &Value, index: usize) {
    let feature = field::at(&view.configuration, "features.subscription_cancel");
    let mut fields = String::new();
    if field::flag(feature, "cancellation_reason.enabled") {
        let _ = writeln!(
            fields,
            "<label for=\"feedback-{index}\">Why do you cancel? (optional)</label>\n\
             <select id=\"feedback-{index}\" name=\"feedback\">\n<option value=\"\"></option>"
        );
        for reason in field::elements(feature, "cancellation_reason.options") {
            let reason = reason.as_str().unwrap_or_default();
            let _ = writeln!(
                fields,
                "<option value=\"{reason}\">{}</option>",
                reason.replace('_', " ")
            );
        }
        let _ = writeln!(
            fields,
            "</select>\n<label for=\"comment-{index}\">Anything else? (optional)</label>\n\
             <textarea id=\"comment-{index}\" name=\"comment\" maxlength=\"5000\"></textarea>"
        );
    }
    let verb = match field::text(feature, "mode") {
        "immediately" => "Cancel now",
        _ => "Cancel at the end of the period",
    };
    form(body, "cancel", one, &fields, verb);
}

fn card(body: &mut String, view: &View) {
    match &view.card {
        Some(method) => {
            let _ = writeln!(
                body,
                "<p>{} ending in {}, valid until {}/{}</p>",
                escaped(field::text(method, "card.display_brand")),
                escaped(field::text(method, "card.last4")),
                field::integer(method, "card.exp_month"),
                field::integer(method, "card.exp_year")
            );
        }
        None => body.push_str("<p>No card is on file.</p>\n"),
    }
    let _ = writeln!(
        body,
        "<form method=\"post\" autocomplete=\"off\">\n<input type=\"hidden\" name=\"action\" value=\"card\">\n{}\
         <button type=\"submit\">Use this card</button>\n</form>",
        checkout::card_fields()
    );
}

fn customer(body: &mut String, view: &View) {
    let allowed = field::elements(&view.configuration, "features.customer_update.allowed_updates");
    if allowed.is_empty() {
        return;
    }
    body.push_str(
        "<h2>About you</h2>\n<form method=\"post\">\n<input type=\"hidden\" name=\"action\" value=\"customer\">\n",
    );
    for (name, label, kind, autocomplete) in [
        ("name", "Name", "text", "name"),
        ("email", "Email", "email", "email"),
        ("phone", "Phone", "tel", "tel"),
    ] {
        if allowed.contains(&json!(name)) {
            let _ = writeln!(
                body,
                "<label for=\"{name}\">{label}</label>\n<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{}\" \
                 autocomplete=\"{autocomplete}\">",
                escaped(field::text(&view.customer, name))
            );
        }
    }
    body.push_str("<button type=\"submit\">Save</button>\n</form>\n");
}

fn invoices(body: &mut String, invoices: &[Arc<Value>]) {
    body.push_str(
        "<h2>Invoices</h2>\n<table>\n<tr><th scope=\"col\">Date</th><th scope=\"col\">Number</th>\
         <th scope=\"col\">Status</th><th scope=\"col\">Amount</th></tr>\n",
    );
    for one in invoices {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            date(field::integer(one, "created")),
            escaped(field::text(one, "number")),
            escaped(field::text(one, "status")),
            escaped(&money(field::integer(one, "total"), field::text(one, "currency")))
        );
    }
    body.push_str("</table>\n");
}

fn date(at: i64) -> String {
    DateTime::from_timestamp(at, 0).map_or_else(String::new, |at| at.format("%-d %B %Y").to_string())
}
