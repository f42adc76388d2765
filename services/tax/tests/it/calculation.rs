//! Calculating.

use counterfoil_proto::common::v1::Money;
use counterfoil_proto::tax::v1 as pb;
use counterfoil_test_support::told;
use diesel_async::RunQueryDsl;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{Client, World};

fn line(reference: &str, minor_units: i64) -> pb::LineItem {
    pb::LineItem {
        reference: reference.to_owned(),
        amount: Some(Money {
            minor_units,
            currency_code: "eur".to_owned(),
        }),
        ..pb::LineItem::default()
    }
}

fn germany() -> pb::Address {
    pb::Address {
        country_code: "DE".to_owned(),
        postal_code: "10115".to_owned(),
        ..pb::Address::default()
    }
}

fn request(line_items: Vec<pb::LineItem>) -> pb::CreateCalculationRequest {
    pb::CreateCalculationRequest {
        line_items,
        address: Some(germany()),
        tax_ids: vec![],
    }
}

async fn calculate(client: &mut Client, request: pb::CreateCalculationRequest) -> Result<pb::Calculation, Status> {
    Ok(client
        .create_calculation(request)
        .await?
        .into_inner()
        .calculation
        .unwrap())
}

async fn get(client: &mut Client, id: &str) -> Result<pb::Calculation, Status> {
    let request = pb::GetCalculationRequest {
        calculation_id: id.to_owned(),
    };
    Ok(client.get_calculation(request).await?.into_inner().calculation.unwrap())
}

#[tokio::test]
async fn tax_comes_on_top_of_exclusive_amounts_and_is_contained_in_inclusive_ones() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let inclusive = pb::LineItem {
        tax_behavior: pb::TaxBehavior::Inclusive.into(),
        quantity: 3,
        tax_code: "txcd_10000000".to_owned(),
        ..line("b", 11_900)
    };
    let calculation = calculate(&mut client, request(vec![line("a", 10_000), inclusive]))
        .await
        .unwrap();
    insta::assert_debug_snapshot!(calculation);
    assert_eq!(
        get(&mut client, &calculation.calculation_id).await.unwrap(),
        calculation
    );
}

#[tokio::test]
async fn a_calculation_that_was_recorded_without_its_rates_is_still_told() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let made = calculate(&mut client, request(vec![line("a", 10_000)])).await.unwrap();
    diesel::sql_query("update calculation set breakdown = null")
        .execute(&mut *world.db().conn().await.unwrap())
        .await
        .unwrap();
    let told = get(&mut client, &made.calculation_id).await.unwrap();
    assert!(!made.breakdown.is_empty());
    let without = pb::Calculation {
        breakdown: vec![],
        ..made
    };
    assert_eq!(told, without);
}

#[tokio::test]
async fn a_calculation_that_is_not_there_is_not_found_and_another_kind_of_id_is_invalid() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let status = get(&mut client, "taxcalc_1").await.unwrap_err();
    insta::assert_snapshot!("not_found", told(&status));
    let status = get(&mut client, "cus_1").await.unwrap_err();
    insta::assert_snapshot!("id_of_another_kind", told(&status));
}

#[tokio::test]
async fn every_calculation_is_recorded_and_a_repeat_makes_another() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let first = calculate(&mut client, request(vec![line("a", 10_000)])).await.unwrap();
    let second = calculate(&mut client, request(vec![line("a", 10_000)])).await.unwrap();
    assert_ne!(first.calculation_id, second.calculation_id);
    assert_eq!(
        (first.total, first.exclusive_tax),
        (second.total.clone(), second.exclusive_tax)
    );
    let total = second.total.unwrap().minor_units;
    let mut recorded = recorded(&world).await;
    recorded.sort();
    let mut made = vec![(first.calculation_id, total), (second.calculation_id, total)];
    made.sort();
    assert_eq!(recorded, made);
}

async fn recorded(world: &World) -> Vec<(String, i64)> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        calculation_id: String,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        total: i64,
    }
    let mut conn = world.db().conn().await.unwrap();
    let rows: Vec<Row> = diesel::sql_query("select calculation_id, total from calculation")
        .load(&mut conn)
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.calculation_id, row.total)).collect()
}

#[tokio::test]
async fn a_business_in_another_member_state_pays_no_tax() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let mut request = request(vec![line("a", 10_000)]);
    request.address = Some(pb::Address {
        country_code: "FR".to_owned(),
        ..pb::Address::default()
    });
    request.tax_ids = vec![pb::TaxId {
        r#type: "eu_vat".to_owned(),
        value: "FRAB123456789".to_owned(),
    }];
    let calculation = calculate(&mut client, request).await.unwrap();
    assert_eq!(calculation.exclusive_tax.unwrap().minor_units, 0);
    assert_eq!(calculation.total.unwrap().minor_units, 10_000);
    assert_eq!(calculation.breakdown[0].taxability_reason, "reverse_charge");
}

#[tokio::test]
async fn all_violations_of_a_request_are_told_at_once() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let mut other_currency = line("a", 5);
    other_currency.amount.as_mut().unwrap().currency_code = "usd".to_owned();
    let mut no_currency = line("b", 5);
    no_currency.amount.as_mut().unwrap().currency_code = "EUR".to_owned();
    let request = pb::CreateCalculationRequest {
        line_items: vec![
            line("a", i64::MAX),
            other_currency,
            no_currency,
            pb::LineItem {
                quantity: 1_000_001,
                tax_code: "digital".to_owned(),
                tax_behavior: 7,
                ..line("", -1)
            },
            pb::LineItem {
                amount: None,
                quantity: -1,
                ..line("c", 0)
            },
        ],
        address: Some(pb::Address {
            country_code: "Germany".to_owned(),
            city: "a\nb".to_owned(),
            ..germany()
        }),
        tax_ids: vec![pb::TaxId {
            r#type: "EU VAT".to_owned(),
            value: String::new(),
        }],
    };
    let status = calculate(&mut client, request).await.unwrap_err();
    insta::assert_snapshot!("violations", told(&status));

    let nothing = calculate(&mut client, pb::CreateCalculationRequest::default())
        .await
        .unwrap_err();
    insta::assert_snapshot!("nothing_given", told(&nothing));
    let many = request_of(101, 21);
    let many = calculate(&mut client, many).await.unwrap_err();
    insta::assert_snapshot!("too_many", told(&many));
    assert!(recorded(&world).await.is_empty());
}

fn request_of(lines: i64, tax_ids: usize) -> pb::CreateCalculationRequest {
    let mut request = request((0..lines).map(|number| line(&number.to_string(), number)).collect());
    request.tax_ids = vec![
        pb::TaxId {
            r#type: "eu_vat".to_owned(),
            value: "DE123456789".to_owned()
        };
        tax_ids
    ];
    request
}

#[tokio::test]
async fn a_request_that_is_wrong_all_over_is_told_so_in_an_answer_that_arrives() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let wrong = pb::LineItem {
        quantity: -1,
        tax_code: "digital".to_owned(),
        tax_behavior: 7,
        ..line("", -1)
    };
    let status = calculate(&mut client, request(vec![wrong; 100])).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "the request is invalid")
    );
    assert!(status.get_details_bad_request().unwrap().field_violations.len() >= 10);
}

#[tokio::test]
async fn stripes_limit_is_told_and_harms_nothing() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world.spoil(2, json!({"kind": "status", "status": 429})).await;
    let status = calculate(&mut client, request(vec![line("a", 10_000)]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    world.spoil(2, json!({"kind": "reset_after"})).await;
    let status = calculate(&mut client, request(vec![line("a", 10_000)]))
        .await
        .unwrap_err();
    assert!(
        status.code() == Code::Unavailable && told(&status).contains("STRIPE_UNAVAILABLE"),
        "{}",
        told(&status)
    );
    calculate(&mut client, request(vec![line("a", 10_000)])).await.unwrap();
    assert_eq!(recorded(&world).await.len(), 1);
}

#[tokio::test]
async fn a_place_stripe_cannot_find_names_our_address() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let mut request = request(vec![line("a", 10_000)]);
    // Stripe needs a postal code or a state in the United States.
    request.address = Some(pb::Address {
        country_code: "US".to_owned(),
        ..pb::Address::default()
    });
    let status = calculate(&mut client, request).await.unwrap_err();
    insta::assert_snapshot!("address_unplaced", told(&status));
}

#[tokio::test]
async fn migrations_run_up_down_and_up() {
    let world = World::new().await;
    let migrated = world.migrate_again().await;
    for version in ["20261123150000", "20261126194500"] {
        assert!(migrated.iter().any(|name| name == version), "{version}: {migrated:?}");
    }
}
