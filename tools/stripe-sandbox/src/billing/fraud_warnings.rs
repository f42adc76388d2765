//! Early fraud warnings: the bank says that a charge may be fraudulent, before its customer disputes it.
//!
//! Source: <https://docs.stripe.com/disputes/measuring#early-fraud-warnings>.

use crate::{field, json::Value, shapes, world::World};

/// Makes the warning of a charge and tells of it.
pub(crate) fn issue(world: &mut World, charge: &Value) {
    let mut warning = shapes::radar_early_fraud_warning();
    let id = world.id("issfr_", 24);
    field::set(&mut warning, "id", id.clone());
    field::set(&mut warning, "created", world.now);
    field::set(&mut warning, "livemode", world.livemode);
    field::set(&mut warning, "charge", field::at(charge, "id").clone());
    if let Some(intent) = field::some_text(charge, "payment_intent") {
        field::set(&mut warning, "payment_intent", intent);
    }
    world.edit(field::text(charge, "id"), |one| {
        field::set(one, "_sandbox.fraud_warning", id);
    });
    world.create("radar.early_fraud_warning.created", &warning);
}

/// Something can be done about a warning, if there is one of this charge, until that is disputed or refunded whole.
pub(crate) fn reconsider(world: &mut World, charge: &str) {
    let Some(charge) = world.find(charge) else { return };
    let actionable = !field::flag(charge, "disputed") && !field::flag(charge, "refunded");
    let warning = field::text(charge, "_sandbox.fraud_warning").to_owned();
    world.update(&warning, "radar.early_fraud_warning.updated", |one| {
        field::set(one, "actionable", actionable);
    });
}
