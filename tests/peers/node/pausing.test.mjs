// Pausing a subscription and resuming it, and pausing the collection of its invoices only.

import assert from "node:assert/strict";

import { DAY, PAID, priced, refused, scenario } from "./support.mjs";

const HOUR = 3600;
// The first period.
const MONTH = 31 * DAY;
const INVALID = "StripeInvalidRequestError";
const UPDATED = "customer.subscription.updated";
const OPENED = ["invoice.created", "invoice.finalized", "customer.updated", "payment_intent.created"];
// What follows the payment of an invoice whose intent is there already.
const SETTLED = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", ...PAID.slice(1)];
const KEPT = { bill_for: { unused_time_from: { type: "none" } } };

/** A scenario with a subscription that was paid for a month. */
function subscribed(name, play) {
  scenario(name, async (world) => {
    const { stripe, mark, eventsSince } = world;
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const attach = async (card) => {
      const method = await stripe.paymentMethods.attach(`pm_card_${card}`, { customer });
      await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    };
    await attach("visa");
    const price = await priced(stripe, 2900, { recurring: { interval: "month" } });
    const { id } = await stripe.subscriptions.create({ customer, items: [{ price: price.id }] });
    let seen = await mark();
    // As for any scenario, but that money becomes available is none of these stories.
    const followed = async (...types) => {
      const events = await eventsSince(seen);
      seen += events.length;
      const told = events.map((event) => event.type).filter((type) => type !== "balance.available");
      assert.deepEqual(told.sort(), [...types].sort());
    };
    const forget = async () => {
      seen = await mark();
    };
    const give = async (card) => {
      await attach(card);
      await forget();
    };
    const latest = () => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    await play({ ...world, id, customer, followed, forget, give, latest });
  });
}

async function pauseCollection({ stripe, id, followed }, behavior, more = {}) {
  const paused = await stripe.subscriptions.update(id, { pause_collection: { behavior, ...more } });
  assert.deepEqual([paused.status, paused.pause_collection.behavior], ["active", behavior]);
  await followed(UPDATED);
}

subscribed("while collection is paused invoices are void and then paid again", async (world) => {
  const { advance, now, followed, latest } = world;
  await pauseCollection(world, "void", { resumes_at: (await now()) + MONTH + 10 * DAY });
  await advance(MONTH + 2 * HOUR);
  await followed(...OPENED, UPDATED, "invoice.updated", "invoice.voided", "payment_intent.canceled");
  const paused = await latest();
  assert.deepEqual([paused.status, paused.latest_invoice.status], ["active", "void"]);
  await advance(10 * DAY);
  await followed(UPDATED);
  assert.equal((await latest()).pause_collection, null);
  await advance(18 * DAY);
  assert.equal((await latest()).latest_invoice.amount_paid, 2900);
  await followed("invoice.upcoming", ...OPENED, UPDATED, ...SETTLED);
});

subscribed("while collection is paused invoices are written off", async (world) => {
  const { advance, followed, latest } = world;
  await pauseCollection(world, "mark_uncollectible");
  await advance(MONTH);
  await followed(...OPENED, UPDATED, "invoice.updated", "invoice.marked_uncollectible");
  const { latest_invoice: invoice } = await latest();
  assert.deepEqual([invoice.status, invoice.amount_remaining, invoice.auto_advance], ["uncollectible", 2900, false]);
  assert.equal(invoice.status_details.uncollectible.reason, "subscription_paused");
});

subscribed("while collection is paused invoices are kept as drafts", async (world) => {
  const { stripe, id, advance, followed, latest } = world;
  await pauseCollection(world, "keep_as_draft");
  await advance(MONTH + 2 * HOUR);
  await followed("invoice.created", UPDATED);
  const { latest_invoice: draft } = await latest();
  assert.deepEqual([draft.status, draft.auto_advance], ["draft", false]);
  assert.equal((await stripe.subscriptions.update(id, { pause_collection: "" })).pause_collection, null);
  await followed(UPDATED);
  await stripe.invoices.update(draft.id, { auto_advance: true });
  await advance(HOUR);
  assert.equal((await latest()).latest_invoice.status, "paid");
  await followed("invoice.updated", ...OPENED.slice(1), ...SETTLED);
});

subscribed("a pause gives back what was not used and a resumption waits for payment", async (world) => {
  const { stripe, id, advance, now, followed, latest } = world;
  await advance(MONTH / 2);
  const paused = await stripe.subscriptions.pause(id);
  assert.equal(paused.status, "paused");
  assert.equal(paused.status_details.paused.subscription.type, "pause_requested");
  await followed("invoiceitem.created", UPDATED, "customer.subscription.paused");
  await advance(90 * DAY);
  await followed();
  const resumed = await stripe.subscriptions.resume(id, { billing_cycle_anchor: { type: "now" } });
  assert.equal(resumed.status, "paused");
  await followed(...OPENED, UPDATED);
  const { latest_invoice: invoice } = await latest();
  assert.deepEqual([invoice.status, invoice.total], ["open", 1450]);
  assert.deepEqual(invoice.lines.data.map((line) => line.amount), [2900, -1450]);
  await stripe.invoices.pay(invoice.id);
  await followed(...SETTLED, UPDATED, "customer.subscription.resumed");
  const active = await latest();
  assert.deepEqual([active.status, active.status_details, active.billing_cycle_anchor], ["active", null, await now()]);
});

subscribed("a resumption that nobody pays is void after 23 hours", async (world) => {
  const { stripe, id, advance, followed, latest } = world;
  await stripe.subscriptions.pause(id, KEPT);
  await followed(UPDATED, "customer.subscription.paused");
  await advance(10 * DAY);
  await stripe.subscriptions.resume(id);
  await followed(...OPENED, UPDATED);
  await advance(23 * HOUR);
  const { status, latest_invoice: invoice } = await latest();
  assert.deepEqual([status, invoice.status], ["paused", "void"]);
  await followed("invoice.updated", "invoice.voided", "payment_intent.canceled", UPDATED);
});

subscribed("a resumption may wait for success and is tried again", async (world) => {
  const { stripe, id, advance, followed, give, latest } = world;
  await stripe.subscriptions.pause(id, KEPT);
  await give("chargeCustomerFail");
  const resumed = await stripe.subscriptions.resume(id, { payment_behavior: "resume_on_payment_success" });
  assert.equal(resumed.status, "paused");
  const failed = ["payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed"];
  await followed(...OPENED, UPDATED, ...failed);
  await give("visa");
  await advance(3 * DAY);
  const { status, latest_invoice: invoice } = await latest();
  assert.deepEqual([status, invoice.attempt_count], ["active", 2]);
  await followed(...SETTLED, UPDATED, "customer.subscription.resumed");
});

subscribed("a resumption may go on with the period there was", async (world) => {
  const { stripe, id, customer, advance, followed, forget, latest } = world;
  await advance(MONTH / 2);
  await stripe.subscriptions.pause(id, { invoicing_behavior: "invoice" });
  assert.equal((await stripe.customers.retrieve(customer)).balance, -1450);
  await forget();
  const { billing_cycle_anchor: anchor } = await latest();
  await advance(MONTH / 4);
  const form = { billing_cycle_anchor: { type: "unchanged" }, proration_behavior: "always_invoice" };
  const resumed = await stripe.subscriptions.resume(id, form);
  assert.deepEqual([resumed.status, resumed.billing_cycle_anchor], ["active", anchor]);
  const { latest_invoice: invoice } = await latest();
  assert.deepEqual([invoice.total, invoice.amount_due, invoice.ending_balance], [725, 0, -725]);
  await followed(
    ...["invoiceitem.created", "invoice.created", "invoice.finalized", "customer.updated", "customer.updated", UPDATED],
    ...["invoice.updated", "invoice.paid", "invoice.payment_succeeded", UPDATED, "customer.subscription.resumed"],
  );
});

subscribed("what is not active is not paused and what is not paused not resumed", async (world) => {
  const { stripe, id, followed } = world;
  await refused(stripe.subscriptions.resume(id), INVALID, 400, undefined);
  await stripe.subscriptions.pause(id);
  await refused(stripe.subscriptions.pause(id), INVALID, 400, undefined);
  await followed("invoiceitem.created", UPDATED, "customer.subscription.paused");
});
