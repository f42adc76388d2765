// What goes wrong between a call and its answer, and that the SDK's own retries make it happen once.

import assert from "node:assert/strict";

import { refused, scenario } from "./support.mjs";

const CUSTOMERS = { method: "POST", path: "/v1/customers" };
const ONE_MADE = ["created", "POST /v1/customers"];

const created = (stripe, options) => stripe.customers.create({ name: "Jenny" }, options);
const replayed = (customer) => customer.lastResponse.headers["idempotent-replayed"];

scenario("refusals for the moment are tried again", async ({ clientOf, followed, spoil, effects }) => {
  const patient = clientOf("sk_test_peers", 2);
  const cases = [
    [409, { code: "lock_timeout" }], [429, {}], [429, { retry_after: 1 }], [500, {}], [503, { retry_after: 1 }],
  ];
  for (const [status, more] of cases) {
    await spoil([{ ...CUSTOMERS, kind: "status", status, ...more }]);
    const customer = await created(patient);
    const [event] = await followed("customer.created");
    assert.equal(event.data.object.id, customer.id);
    assert.match(event.request.idempotency_key, /^stripe-node-retry-/);
  }
  assert.deepEqual(await effects("customer"), cases.map(() => ONE_MADE));
});

scenario("refusals are the SDK's errors where it does not try again", async ({ stripe, followed, spoil, effects }) => {
  for (const [status, type, code] of [
    [409, "StripeAPIError", "idempotency_key_in_use"], [429, "StripeRateLimitError", "rate_limit"],
    [500, "StripeAPIError", undefined], [503, "StripeAPIError", undefined],
  ]) {
    await spoil([{ ...CUSTOMERS, kind: "status", status, retry_after: 2 }]);
    assert.equal((await refused(created(stripe), type, status, code)).headers["retry-after"], "2");
  }
  await followed();
  assert.deepEqual(await effects("customer"), []);
});

scenario("a proxy's page is no answer", async ({ stripe, clientOf, followed, spoil, effects }) => {
  const patient = clientOf("sk_test_peers", 2);
  await spoil([{ ...CUSTOMERS, kind: "html_502", times: 2 }]);
  await assert.rejects(created(stripe), { type: "StripeAPIError" });
  await followed();
  assert.equal((await created(patient)).name, "Jenny");
  await followed("customer.created");
  // A page may hide that the call was executed.
  await spoil([{ ...CUSTOMERS, kind: "html_502", executed: true }]);
  assert.equal(replayed(await created(patient)), "true");
  await followed("customer.created");
  assert.deepEqual(await effects("customer"), [ONE_MADE, ONE_MADE]);
});

scenario("half an answer is asked for again", async ({ stripe, followed, spoil, effects }) => {
  const once = { idempotencyKey: "half" };
  await spoil([{ ...CUSTOMERS, kind: "truncated" }]);
  await assert.rejects(created(stripe, once));
  const [event] = await followed("customer.created");
  const customer = await created(stripe, once);
  assert.deepEqual([customer.id, customer.name, replayed(customer)], [event.data.object.id, "Jenny", "true"]);
  assert.deepEqual(await effects("customer"), [ONE_MADE]);
  await followed();
});

scenario("a lost connection makes one object, whenever it is lost", async ({ clientOf, followed, spoil, effects }) => {
  const patient = clientOf("sk_test_peers", 2);
  for (const [kind, again] of [["reset_before", undefined], ["reset_after", "true"]]) {
    await spoil([{ ...CUSTOMERS, kind }]);
    const customer = await created(patient);
    assert.equal(replayed(customer), again);
    const [event] = await followed("customer.created");
    assert.equal(event.data.object.id, customer.id);
  }
  assert.deepEqual(await effects("customer"), [ONE_MADE, ONE_MADE]);
});

scenario("without retries a lost connection is an error, and the key finds what was made", async (world) => {
  const { stripe, followed, spoil, effects } = world;
  const once = { idempotencyKey: "lost" };
  // The SDK tries a closed connection once more of its own accord.
  await spoil([{ ...CUSTOMERS, kind: "reset_after", times: 2 }]);
  await assert.rejects(created(stripe, once), { type: "StripeConnectionError" });
  const [event] = await followed("customer.created");
  const customer = await created(stripe, once);
  assert.deepEqual([customer.id, event.request.idempotency_key], [event.data.object.id, "lost"]);
  assert.deepEqual(await effects("customer"), [ONE_MADE]);
});

scenario("a failure is kept under its key, and another key succeeds", async ({ stripe, clientOf, followed, spoil, effects }) => {
  const bad = { idempotencyKey: "bad" };
  await spoil([{ ...CUSTOMERS, kind: "error_500_cached" }]);
  await refused(created(stripe, bad), "StripeAPIError", 500, undefined);
  const again = await refused(created(clientOf("sk_test_peers", 2), bad), "StripeAPIError", 500, undefined);
  assert.equal(again.headers["idempotent-replayed"], "true");
  await followed();
  await created(stripe, { idempotencyKey: "good" });
  await followed("customer.created");
  assert.deepEqual(await effects("customer"), [ONE_MADE]);
});
