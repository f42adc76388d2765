//! The only code that talks to Stripe.
