//! Stripe's test cards and what each of them does.
//!
//! Source: <https://docs.stripe.com/testing>.

/// How a card's bank refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

/// A test card. `token` is its name in `pm_card_…`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    pub(crate) number: &'static str,
    pub(crate) token: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) refusal: Option<Refusal>,
    /// Whether it can be saved to a customer although charges are refused.
    pub(crate) attaches: bool,
}

const fn good(number: &'static str, token: &'static str, brand: &'static str) -> Card {
    Card {
        number,
        token,
        brand,
        refusal: None,
        attaches: true,
    }
}

const fn declined(number: &'static str, token: &'static str, decline_code: &'static str) -> Card {
    let message = match decline_code.as_bytes() {
        b"insufficient_funds" => "Your card has insufficient funds.",
        _ => "Your card was declined.",
    };
    let refusal = Some(Refusal {
        code: "card_declined",
        decline_code: Some(decline_code),
        message,
    });
    Card {
        number,
        token,
        brand: "visa",
        refusal,
        attaches: false,
    }
}

const fn refused(number: &'static str, token: &'static str, code: &'static str, message: &'static str) -> Card {
    let refusal = Some(Refusal {
        code,
        decline_code: None,
        message,
    });
    Card {
        number,
        token,
        brand: "visa",
        refusal,
        attaches: false,
    }
}

const CARDS: &[Card] = &[
    good("4242424242424242", "visa", "visa"),
    good("4000056655665556", "visa_debit", "visa"),
    good("5555555555554444", "mastercard", "mastercard"),
    good("378282246310005", "amex", "amex"),
    good("6011111111111117", "discover", "discover"),
    good("4000000000000077", "bypassPending", "visa"),
    good("4000000000007726", "pendingRefund", "visa"),
    good("4000000000005126", "refundFail", "visa"),
    declined("4000000000000002", "chargeDeclined", "generic_decline"),
    declined("4000000000000002", "visa_chargeDeclined", "generic_decline"),
    declined(
        "4000000000009995",
        "visa_chargeDeclinedInsufficientFunds",
        "insufficient_funds",
    ),
    declined("4000000000009987", "visa_chargeDeclinedLostCard", "lost_card"),
    declined("4000000000009979", "visa_chargeDeclinedStolenCard", "stolen_card"),
    declined(
        "4000000000006975",
        "visa_chargeDeclinedVelocityLimitExceeded",
        "card_velocity_exceeded",
    ),
    refused(
        "4000000000000069",
        "chargeDeclinedExpiredCard",
        "expired_card",
        "Your card has expired.",
    ),
    refused(
        "4000000000000127",
        "chargeDeclinedIncorrectCvc",
        "incorrect_cvc",
        "Your card's security code is incorrect.",
    ),
    refused(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    Card {
        attaches: true,
        ..declined("4000000000000341", "chargeCustomerFail", "generic_decline")
    },
];

/// The numbers that the hosted page offers, with what they do.
pub(crate) const OFFERED: &[(&str, &str)] = &[
    ("4242 4242 4242 4242", "pays"),
    ("5555 5555 5555 4444", "pays (Mastercard)"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0341", "pays nothing, but can be saved"),
    ("4242 4242 4242 4241", "is no card number"),
];

/// The card that `pm_card_…` names.
pub(crate) fn by_token(token: &str) -> Option<Card> {
    CARDS.iter().find(|card| card.token == token).copied()
}

/// The card with this number, spaces and dashes aside, or how the number is refused.
pub(crate) fn by_number(number: &str) -> Result<Card, Refusal> {
    let digits: String = number.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    let whole = (12..=19).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !whole || !is_luhn_valid(&digits) {
        return Err(Refusal {
            code: "incorrect_number",
            decline_code: None,
            message: "Your card number is incorrect.",
        });
    }
    CARDS.iter().find(|card| card.number == digits).copied().ok_or(Refusal {
        code: "card_declined",
        decline_code: Some("test_mode_live_card"),
        message: "Your card was declined. This is a sandbox: use one of its test cards.",
    })
}

fn is_luhn_valid(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit.saturating_sub(b'0'));
            match place % 2 {
                0 => digit,
                _ => digit * 2 / 10 + digit * 2 % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_number_does_what_is_said_of_it() {
        let outcome = |number: &str| {
            by_number(number)
                .map(|card| card.refusal.map(|refusal| refusal.code))
                .map_err(|it| it.code)
        };
        assert_eq!(outcome("4242 4242 4242 4242"), Ok(None));
        assert_eq!(outcome("4000-0000-0000-0002"), Ok(Some("card_declined")));
        assert_eq!(outcome("4242424242424241"), Err("incorrect_number"));
        assert_eq!(outcome("4111111111111111"), Err("card_declined"));
        assert_eq!(outcome("424242424242424a"), Err("incorrect_number"));
        assert!(
            OFFERED
                .iter()
                .all(|(number, _)| by_number(number).is_ok() || number.ends_with("4241"))
        );
    }
}
