//! The balance of an account and the transactions it is made of, to be read.

use super::{Call, Operation, account, currency, list_of, retrieve};
use crate::{
    billing::{balance, payouts},
    field,
    http::{error::Answer, matches},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/balance",
        run: |world, _| {
            let own_currency = account::own_currency(world);
            Ok(balance::answered(&balance::of(world), &own_currency))
        },
    },
    Operation {
        method: "GET",
        path: "/v1/balance_transactions",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/balance_transactions/{id}",
        run: |world, call| retrieve(world, "balance_transaction", call.id()),
    },
];

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let wanted = currency(params, "currency");
    let payout = params.text("payout");
    if let Some(id) = payout {
        payouts::reconciled(&world.get("payout", id, "payout")?)?;
    }
    list_of(
        world,
        "balance_transaction",
        "/v1/balance_transactions",
        params,
        |one| {
            (wanted.is_empty() || field::text(one, "currency") == wanted)
                && matches(one, params, &["source", "type"])
                && payout.is_none_or(|id| field::text(one, "_sandbox.payout") == id)
        },
    )
}
