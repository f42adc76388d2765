// Prices: in tiers, by the package, in several currencies, and the products they belong to.

import assert from "node:assert/strict";

import { ids, priced, refused, scenario } from "./support.mjs";

const DONE = "https://example.com/done";
const INVALID = "StripeInvalidRequestError";

/** What so many cost, as a checkout session says it. */
async function total(stripe, price, quantity) {
  const form = { mode: "payment", line_items: [{ price: price.id, quantity }], success_url: DONE };
  return (await stripe.checkout.sessions.create(form)).amount_total;
}

scenario("tiers are added up, or decided by the whole quantity", async ({ stripe, followed }) => {
  const product = await stripe.products.create({ name: "Seats" });
  const tiers = [
    { up_to: 5, unit_amount: 1000 }, { up_to: 10, unit_amount: 800, flat_amount: 300 },
    { up_to: "inf", unit_amount_decimal: "0.5" },
  ];
  const form = { product: product.id, currency: "usd", billing_scheme: "tiered", tiers, expand: ["tiers"] };
  const graduated = await stripe.prices.create({ ...form, tiers_mode: "graduated" });
  const volume = await stripe.prices.create({ ...form, tiers_mode: "volume" });
  await followed("product.created", "price.created", "price.created");
  const shown = graduated.tiers.map((tier) => [tier.up_to, tier.flat_amount, String(tier.unit_amount_decimal)]);
  assert.deepEqual(shown, [[5, null, "1000"], [10, 300, "800"], [null, null, "0.5"]]);
  for (const [quantity, addedUp, byVolume] of [[1, 1000, 1000], [5, 5000, 5000], [6, 6100, 5100], [13, 9302, 7]]) {
    const totals = [await total(stripe, graduated, quantity), await total(stripe, volume, quantity)];
    assert.deepEqual(totals, [addedUp, byVolume], String(quantity));
  }
  const openEnd = stripe.prices.create({ ...form, tiers_mode: "volume", tiers: tiers.slice(0, 2) });
  await refused(openEnd, INVALID, 400, undefined);
  await followed();
});

scenario("a package is begun or filled", async ({ stripe, followed }) => {
  for (const [round, expected] of [["up", [700, 1400, 1400]], ["down", [700, 700, 700]]]) {
    const price = await priced(stripe, 700, { transform_quantity: { divide_by: 10, round } });
    await followed("product.created", "price.created");
    assert.deepEqual({ ...price.transform_quantity }, { divide_by: 10, round });
    const totals = [];
    for (const quantity of [10, 12, 19]) totals.push(await total(stripe, price, quantity));
    assert.deepEqual(totals, expected);
  }
});

scenario("a price has other currencies that are shown when asked for", async ({ stripe, followed }) => {
  const price = await priced(stripe, 2000, {
    currency_options: { eur: { unit_amount: 1800, tax_behavior: "inclusive" }, jpy: { unit_amount: 3000 } },
  });
  assert.equal(price.currency_options, undefined);
  const amounts = async () => {
    const { currency_options: shown } = await stripe.prices.retrieve(price.id, { expand: ["currency_options"] });
    return Object.fromEntries(Object.entries(shown).map(([code, one]) => [code, [one.unit_amount, one.tax_behavior]]));
  };
  const before = { usd: [2000, "unspecified"], eur: [1800, "inclusive"], jpy: [3000, "unspecified"] };
  assert.deepEqual(await amounts(), before);
  await followed("product.created", "price.created");
  await stripe.prices.update(price.id, { currency_options: { gbp: { unit_amount: 1600 } }, nickname: "World" });
  const [updated] = await followed("price.updated");
  assert.deepEqual(updated.data.previous_attributes, { nickname: null });
  assert.deepEqual(await amounts(), { ...before, gbp: [1600, "unspecified"] });
});

scenario("products and prices are searched", async ({ stripe, followed }) => {
  const gold = await stripe.products.create({ name: "Gold plan", metadata: { line: "a" }, shippable: false });
  const old = await stripe.products.create({ name: "Old plan", active: false });
  const recurring = { interval: "month" };
  const monthly = await stripe.prices.create({
    product: gold.id, currency: "usd", unit_amount: 900, recurring, lookup_key: "gold_monthly",
  });
  const once = await stripe.prices.create({ product: gold.id, currency: "eur", unit_amount: 100 });
  await followed("product.created", "product.created", "price.created", "price.created");
  for (const [resource, query, found] of [
    [stripe.products, "name~'plan' AND active:'true'", [gold]],
    [stripe.products, "active:'false'", [old]],
    [stripe.products, "metadata['line']:'a'", [gold]],
    [stripe.prices, "lookup_key:'gold_monthly'", [monthly]],
    [stripe.prices, `product:'${gold.id}' AND type:'one_time'`, [once]],
    [stripe.prices, "currency:'usd' OR currency:'eur'", [once, monthly]],
  ]) {
    assert.deepEqual(ids(await resource.search({ query })), ids(found), query);
  }
  assert.deepEqual(ids(await stripe.prices.list({ recurring, product: gold.id })), [monthly.id]);
});

scenario("a product goes only without prices, and keeps its default price", async ({ stripe, followed }) => {
  const product = await stripe.products.create({
    name: "Pro", default_price_data: { currency: "usd", unit_amount: 2900 }, expand: ["default_price"],
  });
  const price = product.default_price;
  assert.deepEqual([price.unit_amount, price.product, price.type], [2900, product.id, "one_time"]);
  await followed("product.created", "price.created", "product.updated");
  await refused(stripe.prices.update(price.id, { active: false }), INVALID, 400, undefined);
  await refused(stripe.products.del(product.id), INVALID, 400, undefined);
  await followed();

  const other = await stripe.prices.create({ product: product.id, currency: "usd", unit_amount: 3900 });
  await stripe.products.update(product.id, { default_price: other.id });
  await stripe.prices.update(price.id, { active: false });
  const [, moved, archived] = await followed("price.created", "product.updated", "price.updated");
  assert.deepEqual(moved.data.previous_attributes, { default_price: price.id });
  assert.deepEqual(archived.data.previous_attributes, { active: true });
  await refused(total(stripe, price, 1), INVALID, 400, undefined);

  const idea = await stripe.products.create({ name: "Idea", id: "idea" });
  assert.deepEqual([idea.id, (await stripe.products.del("idea")).deleted], ["idea", true]);
  const [, deleted] = await followed("product.created", "product.deleted");
  assert.equal(deleted.data.object.name, "Idea");
  await refused(stripe.products.retrieve("idea"), INVALID, 404, "resource_missing");
});
