// Webhook endpoints: several at once, what each is sent, in which shape, and under which secrets.

import assert from "node:assert/strict";

import { ids, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";

/** A new endpoint and what receives for it. */
async function listening({ stripe, anotherReceiver }, enabled_events, more = {}) {
  const receiver = await anotherReceiver();
  const endpoint = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events, ...more });
  receiver.secret = endpoint.secret;
  return [endpoint, receiver];
}

const types = (receiver) => receiver.events.map((event) => event.type);

scenario("endpoints hear of the platform or of connected accounts", async (world) => {
  const { stripe, followed } = world;
  const [everything, allReceived] = await listening(world, ["*"]);
  const [, ofAccounts] = await listening(world, ["*"], { connect: true });
  const account = await stripe.accounts.create({ type: "express", country: "DE", email: "seller@example.com" });
  const own = await stripe.customers.create({ name: "Ours" });
  const theirs = await stripe.customers.create({ name: "Theirs" }, { stripeAccount: account.id });
  const [ours] = await followed("customer.created");
  assert.deepEqual(allReceived.events.map((event) => event.data.object.id), [own.id]);
  assert.deepEqual([ours.pending_webhooks, ours.account], [2, undefined]);
  const [received] = ofAccounts.events;
  const { object } = received.data;
  assert.deepEqual([object.id, received.account, received.pending_webhooks], [theirs.id, account.id, 1]);
  const { data: listed } = await stripe.webhookEndpoints.list();
  assert.deepEqual(listed.map((one) => one.enabled_events), [["*"], ["*"], ["*"]]);
  assert.equal(listed[1].id, everything.id);
});

scenario("an endpoint is changed, turned off and on", async (world) => {
  const { stripe, followed } = world;
  const more = { description: "first", metadata: { team: "red" } };
  const [{ id, status, secret }, receiver] = await listening(world, ["customer.created"], more);
  assert.deepEqual([status, secret.startsWith("whsec_")], ["enabled", true]);
  const update = (form) => stripe.webhookEndpoints.update(id, form);
  const changed = await update({ enabled_events: ["product.created", "product.deleted"], description: "second" });
  assert.deepEqual([changed.description, changed.metadata.team, changed.secret], ["second", "red", undefined]);
  await stripe.customers.create({});
  const product = await stripe.products.create({ name: "Pro" });
  await followed("customer.created", "product.created");
  assert.deepEqual(types(receiver), ["product.created"]);

  assert.equal((await update({ disabled: true })).status, "disabled");
  await stripe.products.del(product.id);
  await followed("product.deleted");
  assert.equal((await update({ disabled: false })).status, "enabled");
  await stripe.products.create({ name: "Pro" });
  await followed("product.created");
  assert.deepEqual([types(receiver), receiver.refused], [["product.created", "product.created"], []]);
  await refused(update({ enabled_events: ["product.painted"] }), INVALID, 400, undefined);
  await refused(update({ url: "nowhere" }), INVALID, 400, "url_invalid");
});

scenario("a rolled secret and the one before both sign for a while", async (world) => {
  const { stripe, followed, control, advance } = world;
  const [{ id, secret: old }, receiver] = await listening(world, ["customer.created"]);
  const { secret: fresh } = await control(`webhook_endpoints/${id}/roll`, { expire_seconds: 3600 });
  assert.notEqual(fresh, old);
  await stripe.customers.create({});
  const [created] = await followed("customer.created");
  const [body, signature] = receiver.raw.pop();
  assert.equal(signature.match(/v1=/g).length, 2);
  for (const secret of [old, fresh]) {
    assert.equal(stripe.webhooks.constructEvent(body, signature, secret).id, created.id);
  }

  await advance(3601);
  receiver.secret = fresh;
  await stripe.customers.create({});
  await followed("customer.created");
  const [later, alone] = receiver.raw.pop();
  assert.deepEqual([alone.match(/v1=/g).length, receiver.refused], [1, []]);
  const check = () => stripe.webhooks.constructEvent(later, alone, old);
  assert.throws(check, { type: "StripeSignatureVerificationError" });
});

scenario("an endpoint of an older version is sent the older shape", async (world) => {
  const { stripe, followed } = world;
  const [, older] = await listening(world, ["promotion_code.created"], { api_version: "2025-08-27.basil" });
  const coupon = await stripe.coupons.create({ percent_off: 20 });
  const code = await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: coupon.id }, code: "FALL20" });
  const [, now] = await followed("coupon.created", "promotion_code.created");
  assert.deepEqual([now.data.object.promotion.coupon, now.api_version], [coupon.id, "2026-09-30.endive"]);
  const [before] = older.events;
  assert.deepEqual([ids(older.events), before.api_version], [[now.id], "2025-08-27.basil"]);
  const { object } = before.data;
  assert.deepEqual([object.id, object.coupon.percent_off, object.promotion], [code.id, 20, undefined]);
  const unknown = { url: older.url, enabled_events: ["*"], api_version: "2019-13-45" };
  await refused(stripe.webhookEndpoints.create(unknown), INVALID, 400, undefined);
});
