// Checkout sessions: paid once, subscribed to, left alone.

import assert from "node:assert/strict";

import { DAY, scenario } from "./support.mjs";

const DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}";

async function priced(stripe, amount, more = {}) {
  const product = await stripe.products.create({ name: "Thing" });
  return stripe.prices.create({ product: product.id, currency: "usd", unit_amount: amount, ...more });
}

scenario("three things are paid at once", async ({ stripe, followed, pay }) => {
  const price = await priced(stripe, 500);
  const line_items = [{ price: price.id, quantity: 3 }];
  const session = await stripe.checkout.sessions.create({ mode: "payment", line_items, success_url: DONE });
  assert.deepEqual([session.amount_total, session.status, session.payment_status], [1500, "open", "unpaid"]);
  await followed("product.created", "price.created");

  const page = await pay(session.url, undefined, { email: "jenny@example.com" });
  assert.equal(page.headers.get("location"), `https://example.com/done?session=${session.id}`);
  const [completed, , , charged] = await followed(
    "checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
  );
  assert.equal(completed.data.object.payment_status, "paid");
  assert.deepEqual([charged.data.object.amount_captured, charged.data.object.paid], [1500, true]);

  const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["payment_intent.latest_charge"] });
  assert.deepEqual([paid.status, paid.payment_intent.amount_received], ["complete", 1500]);
  assert.equal(paid.payment_intent.latest_charge.id, charged.data.object.id);
  const lines = await stripe.checkout.sessions.listLineItems(session.id);
  assert.deepEqual(lines.data.map((line) => [line.quantity, line.amount_total]), [[3, 1500]]);
});

scenario("a declined card leaves the session open", async ({ stripe, followed, pay }) => {
  const price = await priced(stripe, 700);
  const line_items = [{ price: price.id, quantity: 1 }];
  const session = await stripe.checkout.sessions.create({ mode: "payment", line_items, success_url: DONE });
  await followed("product.created", "price.created");
  const page = await pay(session.url, "4000000000000002", { email: "jenny@example.com" });
  assert.equal(page.status, 402);
  const [failed, , charge] = await followed("payment_intent.payment_failed", "payment_intent.created", "charge.failed");
  assert.equal(failed.data.object.last_payment_error.decline_code, "generic_decline");
  assert.deepEqual([charge.data.object.status, charge.data.object.amount_captured], ["failed", 0]);
  const { status, payment_status } = await stripe.checkout.sessions.retrieve(session.id);
  assert.deepEqual([status, payment_status], ["open", "unpaid"]);
});

scenario("a subscription is paid each month until it is canceled", async (world) => {
  const { stripe, followed, pay, advance, now } = world;
  const price = await priced(stripe, 2900, { recurring: { interval: "month" } });
  const customer = await stripe.customers.create({ email: "jenny@example.com" });
  const session = await stripe.checkout.sessions.create({
    mode: "subscription", customer: customer.id, line_items: [{ price: price.id, quantity: 1 }], success_url: DONE,
  });
  await followed("product.created", "price.created", "customer.created");
  const billed = [
    "charge.succeeded", "invoice.paid", "invoice.created", "invoice.finalized", "invoice.updated",
    "invoice.payment_succeeded", "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded",
    "customer.updated", "customer.subscription.updated",
  ];
  assert.equal((await pay(session.url)).status, 303);
  const [first, invoice] = await followed(
    ...billed, "customer.subscription.created", "payment_method.attached", "checkout.session.completed",
  );
  assert.deepEqual([first.data.object.amount, invoice.data.object.billing_reason], [2900, "subscription_create"]);

  await advance(3 * DAY);
  await followed("balance.available");
  const { subscription } = await stripe.checkout.sessions.retrieve(session.id);
  const [item] = (await stripe.subscriptions.retrieve(subscription)).items.data;
  await advance(item.current_period_end - (await now()) + 2 * 3600);
  const [, renewal] = await followed(...billed, "invoice.upcoming");
  assert.deepEqual([renewal.data.object.amount_paid, renewal.data.object.billing_reason], [2900, "subscription_cycle"]);

  assert.equal((await stripe.subscriptions.cancel(subscription)).status, "canceled");
  const [ended] = await followed("customer.subscription.deleted");
  assert.equal(ended.data.object.cancellation_details.reason, "cancellation_requested");
});

scenario("a session that nobody pays expires after a day", async ({ stripe, followed, advance }) => {
  const price = await priced(stripe, 500);
  const form = { mode: "payment", line_items: [{ price: price.id, quantity: 1 }], success_url: DONE };
  const left = await stripe.checkout.sessions.create(form);
  const ended = await stripe.checkout.sessions.create(form);
  await followed("product.created", "price.created");

  assert.equal((await stripe.checkout.sessions.expire(ended.id)).status, "expired");
  const [early] = await followed("checkout.session.expired");
  assert.equal(early.data.object.id, ended.id);
  await advance(DAY + 60);
  const [late] = await followed("checkout.session.expired");
  assert.deepEqual([late.data.object.id, late.created], [left.id, left.expires_at]);
});
