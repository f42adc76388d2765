//! Search: clauses such as `status:'succeeded'` or `amount>1000`, joined by AND or by OR. Unlike Stripe's, this index never lags.
//!
//! Source: <https://docs.stripe.com/search#search-query-language>.

use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    json::{Value, json},
    world::{World, rendered},
};

/// How a field may be searched.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// For exactly this.
    Token,
    /// For exactly this, or for a part of it.
    Text,
    /// For a number that is as large, larger or smaller.
    Number,
}

/// The fields that can be searched for, beside metadata.
/// Source: <https://docs.stripe.com/search#query-fields-for-charges> and the tables that follow there.
fn fields(object: &str) -> &'static [(&'static str, Kind)] {
    use Kind::{Number, Text, Token};
    match object {
        "charge" => &[
            ("amount", Number),
            ("billing_details.address.postal_code", Token),
            ("created", Number),
            ("currency", Token),
            ("customer", Token),
            ("disputed", Token),
            ("payment_method_details.card.brand", Token),
            ("payment_method_details.card.exp_month", Token),
            ("payment_method_details.card.exp_year", Token),
            ("payment_method_details.card.fingerprint", Token),
            ("payment_method_details.card.last4", Token),
            ("refunded", Token),
            ("status", Token),
        ],
        "customer" => &[("created", Number), ("email", Text), ("name", Text), ("phone", Text)],
        "invoice" => &[
            ("created", Number),
            ("currency", Token),
            ("customer", Token),
            ("last_finalization_error_code", Token),
            ("last_finalization_error_type", Token),
            ("number", Text),
            ("receipt_number", Text),
            ("status", Text),
            ("subscription", Text),
            ("total", Number),
        ],
        "payment_intent" => &[
            ("amount", Number),
            ("created", Number),
            ("currency", Token),
            ("customer", Token),
            ("status", Token),
        ],
        "price" => &[
            ("active", Token),
            ("currency", Token),
            ("lookup_key", Token),
            ("product", Token),
            ("type", Token),
        ],
        "product" => &[
            ("active", Token),
            ("description", Text),
            ("name", Text),
            ("shippable", Token),
            ("url", Text),
        ],
        "subscription" => &[("canceled_at", Number), ("created", Number), ("status", Text)],
        _ => &[],
    }
}

/// Where a field that is searched for lies in its object.
fn path(name: &str) -> &str {
    match name {
        "last_finalization_error_code" => "last_finalization_error.code",
        "last_finalization_error_type" => "last_finalization_error.type",
        "subscription" => "parent.subscription_details.subscription",
        name => name,
    }
}

/// A query: all of its clauses must be met, or any.
struct Query {
    clauses: Vec<Clause>,
    any: bool,
}

impl Query {
    fn finds(&self, object: &Value) -> bool {
        let mut met = self.clauses.iter().map(|clause| clause.is_met_by(object));
        if self.any {
            met.any(|met| met)
        } else {
            met.all(|met| met)
        }
    }
}

struct Clause {
    name: Name,
    negated: bool,
    test: Test,
}

enum Name {
    Field(String),
    Metadata(String),
}

enum Test {
    Is(String),
    Contains(String),
    /// Whether a number that compares so is found: less, equal, greater.
    Compares(i64, [bool; 3]),
    IsNull,
}

impl Clause {
    fn is_met_by(&self, object: &Value) -> bool {
        let value = match &self.name {
            Name::Field(name) => field::at(object, path(name)),
            Name::Metadata(key) => field::at(object, "metadata").get(key).unwrap_or(&Value::Null),
        };
        let text = match value {
            Value::String(text) => text.as_str().to_lowercase(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let met = match &self.test {
            Test::Is(wanted) => !value.is_null() && text == *wanted,
            Test::Contains(wanted) => text.contains(wanted),
            Test::Compares(wanted, found) => value.as_i64().is_some_and(|number| {
                let [less, equal, greater] = *found;
                match number.cmp(wanted) {
                    std::cmp::Ordering::Less => less,
                    std::cmp::Ordering::Equal => equal,
                    std::cmp::Ordering::Greater => greater,
                }
            }),
            Test::IsNull => value.is_null(),
        };
        met != self.negated
    }
}

/// Answers a search over all objects of a kind.
pub(crate) fn run(world: &World, object: &str, url: &str, params: &Params) -> Answer {
    let query = parse(object, params.given("query"))?;
    let limit = list::limit(params);
    let from = match params.text("page") {
        Some(page) => page
            .parse::<usize>()
            .map_err(|_| ApiError::invalid(format!("Invalid page: {page}")).param("page"))?,
        None => 0,
    };
    let found: Vec<Value> = world
        .all(object)
        .iter()
        .filter(|one| query.finds(one))
        .map(rendered)
        .collect();
    let end = from.saturating_add(limit);
    let has_more = end < found.len();
    let data: Vec<Value> = found.into_iter().skip(from).take(limit).collect();
    Ok(json!({
        "object": "search_result",
        "url": url,
        "has_more": has_more,
        "data": data,
        "next_page": has_more.then(|| end.to_string()),
    }))
}

fn parse(object: &str, query: &str) -> Result<Query, ApiError> {
    let refuse = || ApiError::invalid(format!("We were unable to parse your search query: {query}")).param("query");
    let mut clauses = Vec::new();
    let mut joined_by: Option<bool> = None;
    let mut rest = query.trim();
    loop {
        let (clause, after) = clause(object, rest, &refuse)?;
        clauses.push(clause);
        let after = after.trim_start();
        if after.is_empty() {
            break;
        }
        let (word, next) = after.split_once(char::is_whitespace).ok_or_else(refuse)?;
        let any = match word.to_ascii_uppercase().as_str() {
            "AND" => false,
            "OR" => true,
            _ => return Err(refuse()),
        };
        if joined_by.is_some_and(|before| before != any) {
            let message = "You cannot use both AND and OR in one search query.";
            return Err(ApiError::invalid(message).param("query"));
        }
        joined_by = Some(any);
        rest = next.trim_start();
    }
    Ok(Query {
        clauses,
        any: joined_by == Some(true),
    })
}

/// The first clause of `rest`, and what follows it.
fn clause<'a>(object: &str, rest: &'a str, refuse: &impl Fn() -> ApiError) -> Result<(Clause, &'a str), ApiError> {
    let (negated, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    // An operator inside a quoted metadata key is part of the key.
    let (name, kind, after) = match rest.strip_prefix("metadata[") {
        Some(inner) => {
            let (key, after) = quoted(inner).ok_or_else(refuse)?;
            let after = after.strip_prefix(']').ok_or_else(refuse)?;
            (Name::Metadata(key), Kind::Token, after)
        }
        None => {
            let end = rest.find([':', '~', '<', '>', '=']).ok_or_else(refuse)?;
            let (name, after) = rest.split_at(end);
            let name = name.trim();
            let known = fields(object).iter().find(|(known, _)| *known == name);
            let Some((_, kind)) = known else {
                return Err(ApiError::invalid(format!("Field `{name}` is not searchable.")).param("query"));
            };
            (Name::Field(name.to_owned()), *kind, after)
        }
    };
    let operators = ["<=", ">=", "<", ">", "=", ":", "~"];
    let operator = operators
        .into_iter()
        .find(|operator| after.starts_with(operator))
        .ok_or_else(refuse)?;
    let after = after.strip_prefix(operator).unwrap_or_default().trim_start();
    let (value, is_bare, after) = match quoted(after) {
        Some((value, after)) => (value, false, after),
        None => {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            let (value, after) = after.split_at(end);
            (value.to_owned(), true, after)
        }
    };
    let is_number = value.parse::<i64>();
    let test = match (operator, kind, is_number) {
        (":", Kind::Token | Kind::Text, _) if is_bare && value == "null" => Test::IsNull,
        (":" | "=", Kind::Number, Ok(number)) => Test::Compares(number, [false, true, false]),
        ("<", Kind::Number, Ok(number)) => Test::Compares(number, [true, false, false]),
        ("<=", Kind::Number, Ok(number)) => Test::Compares(number, [true, true, false]),
        (">", Kind::Number, Ok(number)) => Test::Compares(number, [false, false, true]),
        (">=", Kind::Number, Ok(number)) => Test::Compares(number, [false, true, true]),
        (":", Kind::Token | Kind::Text, number)
            if !is_bare || number.is_ok() || value == "true" || value == "false" =>
        {
            Test::Is(value.to_lowercase())
        }
        ("~", Kind::Text, _) if !is_bare => Test::Contains(value.to_lowercase()),
        ("~", Kind::Token | Kind::Number, _) => {
            let message = "The operator ~ is for fields of texts only.";
            return Err(ApiError::invalid(message).param("query"));
        }
        _ => return Err(refuse()),
    };
    let clause = Clause { name, negated, test };
    Ok((clause, after))
}

/// A quoted text and what follows it; a backslash keeps the next letter.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"'))?;
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == mark {
            return Some((value, text.get(at + 1..)?));
        }
        match letter {
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use crate::{field, http::in_process::InProcess};

    fn query(query: &str) -> String {
        format!("query={}", utf8_percent_encode(query, NON_ALPHANUMERIC))
    }

    #[test]
    fn payments_are_found_by_what_stripe_lets_one_search_for() {
        let sandbox = InProcess::new();
        let paid = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_visa&metadata[order]=6735";
        let paid = sandbox.make("/v1/payment_intents", paid);
        let open = sandbox.make("/v1/payment_intents", "amount=2500&currency=eur");
        let found = |path: &str, text: &str| -> Vec<String> {
            let answer = sandbox.get(path, &query(text));
            let data = field::elements(&answer, "data").iter();
            data.map(|one| field::text(one, "id").to_owned()).collect()
        };
        let both = vec![open.clone(), paid.clone()];
        for (text, wanted) in [
            ("status:'succeeded'", vec![paid.clone()]),
            ("-status:'succeeded'", vec![open.clone()]),
            ("amount>1000", vec![open.clone()]),
            ("amount>=1000 AND amount<2500", vec![paid.clone()]),
            ("amount=2500 or currency:\"USD\"", both.clone()),
            ("metadata[\"order\"]:'6735'", vec![paid.clone()]),
            ("metadata['order']:null", vec![open.clone()]),
            ("created>=1800000000", both),
            ("created<1800000000", vec![]),
        ] {
            assert_eq!(found("/v1/payment_intents/search", text), wanted, "{text}");
        }
        let last4 = "payment_method_details.card.last4:4242 AND refunded:false";
        assert_eq!(found("/v1/charges/search", last4).len(), 1);
    }

    #[test]
    fn subscriptions_and_invoices_are_found_by_what_stripe_lets_one_search_for() {
        let sandbox = InProcess::new();
        let customer = sandbox.make("/v1/customers", "name=Jenny");
        let product = sandbox.make("/v1/products", "name=Pro");
        let terms = format!("product={product}&currency=usd&unit_amount=2900&recurring[interval]=month");
        let price = sandbox.make("/v1/prices", &terms);
        let form = format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
        let waits = sandbox.make("/v1/subscriptions", &format!("{form}&metadata[order]=6735"));
        let gone = sandbox.make("/v1/subscriptions", &form);
        sandbox.call("DELETE", &format!("/v1/subscriptions/{gone}"), "");
        let found = |object: &str, text: &str| -> Vec<String> {
            let answer = sandbox.get(&format!("/v1/{object}s/search"), &query(text));
            let data = field::elements(&answer, "data").iter();
            data.map(|one| field::text(one, "id").to_owned()).collect()
        };
        for (text, wanted) in [
            ("status:'incomplete'", vec![waits.clone()]),
            ("status~'incomp'", vec![waits.clone()]),
            ("metadata['order']:'6735'", vec![waits.clone()]),
            ("canceled_at>0", vec![gone.clone()]),
            ("created>0", vec![gone.clone(), waits.clone()]),
        ] {
            assert_eq!(found("subscription", text), wanted, "{text}");
        }
        let invoices = found("invoice", &format!("customer:'{customer}'"));
        assert_eq!(invoices.len(), 2);
        let own = found(
            "invoice",
            &format!("subscription:'{waits}' AND total=2900 AND status:'open'"),
        );
        assert_eq!(own, invoices[1..]);
        assert_eq!(
            found("invoice", "last_finalization_error_code:null AND receipt_number:null"),
            invoices
        );
        let number = field::text(&sandbox.get(&format!("/v1/invoices/{}", own[0]), ""), "number").to_owned();
        assert_eq!(found("invoice", &format!("number:'{number}'")), own);
    }

    #[test]
    fn what_cannot_be_searched_for_is_told() {
        let sandbox = InProcess::new();
        for (text, message) in [
            ("email:'a'", "Field `email` is not searchable."),
            (
                "status:'a' AND status:'b' OR status:'c'",
                "You cannot use both AND and OR in one search query.",
            ),
            ("status~'succ'", "The operator ~ is for fields of texts only."),
            ("amount:'x'", "We were unable to parse your search query: amount:'x'"),
            ("status:", "We were unable to parse your search query: status:"),
            ("status", "We were unable to parse your search query: status"),
        ] {
            let (status, answer) = sandbox.call("GET", "/v1/payment_intents/search", &query(text));
            assert_eq!((status, field::text(&answer, "error.message")), (400, message));
        }
    }
}
