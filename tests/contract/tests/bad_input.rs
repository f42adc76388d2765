//! What callers do wrong, each told in its own way.

use counterfoil_contract::specimen::pb;
use counterfoil_contract::wire::Wire;
use counterfoil_test_support::told;
use prost_types::FieldMask;
use tonic::Status;

use crate::shelf::{MAX_MESSAGE, PATIENCE, SERVICE, Shelf};

const KEY: &str = "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d";
const OTHER_KEY: &str = "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5e";

fn creation(title: &str) -> pb::CreateSpecimenRequest {
    pb::CreateSpecimenRequest {
        idempotency_key: KEY.to_owned(),
        user_id: "user".to_owned(),
        title: title.to_owned(),
        ..pb::CreateSpecimenRequest::default()
    }
}

fn update(specimen_id: &str, paths: &[&str], etag: &str) -> pb::UpdateSpecimenRequest {
    pb::UpdateSpecimenRequest {
        idempotency_key: OTHER_KEY.to_owned(),
        specimen_id: specimen_id.to_owned(),
        specimen: Some(pb::Specimen::default()),
        update_mask: Some(FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        etag: etag.to_owned(),
        validate_only: false,
    }
}

/// A specimen whose id is the same in every run.
async fn created(shelf: &mut Shelf) -> pb::Specimen {
    let answer = shelf.client.create_specimen(creation("A title")).await.unwrap();
    answer.into_inner().specimen.unwrap()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    told(&answer.unwrap_err())
}

#[tokio::test]
async fn a_token_from_another_filter_is_refused() {
    let mut shelf = Shelf::open().await;
    for title in ["First", "Second"] {
        shelf.create("user", title).await;
    }
    let mut request = pb::ListSpecimensRequest {
        user_id: "user".to_owned(),
        page_size: 1,
        ..pb::ListSpecimensRequest::default()
    };
    let first = shelf.client.list_specimens(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token;
    request.title = "First".to_owned();
    insta::assert_snapshot!(
        "other_filter",
        refused(shelf.client.list_specimens(request.clone()).await)
    );
    request.page_token = "made up".to_owned();
    insta::assert_snapshot!("made_up_token", refused(shelf.client.list_specimens(request).await));
}

#[tokio::test]
async fn a_mask_with_paths_that_nobody_may_write_is_refused() {
    let mut shelf = Shelf::open().await;
    let specimen = created(&mut shelf).await;
    let paths = ["title", "nowhere", "user_id", "create_time", "title"];
    let answer = shelf
        .client
        .update_specimen(update(&specimen.specimen_id, &paths, ""))
        .await;
    insta::assert_snapshot!("mask_paths", refused(answer));
    let answer = shelf
        .client
        .update_specimen(update(&specimen.specimen_id, &[], ""))
        .await;
    insta::assert_snapshot!("mask_empty", refused(answer));
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_the_fresh_one_is_not() {
    let mut shelf = Shelf::open().await;
    let specimen = created(&mut shelf).await;
    let request = update(&specimen.specimen_id, &["title"], "\"stale\"");
    insta::assert_snapshot!(
        "stale_etag",
        refused(shelf.client.update_specimen(request.clone()).await)
    );
    // It is no answer for good: nothing was done, and nothing stands in the way of the same key.
    insta::assert_snapshot!("stale_etag", refused(shelf.client.update_specimen(request).await));
    let request = pb::UpdateSpecimenRequest {
        idempotency_key: "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5f".to_owned(),
        ..update(&specimen.specimen_id, &["title"], &specimen.etag)
    };
    assert!(shelf.client.update_specimen(request).await.is_ok());
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let mut shelf = Shelf::open().await;
    let large = creation(&"a".repeat(MAX_MESSAGE as usize));
    insta::assert_snapshot!("too_large", refused(shelf.client.create_specimen(large).await));
}

#[tokio::test]
async fn a_caller_without_an_identity_or_a_row_is_refused() {
    let mut shelf = Shelf::with(|server| server.dev_identity = false).await;
    let request = pb::GetSpecimenRequest::default();
    insta::assert_snapshot!("no_identity", refused(shelf.client.get_specimen(request).await));
    let wire = Wire::connect(shelf.addr, PATIENCE).await.unwrap();
    for (token, name) in [("Bearer unknown", "unknown_token"), (&bearer(), "no_row")] {
        let path = format!("/{SERVICE}/GetSpecimen");
        let body = counterfoil_contract::wire::framed(&[]);
        let answer = wire.call(&path, &[("authorization", token)], body).await.unwrap();
        insta::assert_snapshot!(name, told(&without_date(answer.status().unwrap())));
    }
}

fn bearer() -> String {
    format!("Bearer {}", crate::shelf::STRANGER)
}

fn without_date(mut status: Status) -> Status {
    status.metadata_mut().clear();
    status
}

#[tokio::test]
async fn a_used_key_with_another_request_is_refused() {
    let mut shelf = Shelf::open().await;
    created(&mut shelf).await;
    let other = shelf.client.create_specimen(creation("Another title")).await;
    insta::assert_snapshot!("key_reused", refused(other));
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let mut shelf = Shelf::open().await;
    let request = pb::CreateSpecimenRequest {
        idempotency_key: "again".to_owned(),
        user_id: String::new(),
        title: "a".repeat(81),
        return_url: "https://evil.example".to_owned(),
        account_number: "1".repeat(35),
        metadata: [("op_key", "1"), ("a[b]", "2")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        validate_only: false,
    };
    insta::assert_snapshot!(
        "violations",
        refused(shelf.client.create_specimen(request.clone()).await)
    );
    let request = pb::CreateSpecimenRequest {
        title: "4242 4242 4242 4242".to_owned(),
        ..request
    };
    insta::assert_snapshot!("card_number", refused(shelf.client.create_specimen(request).await));
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let mut shelf = Shelf::open().await;
    let request = pb::GetSpecimenRequest {
        specimen_id: format!("spec_{}", "0".repeat(32)),
    };
    insta::assert_snapshot!("not_found", refused(shelf.client.get_specimen(request).await));
}
