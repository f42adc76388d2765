//! Money: whole minor units and a currency. No floats anywhere.

/// A lower-case ISO 4217 currency code, as Stripe writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// A text that is not a currency code.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("must be a three-letter ISO 4217 code in lower case")]
pub struct InvalidCurrency;

/// Source: <https://docs.stripe.com/currencies#zero-decimal>.
const ZERO_DECIMAL: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
];
/// Source: <https://docs.stripe.com/currencies#three-decimal>.
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

impl Currency {
    /// Takes a code of three lower-case letters.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(code: &str) -> Result<Self, InvalidCurrency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if bytes.iter().all(u8::is_ascii_lowercase) {
            Ok(Self(bytes))
        } else {
            Err(InvalidCurrency)
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        // Three ASCII letters by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number of decimals of the major unit: 2 for most, 0 for the yen, 3 for the dinars.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        let code = self.code();
        if ZERO_DECIMAL.contains(&code) {
            0
        } else if THREE_DECIMAL.contains(&code) {
            3
        } else {
            2
        }
    }
}

/// An amount in the currency's minor units, negative for credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Cents for USD, whole yen for JPY, fils for BHD.
    pub minor_units: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why two amounts could not be put together.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum MoneyError {
    /// They are in two currencies.
    #[error("{0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    /// The sum does not fit.
    #[error("the amount is out of range")]
    Overflow,
}

impl Money {
    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        let minor_units = self
            .minor_units
            .checked_add(other.minor_units)
            .ok_or(MoneyError::Overflow)?;
        Ok(Money {
            minor_units,
            currency: self.currency,
        })
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// In major units with all decimals and the code in upper case: `10.50 USD`, `500 JPY`, `-1.250 BHD`.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exponent = self.currency.exponent();
        let scale = 10_u64.saturating_pow(exponent);
        let amount = self.minor_units.unsigned_abs();
        // The scale is at least 1, so neither is ever the default.
        let major = amount.checked_div(scale).unwrap_or_default();
        let minor = amount.checked_rem(scale).unwrap_or_default();
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let code = self.currency.code().to_ascii_uppercase();
        match usize::try_from(exponent) {
            Ok(width) if width > 0 => write!(f, "{sign}{major}.{minor:0width$} {code}"),
            _ => write!(f, "{sign}{major} {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(minor_units: i64, code: &str) -> Money {
        Money {
            minor_units,
            currency: Currency::parse(code).unwrap(),
        }
    }

    #[test]
    fn amounts_are_shown_with_the_decimals_of_their_currency() {
        for (amount, text) in [
            (money(1050, "usd"), "10.50 USD"),
            (money(-5, "usd"), "-0.05 USD"),
            (money(500, "jpy"), "500 JPY"),
            (money(-1250, "bhd"), "-1.250 BHD"),
            (money(i64::MIN, "usd"), "-92233720368547758.08 USD"),
        ] {
            assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn two_currencies_are_never_added() {
        let error = money(1, "usd").checked_add(money(1, "eur")).unwrap_err();
        assert_eq!(error.to_string(), "usd and eur cannot be added");
    }

    #[test]
    fn a_currency_is_three_lower_case_letters() {
        for wrong in ["", "us", "usdd", "USD", "u1d", "é1"] {
            assert_eq!(Currency::parse(wrong), Err(InvalidCurrency), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_sum_is_exact_or_refused(a: i64, b: i64) {
            let sum = money(a, "usd").checked_add(money(b, "usd"));
            prop_assert_eq!(sum.map(|sum| sum.minor_units).ok(), a.checked_add(b));
        }
    }
}
