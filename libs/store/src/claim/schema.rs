//! The table as diesel sees it: what is read of it as often as a repeat asks. What it means is told in `migrations/`.

use diesel::define_sql_function;

diesel::table! {
    claim (caller, method, key) {
        caller -> Text,
        method -> Text,
        key -> Uuid,
        request_sha -> Binary,
        lease_until -> Timestamptz,
        released_at -> Nullable<Timestamptz>,
        response -> Nullable<Binary>,
    }
}

define_sql_function! {
    /// The present time.
    fn clock_timestamp() -> Timestamptz;
}
