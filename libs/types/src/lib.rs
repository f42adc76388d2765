//! Values every part shares: money, typed ids, Stripe's modes, clocks. No I/O.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        missing_docs,
        reason = "tests"
    )
)]

mod clock;
mod id;
mod mode;
mod money;
mod stamp;

pub use clock::Clock;
pub use id::{AccountId, CheckoutSessionId, CustomerId, EventId, InvalidId, PriceId, SubscriptionId, UserId};
pub use mode::{InvalidKey, Mode, ModeError, ModeOfEvent};
pub use money::{Currency, InvalidCurrency, Money, MoneyError};
pub use stamp::Stamp;
