// Invoices made by hand, and the items that wait for them.

import assert from "node:assert/strict";

import { CARD, CHARGED, INVALID, SETTLED, drafted, invoiced, itemOf, opened } from "./invoiced.mjs";
import { PAID, refused } from "./support.mjs";

invoiced("an invoice is drafted, finalized and paid", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await opened(world, customer, [1500, 250]);
  const invoice = await stripe.invoices.pay(id);
  assert.deepEqual([invoice.status, invoice.amount_paid, invoice.amount_remaining], ["paid", 1750, 0]);
  await followed(...SETTLED, ...CHARGED);
  await refused(stripe.invoices.pay(id), INVALID, 400, "invoice_already_paid");
  await refused(stripe.invoices.finalizeInvoice(id), INVALID, 400, "invoice_not_editable");
});

invoiced("a draft is paid as it is finalized", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await drafted(world, customer, [900]);
  const invoice = await stripe.invoices.pay(id);
  assert.deepEqual([invoice.status, invoice.amount_paid], ["paid", 900]);
  await followed("invoice.finalized", "customer.updated", ...SETTLED, ...PAID);
});

invoiced("items of a draft change what it comes to", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await drafted(world, customer, [1500]);
  const total = async () => (await stripe.invoices.retrieve(id)).total;
  const item = await itemOf(world, customer, 500, { invoice: id, description: "Work" });
  assert.equal(await total(), 2000);
  await stripe.invoiceItems.update(item.id, { amount: 700 });
  await followed("invoice.updated");
  assert.equal(await total(), 2200);
  assert.equal((await stripe.invoiceItems.del(item.id)).deleted, true);
  await followed("invoiceitem.deleted", "invoice.updated");
  assert.equal(await total(), 1500);
});

invoiced("an invoice is voided", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await opened(world, customer, [1500]);
  assert.equal((await stripe.invoices.voidInvoice(id)).status, "void");
  await followed("invoice.voided", "invoice.updated", "payment_intent.canceled");
  await refused(stripe.invoices.pay(id), INVALID, 400, "invoice_not_editable");
});

invoiced("an invoice is written off and paid after all", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await opened(world, customer, [1500]);
  assert.equal((await stripe.invoices.markUncollectible(id)).status, "uncollectible");
  await followed("invoice.marked_uncollectible", "invoice.updated");
  assert.equal((await stripe.invoices.pay(id)).status, "paid");
  await followed(...SETTLED, ...CHARGED);
});

invoiced("an invoice is paid elsewhere", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await opened(world, customer, [1500]);
  const invoice = await stripe.invoices.pay(id, { paid_out_of_band: true });
  assert.deepEqual([invoice.status, invoice.amount_paid_off_stripe], ["paid", 1500]);
  await followed("invoice.updated", "invoice.paid", "payment_intent.canceled");
  assert.deepEqual((await stripe.charges.list({ customer })).data, []);
});

invoiced("a declined payment leaves an invoice open", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await opened(world, customer, [1500]);
  const bad = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer });
  await followed("payment_method.attached");
  await refused(stripe.invoices.pay(id, { payment_method: bad.id }), CARD, 402, "card_declined");
  await followed("invoice.payment_failed", "invoice.updated", "payment_intent.payment_failed", "charge.failed");
  const invoice = await stripe.invoices.retrieve(id);
  assert.deepEqual([invoice.status, invoice.attempt_count], ["open", 1]);
});

invoiced("a deleted draft gives its items back", async (world, customer) => {
  const { stripe, followed } = world;
  const { id } = await drafted(world, customer, [1500]);
  assert.equal((await stripe.invoices.del(id)).deleted, true);
  await followed("invoice.deleted");
  const { data: waiting } = await stripe.invoiceItems.list({ customer, pending: true });
  assert.deepEqual(waiting.map((item) => item.amount), [1500]);
  await refused(stripe.invoices.retrieve(id), INVALID, 404, "resource_missing");
});

invoiced("an invoice advances by itself after an hour", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const { id } = await drafted(world, customer, [900], { auto_advance: true });
  await advance(3600);
  assert.equal((await stripe.invoices.retrieve(id)).status, "paid");
  await followed("invoice.finalized", "customer.updated", ...SETTLED, ...PAID);
});

invoiced("a balance bears what it can", async (world, customer) => {
  const { stripe, followed } = world;
  await stripe.customers.createBalanceTransaction(customer, { amount: -1000, currency: "usd" });
  await followed("customer.updated");
  const { id } = await drafted(world, customer, [1500]);
  const invoice = await stripe.invoices.pay(id);
  assert.deepEqual([invoice.total, invoice.amount_due, invoice.amount_paid], [1500, 500, 500]);
  assert.deepEqual([invoice.starting_balance, invoice.ending_balance], [-1000, 0]);
  await followed("invoice.finalized", "customer.updated", "customer.updated", ...SETTLED, ...PAID);
});

invoiced("a void invoice gives back what the balance bore", async (world, customer) => {
  const { stripe, followed } = world;
  const balance = async () => (await stripe.customers.retrieve(customer)).balance;
  await stripe.customers.createBalanceTransaction(customer, { amount: -1000, currency: "usd" });
  await followed("customer.updated");
  const { id } = await drafted(world, customer, [1500]);
  const invoice = await stripe.invoices.finalizeInvoice(id);
  assert.deepEqual([invoice.amount_due, await balance()], [500, 0]);
  await followed("invoice.finalized", "customer.updated", "customer.updated", "payment_intent.created");
  await stripe.invoices.voidInvoice(id);
  assert.equal(await balance(), -1000);
  const [made] = (await stripe.customers.listBalanceTransactions(customer)).data;
  assert.deepEqual([made.type, made.amount, made.invoice], ["unapplied_from_invoice", -1000, id]);
  await followed("invoice.voided", "invoice.updated", "payment_intent.canceled", "customer.updated");
});

invoiced("what is taxed where nobody knows is not finalized", async (world, customer) => {
  const { stripe, followed, advance } = world;
  const taxed = { automatic_tax: { enabled: true }, auto_advance: true };
  const invoice = await drafted(world, customer, [1500], taxed);
  assert.equal(invoice.automatic_tax.status, "requires_location_inputs");
  await advance(3600);
  const [failed] = await followed("invoice.finalization_failed", "invoice.updated");
  assert.equal(failed.data.object.last_finalization_error.code, "customer_tax_location_invalid");
  await refused(stripe.invoices.finalizeInvoice(invoice.id), INVALID, 400, "customer_tax_location_invalid");
  await followed("invoice.finalization_failed");
  await stripe.customers.update(customer, { address: { country: "DE", postal_code: "10117" } });
  const paid = await stripe.invoices.pay(invoice.id);
  // 15.00 and 19 % of it.
  assert.deepEqual([paid.status, paid.amount_paid, paid.last_finalization_error], ["paid", 1785, null]);
  assert.equal(paid.automatic_tax.status, "complete");
  await followed("customer.updated", "invoice.finalized", "customer.updated", ...SETTLED, ...PAID);
});
