//! What the HTTP side and the sender share: the world behind its lock, and who waits for what.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    Config,
    billing::{self, test_clock},
    config::RetrySchedule,
    control::faults::{AnswerFault, TestClockFault},
    field,
    http::{error::ApiError, rate::RateLimit, route::Routes},
    webhooks::{self, Delivery, Postponed},
    world::{Cause, World},
};

pub(crate) struct App {
    world: Mutex<World>,
    pub(crate) secret_key: String,
    pub(crate) routes: Routes,
    rate_limit: Option<RateLimit>,
    pub(crate) outbox_grew: Notify,
    /// Tells that a test clock has begun to advance.
    pub(crate) clock_set_out: Notify,
    /// Tells what waits on the quick schedule to be sent at once.
    pub(crate) retry_now: Notify,
    pub(crate) retry_schedule: RetrySchedule,
    pub(crate) webhook_timeout: Duration,
    pub(crate) snapshots: Option<PathBuf>,
    /// (account, idempotency key) of calls at work.
    in_flight: Mutex<HashSet<(String, String)>>,
}

impl App {
    pub(crate) fn new(world: World, config: &Config, routes: Routes) -> Self {
        Self {
            world: Mutex::new(world),
            secret_key: config.secret_key.clone(),
            routes,
            rate_limit: config.rate_limit.map(RateLimit::new),
            outbox_grew: Notify::new(),
            clock_set_out: Notify::new(),
            retry_now: Notify::new(),
            retry_schedule: config.retry_schedule,
            webhook_timeout: config.webhook_timeout,
            snapshots: config.snapshots.clone(),
            in_flight: Mutex::default(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `step` as one change because of `cause`: what is due first, then the step, journalled before this returns.
    /// A refusal undoes the step unless it says that its effects stay.
    pub(crate) fn change<T>(
        &self,
        account: &str,
        cause: Cause,
        step: impl FnOnce(&mut World) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut world = self.world();
        catch_up(&mut world)?;
        world.begin(account, cause);
        let answer = attempt(&mut world, step);
        let clock = world.test_clock.clone();
        match &answer {
            Err(error) if !error.keeps_effects => world.roll_back(),
            _ => commit(&mut world)?,
        }
        if let Some(clock) = clock {
            catch_up_clock(&mut world, account, &clock);
        }
        drop(world);
        self.outbox_grew.notify_one();
        answer
    }

    /// Runs what the clock has made due, and what test clocks that advance have on their way.
    pub(crate) fn tick(&self) {
        self.run_due(catch_up);
    }

    /// As [`App::tick`], but lets test clocks advance as long as they take.
    pub(crate) fn tick_present(&self) {
        self.run_due(catch_up_present);
    }

    fn run_due(&self, run: fn(&mut World) -> Result<(), ApiError>) {
        let mut world = self.world();
        if let Err(error) = run(&mut world) {
            tracing::error!(?error, "due billing could not be run");
        }
        drop(world);
        self.outbox_grew.notify_one();
    }

    pub(crate) fn settle(&self, delivery: &Delivery) {
        let mut world = self.world();
        world.settle(delivery);
        // If this cannot be journalled the delivery is made again after a restart, which a receiver must bear anyway.
        if commit(&mut world).is_err() {
            world.outbox.settle(delivery.id);
        }
    }

    pub(crate) fn abandon(&self, id: u64) {
        let mut world = self.world();
        world.begin("", cause("delivery"));
        world.change.abandoned.push(id);
        if commit(&mut world).is_err() {
            world.outbox.abandon(id);
        }
    }

    /// Puts a delivery that failed off to its next time on Stripe's schedule, or gives it up after the last.
    pub(crate) fn postpone(&self, delivery: &Delivery) {
        let mut world = self.world();
        world.begin("", cause("delivery"));
        let failures = delivery.failures.saturating_add(1);
        match webhooks::pause_after(failures, world.livemode) {
            Some(pause) => {
                let due = world.now + pause;
                let id = delivery.id;
                world.change.postponed.push(Postponed { id, failures, due });
            }
            None => world.change.failed.push(delivery.id),
        }
        // If this cannot be journalled the delivery is taken up again after a restart.
        let _ = commit(&mut world);
    }

    /// Makes all that is pending be sent now, and says how many deliveries that are.
    pub(crate) fn retry_all_now(&self) -> usize {
        let mut world = self.world();
        world.outbox.wake(i64::MAX);
        let pending = world.outbox.pending.len();
        drop(world);
        self.outbox_grew.notify_one();
        self.retry_now.notify_waiters();
        pending
    }

    /// What the fault setting has for a call that comes in. It counts the call, so the setting is journalled.
    pub(crate) fn arrive(&self, method: &str, path: &str) -> Option<AnswerFault> {
        let mut world = self.world();
        if world.faults.is_still() {
            return None;
        }
        let mut faults = world.faults.clone();
        let (advance, fault) = faults.arrive(method, path);
        if faults != world.faults {
            world.begin("", cause("faults"));
            world.change.faults = Some(faults);
            world.change.offset = (advance > 0).then(|| world.clock.offset.saturating_add(advance));
            if commit(&mut world).and_then(|()| catch_up_present(&mut world)).is_err() {
                return None;
            }
        }
        fault
    }

    /// Counts a call to `account`, or refuses it for the rate limit.
    pub(crate) fn admit(&self, account: &str, now: Instant) -> Result<(), ApiError> {
        self.rate_limit
            .as_ref()
            .map_or(Ok(()), |limit| limit.admit(account, now))
    }

    /// Marks an idempotency key as in use; `None` if it is already.
    pub(crate) fn hold_key(&self, account: &str, key: &str) -> Option<HeldKey<'_>> {
        let held = (account.to_owned(), key.to_owned());
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_flight.insert(held.clone()) {
            return None;
        }
        Some(HeldKey { app: self, held })
    }
}

/// An idempotency key in use; dropping it frees the key.
pub(crate) struct HeldKey<'a> {
    app: &'a App,
    held: (String, String),
}

impl Drop for HeldKey<'_> {
    fn drop(&mut self) {
        self.app
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.held);
    }
}

/// Something of the sandbox's own, not a call.
pub(crate) fn cause(operation: &str) -> Cause {
    Cause {
        operation: operation.to_owned(),
        ..Cause::default()
    }
}

/// Runs `step`; a panic in it is a 500 and undoes it.
pub(crate) fn attempt<T>(
    world: &mut World,
    step: impl FnOnce(&mut World) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step(world))).unwrap_or_else(|_| Err(ApiError::internal()))
}

/// Commits the change at work, or gives the 500 that says it has not happened.
pub(crate) fn commit(world: &mut World) -> Result<(), ApiError> {
    world.commit().map_err(|error| {
        tracing::error!(%error, "the journal cannot be written");
        ApiError::internal()
    })
}

/// Runs everything due by the present virtual time, in order, each step a change of its own; then all that test clocks which
/// advance have on their way.
pub(crate) fn catch_up(world: &mut World) -> Result<(), ApiError> {
    catch_up_sparing(world, None)
}

/// As [`catch_up`], but leaves the test clock `spared` where it is.
pub(crate) fn catch_up_sparing(world: &mut World, spared: Option<&str>) -> Result<(), ApiError> {
    catch_up_present(world)?;
    let fault = world.faults.test_clocks;
    for (account, id) in world.all_due(test_clock::ADVANCING) {
        match fault {
            _ if spared == Some(&*id) => {}
            None => advance(world, &account, &id)?,
            Some(TestClockFault::Hold) => {}
            Some(TestClockFault::Fail) => arrive(world, &account, &id, true)?,
        }
    }
    Ok(())
}

/// Runs everything due by the present virtual time.
fn catch_up_present(world: &mut World) -> Result<(), ApiError> {
    let until = world.clock.now();
    let done = run_queue(world, test_clock::PRESENT, until, |world, at| {
        world.present = world.present.max(at);
        world.return_to_present();
    })?;
    if !done {
        return Err(ApiError::internal());
    }
    world.outbox.wake(until);
    Ok(())
}

/// Brings a test clock to where it advances to, or, where a step of that cannot be done, to `internal_failure`.
fn advance(world: &mut World, account: &str, id: &str) -> Result<(), ApiError> {
    let Some(clock) = world.found(account, id).cloned() else {
        return Ok(());
    };
    let target = field::integer(&clock, "status_details.advancing.target_frozen_time");
    let mut reached = field::integer(&clock, "frozen_time");
    let done = run_queue(world, id, target, |world, at| {
        reached = reached.max(at);
        world.go_by(id, reached);
    })?;
    arrive(world, account, id, !done)
}

/// Runs what a change in the time of a test clock made due at the moment that it shows. What cannot be done now is left for
/// the next such change, or its advance.
pub(crate) fn catch_up_clock(world: &mut World, account: &str, id: &str) {
    let Some(now) = test_clock::shown(world, account, id) else {
        return;
    };
    if run_queue(world, id, now, |world, _| world.go_by(id, now)).is_err() {
        tracing::error!(%id, "what is due on a test clock is left for later");
    }
}

/// Ends the advance of a test clock, as a change.
fn arrive(world: &mut World, account: &str, id: &str, failed: bool) -> Result<(), ApiError> {
    world.begin(account, cause("test clock"));
    test_clock::arrive(world, id, failed);
    commit(world)
}

/// Runs what is due in a queue until then, in order, each step a change of its own, once the world has been `set` to the
/// moment it is due. Says whether all could be done; an error is that a change could not be kept, and the rest is left for
/// another time.
fn run_queue(
    world: &mut World,
    queue: &str,
    until: i64,
    mut set: impl FnMut(&mut World, i64),
) -> Result<bool, ApiError> {
    while let Some((at, account, id)) = world.next_due(queue, until) {
        set(world, at);
        world.account = account;
        world.cause = cause("clock");
        let step = attempt(world, |world| {
            billing::run_due(world, &id);
            Ok(())
        });
        if step.is_err() {
            tracing::error!(%id, at, "due work could not be done");
            world.roll_back();
            return Ok(false);
        }
        commit(world)?;
        if world
            .next_due(queue, until)
            .is_some_and(|next| next.0 == at && next.2 == id)
        {
            tracing::error!(%id, at, "due work did not move on");
            return Ok(false);
        }
    }
    Ok(true)
}
