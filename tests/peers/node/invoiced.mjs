// What scenarios of invoices made by hand begin with: a customer with a card, items, drafts and open invoices.

import assert from "node:assert/strict";

import { PAID, scenario } from "./support.mjs";

export const INVALID = "StripeInvalidRequestError";
export const CARD = "StripeCardError";
export const SETTLED = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid"];
// Of an intent that was made when the invoice was finalized.
export const CHARGED = PAID.slice(1);

export const sum = (amounts) => amounts.reduce((all, one) => all + one, 0);

/** A scenario with a customer whose invoices a card pays. */
export function invoiced(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed } = world;
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    await followed("customer.created", "customer.updated", "payment_method.attached");
    await play(world, customer);
  });
}

export async function itemOf({ stripe, followed }, customer, amount, more = {}) {
  const item = await stripe.invoiceItems.create({ customer, currency: "usd", amount, ...more });
  await followed("invoiceitem.created", ...(more.invoice ? ["invoice.updated"] : []));
  return item;
}

/** A draft with items of these amounts. */
export async function drafted(world, customer, amounts, more) {
  const { stripe, followed } = world;
  for (const amount of amounts) await itemOf(world, customer, amount);
  const invoice = await stripe.invoices.create({ customer, pending_invoice_items_behavior: "include", ...more });
  await followed("invoice.created");
  assert.deepEqual([invoice.status, invoice.total, invoice.billing_reason], ["draft", sum(amounts), "manual"]);
  return invoice;
}

export async function opened(world, customer, amounts) {
  const { id } = await drafted(world, customer, amounts);
  const invoice = await world.stripe.invoices.finalizeInvoice(id);
  await world.followed("invoice.finalized", "customer.updated", "payment_intent.created");
  assert.deepEqual([invoice.status, invoice.amount_due], ["open", sum(amounts)]);
  return invoice;
}
