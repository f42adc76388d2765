use super::*;
use crate::http::table::{self, Signature};

fn signatures() -> Vec<Signature> {
    table::signatures().unwrap()
}

/// What is refused of a call: the code, the parameter and the message.
fn refused(signatures: &[Signature], operation: &str, form: &str) -> Option<(String, String, String)> {
    let (method, path) = operation.split_once(' ').unwrap();
    let signature = signatures
        .iter()
        .find(|one| one.method == method && one.path == path)
        .unwrap_or_else(|| panic!("no {operation}"));
    let error = check(&signature.parameters, &Params::parse(form.as_bytes()).unwrap()).err()?;
    assert_eq!(error.status, 400);
    assert_eq!(error.fields.get("type").unwrap(), "invalid_request_error");
    assert!(!error.replayable, "the idempotency key stays free");
    let field = |name: &str| {
        error
            .fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some((field("code"), field("param"), field("message")))
}

#[track_caller]
fn assert_refused(cases: &[(&str, &str, &str, &str, &str)]) {
    let signatures = signatures();
    for (operation, form, code, param, message) in cases {
        let (given_code, given_param, given_message) =
            refused(&signatures, operation, form).unwrap_or_else(|| panic!("{operation} takes {form}"));
        assert_eq!(
            (given_code.as_str(), given_param.as_str(), given_message.as_str()),
            (*code, *param, *message),
            "{operation} {form}"
        );
    }
}

const SESSIONS: &str = "POST /v1/checkout/sessions";
const CUSTOMERS: &str = "POST /v1/customers";
const INTENTS: &str = "POST /v1/payment_intents";
const PRICES: &str = "POST /v1/prices";

#[test]
fn what_fits_is_taken() {
    let signatures = signatures();
    for (operation, form) in [
        (CUSTOMERS, ""),
        (
            CUSTOMERS,
            "email=a%40b.c&name=&address=&metadata[7]=x&metadata[gone]=&preferred_locales[]=en",
        ),
        (
            CUSTOMERS,
            "metadata=&expand[]=tax&shipping[name]=J&shipping[address][line1]=1 Road",
        ),
        (INTENTS, "amount=1099&currency=EUR&off_session=true"),
        (INTENTS, "amount=-5&currency=usd&off_session=one_off&expand=customer"),
        (PRICES, "currency=usd&product=p&unit_amount_decimal=0.000000000001"),
        (
            SESSIONS,
            "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1&expires_at=1800000000",
        ),
        ("GET /v1/customers", "limit=1&created=1800000000"),
        ("GET /v1/customers", "limit=100&created[gte]=1&created[lt]=2"),
        ("POST /v1/subscriptions/{subscription_exposed_id}", "cancel_at="),
        (
            "POST /v1/subscriptions/{subscription_exposed_id}",
            "cancel_at=min_period_end",
        ),
        (
            "POST /v1/subscriptions/{subscription_exposed_id}",
            "cancel_at=1900000000",
        ),
    ] {
        assert_eq!(refused(&signatures, operation, form), None, "{operation} {form}");
    }
}

#[test]
fn a_parameter_that_is_not_taken_is_told_before_everything_else() {
    assert_refused(&[
        (
            CUSTOMERS,
            "nickname=x",
            "parameter_unknown",
            "nickname",
            "Received unknown parameter: nickname",
        ),
        (
            INTENTS,
            "colour=red",
            "parameter_unknown",
            "colour",
            "Received unknown parameter: colour",
        ),
        (
            CUSTOMERS,
            "tax_exempt=perhaps&address[planet]=x",
            "parameter_unknown",
            "address[planet]",
            "Received unknown parameter: address[planet]",
        ),
        (
            SESSIONS,
            "line_items[1][prize]=x",
            "parameter_unknown",
            "line_items[0][prize]",
            "Received unknown parameter: line_items[0][prize]",
        ),
        (
            CUSTOMERS,
            "0=x",
            "parameter_unknown",
            "0",
            "Received unknown parameter: 0",
        ),
        (
            "GET /v1/customers/{customer}",
            "limit=1",
            "parameter_unknown",
            "limit",
            "Received unknown parameter: limit",
        ),
        (
            CUSTOMERS,
            "source=tok_visa",
            "sandbox_unsupported_parameter",
            "source",
            "The sandbox does not serve the parameter source.",
        ),
        (
            CUSTOMERS,
            "cash_balance[settings][reconciliation_mode]=x",
            "sandbox_unsupported_parameter",
            "cash_balance",
            "The sandbox does not serve the parameter cash_balance.",
        ),
        (
            SESSIONS,
            "payment_method_types[0]=card",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
            "The payment_method_types parameter is no longer supported. Use dynamic payment methods instead.",
        ),
    ]);
}

#[test]
fn what_is_required_is_asked_for_at_the_top_and_in_a_hash_that_is_sent() {
    assert_refused(&[
        (
            INTENTS,
            "currency=usd",
            "parameter_missing",
            "amount",
            "Missing required param: amount.",
        ),
        (
            SESSIONS,
            "line_items[0][price_data][unit_amount]=1",
            "parameter_missing",
            "line_items[0][price_data][currency]",
            "Missing required param: line_items[0][price_data][currency].",
        ),
        (
            CUSTOMERS,
            "tax_id_data[0][type]=eu_vat&tax_id_data[0][value]=DE1&tax_id_data[1][type]=eu_vat",
            "parameter_missing",
            "tax_id_data[1][value]",
            "Missing required param: tax_id_data[1][value].",
        ),
        (
            "GET /v1/customers/search",
            "limit=3",
            "parameter_missing",
            "query",
            "Missing required param: query.",
        ),
    ]);
}

#[test]
fn a_value_of_the_wrong_type_is_told_in_stripes_words() {
    let empty = "You passed an empty string for 'currency'. We assume empty values are an attempt to unset a parameter; however \
        'currency' cannot be unset. You should remove 'currency' from your request or supply a non-empty value.";
    let long = format!("currency=usd&nickname=begin{}end", "n".repeat(5000));
    let unknown = |code: &str| {
        let known = super::currencies::KNOWN;
        format!("Invalid currency: {code}. Stripe currently supports these currencies: {known}")
    };
    let (dollars, none) = (unknown("dollars"), unknown("xxx"));
    assert_refused(&[
        (
            INTENTS,
            "amount=abc&currency=usd",
            "parameter_invalid_integer",
            "amount",
            "Invalid integer: abc",
        ),
        (
            INTENTS,
            "amount=1.5&currency=usd",
            "parameter_invalid_integer",
            "amount",
            "Invalid integer: 1.5",
        ),
        (
            INTENTS,
            "amount=999999999999999999999&currency=usd",
            "parameter_invalid_integer",
            "amount",
            "Invalid integer: 999999999999999999999",
        ),
        (
            INTENTS,
            "amount[a]=1&currency=usd",
            "parameter_invalid_integer",
            "amount",
            "Invalid integer: {\"a\":\"1\"}",
        ),
        (
            INTENTS,
            "amount=1&currency=usd&confirm=yes",
            "",
            "confirm",
            "Invalid boolean: yes",
        ),
        (INTENTS, "amount=1&currency=dollars", "", "currency", &dollars),
        (INTENTS, "amount=1&currency=XXX", "", "currency", &none),
        (
            INTENTS,
            "amount=1&currency=",
            "parameter_invalid_empty",
            "currency",
            empty,
        ),
        (
            INTENTS,
            "amount=1&currency=usd&off_session=later",
            "",
            "off_session",
            "Invalid boolean: later",
        ),
        (
            CUSTOMERS,
            "name[first]=J",
            "",
            "name",
            "Invalid string: {\"first\":\"J\"}",
        ),
        (CUSTOMERS, "address=Road 1", "", "address", "Invalid object"),
        (CUSTOMERS, "address[0]=Road 1", "", "address", "Invalid object"),
        (CUSTOMERS, "metadata=x", "", "metadata", "Invalid object"),
        (
            CUSTOMERS,
            "metadata[a][b]=x",
            "",
            "metadata[a]",
            "Invalid string: {\"b\":\"x\"}",
        ),
        (
            CUSTOMERS,
            "preferred_locales=en",
            "",
            "preferred_locales",
            "Invalid array",
        ),
        (
            CUSTOMERS,
            "preferred_locales[a]=en",
            "",
            "preferred_locales",
            "Invalid array",
        ),
        (
            CUSTOMERS,
            "expand[0][a]=tax",
            "",
            "expand[0]",
            "Invalid string: {\"a\":\"tax\"}",
        ),
        (
            SESSIONS,
            "mode=pay",
            "",
            "mode",
            "Invalid mode: must be one of payment, setup, or subscription",
        ),
        (
            SESSIONS,
            "customer_update[name]=x",
            "",
            "customer_update[name]",
            "Invalid customer_update[name]: must be one of auto or never",
        ),
        (
            SESSIONS,
            "expires_at=tomorrow",
            "",
            "expires_at",
            "Invalid timestamp: must be an integer Unix timestamp.",
        ),
        (
            PRICES,
            "currency=usd&unit_amount_decimal=1e3",
            "",
            "unit_amount_decimal",
            "Invalid decimal: 1e3",
        ),
        (
            PRICES,
            &long,
            "",
            "nickname",
            "Invalid string: beginnnnnn...nnnnnnnend; must be at most 5000 characters",
        ),
        (
            "GET /v1/customers",
            "limit=0",
            "parameter_invalid_integer",
            "limit",
            "This value must be greater than or equal to 1.",
        ),
        (
            "GET /v1/customers",
            "limit=101",
            "parameter_invalid_integer",
            "limit",
            "This value must be less than or equal to 100.",
        ),
        (
            "GET /v1/customers",
            "created[gte]=now",
            "parameter_invalid_integer",
            "created[gte]",
            "Invalid integer: now",
        ),
        (
            "GET /v1/customers",
            "created=now",
            "parameter_invalid_integer",
            "created",
            "Invalid integer: now",
        ),
    ]);
}
