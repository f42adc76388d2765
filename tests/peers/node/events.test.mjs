// Events: how they are listed, sent again, made to order, and what goes wrong on their way.

import assert from "node:assert/strict";

import { DAY, ids, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";

scenario("events are listed by type and time for thirty days", async ({ stripe, followed, advance }) => {
  const product = await stripe.products.create({ name: "Pro" });
  await stripe.products.update(product.id, { name: "Pro 2" });
  await advance(DAY);
  await stripe.customers.create({});
  const [made, renamed, customer] = await followed("product.created", "product.updated", "customer.created");
  for (const [form, found] of [
    [{ type: "product.updated" }, [renamed]],
    [{ type: "product.*" }, [renamed, made]],
    [{ types: ["product.created", "customer.created"] }, [customer, made]],
    [{ created: { gte: customer.created } }, [customer]],
    [{ created: { lt: customer.created }, limit: 1 }, [renamed]],
    [{ delivery_success: true }, [customer, renamed, made]],
    [{ delivery_success: false }, []],
  ]) {
    assert.deepEqual(ids(await stripe.events.list(form)), ids(found), JSON.stringify(form));
  }
  const both = stripe.events.list({ type: "product.created", types: ["product.updated"] });
  await refused(both, INVALID, 400, undefined);
  await advance(29 * DAY + 3600);
  assert.deepEqual(ids(await stripe.events.list()), [customer.id]);
  await refused(stripe.events.retrieve(made.id), INVALID, 404, "resource_missing");
});

scenario("an event is sent again to whom it is wished for", async ({ stripe, followed, anotherReceiver }) => {
  const receiver = await anotherReceiver();
  const endpoint = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["coupon.created"] });
  receiver.secret = endpoint.secret;
  await stripe.products.create({ name: "Pro" });
  const [made] = await followed("product.created");
  assert.deepEqual([made.pending_webhooks, receiver.events], [1, []]);
  // The call behind `stripe events resend`.
  const again = await stripe.rawRequest("POST", `/v1/events/${made.id}/retry`, { webhook_endpoint: endpoint.id });
  assert.equal(again.id, made.id);
  await followed();
  assert.deepEqual(ids(receiver.events), [made.id]);
  await stripe.rawRequest("POST", `/v1/events/${made.id}/retry`);
  const [onceMore] = await followed("product.created");
  assert.deepEqual([onceMore.id, onceMore.created], [made.id, made.created]);
});

scenario("deliveries come twice and out of order, and are the same events", async ({ stripe, followed, spoil, receiver }) => {
  await spoil([], { copies: 2, swap: true });
  const product = await stripe.products.create({ name: "Pro" });
  await stripe.products.update(product.id, { name: "Pro 2" });
  const twice = (type) => [type, type];
  const events = await followed(...twice("product.created"), ...twice("product.updated"));
  const [made, madeAgain, renamed, renamedAgain] = ids(events);
  assert.deepEqual([made, renamed], [madeAgain, renamedAgain]);
  const arrived = receiver.events.map((event) => event.type);
  assert.deepEqual(arrived, [...twice("product.updated"), ...twice("product.created")]);
  assert.deepEqual(ids(await stripe.events.list()), [renamed, made]);
  await spoil();
  await stripe.products.update(product.id, { name: "Pro 3" });
  await followed("product.updated");
});

scenario("an event is lost on its way, or never there", async ({ stripe, followed, spoil, control }) => {
  await spoil([], { drop: ["customer.updated"], never_generate: ["customer.deleted"] });
  const customer = await stripe.customers.create({ name: "Jenny" });
  await stripe.customers.update(customer.id, { name: "Jen" });
  await stripe.customers.del(customer.id);
  await followed("customer.created");
  const listed = (await stripe.events.list()).data.map((event) => [event.type, event.pending_webhooks]);
  assert.deepEqual(listed, [["customer.updated", 1], ["customer.created", 0]]);
  const { data: [lost] } = await stripe.events.list({ delivery_success: false });
  assert.deepEqual([lost.type, lost.data.object.name], ["customer.updated", "Jen"]);
  assert.equal((await control("deliveries")).dropped, 1);
});

scenario("an event that is late comes when its time does", async ({ stripe, followed, spoil, control, advance, receiver }) => {
  await spoil([], { delay_seconds: 3600 });
  const customer = await stripe.customers.create({});
  assert.equal((await control("deliveries")).waiting, 1);
  assert.deepEqual(receiver.events, []);
  await advance(3601);
  const [created] = await followed("customer.created");
  assert.deepEqual([created.data.object.id, created.created], [customer.id, customer.created]);
});

scenario("an event is made to order and changes nothing", async ({ stripe, followed, control }) => {
  const { id } = await stripe.customers.create({ name: "Jenny" });
  await followed("customer.created");
  const dispute = await control("trigger", { type: "charge.dispute.created", data: { amount: 900 } });
  const [disputed] = await followed("charge.dispute.created");
  assert.deepEqual([disputed.id, disputed.data.object.amount], [dispute.id, 900]);
  await control("trigger", {
    type: "customer.updated", data: { id, name: "Jen" }, previous_attributes: { name: "Jenny" },
  });
  const [updated] = await followed("customer.updated");
  assert.deepEqual([updated.data.object.id, updated.data.object.name], [id, "Jen"]);
  assert.equal((await stripe.customers.retrieve(id)).name, "Jenny");
  const listed = (await stripe.events.list()).data.map((event) => event.type);
  assert.deepEqual(listed, ["customer.updated", "charge.dispute.created", "customer.created"]);
});
