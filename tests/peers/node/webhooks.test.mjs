// Endpoints that the API makes, and the list of what happened.

import assert from "node:assert/strict";

import { scenario } from "./support.mjs";

scenario("an endpoint receives what it asked for with its own secret", async ({ stripe, followed, anotherReceiver }) => {
  const receiver = await anotherReceiver();
  const endpoint = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["customer.updated"] });
  receiver.secret = endpoint.secret;
  assert.equal(endpoint.status, "enabled");

  const customer = await stripe.customers.create({ name: "Jenny" });
  await stripe.customers.update(customer.id, { name: "Jen" });
  const [created, updated] = await followed("customer.created", "customer.updated");
  assert.deepEqual([created.pending_webhooks, updated.pending_webhooks], [1, 2]);
  assert.deepEqual([receiver.events.map((event) => event.id), receiver.refused], [[updated.id], []]);

  assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
  await stripe.customers.update(customer.id, { name: "J" });
  await followed("customer.updated");
  assert.equal(receiver.events.length, 1);
});

scenario("what was delivered is listed newest first", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({ name: "Jenny" });
  await stripe.customers.update(customer.id, { name: "Jen" });
  const [created, updated] = await followed("customer.created", "customer.updated");
  assert.deepEqual((await stripe.events.list()).data.map((event) => event.id), [updated.id, created.id]);
  const listed = await stripe.events.retrieve(updated.id);
  assert.deepEqual([listed.data.object.name, listed.data.previous_attributes], ["Jen", { name: "Jenny" }]);
});
