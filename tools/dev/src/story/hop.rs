//! The hops of the story, and how each can be spoiled.

/// A step of the story, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// Product, price, duplicated and swapped deliveries.
    Setup,
    /// Twenty calls at once, one Stripe customer.
    Signup,
    /// The tax on what is sold.
    Tax,
    /// A seller is taken on: account, onboarding page, capabilities by event.
    Seller,
    /// A checkout session, asked for twice.
    Checkout,
    /// The hosted page: a declined card, then a good one.
    Payment,
    /// Signed webhooks, verified and appended to the log.
    Webhooks,
    /// The stream feeds billing's projection; access follows.
    Access,
    /// The plan, seen in a read.
    Plan,
    /// Canceled at the end of the period; access stays.
    Cancel,
    /// The clock moves past the end of the period.
    Clock,
    /// The subscription's end arrives; access is gone.
    Revoke,
    /// The books of Stripe, log and projection agree.
    Books,
}

impl Hop {
    /// All hops, in the order they are played.
    pub const ALL: [Hop; 13] = [
        Hop::Setup,
        Hop::Signup,
        Hop::Tax,
        Hop::Seller,
        Hop::Checkout,
        Hop::Payment,
        Hop::Webhooks,
        Hop::Access,
        Hop::Plan,
        Hop::Cancel,
        Hop::Clock,
        Hop::Revoke,
        Hop::Books,
    ];

    /// The word the demo prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Hop::Setup => "setup",
            Hop::Signup => "signup",
            Hop::Tax => "tax",
            Hop::Seller => "seller",
            Hop::Checkout => "checkout",
            Hop::Payment => "payment",
            Hop::Webhooks => "webhooks",
            Hop::Access => "access",
            Hop::Plan => "plan",
            Hop::Cancel => "cancel",
            Hop::Clock => "clock",
            Hop::Revoke => "revoke",
            Hop::Books => "books",
        }
    }
}

/// One thing made to go wrong. Each must be noticed: a story that ends well in spite of it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Spoiled {
    /// A second Stripe customer is made for the user
    Signup,
    /// The customer lives where no tax is collected
    Tax,
    /// The seller never finishes onboarding
    Seller,
    /// The customer never gets a card accepted
    Payment,
    /// Stripe signs with a secret the gateway does not know
    Signature,
    /// Stripe never delivers that the subscription began
    DropCreate,
    /// An event is stored a second time
    StoreTwice,
    /// An event vanishes from the log
    LoseEvent,
    /// Billing is started again with its checkpoint set back, so that events are applied a second time
    ApplyTwice,
    /// The price sold is not the one expected
    Plan,
    /// Nobody cancels the subscription
    SkipCancel,
    /// The clock stands still
    SkipClock,
    /// Stripe never delivers that the subscription ended
    DropDelete,
    /// Billing forgets that the subscription ended
    SkipRevoke,
}
