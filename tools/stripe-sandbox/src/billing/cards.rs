//! Stripe's test cards and what each of them does.
//!
//! Source: <https://docs.stripe.com/testing>. Which advice code goes with a refusal Stripe does not list. Those of a generic decline
//! and of insufficient funds are seen in its answers; the others follow what <https://docs.stripe.com/declines/codes> has one do.

/// How a bank, or Stripe before it, refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) advice_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

/// When a card's bank wants its owner to authenticate with 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// Never; Stripe asks for it nevertheless where `request_three_d_secure` says so and the card is enrolled.
    Optional { enrolled: bool },
    /// Always, be the owner there or not.
    Always,
    /// Always while the owner is there; without them only until it was set up for that.
    UntilSetUp,
    /// While the owner is there; it counts as set up from the start.
    AlreadySetUp,
}

/// What Radar thinks of a payment with a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Risk {
    Normal,
    /// The payment succeeds and is put into the review queue.
    Elevated,
    /// The payment is blocked.
    Highest,
}

/// A test card.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    pub(crate) number: &'static str,
    /// What follows `pm_card_` and `tok_`; the first is kept with whatever is made of the card, and so tells later what it does:
    /// `pendingRefund`, say.
    pub(crate) names: &'static [&'static str],
    pub(crate) brand: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) country: &'static str,
    /// How charges are refused.
    pub(crate) refusal: Option<Refusal>,
    /// Whether it can be saved to a customer although charges are refused.
    pub(crate) attaches: bool,
    pub(crate) authentication: Authentication,
    pub(crate) risk: Risk,
}

impl Card {
    /// The name it is kept under.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

const fn good(number: &'static str, names: &'static [&'static str], brand: &'static str) -> Card {
    Card {
        number,
        names,
        brand,
        funding: "credit",
        country: "US",
        refusal: None,
        attaches: true,
        authentication: Authentication::Optional { enrolled: false },
        risk: Risk::Normal,
    }
}

const fn visa(number: &'static str, names: &'static [&'static str]) -> Card {
    good(number, names, "visa")
}

const fn funded(funding: &'static str, card: Card) -> Card {
    Card { funding, ..card }
}

const fn of(country: &'static str, number: &'static str, names: &'static [&'static str]) -> Card {
    Card {
        country,
        ..visa(number, names)
    }
}

const fn refused(refusal: Refusal, number: &'static str, names: &'static [&'static str]) -> Card {
    Card {
        refusal: Some(refusal),
        attaches: false,
        ..visa(number, names)
    }
}

/// Refused by the bank, which says why in a decline code.
const fn declining(
    decline_code: &'static str,
    advice_code: &'static str,
    message: &'static str,
    number: &'static str,
    names: &'static [&'static str],
) -> Card {
    let refusal = Refusal {
        code: "card_declined",
        decline_code: Some(decline_code),
        advice_code: Some(advice_code),
        message,
    };
    refused(refusal, number, names)
}

/// Refused with a code of its own.
const fn failing(
    code: &'static str,
    advice_code: &'static str,
    message: &'static str,
    number: &'static str,
    names: &'static [&'static str],
) -> Card {
    let refusal = Refusal {
        code,
        decline_code: None,
        advice_code: Some(advice_code),
        message,
    };
    refused(refusal, number, names)
}

const fn authenticated(authentication: Authentication, card: Card) -> Card {
    Card { authentication, ..card }
}

const fn attaching(card: Card) -> Card {
    Card { attaches: true, ..card }
}

const DECLINED: &str = "Your card was declined.";
const TRY_AGAIN: &str = "try_again_later";
const CORRECT: &str = "confirm_card_data";
const GIVE_UP: &str = "do_not_try_again";

const CARDS: &[Card] = &[
    // By brand.
    visa("4242424242424242", &["visa"]),
    funded("debit", visa("4000056655665556", &["visa_debit"])),
    good("5555555555554444", &["mastercard"], "mastercard"),
    funded("debit", good("5200828282828210", &["mastercard_debit"], "mastercard")),
    funded(
        "prepaid",
        good("5105105105105100", &["mastercard_prepaid"], "mastercard"),
    ),
    good("378282246310005", &["amex"], "amex"),
    good("6011111111111117", &["discover"], "discover"),
    good("3056930009020004", &["diners"], "diners"),
    good("3566002020360505", &["jcb"], "jcb"),
    good("6200000000000005", &["unionpay"], "unionpay"),
    // By country.
    of("BR", "4000000760000002", &["br"]),
    of("CA", "4000001240000000", &["ca"]),
    of("MX", "4000004840008001", &["mx"]),
    of("AT", "4000000400000008", &["at"]),
    of("DE", "4000002760000016", &["de"]),
    of("FR", "4000002500000003", &["fr"]),
    of("GB", "4000008260000000", &["gb"]),
    of("IE", "4000003720000005", &["ie"]),
    of("AU", "4000000360000006", &["au"]),
    of("IN", "4000003560000008", &["in"]),
    of("JP", "4000003920000003", &["jp"]),
    // Declined.
    declining(
        "generic_decline",
        TRY_AGAIN,
        DECLINED,
        "4000000000000002",
        &["visa_chargeDeclined", "chargeDeclined"],
    ),
    declining(
        "insufficient_funds",
        TRY_AGAIN,
        "Your card has insufficient funds.",
        "4000000000009995",
        &[
            "visa_chargeDeclinedInsufficientFunds",
            "chargeDeclinedInsufficientFunds",
        ],
    ),
    declining(
        "lost_card",
        GIVE_UP,
        DECLINED,
        "4000000000009987",
        &["visa_chargeDeclinedLostCard", "chargeDeclinedLostCard"],
    ),
    declining(
        "stolen_card",
        GIVE_UP,
        DECLINED,
        "4000000000009979",
        &["visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard"],
    ),
    declining(
        "card_velocity_exceeded",
        TRY_AGAIN,
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        "4000000000006975",
        &[
            "visa_chargeDeclinedVelocityLimitExceeded",
            "chargeDeclinedVelocityLimitExceeded",
        ],
    ),
    failing(
        "expired_card",
        CORRECT,
        "Your card has expired.",
        "4000000000000069",
        &["chargeDeclinedExpiredCard"],
    ),
    failing(
        "incorrect_cvc",
        CORRECT,
        "Your card's security code is incorrect.",
        "4000000000000127",
        &["chargeDeclinedIncorrectCvc"],
    ),
    failing(
        "processing_error",
        TRY_AGAIN,
        "An error occurred while processing your card. Try again in a little bit.",
        "4000000000000119",
        &["chargeDeclinedProcessingError"],
    ),
    attaching(declining(
        "generic_decline",
        TRY_AGAIN,
        DECLINED,
        "4000000000000341",
        &["chargeCustomerFail"],
    )),
    // Authenticated.
    authenticated(
        Authentication::UntilSetUp,
        visa("4000002500003155", &["authenticationRequiredOnSetup"]),
    ),
    authenticated(
        Authentication::Always,
        visa("4000002760003184", &["authenticationRequired"]),
    ),
    authenticated(
        Authentication::AlreadySetUp,
        visa("4000003800000446", &["authenticationRequiredSetupForOffSession"]),
    ),
    attaching(authenticated(
        Authentication::UntilSetUp,
        declining(
            "insufficient_funds",
            TRY_AGAIN,
            "Your card has insufficient funds.",
            "4000008260003178",
            &["authenticationRequiredChargeDeclinedInsufficientFunds"],
        ),
    )),
    authenticated(
        Authentication::Always,
        visa("4000000000003220", &["threeDSecure2Required"]),
    ),
    authenticated(
        Authentication::Always,
        visa("4000000000003063", &["threeDSecureRequired"]),
    ),
    attaching(authenticated(
        Authentication::Always,
        declining(
            "generic_decline",
            TRY_AGAIN,
            DECLINED,
            "4000008400001629",
            &["threeDSecureRequiredChargeDeclined"],
        ),
    )),
    authenticated(
        Authentication::Optional { enrolled: true },
        visa("4000000000003055", &["threeDSecureOptional"]),
    ),
    // Paid; what is special comes later.
    visa("4000000000000259", &["createDispute"]),
    visa("4000000000002685", &["createDisputeProductNotReceived"]),
    visa("4000000000001976", &["createDisputeInquiry"]),
    visa("4000000000005423", &["createIssuerFraudRecord"]),
    visa("4000000000007726", &["pendingRefund"]),
    visa("4000000000005126", &["refundFail"]),
    visa("4000000000000077", &["bypassPending"]),
    // Looked at by Radar.
    Card {
        risk: Risk::Highest,
        ..attaching(declining(
            "fraudulent",
            GIVE_UP,
            DECLINED,
            "4100000000000019",
            &["radarBlock"],
        ))
    },
    Card {
        risk: Risk::Elevated,
        ..visa("4000000000009235", &["riskLevelElevated"])
    },
];

/// The numbers that the hosted pages offer, with what they do.
pub(crate) const OFFERED: &[(&str, &str)] = &[
    ("4242 4242 4242 4242", "pays"),
    ("5555 5555 5555 4444", "pays (Mastercard)"),
    (
        "4000 0025 0000 3155",
        "pays after authentication; once saved, without you",
    ),
    ("4000 0027 6000 3184", "pays after authentication, each time"),
    ("4000 0082 6000 3178", "has insufficient funds after authentication"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0069", "has expired"),
    ("4000 0000 0000 0341", "pays nothing, but can be saved"),
    ("4100 0000 0000 0019", "is blocked as fraudulent"),
    ("4000 0000 0000 0259", "pays, and the payment is disputed"),
    ("4242 4242 4242 4241", "is no card number"),
];

/// The card that `pm_card_…` and `tok_…` name.
pub(crate) fn by_token(token: &str) -> Option<Card> {
    CARDS.iter().find(|card| card.names.contains(&token)).copied()
}

/// The card with this number, spaces and dashes aside, or how the number is refused.
pub(crate) fn by_number(number: &str) -> Result<Card, Refusal> {
    let digits: String = number.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    let whole = (12..=19).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !whole || !is_luhn_valid(&digits) {
        return Err(Refusal {
            code: "incorrect_number",
            decline_code: None,
            advice_code: Some(CORRECT),
            message: "Your card number is incorrect.",
        });
    }
    CARDS.iter().find(|card| card.number == digits).copied().ok_or(Refusal {
        code: "card_declined",
        decline_code: Some("test_mode_live_card"),
        advice_code: None,
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_card_has_a_number_and_names_of_its_own() {
        let mut seen = HashSet::new();
        for card in CARDS {
            assert!(is_luhn_valid(card.number), "{}", card.number);
            assert!(seen.insert(card.number) && card.names.iter().all(|name| seen.insert(name)));
            assert_eq!(by_token(card.name()).map(|it| it.number), Some(card.number));
        }
    }

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
