// Changes of subscriptions within a period, to the cent, in both billing modes.

import assert from "node:assert/strict";

import { DAY, priced, refused, scenario } from "./support.mjs";

// All but 0.6555… of a month of thirty days has passed then.
const INTO_MONTH = 10 * DAY + 8 * 3600;
const FIRST_PAID = [
  "customer.updated", "customer.subscription.created", "customer.subscription.updated",
  "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
];
const INVOICED = FIRST_PAID.filter((kind) => kind !== "customer.subscription.created");
/** A change that waits for the next invoice. */
const PRORATED = ["customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"];

/** A scenario with a customer whose invoices a card pays, at the beginning of a month of thirty days. */
function subscriber(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, advance } = world;
    await advance(90 * DAY);
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    await followed("customer.created", "customer.updated", "payment_method.attached");
    await play(world, customer);
  });
}

/** The id of a price per month, or per another interval; `before` are events that have come meanwhile. */
async function priceOf({ stripe, followed }, amount, interval = "month", before = []) {
  const { id } = await priced(stripe, amount, { recurring: { interval } });
  await followed("product.created", "price.created", ...before);
  return id;
}

/** A price made after money has become available. */
const laterPriceOf = (world, amount, interval) => priceOf(world, amount, interval, ["balance.available"]);

async function subscribed({ stripe }, customer, price, quantity = 1, mode = "flexible", more = {}) {
  const form = { customer, items: [{ price, quantity }], billing_mode: { type: mode }, ...more };
  const subscription = await stripe.subscriptions.create(form);
  assert.equal(subscription.status, "active");
  return subscription;
}

/** A subscription to a price of its own whose first invoice is paid. */
async function subscribedTo(world, customer, amount, mode) {
  const subscription = await subscribed(world, customer, await priceOf(world, amount), 1, mode);
  await world.followed(...FIRST_PAID);
  return subscription;
}

const changed = ({ stripe }, subscription, item, more = {}) =>
  stripe.subscriptions.update(subscription.id, { items: [{ id: subscription.items.data[0].id, ...item }], ...more });

async function waiting({ stripe }, customer) {
  const { data } = await stripe.invoiceItems.list({ customer, pending: true, limit: 100 });
  return data.map((item) => item.amount).reverse();
}

/** The latest invoice of a subscription, and the amounts of its lines, the least first. */
async function latest({ stripe }, subscription) {
  const invoice = await stripe.invoices.retrieve(subscription.latest_invoice);
  return [invoice, invoice.lines.data.map((line) => line.amount).sort((one, other) => one - other)];
}

/** In either mode the same two invoice items wait. */
function prorates(name, [old, credit], [next, debit], { quantities = [1, 1], percent_off } = {}) {
  subscriber(name, async (world, customer) => {
    const { stripe, followed, advance } = world;
    for (const mode of ["flexible", "classic"]) {
      const first = await priceOf(world, old);
      const discounts = {};
      const counted = [];
      if (percent_off) {
        const coupon = await stripe.coupons.create({ percent_off, duration: "forever" });
        await followed("coupon.created");
        discounts.discounts = [{ coupon: coupon.id }];
        counted.push("coupon.updated", "customer.discount.created");
      }
      const subscription = await subscribed(world, customer, first, quantities[0], mode, discounts);
      await followed(...FIRST_PAID, ...counted);
      await advance(INTO_MONTH);
      await stripe.balance.retrieve();
      await followed("balance.available");
      const price = old === next ? first : await priceOf(world, next);
      await changed(world, subscription, { price, quantity: quantities[1] });
      const [event] = await followed(...PRORATED);
      assert.ok("items" in event.data.previous_attributes, mode);
      assert.deepEqual(await waiting(world, customer), [credit, debit], mode);
      const { data: items } = await stripe.invoiceItems.list({ customer, pending: true });
      assert.equal(items.at(-1).proration, true, mode);
      assert.equal((await stripe.subscriptions.cancel(subscription.id, { invoice_now: false })).status, "canceled", mode);
      await followed("customer.subscription.deleted");
      for (const item of (await stripe.invoiceItems.list({ customer, pending: true })).data) {
        await stripe.invoiceItems.del(item.id);
      }
      await followed("invoiceitem.deleted", "invoiceitem.deleted");
      // To the beginning of a month of thirty days again.
      if (mode === "flexible") await advance(61 * DAY - INTO_MONTH);
    }
  });
}

prorates("a dearer plan", [2900, -1901], [7900, 5179]);

prorates("a cheaper plan", [7900, -5179], [2900, 1901]);

prorates("more seats", [1200, -3933], [1200, 6293], { quantities: [5, 8] });

prorates("a dearer plan with a fifth off", [2900, -1521], [7900, 4143], { percent_off: 20 });

subscriber("exactly half", async (world, customer) => {
  const { followed, advance } = world;
  const subscription = await subscribedTo(world, customer, 1000);
  await advance(15 * DAY);
  await changed(world, subscription, { price: await laterPriceOf(world, 2000) });
  await followed(...PRORATED);
  assert.deepEqual(await waiting(world, customer), [-500, 1000]);
});

subscriber("a year that begins today", async (world, customer) => {
  const { followed, advance, now } = world;
  const subscription = await subscribedTo(world, customer, 2900);
  await advance(INTO_MONTH);
  const price = await laterPriceOf(world, 29_000, "year");
  const yearly = await changed(world, subscription, { price }, { billing_cycle_anchor: { type: "now" } });
  await followed("invoiceitem.created", ...INVOICED);
  const [invoice, amounts] = await latest(world, yearly);
  assert.deepEqual([amounts, invoice.total, invoice.status], [[-1901, 29_000], 27_099, "paid"]);
  assert.deepEqual([invoice.billing_reason, yearly.billing_cycle_anchor], ["subscription_update", await now()]);
});

subscriber("a year begins by itself in classic mode", async (world, customer) => {
  const { followed, advance } = world;
  const subscription = await subscribedTo(world, customer, 2900, "classic");
  await advance(INTO_MONTH);
  const yearly = await changed(world, subscription, { price: await laterPriceOf(world, 29_000, "year") });
  await followed("invoiceitem.created", ...INVOICED);
  const [invoice, amounts] = await latest(world, yearly);
  assert.deepEqual([amounts, invoice.total, invoice.status], [[-1901, 29_000], 27_099, "paid"]);
});

subscriber("what is less than nothing becomes credit", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const subscription = await subscribedTo(world, customer, 7900);
  await advance(INTO_MONTH);
  const price = await laterPriceOf(world, 2900);
  const cheaper = await changed(world, subscription, { price }, { proration_behavior: "always_invoice" });
  const [invoice] = await latest(world, cheaper);
  assert.deepEqual([invoice.total, invoice.amount_due, invoice.status], [-3278, 0, "paid"]);
  assert.deepEqual([invoice.starting_balance, invoice.ending_balance], [0, -3278]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -3278);
  const { data: moved } = await stripe.customers.listBalanceTransactions(customer);
  assert.deepEqual(moved.map((one) => [one.amount, one.type, one.invoice]), [[-3278, "applied_to_invoice", invoice.id]]);
  await followed(
    ...PRORATED, "customer.updated", "customer.updated",
    "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  );
});

subscriber("items come and go", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const { id: subscription } = await subscribedTo(world, customer, 2900);
  await advance(INTO_MONTH);
  const seats = await laterPriceOf(world, 1000);
  const item = await stripe.subscriptionItems.create({ subscription, price: seats, quantity: 2 });
  await followed("customer.subscription.updated", "invoiceitem.created");
  await stripe.subscriptionItems.update(item.id, { quantity: 4, proration_behavior: "none" });
  await followed("customer.subscription.updated");
  assert.deepEqual(await waiting(world, customer), [1311]);
  const { data: listed } = await stripe.subscriptionItems.list({ subscription });
  assert.deepEqual(listed.map((one) => one.quantity).sort(), [1, 4]);
  assert.equal((await stripe.subscriptionItems.del(item.id)).deleted, true);
  await followed("customer.subscription.updated", "invoiceitem.created");
  assert.deepEqual(await waiting(world, customer), [1311, -1311]);
  await refused(stripe.subscriptionItems.retrieve(item.id), "StripeInvalidRequestError", 404, "resource_missing");
});

subscriber("a change that cannot be paid", async (world, customer) => {
  const { stripe, followed } = world;
  const subscription = await subscribedTo(world, customer, 1200);
  const bad = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer });
  await stripe.subscriptions.update(subscription.id, { default_payment_method: bad.id });
  await followed("payment_method.attached", "customer.subscription.updated");
  const more = (form) => changed(world, subscription, { quantity: 9 }, { proration_behavior: "always_invoice", ...form });
  const error = await refused(more({ payment_behavior: "error_if_incomplete" }), "StripeCardError", 402, "card_declined");
  assert.equal(error.decline_code, "generic_decline");
  await followed();
  const unpaid = await more();
  assert.deepEqual([unpaid.status, unpaid.items.data[0].quantity], ["past_due", 9]);
  await followed(
    ...PRORATED, "customer.subscription.updated", "customer.updated",
    "invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_failed",
    "payment_intent.created", "payment_intent.payment_failed", "charge.failed",
  );
  await stripe.invoices.pay(unpaid.latest_invoice, { payment_method: "pm_card_visa" });
  assert.equal((await stripe.subscriptions.retrieve(subscription.id)).status, "active");
  await followed(
    "payment_method.attached", "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid",
    "payment_intent.succeeded", "charge.succeeded", "customer.subscription.updated",
  );
});
