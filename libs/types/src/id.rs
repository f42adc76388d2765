//! Ids as types, so that a customer's id cannot be given where a subscription's is meant.

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("must be {0}")]
pub struct InvalidId(&'static str);

/// The longest id Stripe documents. Source: <https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backward-compatible>.
const MAX_STRIPE_ID: usize = 255;

macro_rules! stripe_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes `id` where it has the right prefix and only the characters of Stripe's ids.
            ///
            /// # Errors
            /// When it does not.
            pub fn parse(id: impl Into<String>) -> Result<Self, InvalidId> {
                let id = id.into();
                let rest = id.strip_prefix($prefix).unwrap_or_default();
                let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if rest.is_empty() || !plain || id.len() > MAX_STRIPE_ID {
                    return Err(InvalidId(concat!("a Stripe id beginning with ", $prefix)));
                }
                Ok(Self(id))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

stripe_id!(
    /// A customer, `cus_…`.
    CustomerId, "cus_"
);
stripe_id!(
    /// A subscription, `sub_…`.
    SubscriptionId, "sub_"
);
stripe_id!(
    /// A price, `price_…`.
    PriceId, "price_"
);
stripe_id!(
    /// A checkout session, `cs_…`.
    CheckoutSessionId, "cs_"
);
stripe_id!(
    /// A connected account, `acct_…`.
    AccountId, "acct_"
);
stripe_id!(
    /// An event, `evt_…`.
    EventId, "evt_"
);

/// The company's own id of a user: 1 to 255 characters, none of them a space or a control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

impl UserId {
    /// Takes `id` where it is within its bounds.
    ///
    /// # Errors
    /// When it is empty, longer than 255 characters, or has a space or a control character in it.
    pub fn parse(id: impl Into<String>) -> Result<Self, InvalidId> {
        let id = id.into();
        let plain = !id
            .chars()
            .any(|character| character.is_whitespace() || character.is_control());
        if id.is_empty() || id.chars().count() > 255 || !plain {
            return Err(InvalidId("1 to 255 characters without spaces or control characters"));
        }
        Ok(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_kind_or_with_odd_characters_is_refused() {
        assert!(CustomerId::parse("cus_QXg1o8vcGmoR32").is_ok());
        assert!(CheckoutSessionId::parse("cs_test_a1YS1").is_ok());
        for wrong in [
            "",
            "cus_",
            "sub_1",
            "cus_1/2",
            "cus_1 ",
            "cus_é",
            &format!("cus_{}", "1".repeat(255)),
        ] {
            assert!(CustomerId::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_id_may_be_a_long_number_or_an_email_but_has_no_spaces() {
        assert!(UserId::parse("4242424242424242").is_ok());
        assert!(UserId::parse("ada@example.com").is_ok());
        for wrong in ["", "a b", "a\n", &"x".repeat(256)] {
            assert!(UserId::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
