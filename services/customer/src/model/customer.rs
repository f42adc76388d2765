//! Customers.

use chrono::{DateTime, Utc};
use counterfoil_types::{CustomerId, Stamp, UserId};

/// A Stripe customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Stripe's id.
    pub id: CustomerId,
    /// The user it stands for; `None` where its metadata names none.
    pub user_id: Option<String>,
    /// The key of the operation that made it; `None` where it was made by someone else.
    pub op_key: Option<String>,
    /// The email address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// Whether it was deleted. A deleted customer never comes back.
    pub deleted: bool,
    /// When it was created; `None` where only the stub of a deleted customer was seen.
    pub created_at: Option<DateTime<Utc>>,
}

/// A customer as it was seen at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What was read from the object.
    pub customer: Customer,
    /// The whole object, as JSON.
    pub object: String,
    /// When it was so.
    pub stamp: Stamp,
}

/// How a customer is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By the user.
    User(UserId),
    /// By Stripe's id.
    Stripe(CustomerId),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::User(id) => id.fmt(f),
            Name::Stripe(id) => id.fmt(f),
        }
    }
}
