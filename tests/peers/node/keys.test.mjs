// Who may call, how often, in which version, and whose data they see.

import assert from "node:assert/strict";

import { ids, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";

scenario("a restricted key may do what it was given", async ({ clientOf, control, followed }) => {
  const { key } = await control("keys", { permissions: { customers: "read", products: "write" } });
  const limited = clientOf(key);
  const product = await limited.products.create({ name: "Pro" });
  await followed("product.created");
  assert.deepEqual((await limited.customers.list()).data, []);
  assert.equal((await limited.products.retrieve(product.id)).name, "Pro");
  const { customers, charges, coupons } = limited;
  for (const call of [() => customers.create({}), () => charges.list(), () => coupons.create({ percent_off: 5 })]) {
    const error = await refused(call(), "StripePermissionError", 403, undefined);
    assert.ok(!error.message.includes(key));
  }
  await followed();
});

scenario("a publishable key sees an intent whose secret it knows", async ({ stripe, clientOf, control, followed }) => {
  const { publishable } = await control("keys");
  assert.match(publishable, /^pk_test_/);
  const browser = clientOf(publishable);
  await refused(browser.customers.list(), "StripeAuthenticationError", 401, "secret_key_required");
  const { id, client_secret } = await stripe.paymentIntents.create({
    amount: 1500, currency: "usd", metadata: { cost: "900" },
  });
  await followed("payment_intent.created");
  const seen = await browser.paymentIntents.retrieve(id, { client_secret });
  assert.deepEqual([seen.amount, seen.status, seen.metadata], [1500, "requires_payment_method", undefined]);
  const wrong = browser.paymentIntents.retrieve(id, { client_secret: `${id}_secret_wrong` });
  await refused(wrong, INVALID, 400, "payment_intent_invalid_parameter");
  const paid = await browser.paymentIntents.confirm(id, {
    client_secret, payment_method: "pm_card_visa", return_url: "https://example.com",
  });
  assert.equal(paid.status, "succeeded");
  const [succeeded] = await followed("payment_intent.succeeded", "charge.succeeded");
  assert.equal(succeeded.data.object.amount_received, 1500);
});

scenario("a version of the past is echoed, and one that is none is refused", async ({ clientOf, followed }) => {
  for (const apiVersion of ["2024-06-20", "2025-03-31.basil"]) {
    const customer = await clientOf("sk_test_peers", 0, { apiVersion }).customers.create({ name: "Jenny" });
    assert.deepEqual([customer.name, customer.lastResponse.headers["stripe-version"]], ["Jenny", apiVersion]);
    const [created] = await followed("customer.created");
    assert.equal(created.api_version, "2026-09-30.endive");
  }
  for (const apiVersion of ["yesterday", "2024-6-2"]) {
    const nonsense = clientOf("sk_test_peers", 0, { apiVersion }).customers.create({});
    assert.ok((await refused(nonsense, INVALID, 400, undefined)).message.includes(apiVersion));
  }
  await followed();
});

scenario("each account has data of its own", async ({ stripe, receiveOfAccounts, followed }) => {
  await receiveOfAccounts();
  const made = [];
  for (const country of ["DE", "US"]) {
    const { id: stripeAccount } = await stripe.accounts.create({ type: "express", country });
    made.push([stripeAccount, await stripe.customers.create({ email: "jenny@example.com" }, { stripeAccount })]);
  }
  const events = await followed("customer.created", "customer.created");
  assert.deepEqual(events.map((event) => event.account).sort(), made.map(([account]) => account).sort());
  for (const [stripeAccount, customer] of made) {
    const listed = await stripe.customers.list({}, { stripeAccount });
    assert.deepEqual([ids(listed), listed.lastResponse.headers["stripe-account"]], [[customer.id], stripeAccount]);
    const { data } = await stripe.events.list({}, { stripeAccount });
    assert.deepEqual(data.map((event) => event.account), [stripeAccount]);
    await refused(stripe.customers.retrieve(customer.id), INVALID, 404, "resource_missing");
  }
  assert.deepEqual((await stripe.customers.list()).data, []);
  const unknown = stripe.customers.list({}, { stripeAccount: "acct_none" });
  await refused(unknown, "StripePermissionError", 403, "account_invalid");
});

scenario("too many calls a second are refused, and tried again", async ({ stripe, clientOf, followed }) => {
  const endless = async () => {
    for (;;) await stripe.customers.list();
  };
  const error = await refused(endless(), "StripeRateLimitError", 429, "rate_limit");
  assert.equal(error.headers["stripe-rate-limited-reason"], "global-rate");
  const patient = clientOf("sk_test_peers", 5);
  const names = [0, 1, 2, 3].map((number) => `Customer ${number}`);
  for (const name of names) await patient.customers.create({ name });
  const events = await followed(...names.map(() => "customer.created"));
  assert.deepEqual(events.map((event) => event.data.object.name), names);
}, ["--rate-limit", "2"]);
