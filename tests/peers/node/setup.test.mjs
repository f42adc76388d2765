// Setup intents and their attempts.

import assert from "node:assert/strict";

import { RETURN, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const CONFLICT = "setup_intent_unexpected_state";
const DONE = ["setup_intent.created", "setup_intent.succeeded", "payment_method.attached"];

/** A scenario with a customer, for whom `setUp` makes and confirms an intent. */
function setupScenario(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed } = world;
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    await followed("customer.created");
    const setUp = (card, more = {}) => {
      const form = { customer, payment_method: `pm_card_${card}`, confirm: true, return_url: RETURN };
      return stripe.setupIntents.create({ ...form, ...more });
    };
    const attempts = async (setup_intent) => (await stripe.setupAttempts.list({ setup_intent })).data;
    const cards = async () => (await stripe.paymentMethods.list({ customer })).data;
    await play({ ...world, customer, setUp, attempts, cards });
  });
}

setupScenario("a card is set up and saved", async ({ stripe, followed, customer, attempts }) => {
  const created = await stripe.setupIntents.create({ customer, metadata: { why: "trial" } });
  const { id, status, usage, client_secret } = created;
  assert.deepEqual([status, usage], ["requires_payment_method", "off_session"]);
  assert.ok(client_secret.startsWith(`${id}_secret_`));
  const change = { payment_method: "pm_card_mastercard", description: "Trial" };
  const changed = await stripe.setupIntents.update(id, change);
  assert.deepEqual([changed.status, changed.description], ["requires_confirmation", "Trial"]);
  assert.equal(changed.metadata.why, "trial");
  await followed("setup_intent.created");
  assert.deepEqual(await attempts(id), []);
  const intent = await stripe.setupIntents.confirm(id, { return_url: RETURN, expand: ["latest_attempt"] });
  assert.deepEqual([intent.status, intent.latest_attempt.status], ["succeeded", "succeeded"]);
  const events = await followed("setup_intent.succeeded", "payment_method.attached");
  const [done, attached] = events.map((event) => event.data.object);
  assert.deepEqual([done.payment_method, attached.customer], [attached.id, customer]);
  const [attempt] = await attempts(id);
  assert.deepEqual([attempt.payment_method, attempt.payment_method_details.card.last4], [attached.id, "4444"]);
});

setupScenario("a card is set up by its owner", async ({ followed, submit, setUp, attempts, cards }) => {
  const intent = await setUp("authenticationRequiredOnSetup");
  const statuses = async () => (await attempts(intent.id)).map((one) => one.status);
  assert.deepEqual([intent.status, await statuses()], ["requires_action", ["requires_action"]]);
  await followed("setup_intent.created", "setup_intent.requires_action");
  const { url } = intent.next_action.redirect_to_url;
  assert.match(await (await fetch(url)).text(), /save the card/);
  assert.deepEqual(await cards(), []);
  const answer = await submit(url, { action: "complete" });
  assert.equal(answer.status, 303);
  assert.ok(answer.headers.get("location").startsWith(`${RETURN}?setup_intent=${intent.id}`));
  await followed("setup_intent.succeeded", "payment_method.attached");
  const [{ status, payment_method_details }] = await attempts(intent.id);
  assert.deepEqual([status, payment_method_details.card.three_d_secure.result], ["succeeded", "authenticated"]);
});

setupScenario("a declined card is not set up", async ({ followed, setUp, attempts, cards }) => {
  const error = await refused(setUp("visa_chargeDeclinedLostCard"), "StripeCardError", 402, "card_declined");
  assert.deepEqual([error.decline_code, error.setup_intent.status], ["lost_card", "requires_payment_method"]);
  const [, failed] = await followed("setup_intent.created", "setup_intent.setup_failed");
  assert.equal(failed.data.object.last_setup_error.decline_code, "lost_card");
  const [attempt] = await attempts(error.setup_intent.id);
  assert.deepEqual([attempt.status, attempt.setup_error.decline_code], ["failed", "lost_card"]);
  assert.deepEqual(await cards(), []);
});

setupScenario("another card is set up after a failure", async (world) => {
  const { stripe, followed, submit, advance, setUp, attempts } = world;
  const { id, next_action } = await setUp("threeDSecureRequired");
  await submit(next_action.redirect_to_url.url, { action: "fail" });
  const begun = ["setup_intent.created", "setup_intent.requires_action"];
  const [failed] = await followed("setup_intent.setup_failed", ...begun);
  const { last_setup_error, status } = failed.data.object;
  assert.deepEqual([last_setup_error.code, status], ["setup_intent_authentication_failure", "requires_payment_method"]);
  await advance(60);
  const intent = await stripe.setupIntents.confirm(id, { payment_method: "pm_card_visa", return_url: RETURN });
  assert.deepEqual([intent.status, intent.last_setup_error, intent.next_action], ["succeeded", null, null]);
  await followed("setup_intent.succeeded", "payment_method.attached");
  assert.deepEqual((await attempts(id)).map((one) => one.status), ["succeeded", "failed"]);
});

setupScenario("an intent is canceled while it is open", async ({ stripe, followed, customer, setUp, attempts }) => {
  const setup = stripe.setupIntents;
  let last;
  for (const [make, status, ...events] of [
    [() => setup.create({ customer }), "requires_payment_method"],
    [() => setup.create({ customer, payment_method: "pm_card_visa" }), "requires_confirmation"],
    [() => setUp("authenticationRequired"), "requires_action", "setup_intent.requires_action"],
  ]) {
    last = await make();
    assert.equal(last.status, status);
    await followed("setup_intent.created", ...events);
    const canceled = await setup.cancel(last.id, { cancellation_reason: "abandoned" });
    assert.deepEqual([canceled.status, canceled.cancellation_reason], ["canceled", "abandoned"]);
    await followed("setup_intent.canceled");
    await refused(setup.confirm(last.id, { payment_method: "pm_card_visa" }), INVALID, 400, CONFLICT);
  }
  assert.deepEqual((await attempts(last.id)).map((one) => one.status), ["abandoned"]);
  const done = await setUp("visa");
  await followed(...DONE);
  const error = await refused(setup.cancel(done.id), INVALID, 400, CONFLICT);
  assert.equal(error.setup_intent.status, "succeeded");
  await refused(setup.confirm(done.id, { return_url: RETURN }), INVALID, 400, CONFLICT);
  await followed();
});

setupScenario("intents are listed by customer", async ({ stripe, followed, customer, setUp }) => {
  const first = await setUp("visa");
  const second = await setUp("amex");
  const form = { payment_method: "pm_card_visa", confirm: true, return_url: RETURN };
  const nobody = await stripe.setupIntents.create(form);
  await followed(...DONE, ...DONE, "setup_intent.created", "setup_intent.succeeded");
  const ids = async (filter) => (await stripe.setupIntents.list(filter)).data.map((one) => one.id);
  assert.deepEqual(await ids({ customer }), [second.id, first.id]);
  assert.deepEqual(await ids({ payment_method: first.payment_method }), [first.id]);
  assert.deepEqual(await ids(), [nobody.id, second.id, first.id]);
  assert.equal((await stripe.paymentMethods.retrieve(nobody.payment_method)).customer, null);
});
