// Payment intents, from state to state.

import assert from "node:assert/strict";

import { DAY, PAID, RETURN, refused, scenario } from "./support.mjs";

const HELD = ["payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded"];
const INVALID = "StripeInvalidRequestError";
const CONFLICT = "payment_intent_unexpected_state";

async function held({ paid, followed }, amount, card) {
  const intent = await paid(amount, card, { capture_method: "manual" });
  const { status, amount_capturable, amount_received } = intent;
  assert.deepEqual([status, amount_capturable, amount_received], ["requires_capture", amount, 0]);
  await followed(...HELD);
  return intent;
}

scenario("a payment gets its method later", async ({ stripe, followed }) => {
  const intents = stripe.paymentIntents;
  const { id, client_secret } = await intents.create({ amount: 1500, currency: "gbp", metadata: { order: "7" } });
  assert.ok(client_secret.startsWith(`${id}_secret_`));
  await followed("payment_intent.created");
  const missing = await refused(intents.confirm(id, { return_url: RETURN }), INVALID, 400, CONFLICT);
  assert.equal(missing.payment_intent.status, "requires_payment_method");
  const changed = await intents.update(id, {
    amount: 1700, description: "Mug", metadata: { gift: "yes" }, payment_method: "pm_card_gb",
  });
  assert.deepEqual([changed.status, changed.amount], ["requires_confirmation", 1700]);
  assert.deepEqual(changed.metadata, { order: "7", gift: "yes" });
  await followed();
  const done = await intents.confirm(id, { return_url: RETURN, expand: ["latest_charge"] });
  assert.deepEqual([done.status, done.amount_received], ["succeeded", 1700]);
  const { description, metadata, currency, payment_method_details } = done.latest_charge;
  assert.deepEqual([description, metadata.gift, currency], ["Mug", "yes", "gbp"]);
  assert.equal(payment_method_details.card.country, "GB");
  await followed("payment_intent.succeeded", "charge.succeeded");
});

scenario("an amount has limits", async ({ stripe, followed }) => {
  const intents = stripe.paymentIntents;
  for (const [amount, currency, code] of [
    [49, "usd", "amount_too_small"], [29, "gbp", "amount_too_small"], [100_000_000, "usd", "amount_too_large"],
    [0, "usd", "parameter_invalid_integer"], [-50, "usd", "parameter_invalid_integer"],
  ]) {
    assert.equal((await refused(intents.create({ amount, currency }), INVALID, 400, code)).param, "amount");
  }
  const error = await refused(intents.create({ amount: 500, currency: "xxx" }), INVALID, 400, undefined);
  assert.match(error.message, /^Invalid currency: xxx\. Stripe currently supports/);
  await followed();
  const least = await intents.create({ amount: 50, currency: "usd" });
  const most = await intents.create({ amount: 99_999_999, currency: "usd" });
  await followed("payment_intent.created", "payment_intent.created");
  await refused(intents.update(least.id, { amount: 10 }), INVALID, 400, "amount_too_small");
  assert.deepEqual((await intents.list()).data.map((one) => one.amount), [99_999_999, 50]);
  assert.equal(most.status, "requires_payment_method");
  await followed();
});

scenario("a hold is captured whole", async (world) => {
  const { stripe, followed } = world;
  const { id, latest_charge } = await held(world, 3000);
  const uncaptured = await stripe.charges.retrieve(latest_charge);
  const { captured, amount_captured, balance_transaction } = uncaptured;
  assert.deepEqual([captured, amount_captured, balance_transaction], [false, 0, null]);
  const intent = await stripe.paymentIntents.capture(id);
  assert.deepEqual([intent.status, intent.amount_received, intent.amount_capturable], ["succeeded", 3000, 0]);
  const [event] = await followed("charge.captured", "payment_intent.succeeded");
  const charge = event.data.object;
  assert.deepEqual([charge.captured, charge.amount_captured, charge.amount_refunded], [true, 3000, 0]);
  const again = await refused(stripe.paymentIntents.capture(id), INVALID, 400, CONFLICT);
  assert.match(again.message, /already been captured/);
  await followed();
});

scenario("a hold is captured in part", async (world) => {
  const { stripe, followed } = world;
  const { id } = await held(world, 3000, "mastercard");
  const tooMuch = stripe.paymentIntents.capture(id, { amount_to_capture: 3001 });
  assert.equal((await refused(tooMuch, INVALID, 400, "amount_too_large")).param, "amount_to_capture");
  await followed();
  const intent = await stripe.paymentIntents.capture(id, { amount_to_capture: 1200, metadata: { parcel: "1" } });
  assert.deepEqual([intent.status, intent.amount, intent.amount_received], ["succeeded", 3000, 1200]);
  assert.deepEqual([intent.amount_capturable, intent.metadata.parcel], [0, "1"]);
  const [captured] = await followed("charge.captured", "payment_intent.succeeded");
  const { amount, amount_captured, amount_refunded, refunded } = captured.data.object;
  // The rest is released, which Stripe counts as refunded.
  assert.deepEqual([amount, amount_captured, amount_refunded, refunded], [3000, 1200, 1800, false]);
});

scenario("a hold is canceled", async (world) => {
  const { stripe, followed } = world;
  const { id } = await held(world, 800);
  const intent = await stripe.paymentIntents.cancel(id, { cancellation_reason: "requested_by_customer" });
  assert.deepEqual([intent.status, intent.amount_capturable, intent.amount_received], ["canceled", 0, 0]);
  const [released, canceled] = await followed("charge.refunded", "payment_intent.canceled");
  assert.deepEqual([released.data.object.amount_refunded, released.data.object.captured], [800, false]);
  assert.equal(canceled.data.object.cancellation_reason, "requested_by_customer");
  await refused(stripe.paymentIntents.capture(id), INVALID, 400, CONFLICT);
});

scenario("a hold ends after seven days", async (world) => {
  const { stripe, followed, advance } = world;
  const { id, latest_charge } = await held(world, 800);
  await advance(7 * DAY - 60);
  await followed();
  await advance(120);
  const [expired, canceled] = await followed("charge.expired", "payment_intent.canceled");
  assert.deepEqual([expired.data.object.id, expired.data.object.amount_captured], [latest_charge, 0]);
  assert.equal(canceled.data.object.cancellation_reason, "automatic");
  const { status, amount_capturable } = await stripe.paymentIntents.retrieve(id);
  assert.deepEqual([status, amount_capturable], ["canceled", 0]);
});

scenario("a payment is canceled in every open state", async ({ stripe, followed, paid }) => {
  const intents = stripe.paymentIntents;
  const asking = { payment_method: "pm_card_threeDSecure2Required", confirm: true, return_url: RETURN };
  for (const [more, status, ...events] of [
    [{}, "requires_payment_method"],
    [{ payment_method: "pm_card_visa" }, "requires_confirmation"],
    [asking, "requires_action", "payment_intent.requires_action"],
  ]) {
    const intent = await intents.create({ amount: 900, currency: "eur", ...more });
    assert.equal(intent.status, status);
    await followed("payment_intent.created", ...events);
    const canceled = await intents.cancel(intent.id);
    assert.deepEqual([canceled.status, canceled.next_action], ["canceled", null]);
    assert.ok(canceled.canceled_at >= intent.created);
    await followed("payment_intent.canceled");
    await refused(intents.cancel(intent.id), INVALID, 400, CONFLICT);
  }
  const done = await paid(900);
  await followed(...PAID);
  const error = await refused(intents.cancel(done.id), INVALID, 400, CONFLICT);
  assert.equal(error.payment_intent.status, "succeeded");
  await followed();
});

scenario("what is paid is settled", async ({ stripe, followed, paid }) => {
  const intents = stripe.paymentIntents;
  const { id } = await paid(2100, "amex");
  await followed(...PAID);
  for (const [change, param] of [[{ amount: 1 }, "amount"], [{ currency: "eur" }, "currency"]]) {
    assert.equal((await refused(intents.update(id, change), INVALID, 400, CONFLICT)).param, param);
  }
  const again = await refused(intents.confirm(id, { return_url: RETURN }), INVALID, 400, CONFLICT);
  assert.equal(again.payment_intent.id, id);
  assert.deepEqual((await intents.update(id, { metadata: { seen: "1" } })).metadata, { seen: "1" });
  assert.equal((await intents.retrieve(id)).amount_received, 2100);
  await followed();
});

scenario("a key confirms once", async ({ stripe, followed }) => {
  const form = { amount: 600, currency: "usd", payment_method: "pm_card_visa" };
  const { id } = await stripe.paymentIntents.create(form);
  await followed("payment_intent.created");
  const once = { idempotencyKey: "confirm-600" };
  const first = await stripe.paymentIntents.confirm(id, { return_url: RETURN }, once);
  const second = await stripe.paymentIntents.confirm(id, { return_url: RETURN }, once);
  assert.deepEqual([first.status, first.latest_charge], [second.status, second.latest_charge]);
  assert.equal(second.lastResponse.headers["idempotent-replayed"], "true");
  await followed("payment_intent.succeeded", "charge.succeeded");
  const other = { return_url: RETURN, payment_method: "pm_card_mastercard" };
  await refused(stripe.paymentIntents.confirm(id, other, once), "StripeIdempotencyError", 400, undefined);
  assert.equal((await stripe.charges.list({ payment_intent: id })).data.length, 1);
});

scenario("payments are found", async ({ stripe, followed, paid }) => {
  const intents = stripe.paymentIntents;
  const jenny = await stripe.customers.create({ name: "Jenny" });
  const joe = await stripe.customers.create({ name: "Joe" });
  const small = await paid(700, "visa", { customer: jenny.id, metadata: { order: "a" } });
  const large = await paid(70_000, "visa", { customer: jenny.id, metadata: { order: "b" } });
  const other = await intents.create({ amount: 700, currency: "eur", customer: joe.id });
  await followed("customer.created", "customer.created", ...PAID, ...PAID, "payment_intent.created");
  const ids = ({ data }) => data.map((one) => one.id);
  assert.deepEqual(ids(await intents.list({ customer: jenny.id })), [large.id, small.id]);
  for (const [query, expected] of [
    ["status:'succeeded' AND amount>1000", [large.id]],
    ["metadata['order']:'a'", [small.id]],
    [`customer:'${joe.id}'`, [other.id]],
    ["currency:'eur' OR amount<=700", [other.id, small.id]],
    ["-currency:'eur'", [large.id, small.id]],
  ]) {
    assert.deepEqual(ids(await intents.search({ query })), expected, query);
  }
  await followed();
});

scenario("a client pays with the secret", async ({ stripe, followed, control, clientOf }) => {
  const { id, client_secret } = await stripe.paymentIntents.create({ amount: 1100, currency: "usd" });
  await followed("payment_intent.created");
  const client = clientOf((await control("keys")).publishable).paymentIntents;
  assert.equal((await client.retrieve(id, { client_secret })).amount, 1100);
  for (const one of [client, stripe.paymentIntents]) {
    const wrong = one.retrieve(id, { client_secret: `${id}_secret_wrong` });
    assert.equal((await refused(wrong, INVALID, 400, "payment_intent_invalid_parameter")).param, "client_secret");
  }
  await refused(client.list(), "StripeAuthenticationError", 401, "secret_key_required");
  await followed();
  const payment_method_data = { type: "card", card: { token: "tok_visa" }, billing_details: { name: "Jenny" } };
  const done = await client.confirm(id, { client_secret, payment_method_data, return_url: RETURN });
  assert.deepEqual([done.status, done.amount], ["succeeded", 1100]);
  const [, charge] = await followed("payment_intent.succeeded", "charge.succeeded");
  assert.equal(charge.data.object.billing_details.name, "Jenny");
});

scenario("the page of test cards pays", async ({ stripe, followed, submit, sandboxUrl }) => {
  const { id } = await stripe.paymentIntents.create({ amount: 1250, currency: "usd", description: "A <mug>" });
  await followed("payment_intent.created");
  const url = `${sandboxUrl}/_sandbox/pay/${id}`;
  const page = await (await fetch(url)).text();
  assert.ok(page.includes("12.50 usd") && page.includes("A &lt;mug&gt;"), page);
  const declined = await submit(url, { card_number: "4000 0000 0000 9995" });
  assert.equal(declined.status, 402);
  assert.match(await declined.text(), /data-code="insufficient_funds"/);
  await followed("payment_intent.payment_failed", "charge.failed");
  const good = { card_number: "4242 4242 4242 4242" };
  const done = await submit(url, good);
  assert.deepEqual([done.status, done.headers.get("location")], [303, url]);
  const [, charge] = await followed("payment_intent.succeeded", "charge.succeeded");
  assert.deepEqual([charge.data.object.amount, charge.data.object.payment_intent], [1250, id]);
  assert.equal((await submit(url, good)).status, 409);
  await followed();
});

scenario("what a call names must be there", async ({ stripe, followed }) => {
  const money = { amount: 500, currency: "usd" };
  for (const [status, param, call] of [
    [404, "intent", () => stripe.paymentIntents.retrieve("pi_0")],
    [404, "intent", () => stripe.paymentIntents.cancel("pi_0")],
    [400, "customer", () => stripe.paymentIntents.create({ ...money, customer: "cus_0" })],
    [400, "payment_method", () => stripe.paymentIntents.create({ ...money, payment_method: "pm_0" })],
    [400, "payment_intent", () => stripe.refunds.create({ payment_intent: "pi_0" })],
    [404, "payment_method", () => stripe.paymentMethods.detach("pm_0")],
    [400, "customer", () => stripe.setupIntents.create({ customer: "cus_0" })],
  ]) {
    assert.equal((await refused(call(), INVALID, status, "resource_missing")).param, param);
  }
  await followed();
});
