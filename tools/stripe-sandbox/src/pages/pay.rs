//! `GET` and `POST /_sandbox/pay/{payment_intent}`: confirms a payment intent with a test card that is chosen from a list, as
//! a page of the caller's own with Stripe's elements on it would.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{alert, cause, escaped, find, page, redirect};
use crate::{
    app::App,
    billing::{
        authentication::{self, Confirmation},
        cards, confirmation,
        payment::refused,
        start::money,
    },
    field,
    http::error::ApiError,
    json::Value,
    resources::{intent, payment_method},
    world::World,
};

const KIND: &str = "payment_intent";

/// Shows the page.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match find(&app, KIND, &id) {
        Some((_, intent)) => form(StatusCode::OK, &intent, None),
        None => unknown(),
    }
}

/// Pays with `card_number`.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let Some((account, intent)) = find(&app, KIND, &id) else {
        return unknown();
    };
    if !intent::is_open(&intent) {
        return form(StatusCode::CONFLICT, &intent, None);
    }
    let number = sent.get("card_number").map(String::as_str).unwrap_or_default();
    let paid = app.change(&account, cause(&app, "payment page"), |world| {
        world.go_by_clock_of(&id, true)?;
        pay(world, &intent, number)
    });
    let error = match paid {
        Ok(paid) if field::text(&paid, "status") == "requires_action" => {
            return redirect(&app.world().resolve(&authentication::page(&id)));
        }
        Ok(_) => return redirect(&app.world().resolve(&own_url(&id))),
        Err(error) => error,
    };
    let intent = find(&app, KIND, &id).map_or(intent, |(_, intent)| intent);
    form(error.status_code(), &intent, Some(&error))
}

fn own_url(id: &str) -> String {
    World::page_url(&format!("/_sandbox/pay/{id}"))
}

fn pay(world: &mut World, intent: &Value, number: &str) -> Result<Value, ApiError> {
    let id = field::text(intent, "id");
    let card = cards::by_number(number).map_err(refused)?;
    let method = payment_method::named(world, &format!("pm_card_{}", card.name()), "payment_method")?;
    let how = Confirmation {
        return_url: Some(own_url(id)),
        ..Confirmation::default()
    };
    confirmation::confirm(world, id, &method, &how)
}

fn form(status: StatusCode, intent: &Value, error: Option<&ApiError>) -> Response {
    let amount = money(field::integer(intent, "amount"), field::text(intent, "currency"));
    let mut body = error.map(alert).unwrap_or_default();
    let _ = writeln!(body, "<p>To be paid: <strong>{}</strong></p>", escaped(&amount));
    if let Some(description) = field::some_text(intent, "description") {
        let _ = writeln!(body, "<p>{}</p>", escaped(description));
    }
    if !intent::is_open(intent) {
        let _ = writeln!(
            body,
            "<p role=\"status\">This payment is <code>{}</code>.</p>",
            escaped(field::text(intent, "status"))
        );
        return page(status, "Payment", &body);
    }
    body.push_str(
        "<form method=\"post\">\n<label for=\"card_number\">Test card</label>\n\
         <select id=\"card_number\" name=\"card_number\" required>\n",
    );
    for (number, does) in cards::OFFERED {
        let _ = writeln!(body, "<option value=\"{number}\">{number}: {does}</option>");
    }
    body.push_str("</select>\n<button type=\"submit\">Pay</button>\n</form>");
    page(status, "Payment", &body)
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such payment",
        "<p>This link leads to no payment intent of this sandbox.</p>",
    )
}
