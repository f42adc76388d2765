// @generated automatically by Diesel CLI.

diesel::table! {
    customer_user (customer_id) {
        customer_id -> Text,
        user_id -> Nullable<Text>,
        deleted -> Bool,
        known_from -> Timestamptz,
        known_to -> Timestamptz,
    }
}

diesel::table! {
    subscription (subscription_id) {
        subscription_id -> Text,
        customer_id -> Text,
        status -> Text,
        cancel_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        items -> Text,
        object -> Text,
        known_from -> Timestamptz,
        known_to -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(customer_user, subscription,);
