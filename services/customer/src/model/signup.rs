//! Signups: each time a user is given a Stripe customer.

use counterfoil_types::{CustomerId, UserId};

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

/// The key of the operation that makes a user's customer. A generation is a number, so no two pairs share a key.
#[must_use]
pub fn op_key(user_id: &UserId, generation: i64) -> String {
    format!("customer:{user_id}:{generation}:create")
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
}
