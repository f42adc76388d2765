//! The specimen alone: that it keeps what it stands for.

use counterfoil_contract::checks;
use counterfoil_contract::specimen::pb;
use counterfoil_store::audit;
use prost_types::FieldMask;
use tonic::Code;
use uuid::Uuid;

use crate::shelf::Shelf;

fn key() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn the_specimen_keeps_the_contract() {
    let shelf = Shelf::open().await;
    let target = shelf.target(shelf.addr, shelf.hasty).await;
    assert_eq!(checks::all(&target).await, []);
}

#[tokio::test]
async fn what_is_only_validated_leaves_nothing_and_its_key_free() {
    let mut shelf = Shelf::open().await;
    let mut request = pb::CreateSpecimenRequest {
        idempotency_key: key(),
        user_id: "user".to_owned(),
        title: "A title".to_owned(),
        validate_only: true,
        ..pb::CreateSpecimenRequest::default()
    };
    let answer = shelf
        .client
        .create_specimen(request.clone())
        .await
        .unwrap()
        .into_inner();
    let foretold = answer.specimen.unwrap();
    let get = pb::GetSpecimenRequest {
        specimen_id: foretold.specimen_id.clone(),
    };
    let missing = shelf.client.get_specimen(get.clone()).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    request.validate_only = false;
    let made = shelf.client.create_specimen(request).await.unwrap().into_inner();
    assert_eq!(made.specimen.unwrap(), foretold);

    let update = pb::UpdateSpecimenRequest {
        idempotency_key: key(),
        specimen_id: foretold.specimen_id.clone(),
        specimen: Some(pb::Specimen {
            title: "Another".to_owned(),
            ..pb::Specimen::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["title".to_owned()],
        }),
        etag: foretold.etag.clone(),
        validate_only: true,
    };
    let answer = shelf.client.update_specimen(update).await.unwrap().into_inner();
    assert_eq!(answer.specimen.unwrap().title, "Another");
    let stored = shelf.client.get_specimen(get).await.unwrap().into_inner();
    assert_eq!(stored.specimen.unwrap(), foretold);
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_makes_another_etag() {
    let mut shelf = Shelf::open().await;
    let before = shelf.create("user", "A title").await;
    let update = pb::UpdateSpecimenRequest {
        idempotency_key: key(),
        specimen_id: before.specimen_id.clone(),
        specimen: Some(pb::Specimen {
            user_id: "nobody reads this".to_owned(),
            title: "not this either".to_owned(),
            metadata: [("order".to_owned(), "1".to_owned())].into(),
            etag: "nor this".to_owned(),
            ..pb::Specimen::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["metadata".to_owned()],
        }),
        etag: before.etag.clone(),
        validate_only: false,
    };
    let answer = shelf.client.update_specimen(update).await.unwrap().into_inner();
    let after = answer.specimen.unwrap();
    assert_ne!(after.etag, before.etag);
    let expected = pb::Specimen {
        metadata: [("order".to_owned(), "1".to_owned())].into(),
        etag: after.etag.clone(),
        ..before
    };
    assert_eq!(after, expected);
}

#[tokio::test]
async fn an_operators_call_leaves_one_audit_row_with_its_effect_and_none_without() {
    let mut shelf = Shelf::open().await;
    let specimen = shelf.create("user", "A title").await;
    let request = pb::DeleteSpecimenRequest {
        idempotency_key: key(),
        specimen_id: specimen.specimen_id.clone(),
    };
    for _ in 0..2 {
        shelf.client.delete_specimen(request.clone()).await.unwrap();
    }
    let again = pb::DeleteSpecimenRequest {
        idempotency_key: key(),
        ..request.clone()
    };
    let missing = shelf.client.delete_specimen(again).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    let db = shelf.db.db();
    let recorded = audit::page(&mut db.conn().await.unwrap(), None, 10).await.unwrap();
    let told: Vec<_> = recorded
        .iter()
        .map(|row| {
            (
                &*row.caller,
                &*row.method,
                row.idempotency_key,
                &*row.subject_id,
                &*row.outcome,
            )
        })
        .collect();
    let method = "counterfoil.specimen.v1.SpecimenService/DeleteSpecimen";
    let key = request.idempotency_key.parse().ok();
    assert_eq!(told, [("dev", method, key, &*specimen.specimen_id, "deleted")]);
}
