import assert from "node:assert/strict";

import { scenario } from "./support.mjs";

scenario("a customer is created, renamed and deleted", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({ name: "Jenny", email: "jenny@example.com" });
  assert.deepEqual([customer.name, customer.balance, customer.livemode], ["Jenny", 0, false]);
  const [created] = await followed("customer.created");
  assert.deepEqual([created.data.object.id, created.api_version], [customer.id, stripe.getApiField("version")]);

  const renamed = await stripe.customers.update(customer.id, { name: "Jen" });
  assert.equal(renamed.name, "Jen");
  const [updated] = await followed("customer.updated");
  assert.deepEqual(updated.data.previous_attributes, { name: "Jenny" });

  assert.deepEqual(await stripe.customers.del(customer.id), { id: customer.id, object: "customer", deleted: true });
  const [deleted] = await followed("customer.deleted");
  assert.equal(deleted.data.object.email, "jenny@example.com");
  const stub = await stripe.customers.retrieve(customer.id);
  assert.equal(stub.deleted, true);
  await followed();
});
