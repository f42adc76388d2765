// The balance, and the transactions it is the sum of.

import assert from "node:assert/strict";

import { DAY, PAID, scenario } from "./support.mjs";

/** What is available and what is pending in a currency. */
async function balance({ stripe }, currency = "usd") {
  const { available, pending } = await stripe.balance.retrieve();
  const sum = (half) => half.filter((one) => one.currency === currency).reduce((all, one) => all + one.amount, 0);
  return [sum(available), sum(pending)];
}

const expand = ["latest_charge.balance_transaction"];

scenario("money is available after two days", async (world) => {
  const { stripe, followed, paid, advance } = world;
  assert.deepEqual(await balance(world), [0, 0]);
  await paid(10_000);
  await followed(...PAID);
  assert.deepEqual(await balance(world), [0, 9680]);
  const [money] = (await stripe.balanceTransactions.list()).data;
  assert.deepEqual([money.status, money.available_on - money.created], ["pending", 2 * DAY]);
  await advance(2 * DAY - 60);
  await followed();
  await advance(120);
  const [event] = await followed("balance.available");
  const told = event.data.object.available.map((one) => [one.amount, one.currency, one.source_types.card]);
  assert.deepEqual(told, [[9680, "usd", 9680]]);
  assert.deepEqual(await balance(world), [9680, 0]);
  assert.equal((await stripe.balanceTransactions.retrieve(money.id)).status, "available");
});

scenario("a card bypasses pending", async (world) => {
  const { followed, paid, advance } = world;
  const { latest_charge } = await paid(1000, "bypassPending", { expand });
  const { status, available_on, created, net } = latest_charge.balance_transaction;
  assert.deepEqual([status, available_on, net], ["available", created, 941]);
  await followed(...PAID);
  assert.deepEqual(await balance(world), [941, 0]);
  await advance(3 * DAY);
  await followed();
});

scenario("fees are rounded half up", async (world) => {
  const { followed, paid } = world;
  for (const [amount, fee] of [[50, 31], [500, 45], [2900, 114], [9999, 320], [99_999_999, 2_900_030]]) {
    const { balance_transaction: money } = (await paid(amount, "visa", { expand })).latest_charge;
    assert.deepEqual([money.fee, money.net], [fee, amount - fee]);
    await followed(...PAID);
  }
  assert.deepEqual(await balance(world), [0, 19 + 455 + 2786 + 9679 + 97_099_969]);
});

scenario("each currency has a balance", async (world) => {
  const { stripe, followed, paid } = world;
  for (const [amount, currency, net] of [[2000, "usd", 1912], [3000, "eur", 2883], [5000, "jpy", 4825]]) {
    await paid(amount, "visa", { currency });
    await followed(...PAID);
    assert.deepEqual(await balance(world, currency), [0, net]);
  }
  const { data } = await stripe.balanceTransactions.list({ currency: "eur" });
  assert.deepEqual(data.map((one) => [one.amount, one.net]), [[3000, 2883]]);
});

scenario("refunds are taken from the balance", async (world) => {
  const { stripe, followed, paid, advance } = world;
  const one = await paid(2000, "bypassPending");
  const two = await paid(6000);
  await followed(...PAID, ...PAID);
  assert.deepEqual(await balance(world), [1912, 5796]);
  for (const [intent, amount] of [[one, 2000], [two, 1000]]) {
    await stripe.refunds.create({ payment_intent: intent.id, amount });
    await followed("refund.created", "charge.refunded");
  }
  assert.deepEqual(await balance(world), [-88, 4796]);
  await advance(2 * DAY + 60);
  await followed("balance.available");
  assert.deepEqual(await balance(world), [4708, 0]);
  const { data } = await stripe.balanceTransactions.list();
  assert.deepEqual(data.map((entry) => [entry.type, entry.net]), [
    ["refund", -1000], ["refund", -2000], ["charge", 5796], ["charge", 1912],
  ]);
  assert.equal(data.reduce((sum, entry) => sum + entry.net, 0), 4708);
});

scenario("transactions are listed by what moved the money", async ({ stripe, followed, paid }) => {
  const intents = [await paid(1000), await paid(2000), await paid(3000)];
  const refund = await stripe.refunds.create({ payment_intent: intents[1].id });
  await followed(...PAID, ...PAID, ...PAID, "refund.created", "charge.refunded");
  const amounts = ({ data }) => data.map((one) => one.amount);
  const moved = async (filter) => amounts(await stripe.balanceTransactions.list(filter));
  assert.deepEqual(await moved({ type: "charge" }), [3000, 2000, 1000]);
  assert.deepEqual(await moved({ type: "refund" }), [-2000]);
  assert.deepEqual(await moved({ source: intents[0].latest_charge }), [1000]);
  const page = await stripe.balanceTransactions.list({ limit: 2 });
  assert.deepEqual([amounts(page), page.has_more], [[-2000, 3000], true]);
  const all = await stripe.balanceTransactions.list({ limit: 2 }).autoPagingToArray({ limit: 10 });
  assert.deepEqual(all.map((one) => one.amount), [-2000, 3000, 2000, 1000]);
  const { source } = await stripe.balanceTransactions.retrieve(page.data[0].id, { expand: ["source"] });
  assert.deepEqual([source.id, source.amount], [refund.id, 2000]);
  await followed();
});

scenario("only what is captured moves money", async (world) => {
  const { stripe, followed, paid, advance } = world;
  const { id } = await paid(10_000, "visa", { capture_method: "manual" });
  await followed("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded");
  assert.deepEqual([await balance(world), (await stripe.balanceTransactions.list()).data], [[0, 0], []]);
  await advance(DAY);
  await stripe.paymentIntents.capture(id, { amount_to_capture: 4000 });
  await followed("charge.captured", "payment_intent.succeeded");
  assert.deepEqual(await balance(world), [0, 3854]);
  const [money] = (await stripe.balanceTransactions.list()).data;
  assert.deepEqual([money.amount, money.fee, money.available_on - money.created], [4000, 146, 2 * DAY]);
});
