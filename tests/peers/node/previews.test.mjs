// Invoices before they are made: what they will come to, and that nothing is kept of it.

import assert from "node:assert/strict";

import { DAY, amountsOf, preview, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const INTO_MONTH = 10 * DAY + 8 * 3600;
const FIRST_PAID = [
  "customer.updated", "customer.subscription.created", "customer.subscription.updated",
  "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
];
const INVOICED = FIRST_PAID.filter((kind) => kind !== "customer.subscription.created");

/** A scenario with a customer whose invoices a card pays, at the beginning of a month of thirty days. */
function buyer(name, play) {
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

async function monthly({ stripe, followed }, amount) {
  const { id } = await priced(stripe, amount, { recurring: { interval: "month" } });
  await followed("product.created", "price.created");
  return id;
}

async function subscribed(world, customer, price) {
  const subscription = await world.stripe.subscriptions.create({ customer, items: [{ price }] });
  await world.followed(...FIRST_PAID);
  return subscription;
}

buyer("the next month is previewed", async (world, customer) => {
  const { stripe, followed } = world;
  const { id: subscription, items } = await subscribed(world, customer, await monthly(world, 2900));
  await stripe.invoiceItems.create({ customer, currency: "usd", amount: -300 });
  await followed("invoiceitem.created");
  const made = await preview(world, { subscription });
  const end = items.data[0].current_period_end;
  assert.deepEqual([amountsOf(made), made.amount_due, made.created], [[2900, -300], 2600, end]);
  assert.equal(made.next_payment_attempt, end + 3600);
  assert.equal(made.parent.subscription_details.subscription, subscription);
  await refused(stripe.invoices.retrieve(made.id), INVALID, 404, "resource_missing");
  assert.equal((await stripe.invoices.list({ customer })).data.length, 1);
});

buyer("an upgrade costs what was previewed", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const { id: subscription, items } = await subscribed(world, customer, await monthly(world, 2900));
  const dear = await monthly(world, 7900);
  const proration_date = await advance(INTO_MONTH);
  await stripe.balance.retrieve();
  await followed("balance.available");
  const change = {
    items: [{ id: items.data[0].id, price: dear }], proration_behavior: "always_invoice", proration_date,
  };
  const made = await preview(world, { subscription, subscription_details: change });
  assert.deepEqual([amountsOf(made), made.total], [[-1901, 5179], 3278]);
  assert.ok(made.lines.data.every((line) => line.parent.subscription_item_details.proration));
  await advance(300);
  const { latest_invoice } = await stripe.subscriptions.update(subscription, change);
  const invoice = await stripe.invoices.retrieve(latest_invoice);
  assert.deepEqual([amountsOf(invoice), invoice.total], [amountsOf(made), made.total]);
  await followed("invoiceitem.created", "invoiceitem.created", ...INVOICED);
});

buyer("an upgrade is previewed on the next invoice", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const { id: subscription, items } = await subscribed(world, customer, await monthly(world, 2900));
  const dear = await monthly(world, 7900);
  await advance(INTO_MONTH);
  await stripe.balance.retrieve();
  await followed("balance.available");
  const item = { id: items.data[0].id, price: dear };
  for (const [proration_behavior, expected] of [["create_prorations", [7900, -1901, 5179]], ["none", [7900]]]) {
    const made = await preview(world, { subscription, subscription_details: { items: [item], proration_behavior } });
    assert.deepEqual(amountsOf(made), expected, proration_behavior);
  }
  assert.deepEqual((await stripe.invoiceItems.list({ customer })).data, []);
});

buyer("there is nothing to come", async (world, customer) => {
  const { stripe, followed } = world;
  const { id: subscription } = await subscribed(world, customer, await monthly(world, 2900));
  for (const details of [{ cancel_at_period_end: true }, { cancel_now: true, proration_behavior: "none" }]) {
    const form = { subscription, subscription_details: details };
    await refused(stripe.invoices.createPreview(form), INVALID, 404, "invoice_upcoming_none");
  }
  const made = await preview(world, { subscription, subscription_details: { cancel_now: true } });
  assert.deepEqual(amountsOf(made), [-2900]);
  await assert.rejects(stripe.invoices.createPreview({ customer }), /You must provide at least one of: `subscription`/);
  await followed();
});

buyer("what is not sold yet is previewed", async (world) => {
  const { stripe, followed } = world;
  const plan = await monthly(world, 4900);
  const once = [(await priced(stripe, 29_900)).id, (await priced(stripe, 9900)).id];
  const { id: coupon } = await stripe.coupons.create({ percent_off: 15 });
  const { id: promotion_code } = await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon } });
  const made = ["product.created", "price.created"];
  await followed(...made, ...made, "coupon.created", "promotion_code.created");
  const sold = { invoice_items: once.map((price) => ({ price, quantity: 1 })), discounts: [{ promotion_code }] };
  const alone = await preview(world, sold);
  assert.deepEqual([amountsOf(alone), alone.total], [[29_900, 9900], 33_830]);
  const withPlan = { ...sold, subscription_details: { items: [{ price: plan }] } };
  const first = await preview(world, withPlan);
  assert.deepEqual([amountsOf(first), first.total], [[4900, 29_900, 9900], 37_995]);
  const later = await preview(world, { ...withPlan, preview_mode: "recurring" });
  assert.deepEqual([amountsOf(later), later.total], [[4900], 4900]);
});

buyer("tax is previewed where the customer is", async (world, customer) => {
  const made = await preview(world, {
    customer, automatic_tax: { enabled: true }, customer_details: { address: { country: "DE" } },
    subscription_details: { items: [{ price: await monthly(world, 2900) }] },
  });
  assert.deepEqual([made.total_excluding_tax, made.total, made.customer], [2900, 3451, customer]);
});
