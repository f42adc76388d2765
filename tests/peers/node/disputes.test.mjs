// Disputes: money that a bank takes back, asks about, or warns of.

import assert from "node:assert/strict";

import { DAY, ids, PAID, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const WITHDRAWN = ["charge.dispute.created", "charge.dispute.funds_withdrawn"];
const FEE = 1500;

async function disputed({ stripe, paid, followed }, card, ...events) {
  const intent = await paid(10_000, card);
  await followed(...PAID, ...events);
  const { data } = await stripe.disputes.list({ payment_intent: intent.id });
  assert.deepEqual(data.map((one) => one.charge), [intent.latest_charge]);
  return data[0];
}

async function funds({ stripe }) {
  const { available, pending } = await stripe.balance.retrieve();
  return available[0].amount + pending[0].amount;
}

const before = (event) => event.data.previous_attributes;

scenario("a fraudulent payment is disputed and the dispute won", async (world) => {
  const { stripe, followed } = world;
  const dispute = await disputed(world, "createDispute", ...WITHDRAWN);
  assert.deepEqual([dispute.status, dispute.reason, dispute.amount], ["needs_response", "fraudulent", 10_000]);
  const [taken] = dispute.balance_transactions;
  assert.deepEqual([taken.amount, taken.fee, taken.net], [-10_000, FEE, -10_000 - FEE]);
  assert.deepEqual([taken.type, taken.reporting_category, taken.source], ["adjustment", "dispute", dispute.id]);
  assert.equal(await funds(world), 9680 - 10_000 - FEE);
  const charge = await stripe.charges.retrieve(dispute.charge);
  assert.equal(charge.disputed, true);
  await refused(stripe.refunds.create({ charge: charge.id }), INVALID, 400, "charge_disputed");

  const evidence = { customer_name: "Jenny", uncategorized_text: "winning_evidence" };
  const staged = await stripe.disputes.update(dispute.id, { evidence, submit: false });
  assert.deepEqual([staged.status, staged.evidence_details.has_evidence], ["needs_response", true]);
  const [updated] = await followed("charge.dispute.updated");
  assert.deepEqual(before(updated).evidence, { customer_name: null, uncategorized_text: null });
  const won = await stripe.disputes.update(dispute.id, { submit: true, expand: ["charge"] });
  assert.deepEqual([won.status, won.evidence_details.submission_count, won.charge.id], ["won", 1, charge.id]);
  const [submitted, closed, reinstated] = await followed(
    "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated",
  );
  assert.deepEqual([submitted.data.object.status, before(closed).status], ["under_review", "under_review"]);
  const back = reinstated.data.object.balance_transactions[1];
  assert.deepEqual([back.amount, back.fee, back.reporting_category], [10_000, -FEE, "dispute_reversal"]);
  assert.equal(await funds(world), 9680);
  const annotated = await stripe.disputes.update(dispute.id, { metadata: { ticket: "7" } });
  assert.deepEqual([annotated.metadata.ticket, annotated.status], ["7", "won"]);
  await followed("charge.dispute.updated");
  await refused(stripe.disputes.update(dispute.id, { evidence }), INVALID, 400, undefined);
});

scenario("disputes are lost by evidence, by accepting and by silence", async (world) => {
  const { stripe, followed, advance } = world;
  const one = await disputed(world, "createDisputeProductNotReceived", ...WITHDRAWN);
  assert.deepEqual([one.reason, one.network_reason_code], ["product_not_received", "13.1"]);
  const lost = await stripe.disputes.update(one.id, { evidence: { uncategorized_text: "losing_evidence" } });
  assert.equal(lost.status, "lost");
  await followed("charge.dispute.updated", "charge.dispute.closed");
  const other = await disputed(world, "createDispute", ...WITHDRAWN);
  assert.equal((await stripe.disputes.close(other.id)).status, "lost");
  await followed("charge.dispute.closed");
  await refused(stripe.disputes.close(other.id), INVALID, 400, undefined);
  const silent = await disputed(world, "createDispute", ...WITHDRAWN);
  assert.equal(silent.evidence_details.due_by, silent.created + 7 * DAY);
  await advance(7 * DAY);
  const [closed] = await followed("charge.dispute.closed", "balance.available");
  assert.deepEqual([closed.data.object.id, closed.data.object.status], [silent.id, "lost"]);
  assert.deepEqual(ids(await stripe.disputes.list()), [silent.id, other.id, one.id]);
  assert.equal(await funds(world), 3 * (9680 - 10_000 - FEE));
});

scenario("an inquiry becomes a chargeback", async (world) => {
  const { stripe, followed, control } = world;
  const inquiry = await disputed(world, "createDisputeInquiry", "charge.dispute.created");
  assert.deepEqual([inquiry.status, inquiry.balance_transactions], ["warning_needs_response", []]);
  assert.deepEqual([inquiry.is_charge_refundable, await funds(world)], [true, 9680]);
  const answered = await stripe.disputes.update(inquiry.id, { evidence: { product_description: "A thing" } });
  assert.equal(answered.status, "warning_under_review");
  await followed("charge.dispute.updated");
  await control(`disputes/${inquiry.id}`, { status: "needs_response" });
  const [updated, withdrawn] = await followed("charge.dispute.updated", "charge.dispute.funds_withdrawn");
  assert.equal(before(updated).status, "warning_under_review");
  assert.equal(withdrawn.data.object.payment_method_details.card.case_type, "chargeback");
  assert.equal(await funds(world), 9680 - 10_000 - FEE);
});

scenario("an inquiry ends with a refund", async (world) => {
  const { stripe, followed } = world;
  const inquiry = await disputed(world, "createDisputeInquiry", "charge.dispute.created");
  await stripe.refunds.create({ charge: inquiry.charge });
  await followed("refund.created", "charge.refunded", "charge.dispute.closed");
  const closed = await stripe.disputes.retrieve(inquiry.id);
  assert.deepEqual([closed.status, closed.is_charge_refundable], ["warning_closed", false]);
});

scenario("any charge is disputed after a warning", async (world) => {
  const { stripe, paid, followed, control } = world;
  const { latest_charge: charge } = await paid(10_000, "createIssuerFraudRecord");
  const warned = (await followed(...PAID, "radar.early_fraud_warning.created")).at(-1);
  const [warning] = (await stripe.radar.earlyFraudWarnings.list({ charge })).data;
  assert.deepEqual([warning.id, warning.actionable, warning.fraud_type], [warned.data.object.id, true, "misc"]);
  const dispute = await control("disputes", { charge, reason: "subscription_canceled", amount: 4000 });
  const updated = (await followed(...WITHDRAWN, "radar.early_fraud_warning.updated")).at(-1);
  assert.deepEqual(before(updated), { actionable: true });
  assert.equal((await stripe.radar.earlyFraudWarnings.retrieve(warning.id)).actionable, false);
  assert.equal((await stripe.refunds.create({ charge })).amount, 6000);
  await followed("refund.created", "charge.refunded");
  await control(`disputes/${dispute.id}`, { status: "won" });
  await followed("charge.dispute.closed", "charge.dispute.funds_reinstated");
  assert.equal(await funds(world), 9680 - 6000);
});
