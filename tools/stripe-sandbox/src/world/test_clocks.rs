//! Whose time a change goes by: a test clock's, or the present.
//!
//! What is made while the world goes by a test clock bears it in `_sandbox.test_clock`, and waits in that clock's queue.

use super::World;
use crate::{billing::test_clock, field, http::error::ApiError, json::Value};

/// What belongs to nobody's time, whoever makes it.
const SHARED: &[&str] = &["balance", "billing_portal.configuration", "event", "price", "product"];

impl World {
    /// Goes by virtual time, as every change does at first.
    pub(crate) fn return_to_present(&mut self) {
        self.now = self.present;
        self.test_clock = None;
    }

    /// Goes by the time of this test clock, at the moment `at`.
    pub(crate) fn go_by(&mut self, clock: &str, at: i64) {
        self.now = at;
        self.test_clock = Some(clock.to_owned());
    }

    /// Goes by the time of the test clock that the object `id` of the data set at work belongs to, if it does.
    ///
    /// # Errors
    /// While that clock advances, for what `changes` something.
    pub(crate) fn go_by_clock_of(&mut self, id: &str, changes: bool) -> Result<(), ApiError> {
        let Some(clock) = self.clock_of(&self.account, id).cloned() else {
            return Ok(());
        };
        if changes {
            test_clock::refuse_while_advancing(&clock)?;
        }
        self.go_by(field::text(&clock, "id"), field::integer(&clock, "frozen_time"));
        Ok(())
    }

    /// The test clock that the object `id` of an account belongs to, itself or by its customer; a clock belongs to itself.
    pub(crate) fn clock_of(&self, account: &str, id: &str) -> Option<&Value> {
        let object = self.found(account, id)?;
        let own = |object| field::some_text(object, "_sandbox.test_clock");
        let clock = match field::text(object, "object") {
            test_clock::KIND => Some(object),
            _ => own(object)
                .or_else(|| own(self.found(account, field::text(object, "customer"))?))
                .and_then(|id| self.found(account, id)),
        };
        clock.filter(|clock| !field::flag(clock, "deleted"))
    }

    /// Writes on a new object which test clock it belongs to, and keeps that of one that is changed.
    pub(super) fn stamp(&self, value: &mut Value, was: Option<&Value>) {
        let clock = match was {
            Some(was) => field::some_text(was, "_sandbox.test_clock"),
            None if SHARED.contains(&field::text(value, "object")) => None,
            None => self.test_clock.as_deref(),
        };
        if let Some(clock) = clock.filter(|_| field::some_text(value, "_sandbox.test_clock").is_none()) {
            field::set(value, "_sandbox.test_clock", clock);
        }
    }
}
