// Pages of lists and of searches.

import assert from "node:assert/strict";

import { scenario } from "./support.mjs";

const ids = (objects) => objects.map((one) => one.id);

scenario("pages go both ways", async ({ stripe, followed }) => {
  const made = [];
  for (let n = 0; n < 7; n += 1) made.unshift((await stripe.products.create({ name: `Product ${n}` })).id);
  await followed(...Array(7).fill("product.created"));
  const all = await stripe.products.list({ limit: 3 }).autoPagingToArray({ limit: 100 });
  assert.deepEqual(ids(all), made);
  const later = await stripe.products.list({ limit: 3, starting_after: made[1] });
  assert.deepEqual([ids(later.data), later.has_more], [made.slice(2, 5), true]);
  const earlier = await stripe.products.list({ limit: 3, ending_before: made[2] });
  assert.deepEqual([ids(earlier.data), earlier.has_more], [made.slice(0, 2), false]);
});

scenario("a search finds by metadata page by page", async ({ stripe, followed }) => {
  const made = [];
  for (const team of ["red", "red", "blue", "red"]) made.push(await stripe.customers.create({ metadata: { team } }));
  await followed(...Array(4).fill("customer.created"));
  const search = { query: "metadata['team']:'red'", limit: 2 };
  const page = await stripe.customers.search(search);
  assert.deepEqual([page.data.length, page.has_more], [2, true]);
  const found = await stripe.customers.search(search).autoPagingToArray({ limit: 100 });
  assert.deepEqual(ids(found).sort(), [made[0].id, made[1].id, made[3].id].sort());
});
