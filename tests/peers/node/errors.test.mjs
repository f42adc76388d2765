// Refusals: which error of the SDK, with which code, and that nothing came of the call.

import assert from "node:assert/strict";

import { refused, scenario } from "./support.mjs";

scenario("what is wrong with a request is named", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({});
  await followed("customer.created");
  for (const [status, code, param, call] of [
    [400, "parameter_unknown", "nickname", () => stripe.customers.create({ nickname: "x" })],
    [400, "parameter_missing", "amount", () => stripe.paymentIntents.create({ currency: "usd" })],
    [400, "amount_too_small", "amount", () => stripe.paymentIntents.create({ amount: 10, currency: "usd" })],
    [400, "parameter_invalid_integer", "limit", () => stripe.customers.list({ limit: 101 })],
    [404, "resource_missing", "id", () => stripe.customers.retrieve("cus_none")],
  ]) {
    assert.equal((await refused(call(), "StripeInvalidRequestError", status, code)).param, param);
  }
  await followed();
  assert.deepEqual((await stripe.customers.list()).data.map((one) => one.id), [customer.id]);
});

scenario("a wrong key opens nothing", async ({ stripe, followed, clientOf }) => {
  const stranger = clientOf("sk_test_wrong").customers.create({});
  await refused(stranger, "StripeAuthenticationError", 401, undefined);
  await followed();
  assert.deepEqual((await stripe.customers.list()).data, []);
});
