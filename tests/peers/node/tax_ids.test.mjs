// Tax ids: of customers and of the account, and what the authorities say of them.

import assert from "node:assert/strict";

import { ids, refused, scenario } from "./support.mjs";

scenario("the authorities answer after a while", async ({ stripe, followed, advance }) => {
  const customer = await stripe.customers.create({ name: "Jenny GmbH" });
  await followed("customer.created");
  for (const [value, outcome, name] of [
    ["000000000", "verified", "Jenny GmbH"], ["111111111", "unverified", null], ["222222222", "pending", null],
  ]) {
    const made = await stripe.customers.createTaxId(customer.id, { type: "gb_vat", value });
    assert.deepEqual([made.verification.status, made.owner.customer], ["pending", customer.id]);
    await followed("customer.tax_id.created");
    await advance(15);
    if (outcome === "pending") {
      await followed();
    } else {
      const [updated] = await followed("customer.tax_id.updated");
      assert.equal(updated.data.previous_attributes.verification.status, "pending");
    }
    const found = await stripe.customers.retrieveTaxId(customer.id, made.id);
    assert.deepEqual([found.verification.status, found.verification.verified_name], [outcome, name]);
  }
  const ofOthers = await stripe.customers.createTaxId(customer.id, { type: "ch_vat", value: "CHE-123.456.789 MWST" });
  assert.deepEqual([ofOthers.verification.status, ofOthers.country], ["unavailable", "CH"]);
  await followed("customer.tax_id.created");
});

scenario("a customer's tax ids are listed and deleted", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({ tax_id_data: [{ type: "gb_vat", value: "GB123456789" }] });
  const owner = { type: "customer", customer: customer.id };
  await stripe.taxIds.create({ type: "au_abn", value: "12345678912", owner });
  await followed("customer.created", "customer.tax_id.created", "customer.tax_id.created");
  const { data: listed } = await stripe.customers.listTaxIds(customer.id);
  assert.deepEqual(listed.map((one) => [one.type, one.country]), [["au_abn", "AU"], ["gb_vat", "GB"]]);

  const stub = await stripe.customers.deleteTaxId(customer.id, listed[0].id);
  assert.deepEqual([stub.id, stub.deleted], [listed[0].id, true]);
  const [deleted] = await followed("customer.tax_id.deleted");
  assert.equal(deleted.data.object.value, "12345678912");
  const { tax_ids: left } = await stripe.customers.retrieve(customer.id, { expand: ["tax_ids"] });
  assert.deepEqual(left.data.map((one) => one.value), ["GB123456789"]);
  const gone = stripe.customers.retrieveTaxId(customer.id, listed[0].id);
  await refused(gone, "StripeInvalidRequestError", 404, "resource_missing");
  const wrong = stripe.customers.createTaxId(customer.id, { type: "eu_vat", value: "DE12" });
  assert.equal((await refused(wrong, "StripeInvalidRequestError", 400, "tax_id_invalid")).param, "value");
  await followed();
});

scenario("the account has tax ids of its own, of which no event tells", async ({ stripe, followed, advance }) => {
  const own = await stripe.taxIds.create({ type: "eu_vat", value: "IE1234567FA" });
  assert.deepEqual([own.customer, own.owner.type, own.country], [null, "self", "IE"]);
  assert.deepEqual(ids(await stripe.taxIds.list({ owner: { type: "self" } })), [own.id]);
  await advance(15);
  assert.equal((await stripe.taxIds.retrieve(own.id)).verification.status, "verified");
  assert.equal((await stripe.taxIds.del(own.id)).deleted, true);
  assert.deepEqual((await stripe.taxIds.list()).data, []);
  await followed();
});
