// Payment methods: made, saved, changed, taken away.

import assert from "node:assert/strict";

import { PAID, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";

async function customerOf({ stripe, followed }, name = "Jenny") {
  const { id } = await stripe.customers.create({ name });
  await followed("customer.created");
  return id;
}

async function attached({ stripe, followed }, card, customer) {
  const { id } = await stripe.paymentMethods.attach(`pm_card_${card}`, { customer });
  await followed("payment_method.attached");
  return id;
}

const before = (event) => event.data.previous_attributes;

scenario("a card is made of a token saved and changed", async (world) => {
  const { stripe, followed } = world;
  const methods = stripe.paymentMethods;
  const method = await methods.create({
    type: "card", card: { token: "tok_mastercard" }, metadata: { nick: "red" },
    billing_details: { name: "Jenny", address: { postal_code: "10115", country: "DE" } },
  });
  assert.deepEqual([method.customer, method.card.brand, method.card.last4], [null, "mastercard", "4444"]);
  assert.equal(method.card.checks.address_postal_code_check, "pass");
  await refused(methods.update(method.id, { metadata: { nick: "blue" } }), INVALID, 400, undefined);
  await followed();
  const customer = await customerOf(world);
  assert.equal((await methods.attach(method.id, { customer })).customer, customer);
  await followed("payment_method.attached");
  const { card, metadata, billing_details } = await methods.update(method.id, {
    card: { exp_month: 7, exp_year: 2041 }, billing_details: { email: "jenny@example.com" }, metadata: { nick: "" },
  });
  assert.deepEqual([card.exp_month, card.exp_year, metadata], [7, 2041, {}]);
  assert.deepEqual([billing_details.email, billing_details.name], ["jenny@example.com", "Jenny"]);
  const [updated] = await followed("payment_method.updated");
  assert.deepEqual(before(updated).billing_details, { email: null });
  assert.deepEqual(before(updated).metadata, { nick: "red" });
  for (const [code, param, form] of [
    ["resource_missing", "card[token]", { card: { token: "tok_none" } }],
    ["email_invalid", "billing_details[email]", { card: { token: "tok_visa" }, billing_details: { email: "jenny" } }],
  ]) {
    assert.equal((await refused(methods.create({ type: "card", ...form }), INVALID, 400, code)).param, param);
  }
});

scenario("a detached card never serves again", async (world) => {
  const { stripe, followed, paid } = world;
  const customer = await customerOf(world);
  const card = await attached(world, "visa", customer);
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: card } });
  await followed("customer.updated");
  assert.equal((await stripe.paymentMethods.detach(card)).customer, null);
  const [detached, cleared] = await followed("payment_method.detached", "customer.updated");
  assert.deepEqual(before(detached), { customer });
  assert.deepEqual(before(cleared), { invoice_settings: { default_payment_method: card } });
  await refused(stripe.paymentMethods.detach(card), INVALID, 400, undefined);
  await refused(stripe.paymentMethods.attach(card, { customer }), INVALID, 400, undefined);
  for (const owner of [{}, { customer }]) {
    const call = paid(500, "", { payment_method: card, ...owner });
    assert.equal((await refused(call, INVALID, 400, undefined)).param, "payment_method");
  }
  assert.deepEqual((await stripe.paymentMethods.list({ customer })).data, []);
  await followed();
});

scenario("a card without a customer serves once", async (world) => {
  const { stripe, followed, paid } = world;
  const { id: payment_method } = await stripe.paymentMethods.create({ type: "card", card: { token: "tok_visa" } });
  assert.equal((await paid(500, "", { payment_method })).amount_received, 500);
  await followed(...PAID);
  const error = await refused(paid(500, "", { payment_method }), INVALID, 400, undefined);
  assert.match(error.message, /may not be used again/);
  const customer = await customerOf(world);
  await refused(stripe.paymentMethods.attach(payment_method, { customer }), INVALID, 400, undefined);
  await followed();
  assert.equal((await stripe.paymentMethods.retrieve(payment_method)).customer, null);
});

scenario("a card serves its customer only", async (world) => {
  const { stripe, followed, paid } = world;
  const jenny = await customerOf(world, "Jenny");
  const joe = await customerOf(world, "Joe");
  const card = await attached(world, "visa", jenny);
  for (const owner of [{}, { customer: joe }]) {
    const call = paid(500, "", { payment_method: card, ...owner });
    assert.equal((await refused(call, INVALID, 400, undefined)).param, "payment_method");
  }
  await refused(stripe.paymentMethods.attach(card, { customer: joe }), INVALID, 400, undefined);
  const foreign = stripe.customers.update(joe, { invoice_settings: { default_payment_method: card } });
  const error = await refused(foreign, INVALID, 400, "resource_missing");
  assert.equal(error.param, "invoice_settings[default_payment_method]");
  await refused(stripe.customers.retrievePaymentMethod(joe, card), INVALID, 404, "resource_missing");
  await followed();
  assert.equal((await paid(500, "", { payment_method: card, customer: jenny })).amount_received, 500);
  await followed(...PAID);
});

scenario("cards are listed by customer", async (world) => {
  const { stripe, followed } = world;
  const jenny = await customerOf(world, "Jenny");
  const joe = await customerOf(world, "Joe");
  const first = await attached(world, "visa", jenny);
  const second = await attached(world, "amex", jenny);
  const other = await attached(world, "jcb", joe);
  const ids = ({ data }) => data.map((one) => one.id);
  assert.deepEqual(ids(await stripe.paymentMethods.list({ customer: jenny, type: "card" })), [second, first]);
  assert.deepEqual(ids(await stripe.customers.listPaymentMethods(joe)), [other]);
  const page = await stripe.customers.listPaymentMethods(jenny, { limit: 1 });
  assert.deepEqual([ids(page), page.has_more], [[second], true]);
  const all = await stripe.customers.listPaymentMethods(jenny, { limit: 1 }).autoPagingToArray({ limit: 10 });
  assert.deepEqual(all.map((one) => one.id), [second, first]);
  assert.equal((await stripe.customers.retrievePaymentMethod(jenny, first)).card.brand, "visa");
  await stripe.paymentMethods.detach(second);
  await followed("payment_method.detached");
  assert.deepEqual(ids(await stripe.paymentMethods.list({ customer: jenny })), [first]);
});

scenario("a default card pays invoices", async (world) => {
  const { stripe, followed } = world;
  const customer = await customerOf(world);
  const card = await attached(world, "mastercard", customer);
  const changed = await stripe.customers.update(customer, { invoice_settings: { default_payment_method: card } });
  assert.equal(changed.invoice_settings.default_payment_method, card);
  const [updated] = await followed("customer.updated");
  assert.deepEqual(before(updated), { invoice_settings: { default_payment_method: null } });
  const { id: product } = await stripe.products.create({ name: "Pro" });
  const recurring = { product, currency: "usd", unit_amount: 1200, recurring: { interval: "month" } };
  const { id: price } = await stripe.prices.create(recurring);
  await followed("product.created", "price.created");
  const { status, default_payment_method } = await stripe.subscriptions.create({ customer, items: [{ price }] });
  assert.deepEqual([status, default_payment_method], ["active", null]);
  const [invoice, charge] = await followed(
    "invoice.paid", "charge.succeeded", "customer.subscription.created", "customer.subscription.updated",
    "customer.updated", "invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_succeeded",
    "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded",
  );
  assert.deepEqual([invoice.data.object.amount_paid, charge.data.object.payment_method], [1200, card]);
});

scenario("a payment saves its card", async (world) => {
  const { stripe, followed, paid } = world;
  const customer = await customerOf(world);
  const saving = { customer, setup_future_usage: "off_session" };
  await refused(paid(900, "visa_chargeDeclined", saving), "StripeCardError", 402, "card_declined");
  await followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed");
  assert.deepEqual((await stripe.paymentMethods.list({ customer })).data, []);
  const { payment_method } = await paid(900, "visa", saving);
  const [event] = await followed("payment_method.attached", ...PAID);
  assert.deepEqual([event.data.object.id, event.data.object.customer], [payment_method, customer]);
  const again = await paid(900, "", { customer, payment_method, off_session: true });
  assert.equal(again.amount_received, 900);
  await followed(...PAID);
});
