//! The tables as diesel sees them. What they mean is told in `migrations/`.

diesel::table! {
    connected_account (account_id) {
        account_id -> Text,
        country_code -> Nullable<Text>,
        details_submitted -> Bool,
        charges_enabled -> Bool,
        payouts_enabled -> Bool,
        created_at -> Nullable<Timestamptz>,
        object -> Text,
        known_from -> Timestamptz,
        known_to -> Timestamptz,
    }
}
