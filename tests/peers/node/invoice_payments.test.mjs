// Invoices that are paid in parts, by payment intents that are attached to them.

import assert from "node:assert/strict";

import { INVALID, invoiced, opened } from "./invoiced.mjs";
import { refused } from "./support.mjs";

const PART = ["payment_intent.succeeded", "charge.succeeded", "invoice.updated", "invoice_payment.paid"];
// The last part: the invoice's own payment is not needed any more.
const WHOLE = [...PART, "payment_intent.canceled", "invoice.paid", "invoice.payment_succeeded"];

async function intentOf({ stripe, followed }, customer, amount) {
  const form = { amount, currency: "usd", customer, payment_method: "pm_card_visa" };
  const { id } = await stripe.paymentIntents.create(form);
  await followed("payment_intent.created");
  return id;
}

async function confirm({ stripe, followed }, intent, ...events) {
  await stripe.paymentIntents.confirm(intent, { return_url: "https://example.com/done" });
  await followed(...events);
}

const attach = ({ stripe }, { id }, payment_intent) => stripe.invoices.attachPayment(id, { payment_intent });

async function state({ stripe }, { id }) {
  const one = await stripe.invoices.retrieve(id);
  return [one.amount_paid, one.amount_remaining, one.amount_overpaid, one.status];
}

/** What was requested and paid with each payment, and its status, oldest first. */
async function payments({ stripe }, form) {
  const { data } = await stripe.invoicePayments.list(form);
  return data.map((one) => [one.amount_requested, one.amount_paid, one.status]).reverse();
}

invoiced("an invoice is paid in parts", async (world, customer) => {
  const { stripe, followed } = world;
  const invoice = await opened(world, customer, [10_000]);
  const [first, second] = [await intentOf(world, customer, 3000), await intentOf(world, customer, 7000)];
  assert.equal((await attach(world, invoice, first)).amount_paid, 0);
  await followed();
  await confirm(world, first, ...PART);
  assert.deepEqual(await state(world, invoice), [3000, 7000, 0, "open"]);
  const ofInvoice = { invoice: invoice.id };
  assert.deepEqual(await payments(world, ofInvoice), [[7000, null, "open"], [3000, 3000, "paid"]]);
  const expanded = await stripe.invoices.retrieve(invoice.id, { expand: ["payments"] });
  const [part, own] = expanded.payments.data;
  assert.deepEqual([own.is_default, part.is_default], [true, false]);
  const asked = await stripe.paymentIntents.retrieve(own.payment.payment_intent);
  assert.deepEqual([asked.amount, asked.status], [7000, "requires_payment_method"]);
  await attach(world, invoice, second);
  await confirm(world, second, ...WHOLE);
  assert.deepEqual(await state(world, invoice), [10_000, 0, 0, "paid"]);
  const byIntent = { payment: { type: "payment_intent", payment_intent: second } };
  assert.deepEqual(await payments(world, byIntent), [[7000, 7000, "paid"]]);
  assert.deepEqual(await payments(world, { ...ofInvoice, status: "canceled" }), [[7000, null, "canceled"]]);
});

invoiced("what was paid before is credited at once", async (world, customer) => {
  const { stripe, followed } = world;
  const invoice = await opened(world, customer, [2000]);
  const intent = await intentOf(world, customer, 500);
  await confirm(world, intent, "payment_intent.succeeded", "charge.succeeded");
  assert.equal((await attach(world, invoice, intent)).amount_remaining, 1500);
  await followed("invoice.updated", "invoice_payment.paid");
  assert.equal((await stripe.invoices.pay(invoice.id)).status, "paid");
  await followed(...PART, "invoice.paid", "invoice.payment_succeeded");
  assert.deepEqual(await payments(world, { invoice: invoice.id }), [[1500, 1500, "paid"], [500, 500, "paid"]]);
});

invoiced("what is too much is the customer's", async (world, customer) => {
  const { stripe } = world;
  const invoice = await opened(world, customer, [10_000]);
  const intents = [await intentOf(world, customer, 6000), await intentOf(world, customer, 6000)];
  for (const intent of intents) await attach(world, invoice, intent);
  await confirm(world, intents[0], ...PART);
  await confirm(world, intents[1], ...WHOLE, "invoice.overpaid", "customer.updated");
  assert.deepEqual(await state(world, invoice), [10_000, 0, 2000, "paid"]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -2000);
  const [credit] = (await stripe.customers.listBalanceTransactions(customer)).data;
  assert.deepEqual([credit.type, credit.amount, credit.invoice], ["invoice_overpaid", -2000, invoice.id]);
});

invoiced("of a part is credited back", async (world, customer) => {
  const invoice = await opened(world, customer, [2000]);
  const intent = await intentOf(world, customer, 1200);
  await attach(world, invoice, intent);
  await confirm(world, intent, ...PART);
  const line = { type: "invoice_line_item", invoice_line_item: invoice.lines.data[0].id, amount: 1500 };
  const note = await world.stripe.creditNotes.create({ invoice: invoice.id, lines: [line], refund_amount: 700 });
  assert.deepEqual([note.type, note.pre_payment_amount, note.post_payment_amount], ["mixed", 800, 700]);
  assert.deepEqual(await state(world, invoice), [1200, 0, 0, "paid"]);
});

invoiced("what does not fit is not attached", async (world, customer) => {
  const { stripe } = world;
  const invoice = await opened(world, customer, [1000]);
  const part = await intentOf(world, customer, 400);
  const { id: other } = await stripe.customers.create({ name: "Other" });
  const form = { amount: 100, currency: "usd", customer: other };
  for (const more of [{}, { amount: 1001, customer }]) {
    const { id } = await stripe.paymentIntents.create({ ...form, ...more });
    const error = await refused(attach(world, invoice, id), INVALID, 400);
    assert.equal(error.param, "payment_intent");
  }
  await attach(world, invoice, part);
  await refused(stripe.invoices.voidInvoice(invoice.id), INVALID, 400, "invoice_not_editable");
  await refused(stripe.invoices.markUncollectible(invoice.id), INVALID, 400, "invoice_not_editable");
  await stripe.paymentIntents.cancel(part);
  assert.deepEqual((await payments(world, { invoice: invoice.id }))[1], [400, null, "canceled"]);
  assert.equal((await stripe.invoices.voidInvoice(invoice.id)).status, "void");
  const { id: late } = await stripe.paymentIntents.create({ ...form, customer });
  await refused(attach(world, invoice, late), INVALID, 400);
});
