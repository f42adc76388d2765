//! Where the sandbox's seller is registered, and the standard rates it knows: enough to calculate with, not tax advice.
//!
//! Rates are in thousandths of a percent. Source: <https://docs.stripe.com/tax/supported-countries> for the tax types, the
//! countries' own publications for the rates (2026).

use crate::{field, json::Value};

/// The country the seller is established in.
pub(crate) const HOME: &str = "IE";

/// Member states of the EU with their standard rates; the seller collects in all of them through the One Stop Shop.
const EU: &[(&str, i64)] = &[
    ("AT", 20_000),
    ("BE", 21_000),
    ("BG", 20_000),
    ("CY", 19_000),
    ("CZ", 21_000),
    ("DE", 19_000),
    ("DK", 25_000),
    ("EE", 24_000),
    ("ES", 21_000),
    ("FI", 25_500),
    ("FR", 20_000),
    ("GR", 24_000),
    ("HR", 25_000),
    ("HU", 27_000),
    ("IE", 23_000),
    ("IT", 22_000),
    ("LT", 21_000),
    ("LU", 17_000),
    ("LV", 21_000),
    ("MT", 18_000),
    ("NL", 21_000),
    ("PL", 23_000),
    ("PT", 23_000),
    ("RO", 21_000),
    ("SE", 25_000),
    ("SI", 22_000),
    ("SK", 23_000),
];

/// Other places: country, state or empty, rate, tax type, whether the seller is registered there.
const ELSEWHERE: &[(&str, &str, i64, &str, bool)] = &[
    ("GB", "", 20_000, "vat", true),
    ("CH", "", 8_100, "vat", false),
    ("NO", "", 25_000, "vat", false),
    ("AU", "", 10_000, "gst", true),
    ("NZ", "", 15_000, "gst", false),
    ("SG", "", 9_000, "gst", false),
    ("JP", "", 10_000, "jct", false),
    ("CA", "ON", 13_000, "hst", true),
    ("CA", "AB", 5_000, "gst", true),
    ("US", "CA", 7_250, "sales_tax", true),
    ("US", "NY", 8_875, "sales_tax", true),
    ("US", "TX", 8_250, "sales_tax", true),
    ("US", "WA", 6_500, "sales_tax", true),
    ("US", "FL", 6_000, "sales_tax", false),
    ("US", "IL", 6_250, "sales_tax", false),
    ("US", "PA", 6_000, "sales_tax", false),
];

/// First digits of US postal codes for the states above.
const US_POSTAL: &[(&str, u32, u32)] = &[
    ("NY", 100, 149),
    ("PA", 150, 196),
    ("FL", 320, 349),
    ("IL", 600, 629),
    ("TX", 750, 799),
    ("CA", 900, 961),
    ("WA", 980, 994),
];

/// What is taxed for one buyer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Treatment {
    /// As `taxability_reason` words it.
    pub(crate) reason: &'static str,
    /// In thousandths of a percent; 0 unless tax is collected.
    pub(crate) rate: i64,
    pub(crate) tax_type: Option<&'static str>,
    pub(crate) country: String,
    pub(crate) state: Option<String>,
}

/// Tax on top of an amount.
pub(crate) struct Breakdown {
    pub(crate) amount: i64,
    pub(crate) reason: &'static str,
    pub(crate) known_location: bool,
}

impl Breakdown {
    /// The part of `subtotal` that was taxed.
    pub(crate) fn taxable(&self, subtotal: i64) -> i64 {
        if self.amount == 0 { 0 } else { subtotal }
    }
}

/// Whether an address names a place well enough to tax.
pub(crate) fn is_location(address: &Value) -> bool {
    let country = field::text(address, "country");
    match country {
        "US" => state(address).is_some(),
        "CA" => field::some_text(address, "state").is_some() || field::some_text(address, "postal_code").is_some(),
        _ => country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_uppercase()),
    }
}

fn state(address: &Value) -> Option<String> {
    if let Some(state) = field::some_text(address, "state") {
        return Some(state.to_ascii_uppercase());
    }
    let prefix: u32 = field::text(address, "postal_code").get(..3)?.parse().ok()?;
    US_POSTAL
        .iter()
        .find(|(_, from, to)| (*from..=*to).contains(&prefix))
        .map(|(state, ..)| (*state).to_owned())
}

/// How a buyer at `address` is taxed. `has_tax_id`: they gave a valid business id of an EU member state.
pub(crate) fn treatment(address: &Value, has_tax_id: bool, exemption: &str) -> Treatment {
    let country = field::text(address, "country").to_owned();
    let state = matches!(country.as_str(), "US" | "CA")
        .then(|| state(address))
        .flatten();
    let none = |reason: &'static str, tax_type: Option<&'static str>| Treatment {
        reason,
        rate: 0,
        tax_type,
        country: country.clone(),
        state: state.clone(),
    };
    let eu = EU.iter().find(|(code, _)| *code == country);
    let elsewhere = ELSEWHERE
        .iter()
        .find(|(code, region, ..)| *code == country && (region.is_empty() || state.as_deref() == Some(region)));
    let tax_type = eu.map(|_| "vat").or(elsewhere.map(|(.., tax_type, _)| *tax_type));
    match exemption {
        "customer_exempt" | "exempt" => return none("customer_exempt", tax_type),
        "reverse_charge" | "reverse" => return none("reverse_charge", tax_type),
        _ => {}
    }
    match (eu, elsewhere) {
        (Some(_), _) if has_tax_id && country != HOME => none("reverse_charge", tax_type),
        (Some((_, rate)), _) => Treatment {
            reason: "standard_rated",
            rate: *rate,
            ..none("", tax_type)
        },
        (None, Some((_, _, rate, _, true))) => Treatment {
            reason: "standard_rated",
            rate: *rate,
            ..none("", tax_type)
        },
        _ => none("not_collecting", tax_type),
    }
}

/// Tax on `amount` at `rate`, rounded half up; with `inclusive` it is contained in the amount.
pub(crate) fn tax(amount: i64, rate: i64, inclusive: bool) -> i64 {
    let whole = if inclusive { 100_000 + rate } else { 100_000 };
    let product = i128::from(amount) * i128::from(rate);
    let rounded = (2 * product.abs() + i128::from(whole)) / (2 * i128::from(whole));
    i64::try_from(if product < 0 { -rounded } else { rounded }).unwrap_or(i64::MAX)
}

/// A rate as Stripe words it: `19.0`, `8.875`.
pub(crate) fn percentage(rate: i64) -> String {
    let thousandths = format!("{:03}", rate % 1000);
    let trimmed = thousandths.trim_end_matches('0');
    format!("{}.{}", rate / 1000, if trimmed.is_empty() { "0" } else { trimmed })
}

/// Tax on top of `amount` for a customer as they are stored.
pub(crate) fn on(customer: &Value, amount: i64) -> Breakdown {
    let address = field::at(customer, "address");
    if !is_location(address) {
        return Breakdown {
            amount: 0,
            reason: "not_collecting",
            known_location: false,
        };
    }
    let has_tax_id = field::elements(customer, "_sandbox.tax_ids")
        .iter()
        .any(|tax_id| is_eu_business(field::text(tax_id, "type"), field::text(tax_id, "value")));
    let treatment = treatment(address, has_tax_id, field::text(customer, "tax_exempt"));
    Breakdown {
        amount: tax(amount, treatment.rate, false),
        reason: treatment.reason,
        known_location: true,
    }
}

/// Whether this is an EU VAT number in form: a member state's letters, then 2 to 12 letters and digits.
pub(crate) fn is_eu_business(kind: &str, value: &str) -> bool {
    let Some((prefix, rest)) = value.split_at_checked(2) else {
        return false;
    };
    let member = prefix == "EL" || EU.iter().any(|(code, _)| *code == prefix);
    kind == "eu_vat"
        && member
        && (2..=12).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn a_german_consumer_pays_vat_and_a_german_business_accounts_for_it_itself() {
        let german = json!({ "country": "DE" });
        assert_eq!(treatment(&german, false, "none").rate, 19_000);
        assert_eq!(treatment(&german, true, "none").reason, "reverse_charge");
        assert_eq!(
            treatment(&json!({ "country": "IE" }), true, "none").reason,
            "standard_rated"
        );
        assert_eq!(
            treatment(&json!({ "country": "CH" }), false, "none").reason,
            "not_collecting"
        );
        assert_eq!(
            treatment(&json!({ "country": "US", "postal_code": "10001" }), false, "none").rate,
            8_875
        );
    }

    #[test]
    fn tax_is_rounded_half_up_and_inclusive_tax_is_contained() {
        assert_eq!(tax(1499, 9_875, false), 148);
        assert_eq!(tax(11_900, 19_000, true), 1_900);
        assert_eq!(tax(50, 1_000, false), 1);
        assert_eq!(percentage(19_000), "19.0");
        assert_eq!(percentage(8_875), "8.875");
    }
}
