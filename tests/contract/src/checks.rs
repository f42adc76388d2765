//! What is checked of every service and every method. Each check is for one promise, and tells the first thing that breaks
//! it; `tests/twins.rs` shows that it would.

mod cards;
mod deadlines;
mod denied;
mod details;
mod etags;
mod health;
mod limits;
mod masks;
mod metadata;
mod paging;
mod redirects;
mod reflection;
mod rehearsals;
mod repeats;
mod required;

use futures::future::{BoxFuture, join_all};
use futures::{StreamExt, TryStreamExt};
use prost_reflect::MethodDescriptor;

use crate::fields::{Place, texts};
use crate::target::Target;

/// A check by its name.
pub type Check = (
    &'static str,
    for<'a> fn(&'a Target) -> BoxFuture<'a, Result<(), String>>,
);

/// All checks.
pub const CHECKS: [Check; 15] = [
    ("health", |target| Box::pin(health::check(target))),
    ("reflection", |target| Box::pin(reflection::check(target))),
    ("details", |target| Box::pin(details::check(target))),
    ("limits", |target| Box::pin(limits::check(target))),
    ("deadlines", |target| Box::pin(deadlines::check(target))),
    ("repeats", |target| Box::pin(repeats::check(target))),
    ("rehearsals", |target| Box::pin(rehearsals::check(target))),
    ("etags", |target| Box::pin(etags::check(target))),
    ("masks", |target| Box::pin(masks::check(target))),
    ("paging", |target| Box::pin(paging::check(target))),
    ("required", |target| Box::pin(required::check(target))),
    ("denied", |target| Box::pin(denied::check(target))),
    ("cards", |target| Box::pin(cards::check(target))),
    ("redirects", |target| Box::pin(redirects::check(target))),
    ("metadata", |target| Box::pin(metadata::check(target))),
];

/// Makes all checks at once; the names of those that found something, with what they found.
pub async fn all(target: &Target) -> Vec<(&'static str, String)> {
    let checked = CHECKS.map(|(name, check)| async move { (name, check(target).await) });
    let checked = join_all(checked).await.into_iter();
    checked.filter_map(|(name, found)| Some((name, found.err()?))).collect()
}

/// Has `of_place` look at every place for a text in the requests of `methods` that is `wanted`, some at a time.
async fn every_text<F: Future<Output = Result<(), String>>>(
    methods: Vec<MethodDescriptor>,
    wanted: impl Fn(&Place) -> bool,
    of_place: impl Fn(MethodDescriptor, Place) -> F,
) -> Result<(), String> {
    let mut places = Vec::new();
    for method in methods {
        let wanted = texts(&method.input()).into_iter().filter(&wanted);
        places.extend(wanted.map(|place| (method.clone(), place)));
    }
    futures::stream::iter(places)
        .map(|(method, place)| of_place(method, place))
        .buffer_unordered(8)
        .try_collect()
        .await
}

/// An error that says so unless `holds`.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
