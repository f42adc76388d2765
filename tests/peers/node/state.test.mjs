// The world as a whole: written down and put back, and everything that happened in it.

import assert from "node:assert/strict";

import { DAY, priced, refused, scenario } from "./support.mjs";

scenario("a snapshot is what the world goes back to", async ({ stripe, followed, control, snapshot, restore }) => {
  const product = await stripe.products.create({ name: "Pro" });
  const key = { idempotencyKey: "kept" };
  const kept = await stripe.customers.create({ name: "Jenny" }, key);
  await followed("product.created", "customer.created");
  const before = await snapshot();
  const { sha256 } = await control("world");

  await stripe.customers.del(kept.id);
  await stripe.products.update(product.id, { name: "Pro 2" });
  const later = await stripe.customers.create({ name: "Tom" });
  await followed("customer.deleted", "product.updated", "customer.created");
  assert.notEqual((await control("world")).sha256, sha256);

  await restore(before);
  assert.equal((await control("world")).sha256, sha256);
  assert.equal((await stripe.customers.retrieve(kept.id)).name, "Jenny");
  await refused(stripe.customers.retrieve(later.id), "StripeInvalidRequestError", 404, "resource_missing");
  assert.equal((await stripe.events.list()).data.length, 2);
  assert.equal((await stripe.customers.create({ name: "Jenny" }, key)).id, kept.id);
  await followed();
  await stripe.products.update(product.id, { name: "Pro 3" });
  await followed("product.updated");
});

scenario("the ledger has every effect and the call it came of", async ({ stripe, followed, control, advance }) => {
  const price = await priced(stripe, 500);
  const form = { mode: "payment", line_items: [{ price: price.id, quantity: 1 }], success_url: "https://example.com" };
  const key = { idempotencyKey: "session-1" };
  const session = await stripe.checkout.sessions.create(form, key);
  await stripe.checkout.sessions.create(form, key);
  await followed("product.created", "price.created");
  await advance(DAY + 60);
  const [expired] = await followed("checkout.session.expired");
  assert.deepEqual(expired.request, { id: null, idempotency_key: null });
  const { effects } = await control("ledger");
  const [made, ended, ...more] = effects.filter((one) => one.object === "checkout.session");
  assert.deepEqual([made.effect, made.operation, made.id], ["created", "POST /v1/checkout/sessions", session.id]);
  assert.deepEqual([made.request_id, made.idempotency_key], [session.lastResponse.requestId, "session-1"]);
  assert.deepEqual([ended.effect, ended.idempotency_key, ended.at], ["changed", null, session.expires_at]);
  assert.deepEqual(more, []);
  const { data: objects } = await control("objects/checkout.session");
  assert.deepEqual(objects.map((one) => one.object.status), ["expired"]);
});
