//! Which objects belong to another: a customer's subscriptions, schedules and invoices, a subscription's invoices, an invoice's payments.

use std::collections::HashMap;

use super::store::SlotNumber;
use crate::{field, json::Value};

/// Kinds and where their objects name what they belong to, which is so from their creation on.
const BELONGS: &[(&str, &str)] = &[
    ("invoice", "customer"),
    ("invoice", "parent.subscription_details.subscription"),
    ("invoice_payment", "invoice"),
    ("subscription", "customer"),
    ("subscription_schedule", "customer"),
];

/// See the module. Slots stand in order of creation.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_owner: HashMap<(u32, Box<str>), Vec<SlotNumber>>,
    /// The subscription of each item there is or was, by account. An item keeps its subscription, so none is ever taken out.
    by_item: HashMap<u32, HashMap<Box<str>, SlotNumber>>,
}

impl Links {
    /// Takes up a new object of an account.
    pub(super) fn add(&mut self, account: u32, value: &Value, slot: SlotNumber) {
        for owner in owners(value) {
            self.by_owner.entry((account, owner.into())).or_default().push(slot);
        }
    }

    /// Takes up the items of a version of an object of an account.
    pub(super) fn add_items(&mut self, account: u32, value: &Value, slot: SlotNumber) {
        if field::text(value, "object") != "subscription" {
            return;
        }
        let known = self.by_item.entry(account).or_default();
        for item in field::elements(value, "items.data") {
            let id = field::text(item, "id");
            match known.get_mut(id) {
                Some(known) => *known = slot,
                None => drop(known.insert(id.into(), slot)),
            }
        }
    }

    /// The slot of the subscription that has or had an item, if that was not undone.
    pub(super) fn with_item(&self, account: u32, item: &str) -> Option<SlotNumber> {
        self.by_item.get(&account)?.get(item).copied()
    }

    /// Forgets the object that was taken up last.
    pub(super) fn forget(&mut self, account: u32, value: &Value, slot: SlotNumber) {
        for owner in owners(value) {
            if let Some(slots) = self.by_owner.get_mut(&(account, owner.into())) {
                slots.retain(|one| *one != slot);
            }
        }
    }

    /// What belongs to an object of an account.
    pub(super) fn of(&self, account: u32, owner: &str) -> &[SlotNumber] {
        let found = self.by_owner.get(&(account, owner.into()));
        found.map(Vec::as_slice).unwrap_or_default()
    }
}

fn owners(value: &Value) -> impl Iterator<Item = &str> {
    let kind = field::text(value, "object");
    let paths = BELONGS.iter().filter(move |(of, _)| *of == kind);
    paths.filter_map(|(_, path)| field::some_text(value, path))
}
