//! What may be asked of each method: one line of the table a method. A method that has none fails the suite.
//!
//! The names in braces stand for what the test has made before: a user with a customer, a price, a subscription, a calculation.

use std::collections::BTreeMap;

use crate::target::Example;

/// Of the suite's services.
pub const SUITE: &[Example] = &[
    Example {
        method: "/counterfoil.customer.v1.CustomerService/GetOrCreateCustomer",
        request: r#"user_id: "{user}" email: "ada@example.com" name: "Ada Lovelace""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.customer.v1.CustomerService/GetCustomer",
        request: r#"user_id: "{user}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.billing.v1.CheckoutService/CreateCheckoutSession",
        request: r#"idempotency_key: "{key}" user_id: "{user}" price_id: "{price}" quantity: 1
            success_url: "http://127.0.0.1/welcome" cancel_url: "http://127.0.0.1/back""#,
        other: r#"idempotency_key: "{key}" user_id: "{user}" price_id: "{price}" quantity: 2
            success_url: "http://127.0.0.1/welcome""#,
        fresh: &[],
    },
    Example {
        method: "/counterfoil.billing.v1.EntitlementService/CheckAccess",
        request: r#"user_id: "{user}" feature: "reports""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.billing.v1.SubscriptionService/GetSubscription",
        request: r#"subscription_id: "{subscription}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.billing.v1.SubscriptionService/ListSubscriptions",
        request: r#"user_id: "{user}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.billing.v1.SubscriptionService/CancelSubscription",
        request: r#"idempotency_key: "{key}" subscription_id: "{subscription}""#,
        other: r#"idempotency_key: "{key}" subscription_id: "sub_other""#,
        fresh: &[],
    },
    Example {
        method: "/counterfoil.tax.v1.CalculationService/CreateCalculation",
        request: r#"line_items { reference: "one" amount { minor_units: 2900 currency_code: "eur" } }
            address { country_code: "DE" }"#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.tax.v1.CalculationService/GetCalculation",
        request: r#"calculation_id: "{calculation}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount",
        request: r#"idempotency_key: "{key}" country_code: "DE" email: "seller@example.com"
            refresh_url: "http://127.0.0.1/again" return_url: "http://127.0.0.1/back""#,
        other: r#"idempotency_key: "{key}" country_code: "FR"
            refresh_url: "http://127.0.0.1/again" return_url: "http://127.0.0.1/back""#,
        // A link works only once, so each answer has its own.
        fresh: &["onboarding_link"],
    },
    Example {
        method: "/counterfoil.connect.v1.ConnectedAccountService/GetConnectedAccount",
        request: r#"account_id: "{account}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.EventService/ListEvents",
        request: "partition: 1",
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.EventService/GetEvent",
        request: r#"event_id: "{event}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.EventService/VerifyEvent",
        request: r#"event_id: "{event}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.EventService/GetIngestStatus",
        request: "",
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.QuarantineService/ListQuarantined",
        request: "",
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.QuarantineService/GetQuarantined",
        request: "quarantined_id: {held_released}",
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.QuarantineService/ReleaseQuarantined",
        request: "quarantined_id: {held_released}",
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.event.v1.QuarantineService/DiscardQuarantined",
        request: "quarantined_id: {held_discarded}",
        other: "",
        fresh: &[],
    },
];

/// Of the specimen.
pub const SPECIMEN: &[Example] = &[
    Example {
        method: "/counterfoil.specimen.v1.SpecimenService/GetSpecimen",
        request: r#"specimen_id: "{specimen}""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.specimen.v1.SpecimenService/ListSpecimens",
        request: r#"user_id: "user""#,
        other: "",
        fresh: &[],
    },
    Example {
        method: "/counterfoil.specimen.v1.SpecimenService/CreateSpecimen",
        request: r#"idempotency_key: "{key}" user_id: "{key}" title: "A title"
            return_url: "https://shop.example/back" account_number: "DE89370400440532013000"
            metadata { key: "order" value: "1" }"#,
        other: r#"idempotency_key: "{key}" user_id: "user" title: "Another title""#,
        fresh: &[],
    },
    Example {
        method: "/counterfoil.specimen.v1.SpecimenService/UpdateSpecimen",
        request: r#"idempotency_key: "{key}" specimen_id: "{specimen}" update_mask { paths: "title" }
            specimen { title: "A new title" return_url: "https://shop.example/back" }"#,
        other: r#"idempotency_key: "{key}" specimen_id: "{specimen}" update_mask { paths: "title" }
            specimen { title: "Another title" }"#,
        fresh: &[],
    },
    Example {
        method: "/counterfoil.specimen.v1.SpecimenService/DeleteSpecimen",
        request: r#"idempotency_key: "{key}" specimen_id: "{doomed}""#,
        other: r#"idempotency_key: "{key}" specimen_id: "{specimen}""#,
        fresh: &[],
    },
];

/// The table, by method.
#[must_use]
pub fn by_method(examples: &[Example]) -> BTreeMap<String, Example> {
    examples
        .iter()
        .map(|example| (example.method.to_owned(), *example))
        .collect()
}
