// Refunds: money that goes back, at once, later or not at all.

import assert from "node:assert/strict";

import { PAID, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const REFUNDED = ["refund.created", "charge.refunded"];
const HOUR = 3600;

async function sold({ paid, followed }, amount, card) {
  const intent = await paid(amount, card);
  await followed(...PAID);
  return intent;
}

/** What of a payment is refunded, and whether that is all of it. */
async function given({ stripe }, intent) {
  const { amount_refunded, refunded } = await stripe.charges.retrieve(intent.latest_charge);
  return [amount_refunded, refunded];
}

const pending = async ({ stripe }) => (await stripe.balance.retrieve()).pending[0].amount;
const before = (event) => event.data.previous_attributes;

scenario("a payment is refunded whole", async (world) => {
  const { stripe, followed } = world;
  const intent = await sold(world, 2000);
  assert.equal(await pending(world), 2000 - 88);
  const refund = await stripe.refunds.create({
    payment_intent: intent.id, reason: "requested_by_customer", metadata: { ticket: "5" },
    expand: ["balance_transaction"],
  });
  assert.deepEqual([refund.amount, refund.status, refund.charge], [2000, "succeeded", intent.latest_charge]);
  assert.deepEqual([refund.reason, refund.metadata.ticket], ["requested_by_customer", "5"]);
  const { amount, fee, net, type } = refund.balance_transaction;
  assert.deepEqual([amount, fee, net, type], [-2000, 0, -2000, "refund"]);
  const [created, refunded] = await followed(...REFUNDED);
  assert.deepEqual([created.data.object.id, refunded.data.object.refunded], [refund.id, true]);
  assert.deepEqual(before(refunded), { amount_refunded: 0, refunded: false });
  assert.deepEqual([await given(world, intent), await pending(world)], [[2000, true], -88]);
  assert.equal((await stripe.paymentIntents.retrieve(intent.id)).status, "succeeded");
});

scenario("a payment is refunded in parts", async (world) => {
  const { stripe, followed } = world;
  const intent = await sold(world, 3000);
  const charge = intent.latest_charge;
  const refunds = [];
  for (const [amount, sum, whole] of [[500, 500, false], [1200, 1700, false], [undefined, 3000, true]]) {
    refunds.unshift(await stripe.refunds.create({ charge, ...(amount && { amount }) }));
    await followed(...REFUNDED);
    assert.deepEqual(await given(world, intent), [sum, whole]);
  }
  assert.deepEqual(refunds.map((one) => one.amount), [1300, 1200, 500]);
  for (const named of [{ charge }, { payment_intent: intent.id }]) {
    const { data } = await stripe.refunds.list(named);
    assert.deepEqual(data.map((one) => one.id), refunds.map((one) => one.id));
  }
  const expanded = await stripe.charges.retrieve(charge, { expand: ["refunds"] });
  assert.deepEqual(expanded.refunds.data.map((one) => one.amount), [1300, 1200, 500]);
  await refused(stripe.refunds.create({ payment_intent: intent.id }), INVALID, 400, "charge_already_refunded");
  await followed();
});

scenario("what cannot be refunded", async (world) => {
  const { stripe, followed } = world;
  const intent = await sold(world, 1000);
  const unpaid = await stripe.paymentIntents.create({ amount: 900, currency: "usd" });
  await followed("payment_intent.created");
  const refund = (form) => stripe.refunds.create(form);
  for (const [code, param, form] of [
    [undefined, "amount", { payment_intent: intent.id, amount: 1001 }],
    ["parameter_invalid_integer", "amount", { payment_intent: intent.id, amount: 0 }],
    [undefined, "payment_intent", { payment_intent: unpaid.id }],
    ["parameter_missing", undefined, { amount: 5 }],
    ["resource_missing", "charge", { charge: "ch_0" }],
  ]) {
    assert.equal((await refused(refund(form), INVALID, 400, code)).param, param);
  }
  await refund({ payment_intent: intent.id, amount: 400 });
  await followed(...REFUNDED);
  const error = await refused(refund({ payment_intent: intent.id, amount: 601 }), INVALID, 400, undefined);
  assert.equal(error.message, "Refund amount ($6.01) is greater than unrefunded amount on charge ($6.00)");
  assert.deepEqual(await given(world, intent), [400, false]);
  await followed();
});

scenario("a refund that is pending succeeds later", async (world) => {
  const { stripe, followed, advance } = world;
  const intent = await sold(world, 2600, "pendingRefund");
  const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 600 });
  assert.deepEqual([refund.status, refund.pending_reason], ["pending", "processing"]);
  await followed(...REFUNDED);
  assert.deepEqual([await given(world, intent), await pending(world)], [[600, false], 2600 - 105 - 600]);
  await advance(HOUR + 1);
  const [updated, old] = await followed("refund.updated", "charge.refund.updated");
  assert.deepEqual([updated.data.object.status, old.data.object.id], ["succeeded", refund.id]);
  assert.equal(before(updated).status, "pending");
  assert.equal((await stripe.refunds.retrieve(refund.id)).status, "succeeded");
  await refused(stripe.refunds.cancel(refund.id), INVALID, 400, undefined);
});

scenario("a refund that fails gives the money back", async (world) => {
  const { stripe, followed, advance } = world;
  const intent = await sold(world, 2600, "refundFail");
  assert.equal((await stripe.refunds.create({ payment_intent: intent.id })).status, "succeeded");
  await followed(...REFUNDED);
  assert.deepEqual([await given(world, intent), await pending(world)], [[2600, true], -105]);
  await advance(HOUR + 1);
  const [event] = await followed("refund.failed", "refund.updated", "charge.refund.updated", "charge.updated");
  const { id, status, failure_reason, failure_balance_transaction } = event.data.object;
  assert.deepEqual([status, failure_reason], ["failed", "expired_or_canceled_card"]);
  const { amount, type, source } = await stripe.balanceTransactions.retrieve(failure_balance_transaction);
  assert.deepEqual([amount, type, source], [2600, "refund_failure", id]);
  assert.deepEqual(await given(world, intent), [0, false]);
  const balance = await stripe.balance.retrieve();
  assert.equal(balance.available[0].amount + balance.pending[0].amount, 2600 - 105);
});

scenario("a pending refund is canceled", async (world) => {
  const { stripe, followed, advance } = world;
  const intent = await sold(world, 1000, "pendingRefund");
  const { id } = await stripe.refunds.create({ payment_intent: intent.id });
  await followed(...REFUNDED);
  const refund = await stripe.refunds.cancel(id);
  assert.deepEqual([refund.status, refund.failure_reason], ["canceled", "merchant_request"]);
  await followed("refund.updated", "charge.refund.updated", "charge.updated");
  assert.deepEqual(await given(world, intent), [0, false]);
  await refused(stripe.refunds.cancel(id), INVALID, 400, undefined);
  await advance(2 * HOUR);
  await followed();
  assert.equal((await stripe.refunds.retrieve(id)).status, "canceled");
});

scenario("a refund is annotated and made once for a key", async (world) => {
  const { stripe, followed } = world;
  const intent = await sold(world, 1000);
  const form = { payment_intent: intent.id, amount: 250, metadata: { a: "1", b: "2" } };
  const first = await stripe.refunds.create(form, { idempotencyKey: "back" });
  const second = await stripe.refunds.create(form, { idempotencyKey: "back" });
  assert.equal(first.id, second.id);
  await followed(...REFUNDED);
  const changed = await stripe.refunds.update(first.id, { metadata: { a: "", c: "3" } });
  assert.deepEqual(changed.metadata, { b: "2", c: "3" });
  const [updated] = await followed("refund.updated", "charge.refund.updated");
  assert.deepEqual(before(updated), { metadata: { a: "1", c: null } });
  assert.deepEqual(await given(world, intent), [250, false]);
});

scenario("a hold is refunded whole only", async (world) => {
  const { stripe, followed, paid } = world;
  const intent = await paid(1500, "visa", { capture_method: "manual" });
  await followed("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded");
  const part = stripe.refunds.create({ payment_intent: intent.id, amount: 500 });
  assert.equal((await refused(part, INVALID, 400, undefined)).param, "amount");
  const refund = await stripe.refunds.create({ payment_intent: intent.id });
  assert.deepEqual([refund.amount, refund.status, refund.balance_transaction], [1500, "succeeded", null]);
  const [, , canceled] = await followed(...REFUNDED, "payment_intent.canceled");
  assert.deepEqual([canceled.data.object.status, canceled.data.object.amount_capturable], ["canceled", 0]);
  assert.deepEqual(await given(world, intent), [1500, true]);
  assert.deepEqual((await stripe.balanceTransactions.list()).data, []);
});
