//! Invoices and the payments made on them, to be read.

use super::{Call, Operation, list_of, retrieve};
use crate::{
    field,
    http::{error::Answer, list, matches},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/invoices",
        run: all,
    },
    Operation {
        method: "GET",
        path: "/v1/invoices/{id}",
        run: |world, call| retrieve(world, "invoice", call.id()),
    },
    Operation {
        method: "GET",
        path: "/v1/invoices/{id}/lines",
        run: |world, call| {
            let invoice = world.get("invoice", call.id(), "invoice")?;
            let lines = field::elements(&invoice, "lines.data").to_vec();
            list::page(&format!("/v1/invoices/{}/lines", call.id()), &call.params, lines)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/invoice_payments",
        run: |world, call| {
            list_of(world, "invoice_payment", "/v1/invoice_payments", &call.params, |one| {
                let intent = call.params.text("payment[payment_intent]");
                matches(one, &call.params, &["invoice", "status"])
                    && intent.is_none_or(|wanted| field::text(one, "payment.payment_intent") == wanted)
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/invoice_payments/{id}",
        run: |world, call| retrieve(world, "invoice_payment", call.id()),
    },
];

fn all(world: &mut World, call: &Call) -> Answer {
    let subscription = call.params.text("subscription");
    list_of(world, "invoice", "/v1/invoices", &call.params, |one| {
        matches(one, &call.params, &["customer", "status", "collection_method"])
            && subscription.is_none_or(|id| field::text(one, "parent.subscription_details.subscription") == id)
    })
}
