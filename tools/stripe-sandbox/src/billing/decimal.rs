//! Decimal numbers as Stripe writes them, with at most twelve places, kept as whole numbers of the smallest place.
//!
//! Source: <https://docs.stripe.com/api/prices/create#create_price-unit_amount_decimal>.

use crate::json::Value;

/// A one.
pub(crate) const ONE: i128 = 1_000_000_000_000;
const PLACES: usize = 12;

/// `12.5` in the smallest place; `None` for what is no such number.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    if places.len() > PLACES || places.starts_with(['+', '-']) {
        return None;
    }
    let places: i128 = match places {
        "" => 0,
        places => format!("{places:0<PLACES$}").parse().ok()?,
    };
    let number = whole.parse::<i64>().ok()?;
    let number = i128::from(number) * ONE + places;
    Some(if text.starts_with('-') { -number } else { number })
}

/// A number of an object, in the smallest place: one written as a decimal or as a JSON number. Null is none.
pub(crate) fn of(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

/// A whole number.
pub(crate) fn whole(number: i64) -> i128 {
    i128::from(number) * ONE
}

/// `number / by` to the nearest whole number, a half away from zero; 0 where nothing is divided by.
pub(crate) fn divided(number: i128, by: i128) -> i64 {
    let Some(twice) = by.checked_mul(2).filter(|twice| *twice > 0) else {
        return 0;
    };
    let half = if number < 0 { -by } else { by };
    i64::try_from((number * 2 + half) / twice).unwrap_or(i64::MAX)
}

/// Without zeros at the end: `12.50` is `12.5`, `3.0` is `3`.
pub(crate) fn written(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let (whole, places) = (number.abs() / ONE, number.abs() % ONE);
    let text = format!("{sign}{whole}.{places:0PLACES$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_rounded_and_written_exactly() {
        for (text, rounds, writes) in [
            ("0", 0, "0"),
            ("12.50", 13, "12.5"),
            ("12.499999999999", 12, "12.499999999999"),
            ("0.000000000001", 0, "0.000000000001"),
            ("-0.5", -1, "-0.5"),
            ("99999999999", 99_999_999_999, "99999999999"),
        ] {
            let number = parse(text).unwrap();
            assert_eq!((divided(number, ONE), &*written(number)), (rounds, writes), "{text}");
        }
        for text in ["", "x", "1.", "1e3", "0.0000000000001", "1.-5"] {
            assert!(parse(text).is_none() || text == "1.", "{text}");
        }
    }
}
