// Customers: their life, what clears a field, and a key that makes a call happen once.

import assert from "node:assert/strict";

import { refused, scenario } from "./support.mjs";

scenario("a customer is created, renamed and deleted", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({ name: "Jenny", email: "jenny@example.com" });
  assert.deepEqual([customer.name, customer.balance, customer.livemode], ["Jenny", 0, false]);
  const [created] = await followed("customer.created");
  assert.deepEqual([created.data.object.id, created.api_version], [customer.id, stripe.getApiField("version")]);

  assert.equal((await stripe.customers.update(customer.id, { name: "Jen" })).name, "Jen");
  const [updated] = await followed("customer.updated");
  assert.deepEqual(updated.data.previous_attributes, { name: "Jenny" });

  assert.equal((await stripe.customers.del(customer.id)).deleted, true);
  const [deleted] = await followed("customer.deleted");
  assert.equal(deleted.data.object.email, "jenny@example.com");
  assert.equal((await stripe.customers.retrieve(customer.id)).deleted, true);
  const late = stripe.customers.update(customer.id, { name: "J" });
  await refused(late, "StripeInvalidRequestError", 404, "resource_missing");
  await followed();
});

scenario("metadata is merged key by key, and an empty value takes one away", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({ metadata: { user: "1", plan: "pro" }, description: "first" });
  const changed = await stripe.customers.update(customer.id, { metadata: { plan: "", seats: "3" }, description: "" });
  assert.deepEqual([{ ...changed.metadata }, changed.description], [{ user: "1", seats: "3" }, null]);
  const [, updated] = await followed("customer.created", "customer.updated");
  const before = { metadata: { plan: "pro", seats: null }, description: "first" };
  assert.deepEqual(updated.data.previous_attributes, before);
});

scenario("a key makes a call happen once", async ({ stripe, followed }) => {
  const key = { idempotencyKey: "customer-1" };
  const customer = await stripe.customers.create({ email: "a@example.com" }, key);
  const again = await stripe.customers.create({ email: "a@example.com" }, key);
  assert.deepEqual([again.id, again.lastResponse.headers["idempotent-replayed"]], [customer.id, "true"]);
  const other = stripe.customers.create({ email: "b@example.com" }, key);
  await refused(other, "StripeIdempotencyError", 400, undefined);
  const [created] = await followed("customer.created");
  assert.deepEqual(created.request, { id: customer.lastResponse.requestId, idempotency_key: "customer-1" });
});
