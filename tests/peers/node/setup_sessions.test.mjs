// Checkout sessions in setup mode, and what becomes of those that expire.

import assert from "node:assert/strict";

import { DAY, PAID, priced, refused, scenario } from "./support.mjs";

const DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}";
const SETUP = { mode: "setup", currency: "usd", success_url: DONE };

scenario("a card is saved for a customer", async ({ stripe, followed, pay }) => {
  const customer = await stripe.customers.create({ email: "jenny@example.com" });
  const session = await stripe.checkout.sessions.create({
    ...SETUP, customer: customer.id, setup_intent_data: { description: "Card on file", metadata: { order: "7" } },
    client_reference_id: "u7",
  });
  assert.deepEqual(
    [session.amount_total, session.payment_status, session.payment_intent], [null, "no_payment_required", null],
  );
  const [, created] = await followed("customer.created", "setup_intent.created");
  const intent = created.data.object;
  assert.deepEqual(
    [intent.id, intent.description, intent.metadata.order, intent.usage],
    [session.setup_intent, "Card on file", "7", "off_session"],
  );

  const page = await pay(session.url);
  assert.equal(page.headers.get("location"), `https://example.com/done?session=${session.id}`);
  const [completed, attached, succeeded] = await followed(
    "checkout.session.completed", "payment_method.attached", "setup_intent.succeeded",
  );
  const { setup_intent, client_reference_id } = completed.data.object;
  assert.deepEqual([setup_intent, client_reference_id], [intent.id, "u7"]);
  assert.deepEqual(
    [attached.data.object.customer, attached.data.object.id], [customer.id, succeeded.data.object.payment_method],
  );
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ["setup_intent.payment_method"] });
  assert.deepEqual([done.status, done.setup_intent.payment_method.card.last4], ["complete", "4242"]);
});

scenario("a card that its bank refuses leaves the session open", async ({ stripe, followed, pay }) => {
  const session = await stripe.checkout.sessions.create({ ...SETUP, customer_creation: "always" });
  await followed("setup_intent.created");
  const email = { email: "jenny@example.com" };
  assert.equal((await pay(session.url, "4000000000000002", email)).status, 402);
  const [failed] = await followed("setup_intent.setup_failed");
  assert.equal(failed.data.object.last_setup_error.decline_code, "generic_decline");
  assert.equal((await pay(session.url, undefined, email)).status, 303);
  const [created, attached] = await followed(
    "customer.created", "payment_method.attached", "setup_intent.succeeded", "checkout.session.completed",
  );
  assert.equal(attached.data.object.customer, created.data.object.id);
});

scenario("the owner of a card authenticates to save it", async ({ stripe, followed, pay, submit }) => {
  const customer = await stripe.customers.create({ email: "jenny@example.com" });
  const session = await stripe.checkout.sessions.create({ ...SETUP, customer: customer.id });
  await followed("customer.created", "setup_intent.created");
  const asked = async () => {
    const page = (await pay(session.url, "4000002500003155")).headers.get("location");
    await followed("setup_intent.requires_action");
    return page;
  };
  const back = await submit(await asked(), { action: "fail" });
  await followed("setup_intent.setup_failed");
  assert.match(back.headers.get("location"), /\/c\/pay\//);
  const done = await submit(await asked(), { action: "complete" });
  assert.equal(done.headers.get("location"), `https://example.com/done?session=${session.id}`);
  await followed("payment_method.attached", "setup_intent.succeeded", "checkout.session.completed");
});

scenario("a session that sets up ends with its intent", async ({ stripe, followed, advance }) => {
  const session = await stripe.checkout.sessions.create(SETUP);
  await followed("setup_intent.created");
  await advance(DAY + 60);
  await followed("setup_intent.canceled", "checkout.session.expired");
  assert.equal((await stripe.setupIntents.retrieve(session.setup_intent)).status, "canceled");
});

scenario("only the page ends the intent of a session", async ({ stripe, followed }) => {
  const session = await stripe.checkout.sessions.create(SETUP);
  await followed("setup_intent.created");
  const conflict = ["StripeInvalidRequestError", 400, "setup_intent_unexpected_state"];
  await refused(stripe.setupIntents.confirm(session.setup_intent, { payment_method: "pm_card_visa" }), ...conflict);
  await refused(stripe.setupIntents.cancel(session.setup_intent), ...conflict);
  assert.equal((await stripe.setupIntents.retrieve(session.setup_intent)).status, "requires_payment_method");
  await followed();
});

scenario("what belongs to another mode is refused", async ({ stripe }) => {
  const price = await priced(stripe, 500);
  const line_items = [{ price: price.id, quantity: 1 }];
  const once = { mode: "payment", line_items, success_url: DONE };
  for (const [code, param, form] of [
    [undefined, "line_items", { ...SETUP, line_items }],
    ["parameter_missing", "currency", { mode: "setup", success_url: DONE }],
    [undefined, "setup_intent_data", { ...once, setup_intent_data: { description: "x" } }],
  ]) {
    const error = await refused(stripe.checkout.sessions.create(form), "StripeInvalidRequestError", 400, code);
    assert.equal(error.param, param);
  }
});

scenario("an expired session is recovered", async ({ stripe, followed, advance, pay }) => {
  const price = await priced(stripe, 500);
  const session = await stripe.checkout.sessions.create({
    mode: "payment", line_items: [{ price: price.id, quantity: 2 }], success_url: DONE,
    after_expiration: { recovery: { enabled: true } },
  });
  assert.equal(session.after_expiration.recovery.url, null);
  await followed("product.created", "price.created");
  await advance(DAY + 60);
  const [expired] = await followed("checkout.session.expired");
  const { recovery } = expired.data.object.after_expiration;
  assert.equal(recovery.expires_at, expired.created + 30 * DAY);
  assert.match(await (await fetch(recovery.url)).text(), /Checkout/);
  const [recovered] = (await stripe.checkout.sessions.list({ status: "open" })).data;
  assert.deepEqual(
    [recovered.recovered_from, recovered.amount_total, recovered.after_expiration], [session.id, 1000, null],
  );
  assert.equal((await pay(recovered.url, undefined, { email: "jenny@example.com" })).status, 303);
  await followed("checkout.session.completed", ...PAID);
});
