// Meters: usage reported, added up, taken back, and billed when its period is over.

import assert from "node:assert/strict";

import { DAY, START, ids, priced, refused, scenario } from "./support.mjs";

const NOW = Number(START);
const DONE = "https://example.com/done";
const INVALID = "StripeInvalidRequestError";

async function metered({ stripe, followed }, formula = "sum") {
  const form = { display_name: "Calls", event_name: "calls", default_aggregation: { formula } };
  const meter = await stripe.billing.meters.create(form);
  await followed("billing.meter.created");
  return meter;
}

async function jenny({ stripe, followed }) {
  const customer = await stripe.customers.create({ email: "jenny@example.com" });
  await followed("customer.created");
  return customer;
}

const report = (stripe, customer, value, more = {}) =>
  stripe.billing.meterEvents.create({
    event_name: "calls", payload: { stripe_customer_id: customer.id, value: String(value) }, ...more,
  });

/** What a customer used from a day before now to a day after, each with when it began. */
async function used(stripe, meter, customer, more = {}) {
  const today = NOW - (NOW % DAY);
  const form = { customer: customer.id, start_time: today - DAY, end_time: today + 2 * DAY, ...more };
  const { data } = await stripe.billing.meters.listEventSummaries(meter.id, form);
  return data.map((one) => [one.start_time, one.aggregated_value]);
}

scenario("a meter is made, renamed and put out of use", async (world) => {
  const { stripe, followed } = world;
  const meter = await metered(world);
  assert.ok(meter.id.startsWith("mtr_"));
  assert.deepEqual([meter.status, meter.customer_mapping.event_payload_key], ["active", "stripe_customer_id"]);
  const second = { display_name: "More", event_name: "calls", default_aggregation: { formula: "count" } };
  await refused(stripe.billing.meters.create(second), INVALID, 400, undefined);
  await stripe.billing.meters.update(meter.id, { display_name: "API calls" });
  const [updated] = await followed("billing.meter.updated");
  assert.deepEqual(updated.data.previous_attributes, { display_name: "Calls" });
  const off = await stripe.billing.meters.deactivate(meter.id);
  assert.deepEqual([off.status, off.status_transitions.deactivated_at], ["inactive", NOW]);
  await followed("billing.meter.deactivated");
  await refused(report(stripe, await jenny(world), 1), INVALID, 400, "resource_missing");
  assert.deepEqual(ids(await stripe.billing.meters.list({ status: "inactive" })), [meter.id]);
  assert.equal((await stripe.billing.meters.reactivate(meter.id)).status, "active");
  await followed("billing.meter.reactivated");
  assert.equal((await stripe.billing.meters.retrieve(meter.id)).display_name, "API calls");
});

scenario("usage is added up by hour and by day", async (world) => {
  const { stripe, followed } = world;
  const [meter, customer] = [await metered(world), await jenny(world)];
  for (const [ago, value] of [[DAY, 4], [3600, "2.5"], [0, 3], [0, -1]]) {
    const event = await report(stripe, customer, value, { timestamp: NOW - ago });
    assert.deepEqual([event.timestamp, event.created], [NOW - ago, NOW]);
  }
  const today = NOW - (NOW % DAY);
  assert.deepEqual(await used(stripe, meter, customer), [[today - DAY, 8.5]]);
  const days = await used(stripe, meter, customer, { value_grouping_window: "day" });
  assert.deepEqual(days, [[today, 4.5], [today - DAY, 4]]);
  const hours = await used(stripe, meter, customer, { value_grouping_window: "hour" });
  assert.deepEqual(hours, [[NOW, 2], [NOW - 3600, 2.5], [NOW - DAY, 4]]);
  await followed();
});

scenario("the last value or the number of events counts", async (world) => {
  const { stripe, followed } = world;
  const customer = await jenny(world);
  for (const [formula, counted] of [["last", 7], ["count", 3]]) {
    const meter = await metered(world, formula);
    for (const [ago, value] of [[0, 7], [600, 100], [60, 50]]) await report(stripe, customer, value, { timestamp: NOW - ago });
    assert.deepEqual((await used(stripe, meter, customer)).map(([, value]) => value), [counted]);
    await stripe.billing.meters.deactivate(meter.id);
    await followed("billing.meter.deactivated");
  }
});

scenario("an identifier counts once a day and is taken back", async (world) => {
  const { stripe } = world;
  const [meter, customer] = [await metered(world), await jenny(world)];
  const named = () => report(stripe, customer, 5, { identifier: "row-1" });
  assert.equal((await named()).identifier, "row-1");
  await report(stripe, customer, 1);
  const error = await refused(named(), INVALID, 400, undefined);
  assert.match(error.message, /An event already exists with identifier row-1\./);
  const form = { event_name: "calls", type: "cancel", cancel: { identifier: "row-1" } };
  const adjustment = await stripe.billing.meterEventAdjustments.create(form);
  assert.deepEqual([adjustment.status, adjustment.cancel.identifier], ["complete", "row-1"]);
  assert.deepEqual((await used(stripe, meter, customer)).map(([, value]) => value), [1]);
  await refused(stripe.billing.meterEventAdjustments.create(form), INVALID, 400, undefined);
  await world.advance(DAY);
  await named();
  await world.advance(DAY);
  await refused(stripe.billing.meterEventAdjustments.create(form), INVALID, 400, "resource_missing");
});

scenario("usage that cannot be is refused", async (world) => {
  const { stripe } = world;
  await metered(world);
  const customer = await jenny(world);
  for (const [form, param] of [
    [{ timestamp: NOW - 35 * DAY - 1 }, "timestamp"],
    [{ timestamp: NOW + 301 }, "timestamp"],
    [{ payload: { stripe_customer_id: "cus_nobody", value: "1" } }, "payload[stripe_customer_id]"],
    [{ payload: { value: "1" } }, "payload[stripe_customer_id]"],
    [{ payload: { stripe_customer_id: customer.id, value: "many" } }, "payload[value]"],
    [{ event_name: "visits" }, "event_name"],
  ]) {
    await assert.rejects(report(stripe, customer, 1, form), { type: INVALID, statusCode: 400, param });
  }
  await report(stripe, customer, 1, { timestamp: NOW - 35 * DAY });
  await report(stripe, customer, 1, { timestamp: NOW + 300 });
});

const perCall = (stripe, meter) =>
  priced(stripe, 5, { recurring: { interval: "month", usage_type: "metered", meter: meter.id } });

scenario("a metered price needs a meter and takes no quantity", async (world) => {
  const { stripe, followed } = world;
  const price = await perCall(stripe, await metered(world));
  assert.equal(price.recurring.usage_type, "metered");
  await followed("product.created", "price.created");
  const customer = await jenny(world);
  for (const recurring of [{ usage_type: "metered" }, { usage_type: "licensed", meter: price.recurring.meter }]) {
    const terms = { product: price.product, currency: "usd", unit_amount: 1, recurring: { interval: "month", ...recurring } };
    await assert.rejects(stripe.prices.create(terms), { type: INVALID, param: "recurring[meter]" });
  }
  const items = [{ price: price.id, quantity: 2 }];
  const subscribed = stripe.subscriptions.create({ customer: customer.id, items });
  assert.equal((await refused(subscribed, INVALID, 400, undefined)).param, "items[0][quantity]");
  const session = stripe.checkout.sessions.create({ mode: "subscription", line_items: items, success_url: DONE });
  const error = await refused(session, INVALID, 400, undefined);
  assert.match(error.message, /Quantity should not be specified where usage_type is `metered`\./);
  assert.deepEqual(ids(await stripe.prices.list({ recurring: { meter: price.recurring.meter } })), [price.id]);
  await followed();
});

scenario("usage is billed when its period is over", async (world) => {
  const { stripe } = world;
  const [meter, customer] = [await metered(world), await jenny(world)];
  const [calls, flat] = [await perCall(stripe, meter), await priced(stripe, 2900, { recurring: { interval: "month" } })];
  const session = await stripe.checkout.sessions.create({
    mode: "subscription", customer: customer.id, success_url: DONE,
    line_items: [{ price: flat.id, quantity: 1 }, { price: calls.id }], expand: ["line_items"],
  });
  const lines = session.line_items.data.map((line) => [line.quantity, line.amount_total]);
  assert.deepEqual([session.amount_total, lines], [2900, [[1, 2900], [null, 0]]]);
  assert.equal((await world.pay(session.url)).status, 303);
  const { data: [subscription] } = await stripe.subscriptions.list({ customer: customer.id });
  const item = subscription.items.data[1];
  assert.deepEqual(["quantity" in item, item.plan.usage_type, item.plan.meter], [false, "metered", meter.id]);
  for (const value of [10, 20, 12]) {
    await report(stripe, customer, value);
    await world.advance(DAY);
  }
  await world.advance(30 * DAY);
  const { data: [renewal] } = await stripe.invoices.list({ limit: 1 });
  assert.deepEqual([renewal.billing_reason, renewal.status, renewal.total], ["subscription_cycle", "paid", 2900 + 42 * 5]);
  const billed = renewal.lines.data.find((line) => line.pricing.price_details.price === calls.id);
  assert.deepEqual([billed.quantity, billed.amount], [42, 210]);
});
