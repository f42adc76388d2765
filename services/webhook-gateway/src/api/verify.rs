//! `VerifyEvent`: what a stored event's bytes and signature are worth today.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use counterfoil_chassis::convert::timestamp;
use counterfoil_proto::event::v1 as pb;
use counterfoil_stripe::webhook::Header;

use crate::endpoint::{Endpoint, Endpoints};
use crate::log::append::sha256;
use crate::log::read::Received;

/// Checks what was received against the endpoints as they are at `now`, by the wall clock.
pub(super) fn verdict(endpoints: &Endpoints, now: DateTime<Utc>, received: &Received) -> pb::VerifyEventResponse {
    let header = Header::parse(received.signature.as_bytes());
    let signed = header.as_ref().ok();
    let signed = signed.and_then(|header| DateTime::from_timestamp(header.seconds(), 0));
    let named = |endpoint: &&Arc<Endpoint>| endpoint.name == received.endpoint;
    let mut secret_name = "";
    let verdict = if sha256(&received.body) != received.body_sha256 {
        pb::Verdict::Altered
    } else if received.signature.is_empty() {
        pb::Verdict::Unsigned
    } else if let Some(endpoint) = endpoints.values().find(named) {
        // However long ago.
        let any_age = Duration::MAX;
        match header.and_then(|header| header.verify(&received.body, endpoint.live(now), any_age, 0)) {
            Ok(name) => {
                secret_name = name;
                pb::Verdict::Matches
            }
            Err(_) => pb::Verdict::NoLiveSecret,
        }
    } else {
        pb::Verdict::EndpointGone
    };
    pb::VerifyEventResponse {
        verdict: verdict.into(),
        secret_name: secret_name.to_owned(),
        received_secret_name: received.secret_name.clone(),
        signed_time: signed.map(timestamp),
    }
}
