//! The sandbox as its clients see it: over HTTP, on a port of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod api;
mod authentication;
mod billing;
mod catalog;
mod client;
mod clock_advances;
mod connect;
mod credit_notes;
mod currencies;
mod discounts;
mod disputes;
mod dunning;
mod faults;
mod idempotency;
mod invoice_discounts;
mod invoice_payments;
mod invoices;
mod journal;
mod keys;
mod metered_changes;
mod meters;
mod money;
mod pausing;
mod payments;
mod payouts;
mod pending_updates;
mod previews;
mod process;
mod proration;
mod receiver;
mod retries;
mod saved_cards;
mod scenario;
mod schedules;
mod sent_invoices;
mod snapshot;
mod starts;
mod tax_ids;
mod test_clocks;
mod trials;
mod trigger;
mod upcoming;
mod webhooks;
