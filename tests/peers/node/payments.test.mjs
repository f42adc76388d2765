// Payment intents without a page.

import assert from "node:assert/strict";

import { refused, scenario } from "./support.mjs";

scenario("a payment is confirmed later", async ({ stripe, followed }) => {
  const intent = await stripe.paymentIntents.create({ amount: 2000, currency: "eur" });
  assert.deepEqual([intent.status, intent.amount_received], ["requires_payment_method", 0]);
  await followed("payment_intent.created");
  const confirmation = { payment_method: "pm_card_visa", return_url: "https://example.com", expand: ["latest_charge"] };
  const confirmed = await stripe.paymentIntents.confirm(intent.id, confirmation);
  assert.deepEqual([confirmed.status, confirmed.amount_received], ["succeeded", 2000]);
  const { latest_charge: charge } = confirmed;
  assert.deepEqual([charge.amount, charge.currency, charge.payment_method_details.card.last4], [2000, "eur", "4242"]);
  const [succeeded] = await followed("payment_intent.succeeded", "charge.succeeded");
  assert.equal(succeeded.data.object.latest_charge, charge.id);
});

scenario("a declined card is an error with the intent in it", async ({ stripe, followed }) => {
  const payment_method = "pm_card_visa_chargeDeclinedInsufficientFunds";
  const form = { amount: 2000, currency: "usd", payment_method, confirm: true, return_url: "https://example.com" };
  const declined = await refused(stripe.paymentIntents.create(form), "StripeCardError", 402, "card_declined");
  const { payment_intent: intent, decline_code } = declined;
  assert.deepEqual([decline_code, intent.status], ["insufficient_funds", "requires_payment_method"]);
  const events = await followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed");
  const [created, failed, charge] = events.map((event) => event.data.object);
  assert.deepEqual([created.id, failed.id, charge.payment_intent], [intent.id, intent.id, intent.id]);
  assert.equal(charge.outcome.reason, "insufficient_funds");
});

scenario("a canceled payment cannot be confirmed", async ({ stripe, followed }) => {
  const intent = await stripe.paymentIntents.create({ amount: 2000, currency: "usd" });
  const canceled = await stripe.paymentIntents.cancel(intent.id, { cancellation_reason: "abandoned" });
  assert.deepEqual([canceled.status, canceled.cancellation_reason], ["canceled", "abandoned"]);
  await followed("payment_intent.created", "payment_intent.canceled");
  const late = stripe.paymentIntents.confirm(intent.id, { payment_method: "pm_card_visa" });
  await refused(late, "StripeInvalidRequestError", 400, "payment_intent_unexpected_state");
  await followed();
});
