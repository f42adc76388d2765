// Keys that make a call happen once: what is replayed, what is refused, and for how long.

import assert from "node:assert/strict";

import { DAY, refused, scenario } from "./support.mjs";

scenario("a refusal of an executed call is replayed, and one before it is not", async ({ stripe, followed }) => {
  const pay = () => stripe.paymentIntents.create(
    { amount: 2000, currency: "usd", payment_method: "pm_card_chargeDeclined", confirm: true },
    { idempotencyKey: "pay-1" },
  );
  const first = await refused(pay(), "StripeCardError", 402, "card_declined");
  await followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed");
  const again = await refused(pay(), "StripeCardError", 402, "card_declined");
  assert.equal(again.headers["idempotent-replayed"], "true");
  assert.equal(again.raw.payment_intent.id, first.raw.payment_intent.id);
  await followed();

  const key = { idempotencyKey: "customer-1" };
  const unknown = stripe.customers.create({ nickname: "x" }, key);
  await refused(unknown, "StripeInvalidRequestError", 400, "parameter_unknown");
  assert.equal((await stripe.customers.create({ name: "Jenny" }, key)).name, "Jenny");
  await followed("customer.created");
  await refused(stripe.products.create({ name: "Jenny" }, key), "StripeIdempotencyError", 400, undefined);
  await followed();
});

scenario("a key is forgotten after a day", async ({ stripe, followed, advance }) => {
  const key = { idempotencyKey: "daily" };
  const first = await stripe.customers.create({ name: "Jenny" }, key);
  await advance(DAY - 60);
  assert.equal((await stripe.customers.create({ name: "Jenny" }, key)).id, first.id);
  await followed("customer.created");
  await advance(120);
  const second = await stripe.customers.create({ name: "Tom" }, key);
  assert.notEqual(second.id, first.id);
  assert.equal(second.lastResponse.headers["idempotent-replayed"], undefined);
  const [created] = await followed("customer.created");
  assert.deepEqual([created.data.object.name, created.request.idempotency_key], ["Tom", "daily"]);
});

scenario("a key in use is a conflict until the first call is over", async (world) => {
  const { stripe, clientOf, followed, awaited, spoil, effects } = world;
  await spoil([{ method: "POST", path: "/v1/customers", kind: "hang" }]);
  const patience = new AbortController();
  const slow = assert.rejects(fetch(`${world.url}/v1/customers`, {
    method: "POST", body: new URLSearchParams({ name: "Jenny" }), signal: patience.signal,
    headers: { Authorization: "Bearer sk_test_peers", "Idempotency-Key": "slow" },
  }));
  // What the hanging call did is told of before it is over.
  const [created] = await awaited("customer.created");
  const key = { idempotencyKey: "slow" };
  const early = stripe.customers.create({ name: "Jenny" }, key);
  await refused(early, "StripeAPIError", 409, "idempotency_key_in_use");
  patience.abort();
  await slow;
  const customer = await clientOf("sk_test_peers", 5).customers.create({ name: "Jenny" }, key);
  assert.equal(customer.id, created.data.object.id);
  await followed();
  assert.deepEqual(await effects("customer"), [["created", "POST /v1/customers"]]);
});

scenario("each account has idempotency keys of its own", async ({ stripe, followed }) => {
  const { id: stripeAccount } = await stripe.accounts.create({ type: "express", country: "DE" });
  const key = { idempotencyKey: "same" };
  const ours = await stripe.customers.create({ name: "Jenny" }, key);
  const theirs = await stripe.customers.create({ name: "Tom" }, { ...key, stripeAccount });
  assert.notEqual(ours.id, theirs.id);
  const again = await stripe.customers.create({ name: "Tom" }, { ...key, stripeAccount });
  assert.deepEqual([again.id, again.lastResponse.headers["idempotent-replayed"]], [theirs.id, "true"]);
  await followed("customer.created");
});
