// Renewals that are not paid: when they are tried again, and what the settings of the dashboard make of it.

import assert from "node:assert/strict";

import { DAY, priced, refused, scenario } from "./support.mjs";

// When the invoice of the first renewal is charged.
const CHARGED = 31 * DAY + 3600;

/** A scenario with a subscription whose renewals are charged to another card than its beginning. */
function behind(name, card, settings, play) {
  scenario(name, async (world) => {
    const { stripe, control, mark, eventsSince } = world;
    if (settings) await control("billing", settings);
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const give = async (one) => {
      const method = await stripe.paymentMethods.attach(`pm_card_${one}`, { customer });
      await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    };
    await give("visa");
    const price = await priced(stripe, 2900, { recurring: { interval: "month" } });
    const { id, status } = await stripe.subscriptions.create({ customer, items: [{ price: price.id }] });
    assert.equal(status, "active");
    await give(card);
    let seen = await mark();
    /** How often events of these types came since the last time. */
    const told = async (...types) => {
      const events = await eventsSince(seen);
      seen += events.length;
      return types.map((type) => events.filter((event) => event.type === type).length);
    };
    const latest = () => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    await play({ ...world, id, give, told, latest });
  });
}

behind("it is tried again after three, five and seven days and then ends", "chargeCustomerFail", null, async (world) => {
  const { advance, told, latest } = world;
  const first = await advance(CHARGED);
  for (const [attempts, wait, then] of [[1, 3, 3], [2, 5, 8], [3, 7, 15]]) {
    const { status, latest_invoice: invoice } = await latest();
    assert.equal(status, "past_due");
    assert.deepEqual([invoice.attempt_count, invoice.attempted, invoice.status], [attempts, true, "open"]);
    assert.equal(invoice.next_payment_attempt, first + then * DAY);
    assert.deepEqual(await told("invoice.payment_failed"), [1]);
    await advance(wait * DAY);
  }
  const ended = await latest();
  assert.deepEqual([ended.status, ended.cancellation_details.reason], ["canceled", "payment_failed"]);
  const invoice = ended.latest_invoice;
  assert.deepEqual([invoice.status, invoice.attempt_count, invoice.amount_remaining], ["open", 4, 2900]);
  assert.deepEqual([invoice.next_payment_attempt, invoice.auto_advance], [null, false]);
  assert.deepEqual(await told("invoice.payment_failed", "customer.subscription.deleted"), [1, 1]);
});

const SMART = { retries: { smart: {} }, after_retries: { subscription: "unpaid" } };
behind("smart retries are eight in two weeks and leave it unpaid", "chargeCustomerFail", SMART, async (world) => {
  const { stripe, advance, give, told, latest } = world;
  await advance(CHARGED + 14 * DAY);
  const unpaid = await latest();
  assert.deepEqual([unpaid.status, unpaid.latest_invoice.attempt_count], ["unpaid", 9]);
  assert.deepEqual(await told("invoice.payment_failed"), [9]);
  await advance(28 * DAY);
  const { latest_invoice: draft } = await latest();
  assert.deepEqual([draft.status, draft.auto_advance, draft.automatically_finalizes_at], ["draft", false, null]);
  assert.deepEqual(await told("invoice.payment_failed"), [0]);
  await give("visa");
  assert.equal((await stripe.invoices.pay(draft.id)).amount_paid, 2900);
  assert.equal((await latest()).status, "active");
  await advance(31 * DAY);
  assert.equal((await latest()).latest_invoice.status, "paid");
});

const LENIENT = { retries: { custom: [2] }, after_retries: { subscription: "past_due", invoice: "uncollectible" } };
behind("it stays past due over several renewals and invoices are written off", "chargeCustomerFail", LENIENT, async (world) => {
  const { stripe, advance, give, told, latest } = world;
  for (let renewal = 0; renewal < 2; renewal += 1) {
    await advance(CHARGED + 3 * DAY);
    const { status, latest_invoice: invoice } = await latest();
    assert.deepEqual([status, invoice.status], ["past_due", "uncollectible"]);
    assert.equal(invoice.status_details.uncollectible.reason, "max_payment_attempts");
    assert.deepEqual(await told("invoice.payment_failed", "invoice.marked_uncollectible"), [2, 1]);
  }
  await give("visa");
  await stripe.invoices.pay((await latest()).latest_invoice.id);
  assert.equal((await latest()).status, "active");
  assert.deepEqual(await told("customer.subscription.updated"), [1]);
});

behind("a card refused for good waits for another", "radarBlock", null, async (world) => {
  const { advance, give, told, latest } = world;
  await advance(CHARGED);
  assert.deepEqual(await told("charge.failed"), [1]);
  await advance(3 * DAY);
  assert.deepEqual(await told("charge.failed", "invoice.payment_failed", "invoice.updated"), [0, 0, 1]);
  assert.equal((await latest()).latest_invoice.attempt_count, 2);
  await give("visa");
  await advance(5 * DAY);
  const { status, latest_invoice: invoice } = await latest();
  assert.deepEqual([status, invoice.status, invoice.attempt_count], ["active", "paid", 3]);
  assert.equal(invoice.amount_paid, 2900);
});

behind("notice of a renewal is given as many days before as is set", "visa", { upcoming_days: 3 }, async (world) => {
  const { id, advance, mark, receiver, told, latest } = world;
  const [item] = (await latest()).items.data;
  const end = item.current_period_end;
  await advance(28 * DAY);
  await mark();
  const [event, ...more] = receiver.events.filter((one) => one.type === "invoice.upcoming");
  assert.deepEqual(more, []);
  const invoice = event.data.object;
  assert.equal("id" in invoice, false);
  assert.deepEqual([event.created, invoice.created], [end - 3 * DAY, end]);
  assert.deepEqual([invoice.billing_reason, invoice.total, invoice.status], ["upcoming", 2900, "draft"]);
  assert.equal(invoice.parent.subscription_details.subscription, id);
  assert.equal(invoice.next_payment_attempt, end + 3600);
  assert.deepEqual(await told("invoice.upcoming"), [1]);
  await advance(3 * DAY + 3600);
  assert.equal((await latest()).latest_invoice.total, 2900);
  assert.deepEqual(await told("invoice.upcoming"), [0]);
});

behind("attempts by hand leave the schedule as it is", "chargeCustomerFail", null, async (world) => {
  const { stripe, advance, give, told, latest } = world;
  const first = await advance(CHARGED);
  const { id } = (await latest()).latest_invoice;
  await refused(stripe.invoices.pay(id), "StripeCardError", 402, "card_declined");
  const after = await stripe.invoices.retrieve(id);
  assert.deepEqual([after.attempt_count, after.next_payment_attempt], [1, first + 3 * DAY]);
  assert.deepEqual(await told("invoice.payment_failed"), [2]);
  await give("visa");
  const paid = await stripe.invoices.pay(id);
  assert.deepEqual([paid.status, paid.attempt_count, paid.next_payment_attempt], ["paid", 1, null]);
  assert.equal((await latest()).status, "active");
});
