//! async-stripe's request builders, by resource. A resource is added here, and its feature in `Cargo.toml`, with its
//! first caller.

/// Connected accounts.
pub mod account {
    pub use stripe_connect::account::*;
}
/// Links that lead a connected account's owner through onboarding.
pub mod account_link {
    pub use stripe_connect::AccountLink;
    pub use stripe_connect::account_link::*;
}
/// Checkout sessions.
pub mod checkout_session {
    pub use stripe_checkout::checkout_session::*;
}
/// Customers.
pub mod customer {
    pub use stripe_core::customer::*;
}
/// Invoices.
pub mod invoice {
    pub use stripe_billing::invoice::*;
}
/// Prices.
pub mod price {
    pub use stripe_product::price::*;
}
/// Products.
pub mod product {
    pub use stripe_product::product::*;
}
/// Subscriptions.
pub mod subscription {
    pub use stripe_billing::subscription::*;
}
/// Calculations of tax.
pub mod tax_calculation {
    pub use stripe_misc::tax_calculation::*;
    pub use stripe_misc::{TaxCalculation, TaxCalculationLineItem};
}
