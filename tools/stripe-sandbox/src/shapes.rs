//! The shape of each object: every field the API version answers with, at its resting value.
//!
//! Source: <https://github.com/stripe/openapi> (MIT), fixtures, brought to 2026-09-30.endive.

use std::sync::LazyLock;

use crate::{
    field,
    json::{Value, json},
};

/// Examples of objects that no operation here makes, for events that are triggered; in `id` stands its prefix.
static OTHERS: LazyLock<Value> = LazyLock::new(|| parsed(include_str!("../shapes/others.json")));

fn parsed(shape: &str) -> Value {
    serde_json::from_str(shape).unwrap_or_default()
}

fn other(kind: &str) -> Option<Value> {
    OTHERS.get(kind).cloned()
}

/// An object of a kind (`checkout.session`): its shape, an example, or at least its name.
pub(crate) fn of(kind: &str) -> Value {
    named(&kind.replace('.', "_"))
        .or_else(|| other(kind))
        .unwrap_or_else(|| json!({ "id": "", "object": kind }))
}

/// What the ids of a kind begin with.
pub(crate) fn prefix(kind: &str) -> String {
    let known = match kind {
        "account" => "acct_",
        "bank_account" => "ba_",
        "billing.meter" => "mtr_",
        "billing_portal.configuration" => "bpc_",
        "billing_portal.session" => "bps_",
        "charge" => "ch_",
        "checkout.session" => "cs_test_",
        "credit_note" => "cn_",
        "customer" => "cus_",
        "discount" => "di_",
        "dispute" => "dp_",
        "invoice" => "in_",
        "invoice_payment" => "inpay_",
        "invoiceitem" => "ii_",
        "payment_intent" => "pi_",
        "payment_link" => "plink_",
        "payment_method" => "pm_",
        "payout" => "po_",
        "product" => "prod_",
        "radar.early_fraud_warning" => "issfr_",
        "subscription" => "sub_",
        "subscription_schedule" => "sub_sched_",
        "test_helpers.test_clock" => "clock_",
        _ => "",
    };
    let example = other(kind).and_then(|example| field::some_text(&example, "id").map(str::to_owned));
    match (known, example) {
        ("", Some(prefix)) => prefix,
        ("", None) => format!("{}_", kind.replace('.', "_")),
        (known, _) => known.to_owned(),
    }
}

macro_rules! shape {
    ($($name:ident),* $(,)?) => {$(
        /// A new object of this shape.
        pub(crate) fn $name() -> Value {
            static SHAPE: LazyLock<Value> =
                LazyLock::new(|| parsed(include_str!(concat!("../shapes/", stringify!($name), ".json"))));
            SHAPE.clone()
        }
    )*
        /// The shape that has this name, if there is one.
        fn named(name: &str) -> Option<Value> {
            match name {
                $(stringify!($name) => Some($name()),)*
                _ => None,
            }
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn every_shape_is_a_json_object() {
                $(assert!(super::$name().is_object(), "{}", stringify!($name));)*
            }
        }
    };
}

shape!(
    account,
    balance_transaction,
    bank_account,
    billing_meter,
    billing_portal_configuration,
    billing_portal_session,
    charge,
    checkout_line_item,
    checkout_session,
    coupon,
    credit_note,
    credit_note_line_item,
    customer,
    customer_balance_transaction,
    discount,
    dispute,
    invoice,
    invoice_line_item,
    invoice_payment,
    invoiceitem,
    payment_intent,
    payment_link,
    payment_method,
    payout,
    plan,
    price,
    product,
    promotion_code,
    radar_early_fraud_warning,
    refund,
    review,
    setup_attempt,
    setup_intent,
    subscription,
    subscription_item,
    subscription_schedule,
    subscription_schedule_phase,
    tax_calculation,
    tax_calculation_line_item,
    tax_id,
    test_helpers_test_clock,
    webhook_endpoint,
);
