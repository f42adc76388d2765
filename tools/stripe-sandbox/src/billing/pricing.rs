//! What a quantity costs at a price: by the unit, by the package, or in tiers.
//!
//! Sources: <https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing>,
//! <https://docs.stripe.com/products-prices/pricing-models#package-pricing>.

use super::decimal;
use crate::{field, json::Value, world::World};

/// An amount stays within what is far from the edge of the numbers, whatever was used.
const LARGEST: i64 = 99_999_999_999_999;

/// What `quantity` costs at a price as it is stored, in minor units. All of it is reckoned exactly and rounded once, half up.
pub(crate) fn amount(price: &Value, quantity: i64) -> i64 {
    amount_of(price, decimal::whole(quantity))
}

/// As [`amount`], for a price as it is shown, perhaps without its tiers, in a line or an item.
pub(crate) fn amount_at(world: &World, price: &Value, quantity: i64) -> i64 {
    amount(world.find(field::text(price, "id")).unwrap_or(price), quantity)
}

/// As [`amount_at`], for a quantity with decimals, as usage has them.
pub(crate) fn amount_of_usage(world: &World, price: &Value, used: i128) -> i64 {
    amount_of(world.find(field::text(price, "id")).unwrap_or(price), used)
}

fn amount_of(price: &Value, quantity: i128) -> i64 {
    let exact = if field::text(price, "billing_scheme") == "tiered" {
        tiered(price, quantity)
    } else {
        times(packages(price, quantity), decimal_of(price, "unit_amount_decimal"))
    };
    decimal::divided(exact, decimal::ONE).min(LARGEST)
}

/// The product of two decimals. What lies behind the last place is cut off, which moves no half.
fn times(quantity: i128, price: i128) -> i128 {
    quantity / decimal::ONE * price + quantity % decimal::ONE * price / decimal::ONE
}

/// What is counted: the quantity itself, or how many packages of it.
fn packages(price: &Value, quantity: i128) -> i128 {
    let package = decimal::whole(field::integer(price, "transform_quantity.divide_by"));
    if package <= 0 {
        return quantity;
    }
    let whole = quantity / package;
    let begun = quantity % package > 0 && field::text(price, "transform_quantity.round") == "up";
    (whole + i128::from(begun)) * decimal::ONE
}

fn tiered(price: &Value, quantity: i128) -> i128 {
    let tiers = field::elements(price, "_sandbox.tiers");
    // The last tier has no end.
    let end = |tier: &Value| field::at(tier, "up_to").as_i64().map_or(i128::MAX, decimal::whole);
    let cost = |tier: &Value, quantity: i128| {
        times(quantity, decimal_of(tier, "unit_amount_decimal")) + decimal_of(tier, "flat_amount_decimal")
    };
    if field::text(price, "tiers_mode") == "volume" {
        let reached = tiers.iter().find(|tier| quantity <= end(tier));
        return reached.map_or(0, |tier| cost(tier, quantity));
    }
    let (mut sum, mut counted) = (0, 0);
    for (index, tier) in tiers.iter().enumerate() {
        let within = (quantity.min(end(tier)) - counted).max(0);
        // The first tier's flat amount is due for nothing, too.
        if within > 0 || index == 0 {
            sum += cost(tier, within);
        }
        counted += within;
    }
    sum
}

fn decimal_of(value: &Value, name: &str) -> i128 {
    decimal::of(field::at(value, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    fn tier(up_to: Option<i64>, unit: &str, flat: &str) -> Value {
        json!({ "up_to": up_to, "unit_amount_decimal": unit, "flat_amount_decimal": flat })
    }

    fn tiered(mode: &str, tiers: &[Value]) -> Value {
        json!({ "billing_scheme": "tiered", "tiers_mode": mode, "_sandbox": { "tiers": tiers } })
    }

    #[test]
    fn every_kind_of_price_costs_what_it_should_to_the_cent() {
        let per_unit = |unit: &str| json!({ "billing_scheme": "per_unit", "unit_amount_decimal": unit });
        let packed = |round: &str| json!({ "unit_amount_decimal": "1000", "transform_quantity": { "divide_by": 5, "round": round } });
        // The first two are Stripe's examples.
        let fonts = [
            tier(Some(5), "700", "0"),
            tier(Some(10), "650", "0"),
            tier(None, "600", "0"),
        ];
        let flat = [
            tier(Some(5), "500", "1000"),
            tier(Some(10), "400", "2000"),
            tier(Some(15), "300", "3000"),
            tier(Some(20), "200", "4000"),
            tier(None, "100", "5000"),
        ];
        let calls = [tier(Some(1000), "0.5", "0"), tier(None, "0.0125", "0")];
        for (price, amounts) in [
            (per_unit("2000"), vec![(0, 0), (1, 2000), (3, 6000)]),
            (per_unit("0.05"), vec![(9, 0), (10, 1), (29, 1), (30, 2)]),
            (packed("up"), vec![(0, 0), (1, 1000), (5, 1000), (6, 2000)]),
            (packed("down"), vec![(4, 0), (5, 1000), (9, 1000)]),
            (
                tiered("volume", &fonts),
                vec![(1, 700), (5, 3500), (6, 3900), (20, 12_000), (25, 15_000)],
            ),
            (
                tiered("graduated", &fonts),
                vec![(1, 700), (5, 3500), (6, 4150), (20, 12_750), (25, 15_750)],
            ),
            (
                tiered("graduated", &flat),
                vec![(0, 1000), (1, 1500), (5, 3500), (6, 5900), (20, 17_000), (25, 22_500)],
            ),
            (
                tiered("volume", &flat),
                vec![(0, 1000), (1, 1500), (5, 3500), (6, 4400), (20, 8000), (25, 7500)],
            ),
            (
                tiered("graduated", &calls),
                vec![(1, 1), (1000, 500), (1039, 500), (1040, 501), (101_000, 1750)],
            ),
            (
                tiered("volume", &[tier(None, "99999999", "99999999")]),
                vec![(999_999, 99_999_999_000_000)],
            ),
        ] {
            for (quantity, cost) in amounts {
                assert_eq!(amount(&price, quantity), cost, "{quantity} at {price}");
            }
        }
    }

    #[test]
    fn what_was_used_has_decimals_and_costs_no_more_than_can_be_added_up() {
        let tiers = [tier(Some(10), "100", "0"), tier(None, "50.5", "0")];
        let packed = json!({ "unit_amount_decimal": "1000", "transform_quantity": { "divide_by": 5, "round": "up" } });
        let dear = tiered("graduated", &[tier(None, "99999999", "99999999")]);
        for (price, used, cost) in [
            (json!({ "unit_amount_decimal": "3" }), "1.5", 5),
            (json!({ "unit_amount_decimal": "0.000000000001" }), "500000000000", 1),
            (json!({ "unit_amount_decimal": "0.000000000001" }), "499999999999.9", 0),
            (tiered("graduated", &tiers), "10.5", 1025),
            (tiered("volume", &tiers), "10.5", 530),
            (packed, "5.000000000001", 2000),
            (dear, "1000000000000000", LARGEST),
        ] {
            let used = decimal::parse(used).unwrap();
            assert_eq!(amount_of(&price, used), cost, "{} at {price}", decimal::written(used));
        }
    }
}
