// Test cards: how each is refused, saved or looked at.

import assert from "node:assert/strict";

import { PAID, RETURN, refused, scenario } from "./support.mjs";

const CARD = "StripeCardError";
const DECLINED = ["payment_intent.created", "payment_intent.payment_failed", "charge.failed"];

async function declined({ paid }, card, code, more) {
  const error = await refused(paid(1000, card, more), CARD, 402, code);
  assert.equal(error.payment_intent.status, "requires_payment_method");
  return error;
}

scenario("each card is declined in its way", async (world) => {
  for (const [card, code, decline_code, advice_code] of [
    ["visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later"],
    ["visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", "try_again_later"],
    ["visa_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again"],
    ["visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again"],
    ["visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded", "try_again_later"],
    ["chargeDeclinedExpiredCard", "expired_card", "", "confirm_card_data"],
    ["chargeDeclinedIncorrectCvc", "incorrect_cvc", "", "confirm_card_data"],
    ["chargeDeclinedProcessingError", "processing_error", "", "try_again_later"],
  ]) {
    const error = await declined(world, card, code);
    assert.deepEqual([error.decline_code, error.raw.advice_code], [decline_code, advice_code], card);
    const events = await world.followed(...DECLINED);
    const [, failed, charge] = events.map((event) => event.data.object);
    assert.deepEqual([failed.last_payment_error.code, failed.latest_charge], [code, error.raw.charge]);
    assert.deepEqual([charge.id, charge.failure_code, charge.amount_captured], [failed.latest_charge, code, 0]);
    const { type, reason, advice_code: advice } = charge.outcome;
    assert.deepEqual([type, reason, advice], ["issuer_declined", decline_code || code, advice_code]);
  }
});

scenario("a declined card cannot be saved", async ({ stripe, followed }) => {
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  await followed("customer.created");
  const attach = (card) => stripe.paymentMethods.attach(`pm_card_${card}`, { customer });
  const error = await refused(attach("chargeDeclined"), CARD, 402, "card_declined");
  assert.equal(error.decline_code, "generic_decline");
  await refused(attach("chargeDeclinedExpiredCard"), CARD, 402, "expired_card");
  assert.deepEqual((await stripe.paymentMethods.list({ customer })).data, []);
  await followed();
});

scenario("a card that pays nothing is saved", async (world) => {
  const { stripe, followed } = world;
  const { id: customer } = await stripe.customers.create({ name: "Jenny" });
  const card = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer });
  assert.deepEqual([card.customer, card.card.last4], [customer, "0341"]);
  await followed("customer.created", "payment_method.attached");
  for (let time = 0; time < 2; time += 1) {
    const more = { payment_method: card.id, customer, off_session: true };
    const error = await declined(world, "", "card_declined", more);
    assert.deepEqual([error.decline_code, error.payment_method.id], ["generic_decline", card.id]);
    const [, , charge] = await followed(...DECLINED);
    assert.equal(charge.data.object.customer, customer);
  }
  assert.equal((await stripe.paymentMethods.retrieve(card.id)).customer, customer);
});

scenario("radar blocks a payment", async (world) => {
  const error = await declined(world, "radarBlock", "card_declined");
  assert.equal(error.decline_code, "fraudulent");
  const [, , charge] = await world.followed(...DECLINED);
  const { outcome, paid, status } = charge.data.object;
  assert.deepEqual([outcome.type, outcome.network_status], ["blocked", "not_sent_to_network"]);
  assert.deepEqual([outcome.reason, outcome.risk_level], ["highest_risk_level", "highest"]);
  assert.deepEqual([paid, status], [false, "failed"]);
});

scenario("radar opens a review", async ({ followed, paid }) => {
  const intent = await paid(4200, "riskLevelElevated", { expand: ["review", "latest_charge"] });
  const { review, latest_charge: charge } = intent;
  assert.deepEqual([intent.status, intent.amount_received], ["succeeded", 4200]);
  assert.deepEqual([review.open, review.reason], [true, "rule"]);
  assert.deepEqual([charge.outcome.type, charge.outcome.risk_level], ["manual_review", "elevated"]);
  const [opened] = await followed("review.opened", ...PAID);
  assert.deepEqual([opened.data.object.id, opened.data.object.charge], [review.id, charge.id]);
});

scenario("another card pays after a decline", async (world) => {
  const { stripe, followed } = world;
  const failed = await declined(world, "visa_chargeDeclinedInsufficientFunds", "card_declined");
  await followed(...DECLINED);
  const other = { payment_method: "pm_card_discover", return_url: RETURN };
  const intent = await stripe.paymentIntents.confirm(failed.payment_intent.id, other);
  const { status, amount_received, last_payment_error } = intent;
  assert.deepEqual([status, amount_received, last_payment_error], ["succeeded", 1000, null]);
  await followed("payment_intent.succeeded", "charge.succeeded");
  const { data } = await stripe.charges.list({ payment_intent: intent.id });
  assert.deepEqual(data.map((one) => one.status), ["succeeded", "failed"]);
  assert.deepEqual(data.map((one) => one.id), [intent.latest_charge, failed.raw.charge]);
});

scenario("a card must be written rightly", async ({ stripe, followed }) => {
  const good = { number: "4242424242424242", exp_month: 12, exp_year: 2040, cvc: "123" };
  const made = (change) => stripe.paymentMethods.create({ type: "card", card: { ...good, ...change } });
  for (const [change, code, param] of [
    [{ number: "4242424242424241" }, "incorrect_number", "number"],
    [{ exp_month: 13 }, "invalid_expiry_month", "exp_month"],
    [{ exp_year: 2001 }, "invalid_expiry_year", "exp_year"],
    [{ cvc: "12" }, "invalid_cvc", "cvc"],
  ]) {
    assert.equal((await refused(made(change), CARD, 402, code)).param, param);
  }
  const { last4, exp_month, exp_year, checks } = (await made({})).card;
  assert.deepEqual([last4, exp_month, exp_year, checks.cvc_check], ["4242", 12, 2040, "pass"]);
  await followed();
});

scenario("cards differ by brand and country", async ({ followed, paid }) => {
  for (const [name, ...expected] of [
    ["visa_debit", "visa", "debit", "US", "5556"],
    ["mastercard_prepaid", "mastercard", "prepaid", "US", "5100"],
    ["amex", "amex", "credit", "US", "0005"],
    ["unionpay", "unionpay", "credit", "US", "0005"],
    ["de", "visa", "credit", "DE", "0016"],
  ]) {
    const { latest_charge: charge } = await paid(500, name, { expand: ["latest_charge"] });
    const { brand, funding, country, last4, amount_authorized, network } = charge.payment_method_details.card;
    assert.deepEqual([brand, funding, country, last4], expected);
    assert.deepEqual([charge.amount_captured, amount_authorized, network], [500, 500, brand]);
    await followed(...PAID);
  }
});
