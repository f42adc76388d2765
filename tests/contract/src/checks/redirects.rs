//! A browser is sent to no address but of an origin that was allowed, whatever the address looks like.

use prost_reflect::MethodDescriptor;
use tonic::Code;
use tonic_types::FieldViolation;

use super::{ensure, every_text};
use crate::fields::Place;
use crate::target::{Target, marked, path};

/// Addresses that lead elsewhere, or that some program may read so.
const ELSEWHERE: [&str; 44] = [
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://evil.example/shop.example",
    "https://evil.example?https://shop.example",
    "https://evil.example#https://shop.example",
    "https://notshop.example",
    "https://shop.example@evil.example",
    "https://shop.example:x@evil.example",
    "https://user@shop.example",
    "https://user:password@shop.example",
    "https://:@shop.example",
    "https://shop.example:444",
    "https://shop.example:80/",
    "https://sub.shop.example",
    "https://shop.example.",
    "https://shop.example%2eevil.example",
    "https://shop.example\u{2044}evil.example",
    "https://sh\u{43e}p.example",
    "https://xn--shp-wqa.example",
    "http://shop.example",
    "ftp://shop.example",
    "ws://shop.example",
    "javascript:alert(1)",
    "JavaScript://shop.example/%0aalert(1)",
    "data:text/html,https://shop.example",
    "file:///etc/passwd",
    "blob:https://shop.example/1",
    "//shop.example",
    "///shop.example",
    "/welcome",
    "shop.example",
    "https:shop.example",
    "https:/\\shop.example",
    "https:\\\\shop.example",
    "https://shop.example\\@evil.example",
    "https://shop.example\\.evil.example",
    "https://evil.example\\@shop.example",
    "https://shop.example/\r\nlocation: https://evil.example",
    "https://shop.example/\tx",
    " https://shop.example",
    "https://shop.example /",
    "https://93.184.216.34/",
    "https://[::1]/",
    "https://169.254.169.254/latest/meta-data",
];

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let is_redirect = |place: &Place| marked(place.field(), "redirect_url");
    every_text(target.unary(), is_redirect, |method, place| {
        of_place(target, method, place)
    })
    .await
}

async fn of_place(target: &Target, method: MethodDescriptor, place: Place) -> Result<(), String> {
    let long = format!("https://shop.example/{}", "a".repeat(2_048));
    for url in [long.as_str()].into_iter().chain(ELSEWHERE).take(target.samples) {
        let mut request = target.request(&method)?;
        place.put(&mut request, url);
        let answer = target.call(&method, &request).await?;
        let (code, reason) = answer.told()?;
        let details = answer.details()?;
        let violations = details.bad_request().map(|bad| bad.field_violations.clone());
        let is_named = |one: &FieldViolation| one.field == place.path() && one.reason == "REDIRECT_URL";
        let named = violations.unwrap_or_default().iter().any(is_named);
        ensure(code == Code::InvalidArgument && named, || {
            format!(
                "{} {}: {url:?} is answered with {code:?} {reason}",
                path(&method),
                place.path()
            )
        })?;
    }
    Ok(())
}
