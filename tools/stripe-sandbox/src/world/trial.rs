//! Doing something for the sake of what it comes to, and undoing it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::World;

impl World {
    /// Gives what `trial` gives, as if it had been done: objects, events, deliveries, ids and time are as before afterwards, and
    /// so is what the change at work had done until now.
    pub(crate) fn as_if<T>(&mut self, trial: impl FnOnce(&mut Self) -> T) -> T {
        let change = std::mem::take(&mut self.change);
        let touched = self.store.set_aside();
        let (now, ids) = (self.now, self.ids.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| trial(self)));
        self.roll_back();
        self.change = change;
        self.store.take_up(touched);
        (self.now, self.ids) = (now, ids);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
