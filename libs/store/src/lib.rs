//! PostgreSQL machinery: pool, transaction, migrations, claims.
