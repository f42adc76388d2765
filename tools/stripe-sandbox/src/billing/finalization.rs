//! Finalizing a draft that may not let itself be finalized: automatic tax needs to know where the customer is.
//!
//! Source: <https://docs.stripe.com/tax/customer-locations#invalid-location-finalization>.

use super::{invoice_totals, invoicing};
use crate::{field, http::error::ApiError, json::Value, resources::tax_rates, world::World};

/// The refusal where tax cannot be calculated.
/// Source: <https://docs.stripe.com/error-codes#customer-tax-location-invalid>.
pub(crate) fn location_unknown() -> ApiError {
    let message = "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.";
    ApiError::invalid(message).code("customer_tax_location_invalid")
}

/// Whether tax can be calculated for a customer.
pub(crate) fn is_located(world: &World, customer: &str) -> bool {
    world
        .find(customer)
        .is_some_and(|customer| tax_rates::on(customer, 0).known_location)
}

/// Finalizes a draft. If that cannot be, it stays one, does not advance by itself, and says why.
pub(crate) fn finalize(world: &mut World, id: &str) -> Result<(), ApiError> {
    let Some(invoice) = world.find(id).cloned() else {
        return Ok(());
    };
    if field::flag(&invoice, "automatic_tax.enabled") {
        if !is_located(world, field::text(&invoice, "customer")) {
            return Err(fail(world, id));
        }
        if field::text(&invoice, "automatic_tax.status") != "complete" {
            let mut taxed = invoice;
            invoice_totals::write(world, &mut taxed);
            world.put(&taxed);
        }
    }
    world.edit(id, |one| field::set(one, "last_finalization_error", Value::Null));
    invoicing::finalize(world, id);
    Ok(())
}

fn fail(world: &mut World, id: &str) -> ApiError {
    let mut error = location_unknown();
    let failed = world.update(id, "invoice.updated", |one| {
        field::set(one, "automatic_tax.status", "requires_location_inputs");
        field::set(one, "automatically_finalizes_at", Value::Null);
        field::set(one, "last_finalization_error", Value::Object(error.fields.clone()));
    });
    world.emit("invoice.finalization_failed", &failed, None);
    error.keeps_effects = true;
    error
}
