//! What tests share: a migrated schema, a sandbox, a clock.
