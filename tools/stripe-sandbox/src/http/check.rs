//! Whether a call's parameters are those its operation takes: told before anything runs, in Stripe's words.
//!
//! Source: <https://docs.stripe.com/error-codes>, and the messages that Stripe's API is seen to answer with.

use crate::json::{Map, Value};

use super::{
    currencies,
    error::ApiError,
    form::{LARGEST_INTEGER, Params},
    table::{Kind, Parameter, Takes},
};

/// Refuses the first parameter that is not taken; where all are, the first one with a wrong value, or missing.
pub(crate) fn check(known: &[Parameter], sent: &Params) -> Result<(), ApiError> {
    let mut findings = Findings::default();
    if let Value::Object(sent) = sent.tree() {
        findings.look_into_hash(known, sent, "");
    }
    match findings.not_taken.or(findings.wrong) {
        Some(error) => Err(error.before_execution()),
        None => Ok(()),
    }
}

/// The first of each sort.
#[derive(Default)]
struct Findings {
    not_taken: Option<ApiError>,
    wrong: Option<ApiError>,
}

impl Findings {
    fn look_into_hash(&mut self, known: &[Parameter], sent: &Map, path: &str) {
        for (name, value) in sent {
            let path = nested(path, name);
            match known.iter().find(|one| one.name == name) {
                None => self.not_taken(ApiError::parameter_unknown(&path)),
                Some(parameter) => match &parameter.takes {
                    Takes::Nothing => self.not_taken(ApiError::unserved_parameter(&path)),
                    Takes::NothingAnyMore => self.not_taken(gone(&path)),
                    Takes::Values(kinds) => self.look_at(kinds, parameter.clearable, value, &path),
                },
            }
        }
        for parameter in known {
            if parameter.required && !sent.contains_key(parameter.name) {
                self.wrong(ApiError::parameter_missing(&nested(path, parameter.name)));
            }
        }
    }

    fn look_at(&mut self, kinds: &[Kind], clearable: bool, value: &Value, path: &str) {
        match value {
            Value::String(text) => self.look_at_text(kinds, clearable, text, path),
            value => self.look_into(kinds, value, path),
        }
    }

    fn look_at_text(&mut self, kinds: &[Kind], clearable: bool, text: &str, path: &str) {
        if text.is_empty() {
            if !clearable {
                self.wrong(empty(path));
            }
            return;
        }
        // Of several kinds one must fit; where none does, the first says why.
        let mut refusals = kinds.iter().map(|kind| refusal(kind, text, path));
        if let Some(Some(first)) = refusals.next()
            && refusals.all(|refusal| refusal.is_some())
        {
            self.wrong(first);
        }
    }

    fn look_into(&mut self, kinds: &[Kind], value: &Value, path: &str) {
        for kind in kinds {
            match (kind, value) {
                (Kind::Hash(known), Value::Object(sent)) => return self.look_into_hash(known, sent, path),
                (Kind::Map(kind), Value::Object(sent)) => {
                    // Metadata is cleared key by key.
                    let clearable = matches!(**kind, Kind::Text(_));
                    return sent.iter().for_each(|(key, value)| {
                        self.look_at(std::slice::from_ref(kind), clearable, value, &nested(path, key));
                    });
                }
                (Kind::List(kind), Value::Array(sent)) => {
                    return sent.iter().enumerate().for_each(|(index, value)| {
                        self.look_at(std::slice::from_ref(kind), false, value, &format!("{path}[{index}]"));
                    });
                }
                _ => {}
            }
        }
        if let Some(kind) = kinds.first() {
            self.wrong(misshapen(kind, value, path));
        }
    }

    fn not_taken(&mut self, error: ApiError) {
        self.not_taken.get_or_insert(error);
    }

    fn wrong(&mut self, error: ApiError) {
        self.wrong.get_or_insert(error);
    }
}

fn nested(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}[{name}]")
    }
}

/// Why `text` is not of this kind, if it is not.
fn refusal(kind: &Kind, text: &str, path: &str) -> Option<ApiError> {
    match kind {
        Kind::Text(longest) => (text.chars().count() > *longest).then(|| {
            let message = format!("Invalid string: {}; must be at most {longest} characters", shown(text));
            ApiError::invalid(message).param(path)
        }),
        Kind::Integer(least, most) => match integer(text) {
            None => Some(ApiError::invalid_integer(
                path,
                format!("Invalid integer: {}", shown(text)),
            )),
            Some(number) if number < *least => {
                let message = format!("This value must be greater than or equal to {least}.");
                Some(ApiError::invalid_integer(path, message))
            }
            Some(number) if number > *most => {
                let message = format!("This value must be less than or equal to {most}.");
                Some(ApiError::invalid_integer(path, message))
            }
            Some(_) => None,
        },
        Kind::Number => (!is_number(text)).then(|| invalid("decimal", text, path)),
        Kind::Currency => (!currencies::knows(text)).then(|| {
            let (text, known) = (shown(&text.to_lowercase()), currencies::KNOWN);
            let message = format!("Invalid currency: {text}. Stripe currently supports these currencies: {known}");
            ApiError::invalid(message).param(path)
        }),
        Kind::Timestamp => {
            let is_time = integer(text).is_some_and(|at| at >= 0);
            let message = "Invalid timestamp: must be an integer Unix timestamp.";
            (!is_time).then(|| ApiError::invalid(message).param(path))
        }
        Kind::Boolean => (!matches!(text, "true" | "false")).then(|| invalid("boolean", text, path)),
        Kind::Enum(allowed) => (!allowed.contains(&text)).then(|| {
            let message = format!("Invalid {path}: must be one of {}", any_of(allowed));
            ApiError::invalid(message).param(path)
        }),
        Kind::Hash(_) | Kind::Map(_) => Some(ApiError::invalid("Invalid object").param(path)),
        Kind::List(_) => Some(ApiError::invalid("Invalid array").param(path)),
    }
}

/// The refusal of a hash or a list where this kind is wanted.
fn misshapen(kind: &Kind, value: &Value, path: &str) -> ApiError {
    let sent = value.to_string();
    // What is written like a hash or a list is of no other kind than text.
    refusal(kind, &sent, path).unwrap_or_else(|| invalid("string", &sent, path))
}

fn invalid(kind: &str, text: &str, path: &str) -> ApiError {
    ApiError::invalid(format!("Invalid {kind}: {}", shown(text))).param(path)
}

fn empty(path: &str) -> ApiError {
    let message = format!(
        "You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however \
         '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value."
    );
    ApiError::invalid(message).code("parameter_invalid_empty").param(path)
}

/// Source: <https://docs.stripe.com/changelog/endive> (2026-09-30).
fn gone(path: &str) -> ApiError {
    let message = format!("The {path} parameter is no longer supported. Use dynamic payment methods instead.");
    ApiError::invalid(message)
        .code(&format!("{path}_no_longer_supported"))
        .param(path)
}

/// `a`, `a or b`, `a, b, or c`.
fn any_of(values: &[&str]) -> String {
    match values {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [one, other] => format!("{one} or {other}"),
        [first @ .., last] => format!("{}, or {last}", first.join(", ")),
    }
}

/// A text as it stands in a message: of a long one the two ends.
fn shown(text: &str) -> String {
    const END: usize = 10;
    let letters: Vec<char> = text.chars().collect();
    match (letters.get(..END), letters.get(letters.len().saturating_sub(END)..)) {
        (Some(first), Some(last)) if letters.len() > 3 * END => {
            format!("{}...{}", String::from_iter(first), String::from_iter(last))
        }
        _ => text.to_owned(),
    }
}

fn integer(text: &str) -> Option<i64> {
    let number = text.parse::<i64>().ok()?;
    (number.unsigned_abs() <= LARGEST_INTEGER.unsigned_abs()).then_some(number)
}

/// Digits, perhaps with a sign and at most twelve decimal places.
/// Source: <https://docs.stripe.com/api/prices/create#create_price-unit_amount_decimal>.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    all_digits(whole) && all_digits(decimals) && decimals.len() <= 12 && integer(whole).is_some()
}

#[cfg(test)]
mod tests;
