// 3-D Secure: who must authenticate when, and what follows.

import assert from "node:assert/strict";

import { PAID, RETURN, priced, refused, scenario } from "./support.mjs";

const ASKED = ["payment_intent.created", "payment_intent.requires_action"];
const SUCCEEDED = ["payment_intent.succeeded", "charge.succeeded"];
const FAILED = ["payment_intent.payment_failed", "charge.failed"];
const DECLINED = ["payment_intent.created", ...FAILED];
const CARD = "StripeCardError";

/** A payment that waits for its payer, and the page on which they authenticate. */
async function asked({ paid }, amount, card, more) {
  const intent = await paid(amount, card, more);
  const { status, amount_received, next_action } = intent;
  assert.deepEqual([status, amount_received, next_action.type], ["requires_action", 0, "redirect_to_url"]);
  return { intent, page: next_action.redirect_to_url.url };
}

/** Authenticates, or fails to: where the payer goes then. */
async function answered({ submit }, page, action) {
  const answer = await submit(page, { action });
  assert.equal(answer.status, 303);
  return new URL(answer.headers.get("location"));
}

const told = async (world, page, action) => (await answered(world, page, action)).searchParams.get("redirect_status");

async function saved({ stripe, followed }, card) {
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  const { id: payment_method } = await stripe.paymentMethods.attach(`pm_card_${card}`, { customer });
  await followed("customer.created", "payment_method.attached");
  return { customer, payment_method };
}

scenario("a payer authenticates", async (world) => {
  const { followed, submit } = world;
  const { intent, page } = await asked(world, 2500, "threeDSecure2Required");
  await followed(...ASKED);
  assert.match(await (await fetch(page)).text(), /25\.00 usd/);
  const target = await answered(world, page, "complete");
  assert.equal(target.origin + target.pathname, RETURN);
  assert.deepEqual(Object.fromEntries(target.searchParams), {
    payment_intent: intent.id, payment_intent_client_secret: intent.client_secret, redirect_status: "succeeded",
  });
  const [succeeded, charge] = (await followed(...SUCCEEDED)).map((event) => event.data.object);
  assert.deepEqual([succeeded.amount_received, succeeded.next_action], [2500, null]);
  const { result, authentication_flow } = charge.payment_method_details.card.three_d_secure;
  assert.deepEqual([result, authentication_flow], ["authenticated", "challenge"]);
  assert.equal((await submit(page, { action: "complete" })).status, 409);
  await followed();
});

scenario("a payer fails to authenticate", async (world) => {
  const { stripe, followed } = world;
  const { intent, page } = await asked(world, 2500, "threeDSecureRequired");
  await followed(...ASKED);
  assert.equal(await told(world, page, "fail"), "failed");
  const [failed] = await followed("payment_intent.payment_failed");
  const { last_payment_error, status, latest_charge } = failed.data.object;
  assert.equal(last_payment_error.code, "payment_intent_authentication_failure");
  assert.deepEqual([status, latest_charge], ["requires_payment_method", null]);
  const other = { payment_method: "pm_card_visa", return_url: RETURN };
  const done = await stripe.paymentIntents.confirm(intent.id, other);
  assert.deepEqual([done.status, done.amount_received], ["succeeded", 2500]);
  await followed(...SUCCEEDED);
});

scenario("without the payer authentication is a decline", async (world) => {
  const { stripe, followed, paid } = world;
  const { customer, payment_method } = await saved(world, "authenticationRequired");
  const absent = paid(900, "", { off_session: true, customer, payment_method });
  const error = await refused(absent, CARD, 402, "authentication_required");
  assert.deepEqual([error.decline_code, error.payment_method.id], ["authentication_required", payment_method]);
  assert.equal(error.payment_intent.status, "requires_payment_method");
  const [, , charge] = await followed(...DECLINED);
  assert.equal(charge.data.object.outcome.reason, "authentication_required");
  // The payer comes back and authenticates for the same intent.
  const again = { payment_method, return_url: RETURN };
  const intent = await stripe.paymentIntents.confirm(error.payment_intent.id, again);
  await followed("payment_intent.requires_action");
  await answered(world, intent.next_action.redirect_to_url.url, "complete");
  const [succeeded] = await followed(...SUCCEEDED);
  assert.deepEqual([succeeded.data.object.id, succeeded.data.object.amount_received], [intent.id, 900]);
});

scenario("once set up a card pays without its owner", async (world) => {
  const { stripe, followed, paid } = world;
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  const card = "pm_card_authenticationRequiredOnSetup";
  const form = { customer, payment_method: card, confirm: true, return_url: RETURN };
  const setup = await stripe.setupIntents.create(form);
  assert.deepEqual([setup.status, setup.usage], ["requires_action", "off_session"]);
  await followed("customer.created", "setup_intent.created", "setup_intent.requires_action");
  const target = await answered(world, setup.next_action.redirect_to_url.url, "complete");
  const { redirect_status, setup_intent } = Object.fromEntries(target.searchParams);
  assert.deepEqual([redirect_status, setup_intent], ["succeeded", setup.id]);
  const [, attached] = await followed("setup_intent.succeeded", "payment_method.attached");
  const { id: payment_method } = attached.data.object;
  const intent = await paid(1900, "", { customer, payment_method, off_session: true });
  assert.deepEqual([intent.status, intent.amount_received], ["succeeded", 1900]);
  await followed(...PAID);
  const present = await asked(world, 1900, "", { customer, payment_method });
  await followed(...ASKED);
  assert.equal(present.intent.payment_method, payment_method);
});

scenario("a card that was not set up is declined off session", async (world) => {
  const mine = await saved(world, "authenticationRequiredOnSetup");
  await refused(world.paid(1900, "", { off_session: true, ...mine }), CARD, 402, "authentication_required");
  await world.followed(...DECLINED);
});

scenario("a card set up elsewhere asks its owner alone", async (world) => {
  const { followed, paid } = world;
  const mine = await saved(world, "authenticationRequiredSetupForOffSession");
  assert.equal((await paid(650, "", { off_session: true, ...mine })).amount_received, 650);
  await followed(...PAID);
  const { page } = await asked(world, 650, "", mine);
  await followed(...ASKED);
  assert.equal(await told(world, page, "complete"), "succeeded");
  await followed(...SUCCEEDED);
});

scenario("a bank declines after authentication", async (world) => {
  const { intent, page } = await asked(world, 3300, "authenticationRequiredChargeDeclinedInsufficientFunds");
  await world.followed(...ASKED);
  assert.equal(await told(world, page, "complete"), "failed");
  const [failed, charge] = (await world.followed(...FAILED)).map((event) => event.data.object);
  assert.deepEqual([failed.id, failed.last_payment_error.decline_code], [intent.id, "insufficient_funds"]);
  assert.equal(charge.payment_method_details.card.three_d_secure.result, "authenticated");
  assert.deepEqual([charge.amount, charge.amount_captured], [3300, 0]);
});

scenario("a caller that cannot ask is told", async ({ followed, paid }) => {
  const call = paid(400, "threeDSecure2Required", { error_on_requires_action: true });
  assert.equal((await refused(call, CARD, 402, "card_declined")).decline_code, "authentication_not_handled");
  await followed(...DECLINED);
});

scenario("authentication is asked for where it is optional", async (world) => {
  const { followed, paid } = world;
  const wanted = { payment_method_options: { card: { request_three_d_secure: "any" } } };
  assert.equal((await paid(500, "threeDSecureOptional")).status, "succeeded");
  await followed(...PAID);
  const { page } = await asked(world, 500, "threeDSecureOptional", wanted);
  await followed(...ASKED);
  await answered(world, page, "complete");
  const [, charge] = await followed(...SUCCEEDED);
  assert.equal(charge.data.object.payment_method_details.card.three_d_secure.result, "authenticated");
  assert.equal((await paid(500, "visa", wanted)).status, "succeeded", "the card is not enrolled");
  await followed(...PAID);
});

scenario("a hold is authenticated too", async (world) => {
  const { stripe, followed } = world;
  const { intent, page } = await asked(world, 7000, "threeDSecure2Required", { capture_method: "manual" });
  await followed(...ASKED);
  await answered(world, page, "complete");
  const [held, charge] = await followed("payment_intent.amount_capturable_updated", "charge.succeeded");
  const { status, amount_capturable } = held.data.object;
  assert.deepEqual([status, amount_capturable, charge.data.object.captured], ["requires_capture", 7000, false]);
  assert.equal((await stripe.paymentIntents.capture(intent.id)).amount_received, 7000);
  await followed("charge.captured", "payment_intent.succeeded");
});

/** A session whose payer is asked to authenticate, and the page for that. */
async function checkout({ stripe, followed, pay }) {
  const { id: product } = await stripe.products.create({ name: "Thing" });
  const { id: price } = await stripe.prices.create({ product, currency: "usd", unit_amount: 800 });
  const session = await stripe.checkout.sessions.create({
    mode: "payment", line_items: [{ price, quantity: 2 }],
    success_url: "https://example.com/done?session={CHECKOUT_SESSION_ID}",
  });
  await followed("product.created", "price.created");
  const answer = await pay(session.url, "4000 0000 0000 3220", { email: "jenny@example.com" });
  const page = answer.headers.get("location");
  assert.equal(answer.status, 303);
  assert.match(page, /\/3d_secure\/pi_/);
  await followed(...ASKED);
  return { session, page };
}

scenario("a subscription says whether its payer is there", async (world) => {
  const { stripe } = world;
  const { customer, payment_method } = await saved(world, "authenticationRequiredSetupForOffSession");
  const { id: price } = await priced(stripe, 800, { recurring: { interval: "month" } });
  const form = { customer, default_payment_method: payment_method, items: [{ price }] };
  const away = await stripe.subscriptions.create({ ...form, off_session: true });
  const there = await stripe.subscriptions.create({ ...form, off_session: false });
  assert.deepEqual([there.status, away.status], ["incomplete", "active"]);
  const [{ id }] = away.items.data;
  const how = { proration_behavior: "always_invoice", payment_behavior: "error_if_incomplete" };
  const seats = (quantity, off_session) =>
    stripe.subscriptions.update(away.id, { ...how, items: [{ id, quantity }], off_session });
  await refused(seats(3, false), CARD, 402, "subscription_payment_intent_requires_action");
  assert.equal((await seats(2, true)).items.data[0].quantity, 2);
  const changed = await stripe.subscriptionItems.update(id, { ...how, quantity: 4, off_session: true });
  assert.equal(changed.quantity, 4);
});

scenario("a session is paid through authentication", async (world) => {
  const { stripe, followed } = world;
  const { session, page } = await checkout(world);
  assert.equal((await stripe.checkout.sessions.retrieve(session.id)).payment_status, "unpaid");
  const { href } = await answered(world, page, "complete");
  assert.equal(href, `https://example.com/done?session=${session.id}`);
  const [completed, , charge] = await followed("checkout.session.completed", ...SUCCEEDED);
  assert.deepEqual([completed.data.object.payment_status, charge.data.object.amount], ["paid", 1600]);
});

scenario("a session stays open where authentication fails", async (world) => {
  const { stripe, followed, pay } = world;
  const { session, page } = await checkout(world);
  assert.equal((await answered(world, page, "fail")).href, `${session.url}?redirect_status=failed`);
  await followed("payment_intent.payment_failed");
  const { status, payment_status } = await stripe.checkout.sessions.retrieve(session.id);
  assert.deepEqual([status, payment_status], ["open", "unpaid"]);
  assert.equal((await pay(session.url, undefined, { email: "jenny@example.com" })).status, 303);
  const [completed] = await followed("checkout.session.completed", ...SUCCEEDED);
  assert.equal(completed.data.object.amount_total, 1600);
});
