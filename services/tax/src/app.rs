//! Operations, and what of them is atomic.

use crate::error::Error;
use crate::model::calculation::{Calculation, NewCalculation};
use crate::{store, stripe};

impl crate::Tax {
    /// The tax on the lines. Nothing is committed or charged, so a repeat makes another calculation and harms nothing;
    /// nor does one that was made and not recorded.
    ///
    /// # Errors
    /// When Stripe cannot place the address or refuses another field, or cannot be reached.
    pub async fn create_calculation(&self, new: &NewCalculation) -> Result<Calculation, Error> {
        let reply = self.stripe.harmless(&stripe::create_calculation(new), None).await?;
        let calculation = stripe::calculation(&reply.raw)?;
        store::calculation::insert(&mut *self.db.conn().await?, &calculation, self.clock.now()).await?;
        Ok(calculation)
    }

    /// A calculation from the service's own table.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get_calculation(&self, id: &str) -> Result<Calculation, Error> {
        let calculation = store::calculation::get(&mut *self.db.conn().await?, id).await?;
        calculation.ok_or_else(|| Error::NotFound(id.to_owned()))
    }
}
