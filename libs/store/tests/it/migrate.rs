//! Roles, schemas, migrations.

use counterfoil_store::{Config, MIGRATIONS, Role, migrate, provision, revert};
use counterfoil_test_support::TestDb;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::count;

const TABLES: &str = "select count(*) as n from pg_tables where schemaname = current_schema()";

#[tokio::test]
async fn migrations_run_once_however_many_run_them() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = test.config();
    let reverted = revert(&config, &MIGRATIONS).await.unwrap();
    let (one, two) = tokio::join!(migrate(&config, &MIGRATIONS), migrate(&config, &MIGRATIONS));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.len() + two.len(), reverted.len());
    assert!(one.is_empty() || two.is_empty());
    assert_eq!(migrate(&config, &MIGRATIONS).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let mut conn = db.conn().await.unwrap();
    let before = count(&mut conn, TABLES).await;
    let mut reverted = revert(&test.config(), &MIGRATIONS).await.unwrap();
    assert_eq!(count(&mut conn, TABLES).await, 1, "only diesel's own table is left");
    reverted.reverse();
    assert_eq!(migrate(&test.config(), &MIGRATIONS).await.unwrap(), reverted);
    assert_eq!(count(&mut conn, TABLES).await, before);
}

#[tokio::test]
async fn every_table_is_described() {
    let test = TestDb::new(&MIGRATIONS).await;
    let undescribed = "select count(*) as n from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relkind = 'r' and c.relname not like '\\_\\_%'
        and obj_description(c.oid) is null";
    assert_eq!(count(&mut test.db().conn().await.unwrap(), undescribed).await, 0);
}

#[tokio::test]
async fn the_app_role_has_rows_but_no_tables() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut conn = test.db().conn().await.unwrap();
    assert_eq!(count(&mut conn, "select count(*) as n from claim").await, 0);
    for forbidden in [
        "create table mine (id int)",
        "alter table claim add column more int",
        "drop table claim",
        "truncate claim",
        "delete from __diesel_schema_migrations",
    ] {
        let error = diesel::sql_query(forbidden)
            .execute(&mut conn)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("permission denied") || error.contains("must be owner"),
            "{forbidden}: {error}"
        );
    }
}

#[tokio::test]
async fn two_schemas_of_one_database_do_not_see_each_other() {
    let (one, two) = tokio::join!(TestDb::new(&MIGRATIONS), TestDb::new(&MIGRATIONS));
    let insert = "insert into checkpoint values ('c', 0, 0, '', 0, '{}')";
    one.db().conn().await.unwrap().batch_execute(insert).await.unwrap();
    let rows = "select count(*) as n from checkpoint";
    assert_eq!(count(&mut one.db().conn().await.unwrap(), rows).await, 1);
    assert_eq!(count(&mut two.db().conn().await.unwrap(), rows).await, 0);
}

#[tokio::test]
async fn roles_are_made_by_many_at_once() {
    let test = TestDb::new(&MIGRATIONS).await;
    let schema = test.config().schema;
    let role = |kind: &str| Role {
        name: format!("{schema}_{kind}"),
        password: "x".into(),
    };
    let (owner, app) = (role("owner"), role("app"));
    let url = TestDb::admin_url();
    let made = futures::future::join_all((0..8).map(|_| provision(&url, &schema, &owner, &app))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let mut admin = <counterfoil_store::AsyncPgConnection as diesel_async::AsyncConnection>::establish(&url)
        .await
        .unwrap();
    let drop = format!("drop owned by {schema}_owner, {schema}_app; drop role {schema}_owner, {schema}_app");
    admin.batch_execute(&drop).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_not_there_and_a_missing_owner_are_told() {
    let test = TestDb::new(&MIGRATIONS).await;
    let elsewhere = Config {
        schema: "t_nowhere".into(),
        ..test.config()
    };
    let error = migrate(&elsewhere, &MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("schema `t_nowhere` does not exist"), "{error}");
    let ownerless = Config {
        owner_url: None,
        ..test.config()
    };
    let error = migrate(&ownerless, &MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("database.owner_url"), "{error}");
}
