// Invoices that are sent to be paid, of subscriptions and by hand.

import assert from "node:assert/strict";

import { DAY, PAID, priced, refused, scenario } from "./support.mjs";

const HOUR = 3600;
const MONTH = 31 * DAY;
const INVALID = "StripeInvalidRequestError";
const UPDATED = "customer.subscription.updated";
const OPENED = ["invoice.finalized", "customer.updated", "payment_intent.created"];
// What follows the payment of an invoice whose intent is there already.
const SETTLED = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", ...PAID.slice(1)];

/** A scenario with a customer who has an email address. */
function invoiced(name, play) {
  scenario(name, async (world) => {
    const { id: customer } = await world.stripe.customers.create({ name: "Jenny", email: "jenny@example.com" });
    await world.followed("customer.created");
    await play({ ...world, customer });
  });
}

async function subscribed({ stripe, customer, followed }, days = 10) {
  const price = await priced(stripe, 2900, { recurring: { interval: "month" } });
  await followed("price.created", "product.created");
  const form = { customer, items: [{ price: price.id }], collection_method: "send_invoice", days_until_due: days };
  const subscription = await stripe.subscriptions.create(form);
  assert.deepEqual([subscription.status, subscription.days_until_due], ["active", days]);
  await followed("customer.subscription.created", "invoice.created");
  return () => stripe.subscriptions.retrieve(subscription.id, { expand: ["latest_invoice.payments"] });
}

async function paidOnItsPage({ submit }, invoice) {
  const answer = await submit(invoice.hosted_invoice_url, { card_number: "4242424242424242" });
  assert.equal(answer.status, 303);
}

async function drafted({ stripe, customer, followed }, more = {}) {
  await stripe.invoiceItems.create({ customer, currency: "usd", amount: 1500 });
  const invoice = await stripe.invoices.create({ customer, pending_invoice_items_behavior: "include", ...more });
  await followed("invoiceitem.created", "invoice.created");
  return invoice;
}

invoiced("a subscription is active while its invoice is sent and paid on its page", async (world) => {
  const { stripe, advance, now, followed } = world;
  const latest = await subscribed(world);
  const { latest_invoice: draft } = await latest();
  const start = await now();
  assert.deepEqual([draft.status, draft.due_date], ["draft", start + 10 * DAY]);
  assert.equal(draft.automatically_finalizes_at, start + HOUR);
  await advance(HOUR);
  await followed(...OPENED, "invoice.sent");
  const { latest_invoice: invoice } = await latest();
  assert.deepEqual([invoice.status, invoice.next_payment_attempt, invoice.attempted], ["open", null, false]);
  await paidOnItsPage(world, invoice);
  await followed(...SETTLED, "payment_method.attached");
  const [payment] = (await latest()).latest_invoice.payments.data;
  assert.deepEqual([payment.status, payment.amount_paid, payment.is_default], ["paid", 2900, true]);
  assert.equal((await stripe.invoicePayments.list({ invoice: invoice.id })).data[0].id, payment.id);
  const expanded = await stripe.invoicePayments.retrieve(payment.id, { expand: ["payment.payment_intent"] });
  const { payment_intent: intent } = expanded.payment;
  assert.deepEqual([intent.amount_received, intent.status], [2900, "succeeded"]);
});

invoiced("a renewal is sent after its hour of draft", async (world) => {
  const { advance, followed } = world;
  const latest = await subscribed(world);
  await advance(MONTH);
  await followed(...OPENED, "invoice.sent", "invoice.upcoming", "invoice.created", UPDATED, UPDATED);
  await advance(HOUR);
  await followed(...OPENED, "invoice.sent");
  const { status, latest_invoice: invoice } = await latest();
  // The first invoice is not paid, and the latest not due.
  assert.deepEqual([status, invoice.billing_reason], ["past_due", "subscription_cycle"]);
  await paidOnItsPage(world, invoice);
  assert.equal((await latest()).status, "active");
});

invoiced("what is overdue is past due then unpaid and paid after all", async (world) => {
  const { advance, control, followed } = world;
  const setting = { days: 5, subscription: "unpaid", will_be_due_days: 2, overdue_days: 1 };
  await control("billing", { sent_invoices: setting });
  const latest = await subscribed(world);
  await advance(HOUR);
  await followed(...OPENED, "invoice.sent");
  await advance(8 * DAY);
  await followed("invoice.will_be_due");
  await advance(2 * DAY);
  await followed(UPDATED);
  assert.equal((await latest()).status, "past_due");
  await advance(DAY);
  const [overdue] = await followed("invoice.overdue");
  assert.deepEqual([overdue.data.object.status, overdue.data.object.amount_remaining], ["open", 2900]);
  await advance(4 * DAY);
  await followed("invoice.updated", UPDATED);
  const { status, latest_invoice: invoice } = await latest();
  assert.deepEqual([status, invoice.auto_advance], ["unpaid", false]);
  await paidOnItsPage(world, invoice);
  await followed(...SETTLED, "payment_method.attached", UPDATED);
  assert.equal((await latest()).status, "active");
});

invoiced("what is overdue is written off and its subscription ends", async (world) => {
  const { advance, control, followed } = world;
  const setting = { days: 0, subscription: "canceled", invoice: "uncollectible" };
  await control("billing", { sent_invoices: setting });
  const latest = await subscribed(world);
  await advance(11 * DAY);
  const ended = await latest();
  assert.deepEqual([ended.status, ended.cancellation_details.reason], ["canceled", "payment_failed"]);
  assert.equal(ended.latest_invoice.status, "uncollectible");
  assert.equal(ended.latest_invoice.status_details.uncollectible.reason, "payment_not_received");
  const writtenOff = ["invoice.updated", "invoice.marked_uncollectible", UPDATED, "customer.subscription.deleted"];
  await followed(...OPENED, "invoice.sent", ...writtenOff);
});

invoiced("an invoice is sent by hand", async (world) => {
  const { stripe, now, followed } = world;
  const { id } = await drafted(world, { collection_method: "send_invoice", days_until_due: 7 });
  const sent = await stripe.invoices.sendInvoice(id);
  assert.deepEqual([sent.status, sent.due_date, sent.amount_due], ["open", (await now()) + 7 * DAY, 1500]);
  await followed(...OPENED, "invoice.sent");
  await stripe.invoices.sendInvoice(id);
  await followed("invoice.sent");
  await paidOnItsPage(world, sent);
  await followed(...SETTLED, "payment_method.attached");
});

invoiced("what is charged is not sent and nobody without an address is sent anything", async (world) => {
  const { stripe, customer, followed } = world;
  const { id } = await drafted(world);
  await refused(stripe.invoices.sendInvoice(id), INVALID, 400, undefined);
  const { id: nobody } = await stripe.customers.create({ name: "Nobody" });
  const form = { collection_method: "send_invoice", days_until_due: 7 };
  await refused(stripe.invoices.create({ customer: nobody, ...form }), INVALID, 400, undefined);
  const without = { customer, collection_method: "send_invoice" };
  await refused(stripe.invoices.create(without), INVALID, 400, "parameter_missing");
  await followed("customer.created");
});

invoiced("an invoice advances when it is told to", async (world) => {
  const { stripe, advance, now, followed } = world;
  const invoice = await drafted(world, { collection_method: "send_invoice", days_until_due: 7 });
  assert.deepEqual([invoice.auto_advance, invoice.automatically_finalizes_at], [false, null]);
  const later = (await now()) + 2 * DAY;
  const planned = await stripe.invoices.update(invoice.id, { automatically_finalizes_at: later });
  assert.deepEqual([planned.auto_advance, planned.automatically_finalizes_at], [true, later]);
  await followed("invoice.updated");
  await advance(2 * DAY);
  await followed(...OPENED, "invoice.sent");
  const stopped = await stripe.invoices.update(invoice.id, { auto_advance: false });
  assert.deepEqual([stopped.status, stopped.auto_advance], ["open", false]);
  await followed("invoice.updated");
});

invoiced("a subscription goes over to invoices that are sent", async (world) => {
  const { stripe, customer, advance, mark, eventsSince } = world;
  const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
  const price = await priced(stripe, 2900, { recurring: { interval: "month" } });
  const form = { customer, items: [{ price: price.id }], default_payment_method: method.id };
  const { id } = await stripe.subscriptions.create(form);
  const before = await mark();
  const sends = { collection_method: "send_invoice", days_until_due: 3 };
  const changed = await stripe.subscriptions.update(id, sends);
  assert.deepEqual([changed.collection_method, changed.days_until_due], ["send_invoice", 3]);
  await advance(MONTH + HOUR);
  const { latest_invoice: invoice } = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
  assert.deepEqual([invoice.status, invoice.due_date], ["open", invoice.created + 3 * DAY]);
  const told = (await eventsSince(before)).map((event) => event.type);
  const expected = [UPDATED, "balance.available", "invoice.upcoming", "invoice.created", UPDATED, ...OPENED, "invoice.sent"];
  assert.deepEqual(told.sort(), expected.sort());
});
