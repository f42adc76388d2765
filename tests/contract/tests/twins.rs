//! Each promise, broken on purpose, is noticed by the check that is for it and by no other.

use counterfoil_contract::checks;
use futures::future::join_all;

use crate::shelf::Shelf;
use crate::twin::{Fault, Twin};

const CAUGHT: [(Fault, &[&str]); 20] = [
    (Fault::None, &[]),
    (Fault::KnowsEveryone, &["health"]),
    (Fault::HidesItself, &["reflection"]),
    (Fault::TellsNoDetails, &["details"]),
    (Fault::InventsReason, &["details"]),
    (Fault::MixesUpCodes, &["details"]),
    (Fault::InventsFieldReason, &["details"]),
    (Fault::TakesLongMessages, &["limits"]),
    (Fault::CancelsAtDeadline, &["deadlines"]),
    (Fault::SleepsPastDeadline, &["deadlines"]),
    (Fault::DoesRepeats, &["repeats"]),
    (Fault::AllowsOtherRequest, &["repeats"]),
    (Fault::SkipsRow, &["paging"]),
    (Fault::RepeatsRow, &["paging"]),
    (Fault::TakesOtherToken, &["paging"]),
    (Fault::ForgetsField, &["required"]),
    (Fault::LetsStrangersIn, &["denied"]),
    (Fault::TakesCardNumber, &["cards"]),
    (Fault::TakesAnyRedirect, &["redirects"]),
    (Fault::TakesReservedKey, &["metadata"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_promise_is_noticed_by_the_check_that_is_for_it() {
    let shelf = Shelf::open().await;
    let checked = CAUGHT.map(async |(fault, checks)| {
        let twin = Twin::of(shelf.addr, fault).await;
        let target = shelf.target(twin.addr).await;
        let found = checks::all(&target).await;
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        (names != checks).then(|| format!("{fault:?} is for {checks:?} to notice, and was: {found:#?}"))
    });
    let wrong: Vec<_> = join_all(checked).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
