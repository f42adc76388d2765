//! What a declined payment means: a reason for programs, a sentence for the customer.
//! Source: <https://docs.stripe.com/declines/codes>, 2026-09-30.endive.

use counterfoil_proto::common::v1::ErrorReason;

use crate::error::Refusal;

/// For what nothing better is known of, and for what the customer must not be told: that the card is reported lost or
/// stolen, or thought to be used by somebody else.
const DECLINED: &str = "The card was declined. Please use another payment method or contact your bank.";
const REFUSED: &str = "This is not possible at the moment. Please contact support.";

/// Codes, the reason they are told for, and the sentence. A decline code says more than the error's code, so it is looked
/// up first.
const SENTENCES: [(&[&str], ErrorReason, &str); 11] = [
    (
        &["insufficient_funds"],
        ErrorReason::CardDeclined,
        "The card has insufficient funds. Please use another payment method.",
    ),
    (
        &["card_velocity_exceeded", "withdrawal_count_limit_exceeded"],
        ErrorReason::CardDeclined,
        "The card's limit is used up. Please use another payment method.",
    ),
    (
        &[
            "card_not_supported",
            "currency_not_supported",
            "transaction_not_allowed",
        ],
        ErrorReason::CardDeclined,
        "The card cannot be used for this purchase. Please use another payment method.",
    ),
    (
        &[
            "processing_error",
            "try_again_later",
            "issuer_not_available",
            "reenter_transaction",
        ],
        ErrorReason::CardDeclined,
        "The payment could not be processed. Please try again.",
    ),
    (
        &["duplicate_transaction"],
        ErrorReason::CardDeclined,
        "A payment of the same amount was made a moment ago. Please look at your recent payments before trying again.",
    ),
    (
        &[
            "authentication_required",
            "authentication_not_handled",
            "mobile_device_authentication_required",
        ],
        ErrorReason::AuthenticationRequired,
        "Your bank asks you to confirm the payment. Please try again and confirm it.",
    ),
    (
        &["expired_card"],
        ErrorReason::CardInvalid,
        "The card has expired. Please use another card.",
    ),
    (
        &["incorrect_cvc", "invalid_cvc"],
        ErrorReason::CardInvalid,
        "The card's security code is incorrect. Please check it and try again.",
    ),
    (
        &["incorrect_number", "invalid_number"],
        ErrorReason::CardInvalid,
        "The card number is incorrect. Please check it and try again.",
    ),
    (
        &["invalid_expiry_month", "invalid_expiry_year"],
        ErrorReason::CardInvalid,
        "The card's expiration date is incorrect. Please check it and try again.",
    ),
    (
        &["incorrect_zip", "incorrect_address", "postal_code_invalid"],
        ErrorReason::CardInvalid,
        "The billing address does not fit the card. Please check it and try again.",
    ),
];

/// The reason for which a refusal is told, and a sentence that a customer may read.
pub(crate) fn meaning(refusal: &Refusal) -> (ErrorReason, &'static str) {
    let codes = [refusal.decline_code.as_deref(), refusal.code.as_deref()];
    for code in codes.into_iter().flatten() {
        if let Some((_, reason, sentence)) = SENTENCES.iter().find(|(codes, ..)| codes.contains(&code)) {
            return (*reason, sentence);
        }
    }
    if refusal.status == 402 || refusal.kind == "card_error" {
        (ErrorReason::CardDeclined, DECLINED)
    } else {
        (ErrorReason::StripeRefused, REFUSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, code: &str, decline_code: Option<&str>) -> (ErrorReason, &'static str) {
        meaning(&Refusal {
            status: if kind == "card_error" { 402 } else { 400 },
            kind: kind.to_owned(),
            code: Some(code.to_owned()),
            decline_code: decline_code.map(str::to_owned),
            advice_code: None,
            param: None,
            message: None,
            stripe_request_id: None,
        })
    }

    #[test]
    fn a_decline_code_says_more_than_the_code_it_comes_with() {
        let (reason, sentence) = told("card_error", "card_declined", Some("insufficient_funds"));
        assert_eq!(reason, ErrorReason::CardDeclined);
        assert!(sentence.contains("insufficient funds"), "{sentence}");
        assert_eq!(told("card_error", "expired_card", None).0, ErrorReason::CardInvalid);
        let (reason, _) = told("card_error", "card_declined", Some("authentication_required"));
        assert_eq!(reason, ErrorReason::AuthenticationRequired);
    }

    #[test]
    fn a_customer_is_not_told_that_a_card_is_thought_stolen() {
        for secret in [
            "lost_card",
            "stolen_card",
            "fraudulent",
            "pickup_card",
            "merchant_blacklist",
            "new_code",
        ] {
            let told = told("card_error", "card_declined", Some(secret));
            assert_eq!(told, (ErrorReason::CardDeclined, DECLINED), "{secret}");
        }
    }

    #[test]
    fn what_is_no_cards_fault_is_not_blamed_on_one() {
        let told = told("invalid_request_error", "invoice_not_editable", None);
        assert_eq!(told, (ErrorReason::StripeRefused, REFUSED));
    }
}
