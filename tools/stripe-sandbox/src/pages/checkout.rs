//! `GET` and `POST /c/pay/{id}`: the page that a checkout session's `url` leads to.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    Form,
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;

use super::{alert, cause, escaped, find, page, redirect};
use crate::{
    app::App,
    billing::{
        cards,
        checkout::{self, Typed},
        recovery,
        start::{money, worded},
    },
    field,
    http::error::ApiError,
    json::Value,
};

const KIND: &str = "checkout.session";

/// Shows the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let failed = asked.get("redirect_status").is_some_and(|status| status == "failed");
    let error =
        failed.then(|| ApiError::invalid("Your payment was not authenticated, or declined. Please try another card."));
    match find(&app, KIND, &id) {
        Some((_, session)) => form(StatusCode::OK, &session, error.as_ref(), &BTreeMap::new()),
        None => unknown(),
    }
}

/// Pays. The fields are `card_number`, `card_expiry` (`12/34`), `card_cvc`, and, where asked for, `email` and `name`. A
/// `promotion_code` is taken off first; without a card that is all.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let Some((account, session)) = find(&app, KIND, &id) else {
        return unknown();
    };
    if field::text(&session, "status") != "open" {
        return form(StatusCode::CONFLICT, &session, None, &sent);
    }
    let value = |name: &str| {
        sent.get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let typed = Typed {
        number: value("card_number").unwrap_or_default(),
        expiry: value("card_expiry").unwrap_or_default(),
        cvc: value("card_cvc").unwrap_or_default(),
        name: value("name"),
        email: value("email"),
    };
    if let Some(code) = value("promotion_code") {
        let cause = cause(&app, "checkout page");
        let applied = app.change(&account, cause, |world| checkout::apply_code(world, &id, code));
        let session = find(&app, KIND, &id).map(|(_, session)| session).unwrap_or_default();
        match applied {
            Err(error) => return form(error.status_code(), &session, Some(&error), &sent),
            Ok(()) if value("card_number").is_none() => return form(StatusCode::OK, &session, None, &sent),
            Ok(()) => {}
        }
    }
    let cause = cause(&app, "checkout page");
    match app.change(&account, cause, |world| {
        world.go_by_clock_of(&id, true)?;
        checkout::pay(world, &id, &typed)
    }) {
        Ok(url) => redirect(&app.world().resolve(&url)),
        Err(error) => {
            let session = find(&app, KIND, &id).map(|(_, session)| session).unwrap_or(session);
            form(error.status_code(), &session, Some(&error), &sent)
        }
    }
}

/// `GET /r/{session}`: leads to the page of a new session in place of one that expired.
pub(crate) async fn recover(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let Some((account, _)) = find(&app, KIND, &id) else {
        return unknown();
    };
    match app.change(&account, cause(&app, "recovery page"), |world| {
        world.go_by_clock_of(&id, true)?;
        recovery::recover(world, &id)
    }) {
        Ok(url) => redirect(&app.world().resolve(&url)),
        Err(error) => page(StatusCode::GONE, "Too late", &alert(&error)),
    }
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such checkout session",
        "<p>This link leads to no checkout session of this sandbox.</p>",
    )
}

fn form(status: StatusCode, session: &Value, error: Option<&ApiError>, sent: &BTreeMap<String, String>) -> Response {
    match field::text(session, "status") {
        "open" => {}
        "complete" => {
            return page(
                status,
                "You are all done here",
                "<p>This checkout session was completed already.</p>",
            );
        }
        _ => return page(status, "Too late", "<p>This checkout session has expired.</p>"),
    }
    let mut body = String::new();
    if let Some(error) = error {
        body.push_str(&alert(error));
    }
    body.push_str(&summary(session));
    if field::flag(session, "allow_promotion_codes") {
        body.push_str(
            "<form method=\"post\" autocomplete=\"off\">\n<label for=\"promotion_code\">Promotion code</label>\n\
             <input id=\"promotion_code\" name=\"promotion_code\" required>\n\
             <button type=\"submit\" class=\"plain\">Apply</button>\n</form>\n",
        );
    }
    body.push_str("<form method=\"post\" autocomplete=\"off\">\n");
    if field::some_text(session, "customer_details.email").is_none() {
        body.push_str(&input(
            "email",
            "Email",
            "email",
            "jenny@example.com",
            sent.get("email"),
            "email",
        ));
    }
    body.push_str(&card_fields());
    let _ = writeln!(
        body,
        "<label for=\"name\">Name on card (optional)</label>\n<input id=\"name\" name=\"name\" value=\"{}\" autocomplete=\"cc-name\">",
        escaped(sent.get("name").map(String::as_str).unwrap_or_default())
    );
    let verb = match field::text(session, "mode") {
        "subscription" => "Subscribe",
        "setup" => "Save card",
        _ => "Pay",
    };
    let _ = writeln!(body, "<button type=\"submit\">{verb}</button>\n</form>");
    if let Some(url) = field::some_text(session, "cancel_url") {
        let _ = writeln!(body, "<p><a href=\"{}\">Back</a></p>", escaped(url));
    }
    body.push_str("<h2>Test cards</h2>\n<p class=\"note\">No real card works here. Any future expiry and any code will do.</p>\n<table>\n");
    for (number, does) in cards::OFFERED {
        let _ = writeln!(body, "<tr><td><code>{number}</code></td><td>{does}</td></tr>");
    }
    body.push_str("</table>");
    page(status, "Checkout", &body)
}

fn summary(session: &Value) -> String {
    if field::text(session, "mode") == "setup" {
        return "<p>Save a card for later payments. Nothing is charged now.</p>\n".to_owned();
    }
    let currency = field::text(session, "currency");
    let mut out = "<table>\n<caption class=\"note\">What you pay for</caption>\n".to_owned();
    for line in field::elements(session, "_sandbox.line_items") {
        let asked = match field::text(line, "price.type") {
            "recurring" => worded(field::at(line, "price")),
            _ => money(field::integer(line, "amount_subtotal"), currency),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}{}</td><td>{}</td></tr>",
            // What is used has no quantity yet.
            field::at(line, "quantity")
                .as_i64()
                .map(|quantity| format!("{quantity} × "))
                .unwrap_or_default(),
            escaped(field::text(line, "description")),
            escaped(&asked),
        );
    }
    let off = field::integer(session, "total_details.amount_discount");
    if off > 0 {
        let _ = writeln!(out, "<tr><td>Discount</td><td>−{}</td></tr>", money(off, currency));
    }
    let tax = field::integer(session, "total_details.amount_tax");
    if tax > 0 {
        let _ = writeln!(out, "<tr><td>Tax</td><td>{}</td></tr>", money(tax, currency));
    }
    let total = money(field::integer(session, "amount_total"), currency);
    let _ = writeln!(
        out,
        "<tr><th scope=\"row\">Due today</th><td><strong>{total}</strong></td></tr>\n</table>"
    );
    let trial = field::integer(session, "_sandbox.subscription.trial_days");
    if trial > 0 {
        let _ = writeln!(out, "<p>Free for {trial} days.</p>");
    }
    out
}

/// The fields of a card's number, expiry and code.
pub(super) fn card_fields() -> String {
    let mut out = input(
        "card_number",
        "Card number",
        "text",
        "4242 4242 4242 4242",
        None,
        "cc-number",
    );
    out.push_str(&input(
        "card_expiry",
        "Expiry (month / year)",
        "text",
        "12 / 34",
        None,
        "cc-exp",
    ));
    out.push_str(&input("card_cvc", "Security code (CVC)", "text", "123", None, "cc-csc"));
    out
}

fn input(name: &str, label: &str, kind: &str, hint: &str, value: Option<&String>, autocomplete: &str) -> String {
    let value = escaped(value.map(String::as_str).unwrap_or_default());
    let mode = if kind == "text" { " inputmode=\"numeric\"" } else { "" };
    format!(
        "<label for=\"{name}\">{label}</label>\n<input id=\"{name}\" name=\"{name}\" type=\"{kind}\"{mode} placeholder=\"{hint}\" \
         value=\"{value}\" autocomplete=\"{autocomplete}\" required>\n"
    )
}
