//! Operations. Each says what is atomic; no transaction spans a call to Stripe.

mod checkout_session;
mod entitlement;
mod subscription;
