//! Signups: each time a user is given a Stripe customer.

use counterfoil_types::{CustomerId, UserId};
use sha2::{Digest, Sha256};

/// A request for the customer of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCustomer {
    /// The user.
    pub user_id: UserId,
    /// Used only if the customer is made by this call. At most 512 characters.
    pub email: Option<String>,
    /// Used only if the customer is made by this call. At most 256 characters.
    pub name: Option<String>,
}

/// A user's signup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signup {
    /// The user.
    pub user_id: String,
    /// Counts a user's signups from 1.
    pub generation: i64,
    /// The key of the operation that makes the customer.
    pub op_key: String,
    /// What Stripe is asked to create.
    pub email: Option<String>,
    /// What Stripe is asked to create.
    pub name: Option<String>,
    /// Where it stands.
    pub state: State,
}

/// Where a signup stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The customer is being made, or a crash left it so.
    Creating,
    /// The customer stands.
    Active(CustomerId),
    /// Stripe refused to make it, so there is none.
    Refused,
    /// The customer was deleted.
    Deleted,
}

/// The key of the operation that makes a user's customer, one for each user and generation. It is logged, told to callers
/// and stored at Stripe, and a user's id may be an email address, so it holds a hash of the id: the first 128 bits of
/// its SHA-256, as 32 hexadecimal digits.
#[must_use]
pub fn op_key(user_id: &UserId, generation: i64) -> String {
    let hash = hex::encode(Sha256::digest(user_id.as_str()));
    let user = hash.get(..32).unwrap_or_default();
    format!("customer:{user}:{generation}:create")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_users_never_share_an_operation_even_with_colons_in_their_ids() {
        let key = |user: &str, generation| op_key(&UserId::parse(user).unwrap(), generation);
        assert_ne!(key("a", 11), key("a:1", 1));
        assert_ne!(key("a:1", 1), key("a", 1));
        assert_ne!(key("a", 1), key("a", 2));
    }

    #[test]
    fn an_operation_does_not_tell_whose_it_is() {
        for user in ["ada@example.com", "4242424242424242", "ada-lovelace"] {
            let key = op_key(&UserId::parse(user).unwrap(), 7);
            assert!(!key.contains(user), "{key}");
            let parts: Vec<_> = key.split(':').collect();
            assert!(
                matches!(parts[..], ["customer", hash, "7", "create"] if hash.len() == 32),
                "{key}"
            );
        }
    }

    #[test]
    fn an_operation_keeps_its_key_from_release_to_release() {
        let key = op_key(&UserId::parse("ada").unwrap(), 1);
        assert_eq!(key, "customer:fdee430d40bd57deeac186cd9790033d:1:create");
    }
}
