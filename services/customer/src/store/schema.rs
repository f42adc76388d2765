//! The tables as diesel sees them. What they mean is told in `migrations/`.

diesel::table! {
    customer (stripe_customer_id) {
        stripe_customer_id -> Text,
        user_id -> Nullable<Text>,
        email -> Nullable<Text>,
        name -> Nullable<Text>,
        deleted -> Bool,
        created_at -> Nullable<Timestamptz>,
        object -> Text,
        known_from -> Timestamptz,
        known_to -> Timestamptz,
    }
}

diesel::table! {
    signup (user_id, generation) {
        user_id -> Text,
        generation -> BigInt,
        op_key -> Text,
        state -> Text,
        email -> Nullable<Text>,
        name -> Nullable<Text>,
        stripe_customer_id -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}
