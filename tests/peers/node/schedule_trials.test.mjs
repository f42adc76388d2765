// Subscription schedules whose later phases are trials, or begin with one.

import assert from "node:assert/strict";

import {
  COLLECTED, HOUR, INTO_MONTH, INVALID, TAKEN_OVER, begun, invoices, priceOf, scheduled, sold, subscriptionOf, to,
} from "./scheduled.mjs";
import { DAY, refused } from "./support.mjs";

// A draft that comes to nothing, after its hour.
const NOTHING = [
  "invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
];
const PHASE = ["subscription_schedule.updated", "customer.subscription.updated"];

async function trial(world, schedule) {
  const { status, trial_start, trial_end } = await subscriptionOf(world, schedule);
  return [status, trial_start, trial_end];
}

scheduled("a later phase is a trial", async (world) => {
  const { followed, month } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const end = month + 14 * DAY;
  const schedule = await begun(world, [
    { items: [{ price: cheap }], end_date: month },
    { items: [{ price: dear }], trial: true, end_date: end },
    { items: [{ price: dear }] },
  ]);
  assert.deepEqual(schedule.phases.map((phase) => phase.trial), [null, true, null]);
  assert.equal(schedule.phases[1].trial_end, end);
  await to(world, month);
  await followed(...COLLECTED, "balance.available", ...PHASE, "invoice.created");
  assert.deepEqual(await trial(world, schedule), ["trialing", month, end]);
  await to(world, end - 3 * DAY);
  const told = (await followed(...NOTHING, "customer.subscription.trial_will_end")).at(-1);
  assert.deepEqual([told.created, told.data.object.trial_end], [end - 3 * DAY, end]);
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[0], "paid"]]);
  await to(world, end + HOUR);
  await followed(...PHASE, "invoice.created", ...COLLECTED);
  const { status, billing_cycle_anchor } = await subscriptionOf(world, schedule);
  assert.deepEqual([status, billing_cycle_anchor], ["active", end]);
  assert.deepEqual((await invoices(world)).slice(2), [[[7900], "paid"]]);
});

scheduled("a later phase begins with a trial", async (world) => {
  const { followed, month } = world;
  const price = await priceOf(world, 2900);
  const end = month + 7 * DAY;
  const schedule = await begun(world, [
    { items: [{ price }], end_date: month },
    { items: [{ price }], trial_end: end, duration: { interval: "month", interval_count: 2 } },
  ]);
  assert.deepEqual([schedule.phases[1].trial, schedule.phases[1].trial_end], [false, end]);
  await to(world, end + HOUR);
  await followed(
    ...COLLECTED, "balance.available", ...PHASE, "invoice.created", ...NOTHING, "customer.subscription.trial_will_end",
    "invoice.created", "customer.subscription.updated", ...COLLECTED,
  );
  assert.deepEqual(await trial(world, schedule), ["active", month, end]);
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[0], "paid"], [[2900], "paid"]]);
});

scheduled("a trial within a period gives back what was paid for", async (world) => {
  const { followed, start } = world;
  const price = await priceOf(world, 2900);
  const begins = start + INTO_MONTH;
  const schedule = await begun(world, [
    { items: [{ price }], end_date: begins },
    { items: [{ price }], trial: true, duration: { interval: "week" } },
  ]);
  await to(world, begins);
  await followed(
    ...COLLECTED, "balance.available", ...PHASE, "subscription_schedule.expiring", "invoiceitem.created", "invoice.created",
  );
  assert.deepEqual(await trial(world, schedule), ["trialing", begins, begins + 7 * DAY]);
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[0, -1901], "draft"]]);
});

scheduled("a trial goes on from phase to phase", async (world) => {
  const { stripe, followed, customer, start, month } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const week = start + 7 * DAY;
  const subscription = await stripe.subscriptions.create({ customer, items: [{ price: cheap }], trial_end: week });
  await followed("customer.subscription.created", "invoice.created", ...NOTHING);
  const schedule = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
  await followed(...TAKEN_OVER);
  const [{ start_date, end_date, trial: whole, trial_end }] = schedule.phases;
  assert.deepEqual([whole, trial_end, end_date], [true, week, week]);
  // The phase is written back as it was read.
  const kept = { items: [{ price: cheap }], start_date, end_date, trial: whole, trial_end };
  const longer = { items: [{ price: dear }], trial: true, end_date: month };
  await stripe.subscriptionSchedules.update(schedule.id, { phases: [kept, longer] });
  await followed("subscription_schedule.updated");
  await to(world, week);
  await followed("customer.subscription.trial_will_end", ...PHASE);
  assert.deepEqual(await trial(world, schedule), ["trialing", start, month]);
  assert.deepEqual(await sold(world, schedule), [[dear, 1]]);
  assert.deepEqual(await invoices(world), [[[0], "paid"]]);
});

scheduled("a trial that was ended is over", async (world) => {
  const { stripe, followed, advance, start, month } = world;
  const price = await priceOf(world, 2900);
  const schedule = await begun(world, [{ items: [{ price }], trial: true, end_date: month }]);
  await advance(HOUR);
  await followed(...NOTHING);
  await stripe.subscriptions.update(schedule.subscription, { trial_end: "now" });
  await stripe.subscriptionSchedules.update(schedule.id, { metadata: { a: "1" } });
  assert.deepEqual(await trial(world, schedule), ["active", start, start + HOUR]);
  const [phase] = (await stripe.subscriptionSchedules.retrieve(schedule.id)).phases;
  assert.deepEqual([phase.trial, phase.trial_end], [false, start + HOUR]);
});

scheduled("what is no trial is refused", async (world) => {
  const { stripe, customer, start, month, second } = world;
  const items = [{ price: await priceOf(world, 2900) }];
  for (const [phase, param] of [
    [{ trial: true, trial_end: start + DAY }, "phases[1][trial_end]"],
    [{ trial_end: second + 1 }, "phases[1][trial_end]"],
    [{ trial_end: start + 1 }, "phases[1][trial_end]"],
    [{ trial: true, billing_cycle_anchor: "phase_start" }, "phases[1][billing_cycle_anchor]"],
  ]) {
    const phases = [{ items, end_date: month }, { items, end_date: second, ...phase }];
    const form = { customer, start_date: "now", phases };
    const error = await refused(stripe.subscriptionSchedules.create(form), INVALID, 400, undefined);
    assert.equal(error.param, param);
  }
});
