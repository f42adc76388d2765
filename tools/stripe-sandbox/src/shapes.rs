//! The shape of each object: every field the API version answers with, at its resting value.
//!
//! Source: <https://github.com/stripe/openapi> (MIT), fixtures, brought to 2026-09-30.endive.

use serde_json::Value;

macro_rules! shape {
    ($($name:ident),* $(,)?) => {$(
        /// A new object of this shape.
        pub(crate) fn $name() -> Value {
            serde_json::from_str(include_str!(concat!("../shapes/", stringify!($name), ".json"))).unwrap_or_default()
        }
    )*
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
    charge,
    checkout_line_item,
    checkout_session,
    customer,
    invoice,
    invoice_line_item,
    invoice_payment,
    payment_intent,
    payment_method,
    plan,
    price,
    product,
    review,
    setup_attempt,
    setup_intent,
    subscription,
    subscription_item,
    tax_calculation,
    tax_calculation_line_item,
    webhook_endpoint,
);
