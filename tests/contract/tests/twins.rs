//! Each promise, broken on purpose, is noticed by the check that is for it and by no other.

use counterfoil_contract::checks;
use futures::StreamExt;

use crate::shelf::Shelf;
use crate::twin::{Fault, Twin};

/// Twins at a time: more would wait for each other.
const AT_ONCE: usize = 9;

const CAUGHT: [(Fault, &[&str]); 27] = [
    // The one that takes long.
    (Fault::SleepsPastDeadline, &["deadlines"]),
    (Fault::None, &[]),
    (Fault::KnowsEveryone, &["health"]),
    (Fault::HidesItself, &["reflection"]),
    (Fault::TellsNoDetails, &["details"]),
    (Fault::InventsReason, &["details"]),
    (Fault::MixesUpCodes, &["details"]),
    (Fault::InventsFieldReason, &["details"]),
    (Fault::TakesLongMessages, &["limits"]),
    (Fault::TakesManyHeaders, &["limits"]),
    (Fault::CancelsAtDeadline, &["deadlines"]),
    (Fault::DoesRepeats, &["repeats"]),
    (Fault::AllowsOtherRequest, &["repeats"]),
    (Fault::AuditsAnotherCall, &["repeats"]),
    (Fault::DoesWhatIsRehearsed, &["rehearsals"]),
    (Fault::IgnoresEtags, &["etags"]),
    (Fault::TakesAnyMask, &["masks"]),
    (Fault::SkipsRow, &["paging"]),
    (Fault::RepeatsRow, &["paging"]),
    (Fault::TakesOtherToken, &["paging"]),
    (Fault::TakesOthersToken, &["paging"]),
    (Fault::ForgetsField, &["required"]),
    (Fault::LetsStrangersIn, &["denied"]),
    (Fault::TakesCardNumber, &["cards"]),
    (Fault::RefusesAccountNumber, &["cards"]),
    (Fault::TakesAnyRedirect, &["redirects"]),
    (Fault::TakesReservedKey, &["metadata"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_promise_is_noticed_by_the_check_that_is_for_it() {
    let shelf = Shelf::open().await;
    let wrong: Vec<_> = futures::stream::iter(CAUGHT)
        .map(|(fault, checks)| wrong(&shelf, fault, checks))
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with who notices a fault.
async fn wrong(shelf: &Shelf, fault: Fault, checks: &[&str]) -> Option<String> {
    let twin = Twin::of(shelf.addr, fault).await;
    let hasty = Twin::of(shelf.hasty, fault).await;
    let mut target = shelf.target(twin.addr, hasty.addr).await;
    // Each fault is in the first, and the suite is tried with all.
    target.samples = 2;
    let found = checks::all(&target).await;
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    (names != checks).then(|| format!("{fault:?} is for {checks:?} to notice, and was: {found:#?}"))
}
