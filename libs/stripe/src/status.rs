//! What a caller of ours is told when Stripe did not do it. The same in every service; a service adds only what its
//! callers call the things that Stripe names.

use counterfoil_chassis::Violations;
use counterfoil_chassis::status::{self, RETRY};
use counterfoil_proto::common::v1::{ErrorReason, FieldReason};
use tonic::Status;

use crate::decline;
use crate::error::{Error, Refusal};

/// The status for `error`.
///
/// Stripe names what it refuses by a parameter of our request, such as `line_items[0][price]`; where it names none that
/// is the empty text. `field` is the field of the caller's request which that stands for, `resource` the kind of object
/// it names. What is neither is not the caller's to change, so it is our bug, unless the caller's card or the state of
/// an object is in the way. The caller learns Stripe's codes, never its message, which may repeat what was sent.
#[must_use]
pub fn status(
    error: Error,
    field: impl Fn(&str) -> Option<String>,
    resource: impl Fn(&str) -> Option<&'static str>,
) -> Status {
    match error {
        Error::Refused(refusal) | Error::NotFound(refusal) => refused(&refusal, field, resource),
        Error::Conflict => status::busy(RETRY),
        Error::RateLimited { retry_after } => status::rate_limited(retry_after.unwrap_or(RETRY)),
        Error::Unavailable => status::unavailable(RETRY, &ErrorReason::StripeUnavailable),
        Error::OutcomeUnknown { op_key, .. } => status::outcome_unknown(&op_key),
        Error::Store(error) => status::of_store(&error),
        error @ (Error::Unauthorised | Error::Bug(_)) => status::internal(&error),
    }
}

fn refused(
    refusal: &Refusal,
    field: impl Fn(&str) -> Option<String>,
    resource: impl Fn(&str) -> Option<&'static str>,
) -> Status {
    let param = refusal.param.as_deref().unwrap_or_default();
    if is_missing(refusal)
        && let Some(resource) = resource(param)
    {
        return status::not_found(resource, "");
    }
    if is_about_money(refusal) {
        return precondition(refusal);
    }
    if let Some(field) = field(param) {
        let mut violations = Violations::default();
        violations.add_for(FieldReason::RefusedByStripe, field, "was refused by stripe");
        return status::invalid(violations);
    }
    if is_about_state(refusal) {
        return precondition(refusal);
    }
    status::internal(&format!("stripe refused our request: {refusal}"))
}

/// Something the request names is not there. Where no parameter is named with the code, it is something the request does
/// not name, such as a customer's payment method. Source: <https://docs.stripe.com/error-codes#resource-missing>.
fn is_missing(refusal: &Refusal) -> bool {
    refusal.status == 404 || refusal.param.is_some() && refusal.code.as_deref() == Some("resource_missing")
}

/// A card or bank said no. Source: <https://docs.stripe.com/api/errors>.
fn is_about_money(refusal: &Refusal) -> bool {
    refusal.status == 402 || refusal.kind == "card_error"
}

/// An object is not in the state for it: there is a code, and nothing in the request is named that should be otherwise.
/// Source: <https://docs.stripe.com/error-codes>.
fn is_about_state(refusal: &Refusal) -> bool {
    let code = refusal.code.as_deref().unwrap_or_default();
    refusal.param.is_none() && !code.is_empty() && !code.starts_with("parameter_") && refusal.status != 404
}

fn precondition(refusal: &Refusal) -> Status {
    let metadata = [
        ("stripe_code", &refusal.code),
        ("decline_code", &refusal.decline_code),
        ("advice_code", &refusal.advice_code),
        ("stripe_request_id", &refusal.stripe_request_id),
    ];
    let metadata = metadata
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let (reason, sentence) = decline::meaning(refusal);
    let code = refusal.code.as_deref().unwrap_or_default();
    status::refused(
        &reason,
        "stripe",
        code,
        "stripe refused the request",
        sentence,
        metadata,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    fn told(error: Error) -> Status {
        let field = |param: &str| (param == "email").then(|| "seller.email".to_owned());
        let resource = |param: &str| (param == "price").then_some("price");
        status(error, field, resource)
    }

    fn refusal(status: u16, kind: &str, code: &str, param: &str) -> Error {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Error::Refused(Box::new(Refusal {
            status,
            kind: kind.to_owned(),
            code: text(code),
            decline_code: text(if kind == "card_error" { "lost_card" } else { "" }),
            advice_code: None,
            param: text(param),
            message: Some("canary".to_owned()),
            stripe_request_id: Some("req_1".to_owned()),
        }))
    }

    #[test]
    fn every_refusal_is_told_by_what_the_caller_can_do_about_it() {
        let invalid = "invalid_request_error";
        for (status, kind, code, param, expected, reason) in [
            (
                402,
                "card_error",
                "card_declined",
                "",
                Code::FailedPrecondition,
                "CARD_DECLINED",
            ),
            (
                402,
                "card_error",
                "card_declined",
                "email",
                Code::FailedPrecondition,
                "CARD_DECLINED",
            ),
            (402, "card_error", "", "", Code::FailedPrecondition, "CARD_DECLINED"),
            (
                400,
                invalid,
                "invoice_not_editable",
                "",
                Code::FailedPrecondition,
                "STRIPE_REFUSED",
            ),
            (
                400,
                invalid,
                "email_invalid",
                "email",
                Code::InvalidArgument,
                "INVALID_REQUEST",
            ),
            (400, invalid, "", "email", Code::InvalidArgument, "INVALID_REQUEST"),
            (
                404,
                invalid,
                "resource_missing",
                "email",
                Code::InvalidArgument,
                "INVALID_REQUEST",
            ),
            (400, invalid, "resource_missing", "price", Code::NotFound, "NOT_FOUND"),
            (404, invalid, "resource_missing", "price", Code::NotFound, "NOT_FOUND"),
            (404, invalid, "resource_missing", "", Code::Internal, "INTERNAL"),
            (
                400,
                invalid,
                "resource_missing",
                "",
                Code::FailedPrecondition,
                "STRIPE_REFUSED",
            ),
            (400, invalid, "parameter_unknown", "expand", Code::Internal, "INTERNAL"),
            (400, invalid, "parameter_missing", "", Code::Internal, "INTERNAL"),
            (400, invalid, "", "", Code::Internal, "INTERNAL"),
        ] {
            let status = told(refusal(status, kind, code, param));
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (status.code(), info.reason.as_str()),
                (expected, reason),
                "{kind} {code} {param}"
            );
            let all = format!("{} {:?}", status.message(), status.get_error_details());
            assert!(!all.contains("canary"), "{all}");
        }
        let violations = told(refusal(400, invalid, "", "email"))
            .get_details_bad_request()
            .unwrap();
        assert_eq!(violations.field_violations[0].field, "seller.email");
        let status = told(refusal(402, "card_error", "card_declined", ""));
        let told = status.get_details_error_info().unwrap();
        let metadata = ["stripe_code", "decline_code", "stripe_request_id"].map(|name| told.metadata[name].as_str());
        assert_eq!(metadata, ["card_declined", "lost_card", "req_1"]);
        assert!(!told.metadata.contains_key("advice_code"));
        let sentence = status.get_details_localized_message().unwrap();
        assert_eq!(sentence.locale, "en");
        assert!(
            sentence.message.starts_with("The card was declined."),
            "{}",
            sentence.message
        );
    }

    #[test]
    fn all_other_errors_are_told_alike_by_every_service() {
        let later = Duration::from_secs(7);
        for (error, code, reason, retry) in [
            (Error::Conflict, Code::Aborted, "BUSY", Some(RETRY)),
            (
                Error::RateLimited { retry_after: None },
                Code::ResourceExhausted,
                "RATE_LIMITED",
                Some(RETRY),
            ),
            (
                Error::RateLimited {
                    retry_after: Some(later),
                },
                Code::ResourceExhausted,
                "RATE_LIMITED",
                Some(later),
            ),
            (Error::Unavailable, Code::Unavailable, "STRIPE_UNAVAILABLE", Some(RETRY)),
            (
                Error::OutcomeUnknown {
                    op_key: "x:y".into(),
                    too_old: None,
                },
                Code::Unavailable,
                "OUTCOME_UNKNOWN",
                Some(RETRY),
            ),
            (
                Error::Store(counterfoil_store::Error::Timeout),
                Code::Unavailable,
                "DATABASE_UNAVAILABLE",
                Some(RETRY),
            ),
            (Error::Unauthorised, Code::Internal, "INTERNAL", None),
            (Error::Bug("x".into()), Code::Internal, "INTERNAL", None),
        ] {
            let status = told(error);
            let info = status.get_details_error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, reason));
            let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!(asked, retry, "{reason}");
        }
    }
}
