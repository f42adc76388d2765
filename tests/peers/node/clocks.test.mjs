// Test clocks: what Stripe's own guide does with them, their limits, and all that is refused.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

import { DAY, PAID, START, ids, priced, refused, scenario } from "./support.mjs";

const NOW = Number(START);
// 2026-01-01T00:00:00Z, a year before the scenario's own time; January has 31 days.
const JANUARY = 1_767_225_600;
const FEBRUARY = JANUARY + 31 * DAY;
const HOUR = 3600;
const INVALID = "StripeInvalidRequestError";
const SETTLED = [
  "customer.updated", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid",
];
const COLLECTED = [...SETTLED, ...PAID];
const SUBSCRIBED = ["customer.subscription.created", "customer.subscription.updated", "invoice.created", ...COLLECTED];
const DRAFTED = ["invoice.created", "customer.subscription.updated"];
const ON_ITS_WAY = ["test_helpers.test_clock.advancing", "test_helpers.test_clock.ready"];

const clocksOf = ({ stripe }) => stripe.testHelpers.testClocks;

async function clockAt(world, frozen_time = JANUARY, more = {}) {
  // Notice of each renewal is among the events of dunning.test.mjs.
  await world.control("billing", { upcoming_days: null });
  const clock = await clocksOf(world).create({ frozen_time, ...more });
  assert.deepEqual([clock.status, clock.frozen_time, clock.created], ["ready", frozen_time, await world.now()]);
  await world.followed("test_helpers.test_clock.created");
  return clock;
}

/** The id of a customer of a clock, whose invoices a card pays. */
async function customerOf({ stripe, followed }, clock, card = "visa") {
  const customer = await stripe.customers.create({ test_clock: clock.id, email: "jenny@example.com" });
  assert.deepEqual([customer.test_clock, customer.created], [clock.id, clock.frozen_time]);
  const method = await stripe.paymentMethods.attach(`pm_card_${card}`, { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: method.id } });
  await followed("customer.created", "customer.updated", "payment_method.attached");
  return customer.id;
}

async function monthly({ stripe, followed }, amount) {
  const { id } = await priced(stripe, amount, { currency: "eur", recurring: { interval: "month" } });
  await followed("product.created", "price.created");
  return id;
}

async function subscribed(world, customer, more = {}) {
  const price = await monthly(world, 5000);
  return world.stripe.subscriptions.create({ customer, items: [{ price }], ...more });
}

async function setOut(world, clock, frozen_time) {
  const sent = await clocksOf(world).advance(clock.id, { frozen_time });
  assert.deepEqual([sent.status, sent.status_details.advancing.target_frozen_time], ["advancing", frozen_time]);
}

/** As Stripe's guide has it: told to advance, and polled until it is there. */
async function advanced(world, clock, frozen_time) {
  await setOut(world, clock, frozen_time);
  let now = await clocksOf(world).retrieve(clock.id);
  for (let polls = 0; now.status === "advancing" && polls < 1000; polls += 1) {
    await pause(5);
    now = await clocksOf(world).retrieve(clock.id);
  }
  assert.deepEqual([now.status, now.frozen_time, now.status_details], ["ready", frozen_time, {}]);
}

const invoicesOf = async ({ stripe }, customer) => (await stripe.invoices.list({ customer, limit: 100 })).data;

const moments = (events) => [...new Set(events.map((event) => event.created))];

scenario("a subscription renews on a clock", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world, JANUARY, { name: "Monthly renewal" });
  assert.equal(clock.name, "Monthly renewal");
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer);
  assert.deepEqual([subscription.status, subscription.test_clock, subscription.created], ["active", clock.id, JANUARY]);
  assert.equal(subscription.items.data[0].current_period_end, FEBRUARY);
  assert.deepEqual(moments(await followed(...SUBSCRIBED)), [JANUARY]);
  // Its own time does nothing to what is the clock's.
  await world.advance(10 * DAY);
  await followed();
  await advanced(world, clock, FEBRUARY);
  const [, , available, drafted] = await followed(...ON_ITS_WAY, "balance.available", ...DRAFTED);
  assert.deepEqual([available.created, drafted.created], [JANUARY + 2 * DAY, FEBRUARY]);
  const draft = drafted.data.object;
  assert.deepEqual([draft.status, draft.total, draft.billing_reason], ["draft", 5000, "subscription_cycle"]);
  assert.deepEqual([draft.test_clock, draft.automatically_finalizes_at], [clock.id, FEBRUARY + HOUR]);
  await advanced(world, clock, FEBRUARY + HOUR);
  const [advancing, ready, ...collected] = await followed(...ON_ITS_WAY, ...COLLECTED);
  assert.deepEqual(moments(collected), [FEBRUARY + HOUR]);
  // A clock itself is of the sandbox's own time.
  assert.deepEqual(moments([advancing, ready]), [NOW + 10 * DAY]);
  const invoice = await stripe.invoices.retrieve(draft.id);
  assert.deepEqual([invoice.status, invoice.amount_paid], ["paid", 5000]);
  assert.equal(invoice.status_transitions.paid_at, FEBRUARY + HOUR);
});

scenario("a clock's subscription is upgraded in the middle of a month", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer);
  await followed(...SUBSCRIBED);
  const premium = await monthly(world, 10_000);
  await advanced(world, clock, JANUARY + 15 * DAY);
  await followed(...ON_ITS_WAY, "balance.available");
  await stripe.subscriptions.update(subscription.id, { items: [{ id: subscription.items.data[0].id, price: premium }] });
  await followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created");
  const { data: waiting } = await stripe.invoiceItems.list({ customer, pending: true });
  // 16 of 31 days are left.
  assert.deepEqual(waiting.map((one) => one.amount).sort(), [-2581, 5161]);
  assert.deepEqual(waiting.map((one) => [one.date, one.test_clock]), Array(2).fill([JANUARY + 15 * DAY, clock.id]));
  await advanced(world, clock, FEBRUARY);
  await followed(...ON_ITS_WAY, ...DRAFTED);
  let [invoice] = await invoicesOf(world, customer);
  assert.deepEqual([invoice.status, invoice.total], ["draft", 12_580]);
  await advanced(world, clock, FEBRUARY + HOUR);
  await followed(...ON_ITS_WAY, ...COLLECTED);
  [invoice] = await invoicesOf(world, customer);
  assert.deepEqual([invoice.status, invoice.amount_paid], ["paid", 12_580]);
});

scenario("a trial on a clock ends after a notice", async (world) => {
  const { followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer, { trial_period_days: 7 });
  assert.deepEqual([subscription.status, subscription.trial_end], ["trialing", JANUARY + 7 * DAY]);
  await followed("customer.subscription.created", "invoice.created", ...SETTLED.slice(0, -1));
  assert.deepEqual((await invoicesOf(world, customer)).map((one) => one.total), [0]);
  await advanced(world, clock, JANUARY + 4 * DAY);
  const [, , notice] = await followed(...ON_ITS_WAY, "customer.subscription.trial_will_end");
  assert.deepEqual([notice.created, notice.data.object.id], [JANUARY + 4 * DAY, subscription.id]);
  await advanced(world, clock, JANUARY + 7 * DAY);
  const updated = (await followed(...ON_ITS_WAY, ...DRAFTED)).at(-1);
  assert.deepEqual([updated.data.object.status, updated.data.previous_attributes.status], ["active", "trialing"]);
  await advanced(world, clock, JANUARY + 38 * DAY + HOUR);
  await followed(...ON_ITS_WAY, ...COLLECTED, "balance.available", ...DRAFTED, ...COLLECTED);
  const all = await invoicesOf(world, customer);
  assert.deepEqual(all.map((one) => [one.status, one.amount_paid]), [["paid", 5000], ["paid", 5000], ["paid", 0]]);
});

scenario("payments on a clock fail until the subscription is canceled", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer);
  await followed(...SUBSCRIBED);
  const poor = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer });
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: poor.id } });
  await followed("payment_method.attached", "customer.updated");
  await advanced(world, clock, FEBRUARY + 4 * DAY);
  const behind = await stripe.subscriptions.retrieve(subscription.id);
  assert.equal(behind.status, "past_due");
  const first = FEBRUARY + HOUR;
  const invoice = await stripe.invoices.retrieve(behind.latest_invoice);
  assert.deepEqual([invoice.attempt_count, invoice.next_payment_attempt], [2, first + 8 * DAY]);
  const failed = ["payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed"];
  const began = ["customer.updated", "invoice.finalized", "payment_intent.created", "customer.subscription.updated"];
  await followed(...ON_ITS_WAY, "balance.available", ...DRAFTED, ...began, ...failed, ...failed);
  await advanced(world, clock, FEBRUARY + 20 * DAY);
  const told = await followed(...ON_ITS_WAY, ...failed, ...failed, "invoice.updated", "customer.subscription.deleted");
  assert.equal(told.at(-1).created, first + 15 * DAY);
  const ended = await stripe.subscriptions.retrieve(subscription.id);
  assert.deepEqual([ended.status, ended.ended_at], ["canceled", first + 15 * DAY]);
  assert.equal(ended.cancellation_details.reason, "payment_failed");
});

scenario("two clocks and the present are independent", async (world) => {
  const { stripe, followed } = world;
  const [one, other] = [await clockAt(world), await clockAt(world, FEBRUARY)];
  const [slow, fast] = [await customerOf(world, one), await customerOf(world, other)];
  const free = await stripe.customers.create({ email: "joe@example.com", payment_method: "pm_card_visa" });
  assert.equal(free.test_clock, null);
  await followed("customer.created", "payment_method.attached");
  const counts = async () => [(await invoicesOf(world, slow)).length, (await invoicesOf(world, fast)).length];
  for (const customer of [slow, fast]) {
    await subscribed(world, customer);
    await followed(...SUBSCRIBED);
  }
  await advanced(world, other, FEBRUARY + 28 * DAY + HOUR);
  await followed(...ON_ITS_WAY, "balance.available", ...DRAFTED, ...COLLECTED);
  assert.deepEqual(await counts(), [1, 2]);
  assert.equal((await clocksOf(world).retrieve(one.id)).frozen_time, JANUARY);
  assert.deepEqual(ids(await clocksOf(world).list()), [other.id, one.id]);
  await advanced(world, one, FEBRUARY);
  await followed(...ON_ITS_WAY, "balance.available", ...DRAFTED);
  assert.deepEqual(await counts(), [2, 2]);
});

scenario("a clock goes forward only and not too far", async (world) => {
  const { followed } = world;
  const clock = await clockAt(world, FEBRUARY);
  const tooFar = async (most, date) => {
    const error = await refused(clocksOf(world).advance(clock.id, { frozen_time: most + 1 }), INVALID, 400, undefined);
    assert.ok(error.message.includes(`You can only advance it up to ${most} (${date} 00:00:00 UTC).`), error.message);
  };
  for (const frozen_time of [JANUARY, FEBRUARY]) {
    const error = await refused(clocksOf(world).advance(clock.id, { frozen_time }), INVALID, 400, undefined);
    assert.equal(error.param, "frozen_time");
  }
  await tooFar(1_832_976_000, "2028-02-01");
  await subscribed(world, await customerOf(world, clock));
  await followed(...SUBSCRIBED);
  // Two months, though they have 59 days only.
  await tooFar(FEBRUARY + 59 * DAY, "2026-04-01");
  await followed();
  await advanced(world, clock, FEBRUARY + 59 * DAY);
  await followed(...ON_ITS_WAY, "balance.available", ...DRAFTED, ...COLLECTED, "balance.available", ...DRAFTED);
});

scenario("nothing of a clock is changed while it advances", async (world) => {
  const { stripe, followed, control } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer);
  await followed(...SUBSCRIBED);
  await control("faults", { test_clocks: "hold" });
  await setOut(world, clock, FEBRUARY);
  for (const act of [
    () => clocksOf(world).advance(clock.id, { frozen_time: FEBRUARY + DAY }),
    () => clocksOf(world).del(clock.id),
    () => stripe.customers.update(customer, { name: "Jen" }),
    () => stripe.customers.create({ test_clock: clock.id }),
    () => stripe.subscriptions.cancel(subscription.id),
    () => stripe.invoiceItems.create({ customer, currency: "eur", amount: 100 }),
  ]) {
    const error = await refused(act(), "StripeRateLimitError", 429, undefined);
    assert.ok(error.message.includes("Test clock advancement underway - cannot perform modifications"), error.message);
  }
  assert.equal((await clocksOf(world).retrieve(clock.id)).status, "advancing");
  await stripe.customers.create({ email: "joe@example.com" });
  await followed("test_helpers.test_clock.advancing", "customer.created");
  await control("faults", {});
  assert.equal((await clocksOf(world).retrieve(clock.id)).status, "ready");
  await followed("test_helpers.test_clock.ready", "balance.available", ...DRAFTED);
  assert.equal((await stripe.customers.update(customer, { name: "Jen" })).name, "Jen");
  await followed("customer.updated");
});

scenario("a clock is ready though nobody asks", async (world) => {
  const clock = await clockAt(world);
  await setOut(world, clock, FEBRUARY);
  const [, ready] = await world.awaited(...ON_ITS_WAY);
  assert.deepEqual([ready.data.object.id, ready.data.object.frozen_time], [clock.id, FEBRUARY]);
});

scenario("a clock fails to advance", async (world) => {
  const { followed, control } = world;
  const clock = await clockAt(world);
  await control("faults", { test_clocks: "fail" });
  await setOut(world, clock, FEBRUARY);
  const failed = await clocksOf(world).retrieve(clock.id);
  assert.deepEqual([failed.status, failed.frozen_time], ["internal_failure", JANUARY]);
  await followed("test_helpers.test_clock.advancing", "test_helpers.test_clock.internal_failure");
  await control("faults", {});
  await refused(clocksOf(world).advance(clock.id, { frozen_time: FEBRUARY }), INVALID, 400, undefined);
  assert.equal((await clocksOf(world).del(clock.id)).deleted, true);
  await followed("test_helpers.test_clock.deleted");
});

scenario("a clock has three customers with three subscriptions", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  for (let more = 0; more < 2; more += 1) await customerOf(world, clock);
  const fourth = await refused(stripe.customers.create({ test_clock: clock.id }), INVALID, 400, undefined);
  assert.equal(fourth.param, "test_clock");
  const form = { customer, items: [{ price: await monthly(world, 5000) }] };
  let last;
  for (let made = 0; made < 3; made += 1) {
    last = await stripe.subscriptions.create(form);
    await followed(...SUBSCRIBED);
  }
  const one = await refused(stripe.subscriptions.create(form), INVALID, 400, undefined);
  assert.equal(one.param, "customer");
  await stripe.subscriptions.cancel(last.id);
  await followed("customer.subscription.deleted");
  assert.equal((await stripe.subscriptions.create(form)).status, "active");
  await followed(...SUBSCRIBED);
  const error = await refused(stripe.customers.create({ test_clock: "clock_none" }), INVALID, 400, "resource_missing");
  assert.ok(error.message.includes("No such billingclock: 'clock_none'"), error.message);
});

scenario("a clock is deleted with its customers", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const subscription = await subscribed(world, customer);
  await followed(...SUBSCRIBED);
  await advanced(world, clock, JANUARY + DAY);
  await followed(...ON_ITS_WAY);
  assert.equal((await clocksOf(world).del(clock.id)).deleted, true);
  const told = await followed(
    "customer.subscription.deleted", "customer.deleted", "test_helpers.test_clock.deleted", "payment_method.detached",
  );
  assert.deepEqual(told.slice(0, 3).map((event) => event.created), [JANUARY + DAY, JANUARY + DAY, NOW]);
  assert.equal((await stripe.customers.retrieve(customer)).deleted, true);
  const ended = await stripe.subscriptions.retrieve(subscription.id);
  assert.deepEqual([ended.status, ended.ended_at], ["canceled", JANUARY + DAY]);
  const error = await refused(clocksOf(world).retrieve(clock.id), INVALID, 404, "resource_missing");
  assert.ok(error.message.includes("No such billingclock"), error.message);
  assert.deepEqual((await clocksOf(world).list()).data, []);
});

scenario("a clock is deleted after thirty days", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  assert.equal(clock.deletes_after, NOW + 30 * DAY);
  const { id } = await stripe.customers.create({ test_clock: clock.id });
  await followed("customer.created");
  await world.advance(30 * DAY - 1);
  assert.equal((await clocksOf(world).retrieve(clock.id)).status, "ready");
  await world.advance(1);
  const told = await followed("test_helpers.test_clock.deleted", "customer.deleted");
  assert.deepEqual(told.map((event) => event.created), [NOW + 30 * DAY, JANUARY]);
  assert.equal((await stripe.customers.retrieve(id)).deleted, true);
});

scenario("lists leave out what is a clock's", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  await subscribed(world, customer);
  await followed(...SUBSCRIBED);
  const free = await stripe.customers.create({ email: "jenny@example.com" });
  await followed("customer.created");
  assert.deepEqual(ids(await stripe.customers.list({ email: "jenny@example.com" })), [free.id]);
  assert.deepEqual(ids(await stripe.customers.list({ test_clock: clock.id })), [customer]);
  assert.deepEqual(ids(await stripe.subscriptions.list()), []);
  assert.equal((await stripe.subscriptions.list({ test_clock: clock.id })).data.length, 1);
  assert.equal((await stripe.subscriptions.list({ customer })).data.length, 1);
  assert.deepEqual(ids(await stripe.invoices.list()), []);
  assert.equal((await invoicesOf(world, customer)).length, 1);
  await refused(stripe.customers.list({ test_clock: "clock_none" }), INVALID, 400, "resource_missing");
  const expanded = await stripe.customers.retrieve(customer, { expand: ["test_clock"] });
  assert.deepEqual([expanded.test_clock.id, expanded.test_clock.frozen_time], [clock.id, JANUARY]);
});

scenario("a checkout session goes by its customer's clock", async (world) => {
  const { stripe, followed } = world;
  const clock = await clockAt(world);
  const customer = await customerOf(world, clock);
  const price = await monthly(world, 5000);
  const form = {
    mode: "subscription", customer, line_items: [{ price, quantity: 1 }], success_url: "https://example.com/done",
  };
  const [session, left] = [await stripe.checkout.sessions.create(form), await stripe.checkout.sessions.create(form)];
  assert.deepEqual([session.created, session.expires_at], [JANUARY, JANUARY + DAY]);
  assert.equal((await world.pay(session.url)).status, 303);
  const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription"] });
  assert.deepEqual([paid.subscription.test_clock, paid.subscription.start_date], [clock.id, JANUARY]);
  const told = await followed(...SUBSCRIBED, "payment_method.attached", "checkout.session.completed");
  assert.deepEqual(moments(told), [JANUARY]);
  await advanced(world, clock, JANUARY + DAY);
  const [, , expired] = await followed(...ON_ITS_WAY, "checkout.session.expired");
  assert.deepEqual([expired.data.object.id, expired.created], [left.id, JANUARY + DAY]);
});

scenario("the same key advances a clock once", async (world) => {
  const clock = await clockAt(world);
  const advance = () => clocksOf(world).advance(clock.id, { frozen_time: FEBRUARY }, { idempotencyKey: "advance-1" });
  const [first, again] = [await advance(), await advance()];
  assert.deepEqual([first.status, again], ["advancing", first]);
  assert.equal((await clocksOf(world).retrieve(clock.id)).frozen_time, FEBRUARY);
  await world.followed(...ON_ITS_WAY);
});
