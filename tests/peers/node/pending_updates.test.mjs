// Changes that take effect when they are paid, and not before.

import assert from "node:assert/strict";

import { DAY, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const LIFE = 23 * 3600;
const INTO_MONTH = 10 * DAY + 8 * 3600;
const CARDED = ["customer.updated", "payment_method.attached"];
const SETTLED = [
  "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", "payment_intent.succeeded",
  "charge.succeeded",
];
const INVOICED = [
  "customer.updated", "customer.subscription.updated", "invoice.created", "invoice.finalized", "payment_intent.created",
  ...SETTLED,
];
const TRIED = [
  "invoiceitem.created", "invoiceitem.created", "customer.subscription.updated", "customer.updated", "invoice.created",
  "invoice.finalized", "invoice.updated", "invoice.payment_failed", "payment_intent.created",
  "payment_intent.payment_failed", "charge.failed",
];
const DROPPED = [
  "customer.subscription.pending_update_expired", "customer.subscription.updated", "invoice.updated", "invoice.voided",
  "payment_intent.canceled",
];
const APPLIED = [
  "customer.subscription.pending_update_applied", "customer.subscription.updated", "payment_method.attached", ...SETTLED,
];
const HOW = { proration_behavior: "always_invoice", payment_behavior: "pending_if_incomplete" };

async function card({ stripe }, customer, name) {
  const method = await stripe.paymentMethods.attach(`pm_card_${name}`, { customer });
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
}

/** A scenario with a subscription whose card pays no more, in a month of thirty days. */
function behind(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, advance } = world;
    await advance(90 * DAY);
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    await card(world, customer, "visa");
    const { id: cheap } = await priced(stripe, 2900, { recurring: { interval: "month" } });
    const { id: dear } = await priced(stripe, 7900, { recurring: { interval: "month" } });
    const made = ["product.created", "price.created"];
    await followed("customer.created", ...made, ...made, ...CARDED);
    const { id, items } = await stripe.subscriptions.create({ customer, items: [{ price: cheap }] });
    await followed("customer.subscription.created", ...INVOICED);
    await advance(INTO_MONTH);
    await card(world, customer, "chargeCustomerFail");
    await followed("balance.available", ...CARDED);
    const item = items.data[0].id;
    const upgraded = (quantity = 1, more = {}) =>
      stripe.subscriptions.update(id, { items: [{ id: item, price: dear, quantity }], ...HOW, ...more });
    const now = () => stripe.subscriptions.retrieve(id);
    await play(world, { customer, id, item, dear, upgraded, now });
  });
}

const sold = (subscription) => subscription.items.data.map((item) => [item.price.unit_amount, item.quantity]);

behind("an upgrade waits until it is paid", async ({ stripe, followed, now: time }, { item, dear, upgraded, now }) => {
  const waiting = await upgraded();
  await followed(...TRIED);
  assert.deepEqual([waiting.status, sold(waiting)], ["active", [[2900, 1]]]);
  const update = waiting.pending_update;
  assert.equal(update.expires_at, (await time()) + LIFE);
  assert.deepEqual(update.subscription_items.map((one) => [one.id, one.price.id]), [[item, dear]]);
  const invoice = await stripe.invoices.retrieve(waiting.latest_invoice);
  assert.deepEqual([invoice.status, invoice.amount_due], ["open", 3278]);
  await stripe.invoices.pay(invoice.id, { payment_method: "pm_card_visa" });
  const [applied] = await followed(...APPLIED);
  assert.equal(applied.data.object.pending_update, null);
  assert.deepEqual(sold(await now()), [[7900, 1]]);
});

behind("an upgrade that is paid at once never waits", async (world, { customer, upgraded }) => {
  await card(world, customer, "visa");
  await world.followed(...CARDED);
  const changed = await upgraded();
  await world.followed("invoiceitem.created", "invoiceitem.created", ...INVOICED);
  assert.deepEqual([sold(changed), changed.pending_update], [[[7900, 1]], null]);
});

behind("nobody pays for an upgrade", async ({ stripe, followed, advance }, { upgraded, now }) => {
  const { latest_invoice } = await upgraded();
  await followed(...TRIED);
  await advance(LIFE);
  await followed(...DROPPED);
  const expired = await now();
  assert.deepEqual([sold(expired), expired.pending_update], [[[2900, 1]], null]);
  assert.equal((await stripe.invoices.retrieve(latest_invoice)).status, "void");
});

behind("another upgrade replaces one that waits, and voiding drops it", async ({ stripe, followed }, { upgraded, now }) => {
  const first = await upgraded();
  await followed(...TRIED);
  const second = await upgraded(3);
  await followed(...DROPPED, ...TRIED);
  assert.equal(second.pending_update.subscription_items[0].quantity, 3);
  assert.equal((await stripe.invoices.retrieve(first.latest_invoice)).status, "void");
  await stripe.invoices.voidInvoice(second.latest_invoice);
  await followed(...DROPPED);
  assert.equal((await now()).pending_update, null);
});

behind("only what can wait is taken", async ({ stripe, followed }, { customer, dear, upgraded }) => {
  const error = await refused(upgraded(1, { description: "More" }), INVALID, 400);
  assert.equal(error.param, "description");
  assert.match(error.message, /you can only pass supported params/);
  const form = { customer, items: [{ price: dear }], payment_behavior: "pending_if_incomplete" };
  await refused(stripe.subscriptions.create(form), INVALID, 400);
  await followed();
});

behind("an item that is added waits", async ({ stripe, followed }, { id, dear, now }) => {
  const item = await stripe.subscriptionItems.create({ subscription: id, price: dear, ...HOW });
  await followed(...TRIED.slice(1));
  const waiting = await now();
  assert.deepEqual([item.price.id, sold(waiting)], [dear, [[2900, 1]]]);
  assert.equal(waiting.pending_update.subscription_items.length, 2);
  await stripe.invoices.pay(waiting.latest_invoice, { payment_method: "pm_card_visa" });
  assert.deepEqual(sold(await now()), [[2900, 1], [7900, 1]]);
  await followed(...APPLIED);
});
