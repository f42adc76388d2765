//! The tables as diesel sees them. What they mean is told in `migrations/`.

diesel::table! {
    calculation (calculation_id) {
        calculation_id -> Text,
        currency_code -> Text,
        total -> BigInt,
        exclusive_tax -> BigInt,
        inclusive_tax -> BigInt,
        expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        breakdown -> Nullable<Text>,
    }
}
