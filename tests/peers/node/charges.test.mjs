// Charges: what a payment leaves.

import assert from "node:assert/strict";

import { PAID, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const HELD = ["payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded"];

scenario("a charge shows what Stripe keeps", async ({ stripe, followed, paid }) => {
  const intent = await paid(10_000, "visa_debit", {
    description: "Chair", expand: ["latest_charge.balance_transaction"],
  });
  const charge = intent.latest_charge;
  assert.deepEqual([charge.amount, charge.amount_captured, charge.paid], [10_000, 10_000, true]);
  const money = charge.balance_transaction;
  assert.deepEqual([money.amount, money.fee, money.net, money.type], [10_000, 320, 9680, "charge"]);
  assert.deepEqual(money.fee_details.map((fee) => [fee.amount, fee.type]), [[320, "stripe_fee"]]);
  assert.deepEqual([money.source, money.description, money.status], [charge.id, "Chair", "pending"]);
  const [, , event] = await followed(...PAID);
  assert.equal(event.data.object.balance_transaction, money.id);
  const whole = await stripe.charges.retrieve(charge.id, { expand: ["payment_intent", "refunds"] });
  assert.deepEqual([whole.payment_intent.id, whole.refunds.data], [intent.id, []]);
});

scenario("a charge is annotated", async ({ stripe, followed, paid }) => {
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  const { latest_charge: charge } = await paid(2000, "visa", { metadata: { order: "7" } });
  await followed("customer.created", ...PAID);
  const changed = await stripe.charges.update(charge, {
    description: "Lamp", customer, metadata: { parcel: "9" }, fraud_details: { user_report: "safe" },
    shipping: { name: "Jenny", address: { line1: "1 Main St", city: "Berlin", country: "DE" } },
  });
  assert.deepEqual([changed.description, changed.customer, changed.amount], ["Lamp", customer, 2000]);
  assert.deepEqual(changed.metadata, { order: "7", parcel: "9" });
  assert.deepEqual([changed.shipping.address.city, changed.fraud_details.user_report], ["Berlin", "safe"]);
  const [updated] = await followed("charge.updated");
  const { description, metadata } = updated.data.previous_attributes;
  assert.deepEqual([description, metadata], [null, { parcel: null }]);
  const { id: other } = await stripe.customers.create({ name: "Joe" });
  await followed("customer.created");
  const moved = stripe.charges.update(charge, { customer: other });
  assert.equal((await refused(moved, INVALID, 400, undefined)).param, "customer");
  await followed();
});

scenario("a charge is captured later", async ({ stripe, followed, paid }) => {
  const { id, latest_charge } = await paid(5000, "visa", { capture_method: "manual" });
  await followed(...HELD);
  await refused(stripe.charges.capture(latest_charge, { amount: 5001 }), INVALID, 400, "amount_too_large");
  const form = { amount: 4000, statement_descriptor_suffix: "LAMP", expand: ["balance_transaction"] };
  const charge = await stripe.charges.capture(latest_charge, form);
  assert.deepEqual([charge.captured, charge.amount, charge.amount_captured], [true, 5000, 4000]);
  assert.deepEqual([charge.balance_transaction.amount, charge.balance_transaction.fee], [4000, 146]);
  await followed("charge.captured", "payment_intent.succeeded");
  assert.equal((await stripe.paymentIntents.retrieve(id)).amount_received, 4000);
  await refused(stripe.charges.capture(charge.id), INVALID, 400, "charge_already_captured");
  await followed();
});

scenario("charges are found", async ({ stripe, followed, paid }) => {
  const { charges } = stripe;
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  const small = await paid(700, "amex", { customer, metadata: { order: "a" } });
  const large = await paid(70_000, "visa", { customer });
  const other = await paid(700, "visa", { currency: "eur" });
  await stripe.refunds.create({ payment_intent: small.id });
  await followed("customer.created", ...PAID, ...PAID, ...PAID, "refund.created", "charge.refunded");
  const ids = ({ data }) => data.map((one) => one.id);
  const of = (...intents) => intents.map((one) => one.latest_charge);
  assert.deepEqual(ids(await charges.list({ customer })), of(large, small));
  assert.deepEqual(ids(await charges.list({ payment_intent: other.id })), of(other));
  assert.deepEqual(ids(await charges.list({ limit: 1, starting_after: other.latest_charge })), of(large));
  for (const [query, ...expected] of [
    ["payment_method_details.card.brand:'amex'", small],
    ["payment_method_details.card.last4:4242 AND currency:'usd'", large],
    ["refunded:'true'", small],
    ["amount>=700 AND -currency:'eur'", large, small],
    ["metadata['order']:'a'", small],
  ]) {
    assert.deepEqual(ids(await charges.search({ query })), of(...expected), query);
  }
  await refused(charges.search({ query: "colour:'red'" }), INVALID, 400, undefined);
  await followed();
});
