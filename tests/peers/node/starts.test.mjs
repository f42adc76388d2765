// How subscriptions begin and end within periods, to the cent, and what is sold once with them.

import assert from "node:assert/strict";

import { DAY, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const INTO_MONTH = 10 * DAY + 8 * 3600;
const FIRST_PAID = [
  "customer.updated", "customer.subscription.created", "customer.subscription.updated",
  "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
];
// Of a subscription that begins with no invoice.
const BEGUN = ["customer.subscription.created"];
const byNumber = (one, other) => one - other;

/** A scenario with a customer whose invoices a card pays, at the beginning of a month of thirty days. */
function buyer(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, advance } = world;
    const start = await advance(90 * DAY);
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    await followed("customer.created", "customer.updated", "payment_method.attached");
    await play(world, customer, start);
  });
}

async function a({ stripe, followed }, amount, more = {}) {
  const { id } = await priced(stripe, amount, more);
  await followed("product.created", "price.created");
  return id;
}

const monthly = (world, amount) => a(world, amount, { recurring: { interval: "month" } });

async function subscribed({ stripe, followed }, customer, price, more = {}, events = FIRST_PAID) {
  const subscription = await stripe.subscriptions.create({ customer, items: [{ price }], ...more });
  await followed(...events);
  return subscription;
}

async function amounts({ stripe }, subscription) {
  const invoice = await stripe.invoices.retrieve(subscription.latest_invoice);
  return invoice.lines.data.map((line) => line.amount);
}

async function waiting({ stripe }, customer) {
  const { data } = await stripe.invoiceItems.list({ customer, pending: true, limit: 100 });
  return data.map((item) => item.amount).reverse();
}

buyer("the time until an anchor is billed in part or free", async (world, customer, start) => {
  const { stripe, followed } = world;
  const price = await monthly(world, 3000);
  const billing_cycle_anchor = start + 10 * DAY;
  const part = await subscribed(world, customer, price, { billing_cycle_anchor });
  assert.deepEqual(await amounts(world, part), [Math.round((3000 * 10) / 31)]);
  const [item] = part.items.data;
  assert.deepEqual([part.billing_cycle_anchor, item.current_period_end], [billing_cycle_anchor, billing_cycle_anchor]);
  const free = await subscribed(world, customer, price, { billing_cycle_anchor, proration_behavior: "none" }, BEGUN);
  assert.deepEqual([free.status, free.latest_invoice], ["active", null]);
  const late = { customer, items: [{ price }], billing_cycle_anchor: start + 32 * DAY };
  const error = await refused(stripe.subscriptions.create(late), INVALID, 400);
  assert.match(error.message, /cannot be later than next natural billing date/);
  await followed();
});

buyer("the last day of the month is an anchor", async (world, customer) => {
  const config = { billing_cycle_anchor_config: { day_of_month: 31 } };
  const subscription = await subscribed(world, customer, await monthly(world, 3000), config);
  assert.equal(subscription.billing_cycle_anchor_config.day_of_month, 31);
  assert.ok((await amounts(world, subscription))[0] < 3000);
});

buyer("a subscription began earlier", async (world, customer, now) => {
  const price = await monthly(world, 2900);
  const backdate_start_date = now - 61 * DAY;
  const flexible = await subscribed(world, customer, price, { backdate_start_date });
  assert.deepEqual([flexible.start_date, flexible.billing_cycle_anchor], [backdate_start_date, backdate_start_date]);
  assert.deepEqual((await amounts(world, flexible)).slice(0, 2), [2900, 2900]);
  const mode = { billing_mode: { type: "classic" } };
  const classic = await subscribed(world, customer, price, { backdate_start_date, ...mode });
  assert.equal((await amounts(world, classic)).length, 2);
  assert.deepEqual([classic.start_date, classic.billing_cycle_anchor], [backdate_start_date, now]);
});

buyer("things are sold once with a subscription", async (world, customer) => {
  const { stripe, followed } = world;
  const price = await monthly(world, 2900);
  const setup = await a(world, 5000);
  const more = { add_invoice_items: [{ price: setup }] };
  const subscription = await subscribed(world, customer, price, more, [...FIRST_PAID, "invoiceitem.created"]);
  assert.deepEqual(await amounts(world, subscription), [2900, 5000]);
  await stripe.subscriptions.update(subscription.id, { add_invoice_items: [{ price: setup, quantity: 2 }] });
  await followed("invoiceitem.created");
  assert.deepEqual(await waiting(world, customer), [10_000]);
});

buyer("a subscription ends within its period", async (world, customer, start) => {
  const { stripe, followed } = world;
  const { id } = await subscribed(world, customer, await monthly(world, 3000));
  await stripe.subscriptions.update(id, { cancel_at: start + 20 * DAY });
  await followed("customer.subscription.updated", "invoiceitem.created");
  assert.deepEqual(await waiting(world, customer), [-1000]);
  await stripe.subscriptions.update(id, { cancel_at: "" });
  await followed("customer.subscription.updated", "invoiceitem.created");
  assert.deepEqual(await waiting(world, customer), [-1000, 1000]);
});

buyer("subscriptions and invoices are found", async (world, customer) => {
  const { stripe, followed } = world;
  const metadata = { order: "6735" };
  const { id, latest_invoice } = await subscribed(world, customer, await monthly(world, 2900), { metadata });
  const found = await stripe.subscriptions.search({ query: "metadata['order']:'6735' AND status:'active'" });
  assert.deepEqual([found.data.map((one) => one.id), found.has_more], [[id], false]);
  const invoices = await stripe.invoices.search({ query: `subscription:'${id}' AND total>=2900` });
  assert.deepEqual(invoices.data.map((one) => one.id), [latest_invoice]);
  await refused(stripe.invoices.search({ query: "amount_due>0" }), INVALID, 400);
  await followed();
});

buyer("a subscription is migrated", async (world, customer, start) => {
  const { stripe, followed } = world;
  const { id } = await subscribed(world, customer, await monthly(world, 2900), { billing_mode: { type: "classic" } });
  const migrated = await stripe.subscriptions.migrate(id, { billing_mode: { type: "flexible" } });
  await followed("customer.subscription.updated");
  assert.deepEqual([migrated.billing_mode.type, migrated.billing_mode.updated_at], ["flexible", start]);
  await refused(stripe.subscriptions.migrate(id, { billing_mode: { type: "flexible" } }), INVALID, 400);
});

buyer("a trial begins in a paid month", async (world, customer, start) => {
  const { stripe, followed, advance } = world;
  const { id } = await subscribed(world, customer, await monthly(world, 2900));
  await advance(INTO_MONTH);
  const trial_end = start + 40 * DAY;
  const trial = await stripe.subscriptions.update(id, { trial_end });
  assert.deepEqual([trial.status, trial.trial_end, trial.billing_cycle_anchor], ["trialing", trial_end, trial_end]);
  assert.deepEqual((await amounts(world, trial)).sort(byNumber), [-1901, 0]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -1901);
  await followed(
    "balance.available", "invoiceitem.created", "customer.subscription.updated", "customer.updated", "customer.updated",
    "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  );
});

buyer("usage has no line until there is some", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const { id: meter } = await stripe.billing.meters.create({
    display_name: "Calls", event_name: "calls", default_aggregation: { formula: "sum" },
  });
  await followed("billing.meter.created");
  const price = await a(world, 2, { recurring: { interval: "month", usage_type: "metered", meter } });
  const { id, status, latest_invoice, items } = await subscribed(world, customer, price, {}, BEGUN);
  assert.deepEqual([status, latest_invoice], ["active", null]);
  const payload = { stripe_customer_id: customer, value: "50" };
  await stripe.billing.meterEvents.create({ event_name: "calls", payload });
  await advance(DAY);
  const other = await monthly(world, 100);
  const gone = { id: items.data[0].id, deleted: true, clear_usage: true };
  await stripe.subscriptions.update(id, { items: [{ price: other }, gone] });
  await followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created");
  assert.deepEqual((await waiting(world, customer)).sort(byNumber), [97, 100]);
});

buyer("the currency is that of the prices", async (world, customer) => {
  const { stripe, followed } = world;
  const dollars = await monthly(world, 3000);
  const euros = await a(world, 3000, { currency: "eur", recurring: { interval: "month" } });
  const { id, items } = await subscribed(world, customer, dollars, { currency: "usd" });
  const form = { customer, items: [{ price: dollars }], currency: "eur" };
  const other = await refused(stripe.subscriptions.create(form), INVALID, 400);
  assert.match(other.message, /only supports `usd`\. This doesn't match the expected currency: `eur`\./);
  assert.equal(other.param, "currency");
  const change = { items: [{ id: items.data[0].id, price: euros }] };
  const changed = await refused(stripe.subscriptions.update(id, change), INVALID, 400);
  assert.match(changed.message, /only supports `eur`\. This doesn't match the expected currency: `usd`\./);
  assert.equal(changed.param, "items[0][price]");
  await followed();
});
