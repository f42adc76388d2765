//! A card number is refused in every text of every request, however it is written, but for the texts that are marked as
//! something else.

use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;

use super::{ensure, every_text};
use crate::fields::Place;
use crate::target::{Target, path};

/// Numbers that Stripe's documentation gives for tests, in all that people and programs put between digits.
const DISGUISES: [&str; 20] = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242\u{2013}4242\u{2013}4242\u{2013}4242",
    "4242\u{2212}4242\u{2014}4242\u{2011}4242",
    "4242\u{a0}4242\u{2009}4242\u{202f}4242",
    "4242  4242  4242  4242",
    "42 42 - 42 42 - 42 42 - 42 42",
    "4\u{200b}2\u{200b}4\u{200b}2424242424242",
    "\u{ff14}\u{ff12}\u{ff14}\u{ff12}424242424242",
    "\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}\u{664}\u{662}",
    "4242\n4242\t4242\r\n4242",
    "card: 5555555555554444, thanks",
    "{\"note\":\"6011111111111117\"}",
    "\u{30ab}\u{30fc}\u{30c9}4000056655665556\u{3067}\u{3059}",
    "4242 4242 4242 4242 12/27 123",
    "3782 822463 10005",
    "378282246310005",
    "3056 930902 5904",
    "6205500000000000004",
];

pub(super) async fn check(target: &Target) -> Result<(), String> {
    every_text(
        target.methods(),
        |_| true,
        |method, place| of_place(target, method, place),
    )
    .await
}

async fn of_place(target: &Target, method: MethodDescriptor, place: Place) -> Result<(), String> {
    for number in DISGUISES.into_iter().take(target.samples) {
        let mut request = match target.request(&method) {
            Ok(request) => request,
            Err(_) if method.is_client_streaming() => DynamicMessage::new(method.input()),
            Err(error) => return Err(error),
        };
        place.put(&mut request, number);
        let answer = target.call(&method, &request).await?;
        let (code, reason) = answer.told()?;
        let refused = (code, reason.as_str()) == (Code::InvalidArgument, "CARD_NUMBER");
        let complaint = || {
            format!(
                "{} {}: {number:?} is answered with {code:?} {reason}",
                path(&method),
                place.path()
            )
        };
        ensure(refused != place.may_look_like_a_card(), complaint)?;
        let repeats = format!("{:?} {:?}", answer.status()?, answer.details()?).contains(number);
        ensure(!refused || !repeats, || format!("{}, which repeats it", complaint()))?;
    }
    Ok(())
}
