//! Test clocks, as they are asked for.

use super::{Call, Operation, list_of};
use crate::{
    billing::test_clock::{self, KIND, LIFE},
    field,
    http::error::{Answer, ApiError},
    json::json,
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/test_helpers/test_clocks",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/test_helpers/test_clocks",
        run: |world, call| {
            only_in_test_mode(world)?;
            list_of(world, KIND, "/v1/test_helpers/test_clocks", &call.params, |_| true)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/test_helpers/test_clocks/{id}",
        run: |world, call| {
            only_in_test_mode(world)?;
            test_clock::get(world, call.id(), "test_clock").map(|clock| rendered(&clock))
        },
    },
    Operation {
        method: "DELETE",
        path: "/v1/test_helpers/test_clocks/{id}",
        run: |world, call| {
            only_in_test_mode(world)?;
            let clock = test_clock::get(world, call.id(), "test_clock")?;
            Ok(test_clock::delete(world, &clock))
        },
    },
    Operation {
        method: "POST",
        path: "/v1/test_helpers/test_clocks/{id}/advance",
        run: |world, call| {
            only_in_test_mode(world)?;
            let clock = test_clock::get(world, call.id(), "test_clock")?;
            let target = call.params.integer("frozen_time").unwrap_or_default();
            test_clock::set_out(world, &clock, target).map(|clock| rendered(&clock))
        },
    },
];

/// Longest name. Source: <https://docs.stripe.com/api/test_clocks/create>.
const LONGEST_NAME: usize = 300;
/// The year 2100, beyond which no clock begins; the limit is ours.
const LATEST: i64 = 4_102_444_800;

fn create(world: &mut World, call: &Call) -> Answer {
    only_in_test_mode(world)?;
    let frozen_time = call.params.integer("frozen_time").unwrap_or_default();
    if !(0..=LATEST).contains(&frozen_time) {
        let message = format!("Invalid timestamp: {frozen_time} is not between 1970 and 2100.");
        return Err(ApiError::invalid(message).param("frozen_time"));
    }
    let name = call.params.text("name");
    if name.is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        let message = format!("Invalid string: it can be at most {LONGEST_NAME} characters.");
        return Err(ApiError::invalid(message).param("name"));
    }
    let mut clock = shapes::test_helpers_test_clock();
    field::set(&mut clock, "id", world.id("clock_", 24));
    field::set(&mut clock, "created", world.now);
    field::set(&mut clock, "deletes_after", world.now + LIFE);
    field::set(&mut clock, "frozen_time", frozen_time);
    field::set(&mut clock, "name", json!(name));
    world.create("test_helpers.test_clock.created", &clock);
    Ok(rendered(&clock))
}

/// Refuses test helpers in live mode, in Stripe's words.
fn only_in_test_mode(world: &World) -> Result<(), ApiError> {
    if !world.livemode {
        return Ok(());
    }
    let message = "This endpoint is only available in testmode. Try using your test keys instead.";
    Err(ApiError::invalid(message).before_execution())
}
