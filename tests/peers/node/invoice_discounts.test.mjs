// Discounts wherever something is invoiced: subscriptions bought on a page, items, invoices made by hand, changes.

import assert from "node:assert/strict";

import { DAY, RETURN, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const INTO_MONTH = 10 * DAY + 8 * 3600;
const FIRST_PAID = [
  "customer.updated", "customer.subscription.created", "customer.subscription.updated",
  "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
];
const REDEEMED = ["coupon.updated", "customer.discount.created"];

/** A scenario with a customer whose invoices a card pays, at the beginning of a month of thirty days. */
function buyer(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, advance } = world;
    await advance(90 * DAY);
    const { id: customer } = await stripe.customers.create({ name: "Jenny", email: "jenny@example.com" });
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

async function couponOf({ stripe, followed }, terms) {
  const { id } = await stripe.coupons.create({ duration: "forever", ...terms });
  await followed("coupon.created");
  return id;
}

buyer("a subscription is bought with a code", async (world, customer) => {
  const { stripe, followed } = world;
  const price = await monthly(world, 2900);
  const coupon = await couponOf(world, { percent_off: 20 });
  const { id: promotion_code } = await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon } });
  await followed("promotion_code.created");
  const { id, url, amount_subtotal, amount_total } = await stripe.checkout.sessions.create({
    mode: "subscription", customer, line_items: [{ price, quantity: 1 }], success_url: RETURN,
    discounts: [{ promotion_code }],
  });
  assert.deepEqual([amount_subtotal, amount_total], [2900, 2320]);
  assert.equal((await world.pay(url)).status, 303);
  const session = await stripe.checkout.sessions.retrieve(id, { expand: ["subscription", "invoice"] });
  assert.deepEqual([session.payment_status, session.invoice.total], ["paid", 2320]);
  assert.equal(session.subscription.discounts.length, 1);
  assert.equal((await stripe.promotionCodes.retrieve(promotion_code)).times_redeemed, 1);
  const completed = ["promotion_code.updated", "payment_method.attached", "checkout.session.completed"];
  await followed(...FIRST_PAID, ...REDEEMED, ...completed);
});

buyer("an invoice made by hand is discounted", async (world, customer) => {
  const { stripe, followed } = world;
  const fifth = await couponOf(world, { percent_off: 20 });
  const ten = await couponOf(world, { amount_off: 1000, currency: "usd" });
  const currency = "usd";
  await stripe.invoiceItems.create({ customer, currency, amount: 5000, discounts: [{ coupon: fifth }] });
  await stripe.invoiceItems.create({ customer, currency, amount: 3000 });
  const invoice = await stripe.invoices.create({
    customer, pending_invoice_items_behavior: "include", discounts: [{ coupon: ten }], expand: ["discounts"],
  });
  assert.deepEqual([invoice.subtotal, invoice.total], [8000, 6000]);
  assert.deepEqual([invoice.discounts[0].invoice, invoice.discounts[0].source.coupon], [invoice.id, ten]);
  await followed("coupon.updated", "coupon.updated", "invoiceitem.created", "invoiceitem.created", "invoice.created");
  const bare = await stripe.invoices.update(invoice.id, { discounts: "" });
  assert.deepEqual([bare.total, bare.discounts], [7000, []]);
  await followed("invoice.updated");
  const call = stripe.invoices.update(invoice.id, { discounts: [{ coupon: "none" }] });
  const error = await refused(call, INVALID, 400, "resource_missing");
  assert.equal(error.param, "discounts[0][coupon]");
});

buyer("an item has a discount of its own", async (world, customer) => {
  const { stripe, followed } = world;
  const [base, seats] = [await monthly(world, 2900), await monthly(world, 1000)];
  const coupon = await couponOf(world, { percent_off: 20 });
  const items = [{ price: base }, { price: seats, discounts: [{ coupon }] }];
  const subscription = await stripe.subscriptions.create({ customer, items });
  await followed(...FIRST_PAID, ...REDEEMED);
  assert.equal((await stripe.invoices.retrieve(subscription.latest_invoice)).total, 3700);
  const item = subscription.items.data[1];
  assert.deepEqual([item.discounts.length, subscription.discounts], [1, []]);
  const changed = await stripe.subscriptionItems.update(item.id, { discounts: "" });
  assert.deepEqual(changed.discounts, []);
  await followed("customer.subscription.updated");
});

buyer("an amount off is in what a change costs", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const [old, dear] = [await monthly(world, 2900), await monthly(world, 7900)];
  const coupon = await couponOf(world, { amount_off: 1000, currency: "usd" });
  const form = { customer, items: [{ price: old }], discounts: [{ coupon }] };
  const { id, items } = await stripe.subscriptions.create(form);
  await followed(...FIRST_PAID, ...REDEEMED);
  await advance(INTO_MONTH);
  await stripe.subscriptions.update(id, { items: [{ id: items.data[0].id, price: dear }] });
  await followed("balance.available", "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created");
  const { data } = await stripe.invoiceItems.list({ customer, pending: true });
  assert.deepEqual(data.map((one) => one.amount).reverse(), [-1246, 4523]);
});

buyer("a payer types a code", async (world, customer) => {
  const { stripe, followed } = world;
  const price = await monthly(world, 2900);
  const coupon = await couponOf(world, { amount_off: 1000, currency: "usd" });
  await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon }, code: "WELCOME" });
  await followed("promotion_code.created");
  const { id, url } = await stripe.checkout.sessions.create({
    mode: "subscription", customer, line_items: [{ price, quantity: 1 }], success_url: RETURN,
    allow_promotion_codes: true,
  });
  assert.equal((await world.submit(url, { promotion_code: "NOTHING" })).status, 400);
  assert.equal((await world.submit(url, { promotion_code: "welcome" })).status, 200);
  assert.equal((await stripe.checkout.sessions.retrieve(id)).amount_total, 1900);
  await followed();
  assert.equal((await world.pay(url)).status, 303);
  const session = await stripe.checkout.sessions.retrieve(id, { expand: ["invoice"] });
  assert.deepEqual([session.status, session.invoice.total], ["complete", 1900]);
  const completed = ["promotion_code.updated", "payment_method.attached", "checkout.session.completed"];
  await followed(...FIRST_PAID, ...REDEEMED, ...completed);
});
