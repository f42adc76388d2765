// Products and prices.

import assert from "node:assert/strict";

import { refused, scenario } from "./support.mjs";

scenario("a product is renamed and archived", async ({ stripe, followed }) => {
  const product = await stripe.products.create({ name: "Pro", metadata: { tier: "2" } });
  await stripe.products.update(product.id, { name: "Pro 2" });
  const [, renamed] = await followed("product.created", "product.updated");
  assert.deepEqual(renamed.data.previous_attributes, { name: "Pro" });

  const archived = await stripe.products.update(product.id, { active: false });
  assert.deepEqual([archived.name, archived.active, archived.metadata.tier], ["Pro 2", false, "2"]);
  const [updated] = await followed("product.updated");
  assert.deepEqual(updated.data.previous_attributes, { active: true });
  assert.deepEqual((await stripe.products.list({ active: false })).data.map((one) => one.id), [product.id]);
});

scenario("another price can take a lookup key over", async ({ stripe, followed }) => {
  const product = await stripe.products.create({ name: "Pro" });
  const yearly = { product: product.id, currency: "eur", recurring: { interval: "year" }, lookup_key: "pro" };
  const old = await stripe.prices.create({ ...yearly, unit_amount: 29000 });
  assert.deepEqual([old.type, old.recurring.interval, old.unit_amount], ["recurring", "year", 29000]);
  await followed("product.created", "price.created");

  await refused(stripe.prices.create({ ...yearly, unit_amount: 39000 }), "StripeInvalidRequestError", 400, undefined);
  const taking = await stripe.prices.create({ ...yearly, unit_amount: 39000, transfer_lookup_key: true });
  await followed("price.created", "price.updated");
  const { data: found } = await stripe.prices.list({ lookup_keys: ["pro"], expand: ["data.product"] });
  assert.deepEqual(found.map((one) => [one.id, one.unit_amount, one.product.name]), [[taking.id, 39000, "Pro"]]);
});
