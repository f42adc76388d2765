//! Access.

use counterfoil_types::UserId;

use crate::Billing;
use crate::error::Error;
use crate::model::access::{self, Access, Feature};
use crate::store::subscription;

/// A user's newest subscriptions decide. Nobody has more than a few; the bound keeps one user's oddity from slowing
/// everyone.
const SUBSCRIPTIONS_LOOKED_AT: i64 = 100;

impl Billing {
    /// Whether `user_id` may use `feature` now, as the events seen so far say.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn check_access(&self, user_id: &UserId, feature: &Feature) -> Result<Access, Error> {
        let conn = &mut self.db.conn().await?;
        let subscriptions = subscription::list_of_user(conn, user_id.as_str(), SUBSCRIPTIONS_LOOKED_AT, None).await?;
        Ok(access::decide(feature, &subscriptions))
    }
}
