// Subscription schedules: phases that begin at their times, to the cent.

import assert from "node:assert/strict";

import {
  BEGUN, COLLECTED, HOUR, INTO_MONTH, INVALID, PRORATED, RELEASED, begun, ends, following, giveCard, invoices, priceOf,
  scheduled, sold, subscriptionOf, takenOver, to, waiting,
} from "./scheduled.mjs";
import { DAY, ids, refused } from "./support.mjs";

for (const mode of ["flexible", "classic"]) {
  scheduled(`a plan is left when its period ends, in ${mode} mode`, async (world) => {
    const { stripe, followed, start, month, second } = world;
    const [dear, cheap] = [await priceOf(world, 7900), await priceOf(world, 2900)];
    const [subscription, schedule] = await takenOver(world, dear, 1, mode);
    assert.deepEqual(schedule.current_phase, { start_date: start, end_date: month });
    assert.deepEqual([schedule.status, schedule.billing_mode.type], ["active", mode]);
    assert.equal((await stripe.subscriptions.retrieve(subscription.id)).schedule, schedule.id);
    assert.deepEqual(ends(await following(world, schedule, cheap)), [month, second]);
    await to(world, month - 1);
    await followed("balance.available");
    assert.deepEqual(await sold(world, schedule), [[dear, 1]]);
    await to(world, month);
    const [moved, changed] = await followed(
      "subscription_schedule.updated", "customer.subscription.updated", "invoice.created",
    );
    assert.equal(moved.data.previous_attributes.current_phase.start_date, start);
    assert.ok("items" in changed.data.previous_attributes);
    assert.deepEqual(await sold(world, schedule), [[cheap, 1]]);
    await to(world, month + HOUR);
    await followed(...COLLECTED);
    assert.deepEqual(await invoices(world), [[[7900], "paid"], [[2900], "paid"]]);
    assert.deepEqual(await waiting(world), []);
    await to(world, second);
    await followed(
      "balance.available", "subscription_schedule.expiring", ...RELEASED, "invoice.created", "customer.subscription.updated",
    );
    const over = await stripe.subscriptionSchedules.retrieve(schedule.id);
    assert.deepEqual([over.status, over.released_subscription, over.subscription], ["released", subscription.id, null]);
    await to(world, second + HOUR);
    await followed(...COLLECTED);
    const freed = await stripe.subscriptions.retrieve(subscription.id);
    assert.deepEqual([freed.status, freed.schedule], ["active", null]);
    assert.deepEqual((await invoices(world)).slice(2), [[[2900], "paid"]]);
  });
}

scheduled("a price rises for all seats", async (world) => {
  const { followed, month } = world;
  const [old, dearer] = [await priceOf(world, 1200), await priceOf(world, 1500)];
  const [, schedule] = await takenOver(world, old, 5);
  assert.equal(schedule.phases[0].items[0].quantity, 5);
  await following(world, schedule, dearer);
  await to(world, month + HOUR);
  await followed(
    "balance.available", "subscription_schedule.updated", "customer.subscription.updated", "invoice.created", ...COLLECTED,
  );
  assert.deepEqual(await sold(world, schedule), [[dearer, 5]]);
  assert.deepEqual(await invoices(world), [[[6000], "paid"], [[7500], "paid"]]);
});

scheduled("a schedule begins now", async (world) => {
  const { followed, advance, start, second } = world;
  const price = await priceOf(world, 2900);
  const phase = {
    items: [{ price, quantity: 2, metadata: { seat: "a" } }],
    metadata: { plan: "pro" },
    duration: { interval: "month", interval_count: 2 },
  };
  const schedule = await begun(world, [phase], { metadata: { deal: "7" }, default_settings: { description: "Deal" } });
  assert.deepEqual(schedule.current_phase, { start_date: start, end_date: second });
  assert.deepEqual(schedule.metadata, { deal: "7" });
  const subscription = await subscriptionOf(world, schedule);
  assert.deepEqual([subscription.status, subscription.description], ["active", "Deal"]);
  assert.deepEqual(subscription.metadata, { plan: "pro" });
  assert.deepEqual(subscription.items.data[0].metadata, { seat: "a" });
  assert.deepEqual(await invoices(world), [[[5800], "draft"]]);
  await advance(HOUR);
  await followed(...COLLECTED);
  assert.deepEqual(await invoices(world), [[[5800], "paid"]]);
});

scheduled("a schedule begins when its day comes", async (world) => {
  const { stripe, followed, customer, month } = world;
  const price = await priceOf(world, 2900);
  const form = { customer, start_date: month, phases: [{ items: [{ price }] }] };
  const schedule = await stripe.subscriptionSchedules.create(form);
  await followed("subscription_schedule.created");
  assert.deepEqual([schedule.status, schedule.subscription], ["not_started", null]);
  await to(world, month - 1);
  assert.equal((await stripe.subscriptionSchedules.retrieve(schedule.id)).status, "not_started");
  await to(world, month);
  const [started] = await followed("subscription_schedule.updated", "customer.subscription.created", "invoice.created");
  assert.equal(started.data.previous_attributes.status, "not_started");
  const subscription = await subscriptionOf(world, schedule);
  assert.deepEqual([subscription.status, subscription.start_date], ["active", month]);
  await to(world, month + HOUR);
  await followed(...COLLECTED);
  assert.deepEqual(await invoices(world), [[[2900], "paid"]]);
});

/** Another plan follows within the first month. */
async function changesInTheMiddle(world, more = {}) {
  const { followed, start, second } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const change = start + INTO_MONTH;
  const schedule = await begun(world, [
    { items: [{ price: cheap }], end_date: change },
    { items: [{ price: dear }], end_date: second, ...more },
  ]);
  await to(world, change - 1);
  await followed(...COLLECTED, "balance.available");
  assert.deepEqual(await sold(world, schedule), [[cheap, 1]]);
  await to(world, change);
  assert.deepEqual(await sold(world, schedule), [[dear, 1]]);
  return schedule;
}

scheduled("a phase within a period is prorated", async (world) => {
  await changesInTheMiddle(world);
  await world.followed("subscription_schedule.updated", ...PRORATED);
  assert.deepEqual(await waiting(world), [-1901, 5179]);
  await to(world, world.month + HOUR);
  await world.followed("customer.subscription.updated", "invoice.created", ...COLLECTED);
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[7900, -1901, 5179], "paid"]]);
});

scheduled("a proration is invoiced at once", async (world) => {
  const { stripe, followed, advance, customer } = world;
  await changesInTheMiddle(world, { proration_behavior: "always_invoice" });
  await followed("subscription_schedule.updated", ...PRORATED, "invoice.created");
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[-1901, 5179], "draft"]]);
  await advance(HOUR);
  await followed(...COLLECTED);
  assert.equal((await stripe.invoices.list({ customer })).data[0].amount_paid, 3278);
});

scheduled("a phase begins a period", async (world) => {
  const { followed, start } = world;
  const schedule = await changesInTheMiddle(world, { billing_cycle_anchor: "phase_start" });
  await followed(
    "subscription_schedule.updated", "customer.subscription.updated", "invoiceitem.created", "invoice.created",
  );
  const subscription = await subscriptionOf(world, schedule);
  assert.equal(subscription.billing_cycle_anchor, start + INTO_MONTH);
  assert.equal(subscription.items.data[0].current_period_start, start + INTO_MONTH);
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[7900, -1901], "draft"]]);
});

scheduled("a trial is a phase", async (world) => {
  const { followed, start } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const end = start + 14 * DAY;
  const schedule = await begun(world, [
    { items: [{ price: cheap }], trial: true, end_date: end },
    { items: [{ price: dear }], proration_behavior: "none" },
  ]);
  const subscription = await subscriptionOf(world, schedule);
  assert.deepEqual([subscription.status, subscription.trial_end], ["trialing", end]);
  await to(world, end + HOUR);
  await followed(
    // The invoice of the trial comes to nothing.
    "invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
    "customer.subscription.trial_will_end", "subscription_schedule.updated", "customer.subscription.updated",
    "invoice.created", ...COLLECTED,
  );
  assert.deepEqual(await invoices(world), [[[0], "paid"], [[7900], "paid"]]);
  assert.equal((await subscriptionOf(world, schedule)).status, "active");
  assert.deepEqual(await sold(world, schedule), [[dear, 1]]);
});

scheduled("a schedule is released", async (world) => {
  const { stripe, followed, second } = world;
  const phase = { items: [{ price: await priceOf(world, 2900) }], end_date: second };
  for (const keeps of [false, true]) {
    const schedule = await begun(world, [phase], { end_behavior: "cancel" });
    assert.equal((await subscriptionOf(world, schedule)).cancel_at, second);
    const released = await stripe.subscriptionSchedules.release(schedule.id, { preserve_cancel_date: keeps });
    await followed(...RELEASED);
    assert.deepEqual([released.status, released.subscription], ["released", null]);
    const subscription = await subscriptionOf(world, schedule);
    assert.deepEqual([subscription.schedule, subscription.status], [null, "active"]);
    assert.equal(subscription.cancel_at, keeps ? second : null);
    const error = await refused(stripe.subscriptionSchedules.cancel(schedule.id), INVALID, 400);
    assert.match(error.message, /in the `released` status/);
  }
});

scheduled("canceling credits what is unused", async (world) => {
  const { stripe, followed, advance, customer, start } = world;
  const schedule = await begun(world, [{ items: [{ price: await priceOf(world, 2900) }] }]);
  await advance(INTO_MONTH);
  await followed(...COLLECTED, "balance.available");
  const canceled = await stripe.subscriptionSchedules.cancel(schedule.id);
  await followed(
    "invoiceitem.created", "invoice.created", "invoice.finalized", "customer.updated", "customer.updated",
    "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.deleted",
    "subscription_schedule.canceled",
  );
  assert.deepEqual([canceled.status, canceled.canceled_at], ["canceled", start + INTO_MONTH]);
  assert.equal(canceled.current_phase, null);
  assert.equal((await subscriptionOf(world, schedule)).status, "canceled");
  assert.deepEqual(await invoices(world), [[[2900], "paid"], [[-1901], "paid"]]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -1901);
});

scheduled("canceling credits nothing if it is not to", async (world) => {
  const { stripe, followed, advance } = world;
  const schedule = await begun(world, [{ items: [{ price: await priceOf(world, 2900) }] }]);
  await advance(INTO_MONTH);
  await followed(...COLLECTED, "balance.available");
  const how = { prorate: false, invoice_now: false };
  assert.equal((await stripe.subscriptionSchedules.cancel(schedule.id, how)).status, "canceled");
  await followed("customer.subscription.deleted", "subscription_schedule.canceled");
  assert.deepEqual(await invoices(world), [[[2900], "paid"]]);
});

scheduled("a schedule ends with its subscription", async (world) => {
  const { stripe, followed, month } = world;
  const phase = { items: [{ price: await priceOf(world, 2900) }], end_date: month };
  const schedule = await begun(world, [phase], { end_behavior: "cancel" });
  await to(world, month);
  await followed(
    ...COLLECTED, "balance.available", "subscription_schedule.expiring", "customer.subscription.deleted",
    "subscription_schedule.completed",
  );
  const over = await stripe.subscriptionSchedules.retrieve(schedule.id);
  assert.deepEqual([over.status, over.completed_at], ["completed", month]);
  const subscription = await subscriptionOf(world, schedule);
  assert.deepEqual([subscription.status, subscription.ended_at], ["canceled", month]);
  assert.equal((await invoices(world)).length, 1);
});

scheduled("the present phase and those to come are changed", async (world) => {
  const { stripe, followed, advance, start, month, second } = world;
  const [seat, dear] = [await priceOf(world, 1200), await priceOf(world, 7900)];
  const schedule = await begun(world, [
    { items: [{ price: seat, quantity: 5 }], end_date: month },
    { items: [{ price: seat, quantity: 5 }], end_date: second },
  ]);
  await advance(INTO_MONTH);
  await followed(...COLLECTED, "balance.available");
  const phases = [
    { items: [{ price: seat, quantity: 8 }], start_date: start, end_date: month },
    { items: [{ price: dear }], duration: { interval: "month" } },
  ];
  const changed = await stripe.subscriptionSchedules.update(schedule.id, { phases });
  await followed("subscription_schedule.updated", ...PRORATED);
  assert.deepEqual(ends(changed), [month, second]);
  assert.deepEqual(await sold(world, schedule), [[seat, 8]]);
  assert.deepEqual(await waiting(world), [-3933, 6293]);
  await to(world, month + HOUR);
  await followed("subscription_schedule.updated", "customer.subscription.updated", "invoice.created", ...COLLECTED);
  assert.deepEqual(await invoices(world), [[[6000], "paid"], [[7900, -3933, 6293], "paid"]]);
  // Phases that are over may be left out, and stay.
  const phase = { items: [{ price: dear }], start_date: month, end_date: second + DAY };
  const longer = await stripe.subscriptionSchedules.update(schedule.id, { phases: [phase] });
  await followed("subscription_schedule.updated");
  assert.deepEqual(ends(longer), [month, second + DAY]);
});

scheduled("the subscription of a schedule is changed and canceled directly", async (world) => {
  const { stripe, followed, advance } = world;
  const [seat, dear] = [await priceOf(world, 1200), await priceOf(world, 7900)];
  const [subscription, schedule] = await takenOver(world, seat, 5);
  await following(world, schedule, dear);
  const planned = stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
  const error = await refused(planned, INVALID, 400);
  assert.ok(error.message.includes(`managed by the subscription schedule \`${schedule.id}\``), error.message);
  await advance(INTO_MONTH);
  await followed("balance.available");
  await stripe.subscriptionItems.update(subscription.items.data[0].id, { quantity: 8 });
  await followed(...PRORATED, "subscription_schedule.updated");
  const { phases } = await stripe.subscriptionSchedules.retrieve(schedule.id);
  assert.deepEqual(phases.map((phase) => phase.items[0].quantity), [8, 5]);
  await stripe.subscriptions.cancel(subscription.id);
  await followed("customer.subscription.deleted", "subscription_schedule.canceled");
  assert.equal((await stripe.subscriptionSchedules.retrieve(schedule.id)).status, "canceled");
});

scheduled("a payment that fails for good aborts a schedule", async (world) => {
  const { stripe, followed, advance, customer } = world;
  await giveCard(world, customer, "chargeCustomerFail");
  await followed("payment_method.attached", "customer.updated");
  const phase = { items: [{ price: await priceOf(world, 2900) }], duration: { interval: "year" } };
  const schedule = await begun(world, [phase]);
  await advance(HOUR);
  await followed(
    "invoice.finalized", "customer.updated", "payment_intent.created", "payment_intent.payment_failed", "charge.failed",
    "invoice.updated", "invoice.payment_failed", "customer.subscription.updated",
  );
  assert.equal((await subscriptionOf(world, schedule)).status, "past_due");
  const failed = ["payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed"];
  await advance(15 * DAY);
  await followed(
    ...failed, ...failed, ...failed, "invoice.updated", "customer.subscription.deleted", "subscription_schedule.aborted",
  );
  assert.equal((await stripe.subscriptionSchedules.retrieve(schedule.id)).status, "canceled");
  assert.equal((await subscriptionOf(world, schedule)).cancellation_details.reason, "payment_failed");
});

scheduled("a phase brings its discount and what it sells once", async (world) => {
  const { stripe, followed, customer, month } = world;
  const price = await priceOf(world, 2900);
  const { id: coupon } = await stripe.coupons.create({ percent_off: 50, duration: "forever" });
  await followed("coupon.created");
  const { product } = await stripe.prices.retrieve(price);
  const price_data = { currency: "usd", product, unit_amount: 5000 };
  const first = {
    items: [{ price }], end_date: month, discounts: [{ coupon }], add_invoice_items: [{ price_data }],
  };
  const form = { customer, start_date: "now", phases: [first, { items: [{ price }] }] };
  const schedule = await stripe.subscriptionSchedules.create(form);
  await followed(...BEGUN, "price.created", "invoiceitem.created", "coupon.updated", "customer.discount.created");
  assert.equal(schedule.phases[0].discounts[0].coupon, coupon);
  await to(world, month + HOUR);
  await followed(
    ...COLLECTED, "balance.available", "subscription_schedule.updated", "customer.discount.deleted",
    "customer.subscription.updated", "invoice.created", ...COLLECTED,
  );
  assert.deepEqual(await invoices(world), [[[2900, 5000], "paid"], [[2900], "paid"]]);
  const { data } = await stripe.invoices.list({ customer });
  assert.deepEqual(data.map((one) => one.total), [2900, 3950]);
});

scheduled("an item has a discount of its own", async (world) => {
  const { stripe, followed, customer, month } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const { id: coupon } = await stripe.coupons.create({ percent_off: 50, duration: "forever" });
  await followed("coupon.created");
  const phases = [
    { items: [{ price: cheap, discounts: [{ coupon }] }, { price: dear }], end_date: month },
    { items: [{ price: cheap }, { price: dear }] },
  ];
  const schedule = await stripe.subscriptionSchedules.create({ customer, start_date: "now", phases });
  await followed(...BEGUN, "coupon.updated", "customer.discount.created");
  const [first, second] = schedule.phases[0].items;
  assert.deepEqual([first.discounts[0].coupon, second.discounts], [coupon, []]);
  const { items } = await subscriptionOf(world, schedule);
  assert.deepEqual(items.data.map((item) => item.discounts.length), [1, 0]);
  await to(world, month);
  await followed(
    ...COLLECTED, "balance.available", "subscription_schedule.updated", "customer.discount.deleted",
    "customer.subscription.updated", "invoice.created",
  );
  const { data } = await stripe.invoices.list({ customer });
  assert.deepEqual(data.map((one) => one.total), [10_800, 9350]);
});

scheduled("what a schedule cannot be is refused", async (world) => {
  const { stripe, advance, customer, start, month } = world;
  const phase = { items: [{ price: await priceOf(world, 2900) }] };
  const form = { customer, start_date: "now" };
  for (const [sent, code, param] of [
    [{ ...form, phases: [{ ...phase, end_date: start - 1 }] }, undefined, "phases[0][end_date]"],
    [{ ...form, phases: [{ ...phase, iterations: 2 }] }, "parameter_unknown", "phases[0][iterations]"],
    [{ customer, phases: [phase] }, "parameter_missing", "start_date"],
    [{ start_date: "now", phases: [phase] }, "parameter_missing", "customer"],
    [form, "parameter_missing", "phases"],
  ]) {
    const error = await refused(stripe.subscriptionSchedules.create(sent), INVALID, 400, code);
    assert.equal(error.param, param);
  }
  const [subscription, schedule] = await takenOver(world, phase.items[0].price);
  const from_subscription = subscription.id;
  const both = stripe.subscriptionSchedules.create({ from_subscription, phases: [phase] });
  assert.match((await refused(both, INVALID, 400)).message, /You cannot set `phases` if `from_subscription` is set/);
  const twice = stripe.subscriptionSchedules.create({ from_subscription });
  assert.match((await refused(twice, INVALID, 400)).message, /already attached to a schedule/);
  const update = (phases) => stripe.subscriptionSchedules.update(schedule.id, { phases });
  const present = { ...phase, start_date: start, end_date: month };
  for (const [phases, message] of [
    [[{ ...phase, end_date: month }], /missing at least one phase with a `start_date`/],
    [[{ ...present, start_date: start + 1 }], /can not modify the start date of the current phase/],
    [[present, { ...phase, start_date: month + 1 }], /must equal the `end_date` of the phase before it/],
  ]) {
    assert.match((await refused(update(phases), INVALID, 400)).message, message);
  }
  await advance(DAY);
  const past = await refused(update([{ ...present, end_date: start + HOUR }]), INVALID, 400);
  assert.match(past.message, /can only adjust the end date to a future date/);
});

scheduled("schedules are listed", async (world) => {
  const { stripe, followed, customer, start, month } = world;
  const phases = [{ items: [{ price: await priceOf(world, 2900) }] }];
  const make = (start_date) => stripe.subscriptionSchedules.create({ customer, phases, start_date });
  const [later, gone, now] = [await make(month), await make(month), await make("now")];
  await stripe.subscriptionSchedules.cancel(gone.id);
  const created = "subscription_schedule.created";
  await followed(created, created, ...BEGUN, "subscription_schedule.canceled");
  const listed = async (more) => ids(await stripe.subscriptionSchedules.list({ customer, ...more }));
  assert.deepEqual(await listed(), [now.id, gone.id, later.id]);
  assert.deepEqual(await listed({ scheduled: true }), [later.id]);
  assert.deepEqual(await listed({ canceled_at: { gte: start } }), [gone.id]);
  assert.deepEqual(await listed({ released_at: { gte: start } }), []);
  const expand = ["subscription", "phases.items.price"];
  const expanded = await stripe.subscriptionSchedules.retrieve(now.id, { expand });
  assert.equal(expanded.subscription.schedule, now.id);
  assert.equal(expanded.phases[0].items[0].price.unit_amount, 2900);
});
