//! Search: `field:'value'` clauses joined by AND. Unlike Stripe's, this index never lags.
//!
//! Source: <https://docs.stripe.com/search#search-query-language>.

use serde_json::{Value, json};

use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    world::{World, rendered},
};

/// What can be searched for, beside metadata, in one object or another.
/// Source: <https://docs.stripe.com/search#supported-query-fields-for-each-resource>.
const SEARCHABLE: &[&str] = &[
    "active",
    "currency",
    "description",
    "email",
    "lookup_key",
    "name",
    "phone",
    "product",
    "shippable",
    "type",
    "url",
];

enum Clause {
    Equals(String, String),
    Contains(String, String),
}

/// Answers a search over all objects of a kind.
pub(crate) fn run(world: &World, object: &str, url: &str, params: &Params) -> Answer {
    let clauses = parse(params.given("query"))?;
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
        .filter(|one| clauses.iter().all(|clause| meets(one, clause)))
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

fn meets(object: &Value, clause: &Clause) -> bool {
    let value = |name: &str| match name.strip_prefix("metadata.") {
        Some(key) => field::at(object, "metadata")
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        None => match field::at(object, name) {
            Value::Bool(flag) => flag.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        },
    };
    match clause {
        Clause::Equals(name, wanted) => value(name) == *wanted,
        Clause::Contains(name, wanted) => value(name).to_lowercase().contains(&wanted.to_lowercase()),
    }
}

fn parse(query: &str) -> Result<Vec<Clause>, ApiError> {
    let refuse = || ApiError::invalid(format!("We were unable to parse your search query: {query}")).param("query");
    let mut clauses = Vec::new();
    let mut rest = query.trim();
    loop {
        let end = rest.find([':', '~']).ok_or_else(refuse)?;
        // The operator inside a quoted metadata key is part of the key.
        let (name, after) = match rest.strip_prefix("metadata[") {
            Some(inner) => {
                let (key, after) = quoted(inner).ok_or_else(refuse)?;
                (format!("metadata.{key}"), after.strip_prefix(']').ok_or_else(refuse)?)
            }
            None => {
                let (name, after) = rest.split_at(end);
                (name.trim().to_owned(), after)
            }
        };
        if !name.starts_with("metadata.") && !SEARCHABLE.contains(&name.as_str()) {
            return Err(ApiError::invalid(format!("Field `{name}` is not searchable.")).param("query"));
        }
        let exact = after.starts_with(':');
        let after = after.strip_prefix([':', '~']).ok_or_else(refuse)?;
        let (value, after) = quoted(after).ok_or_else(refuse)?;
        clauses.push(if exact {
            Clause::Equals(name, value)
        } else {
            Clause::Contains(name, value)
        });
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(clauses);
        }
        let joined = after
            .get(..4)
            .filter(|word| word.eq_ignore_ascii_case("and "))
            .ok_or_else(refuse)?;
        rest = after.get(joined.len()..).unwrap_or_default().trim_start();
    }
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
