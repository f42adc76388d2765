// Credit notes: what an invoice asked for, or took, and should not have.

import assert from "node:assert/strict";

import { PAID, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const SETTLED = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid"];
const REFUNDED = ["charge.refunded", "refund.created"];
const ISSUED = ["invoice.updated", "credit_note.created"];
// Of an intent that was made when the invoice was finalized.
const CHARGED = PAID.slice(1);

/** A scenario with a drafted invoice of three pens, and what is done with it. */
function credited(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed } = world;
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    const { id: product } = await stripe.products.create({ name: "Pen" });
    const price_data = { currency: "usd", unit_amount: 500, product };
    await stripe.invoiceItems.create({ customer, price_data, quantity: 3 });
    const draft = await stripe.invoices.create({ customer, pending_invoice_items_behavior: "include" });
    await followed(
      "customer.created", "customer.updated", "payment_method.attached", "product.created", "price.created",
      "invoiceitem.created", "invoice.created",
    );
    const { id: invoice } = draft;
    await play(world, {
      customer,
      id: invoice,
      line: (more) => ({ type: "invoice_line_item", invoice_line_item: draft.lines.data[0].id, ...more }),
      credit: (form) => stripe.creditNotes.create({ invoice, ...form }),
      again: () => stripe.invoices.retrieve(invoice),
      async open() {
        const opened = await stripe.invoices.finalizeInvoice(invoice);
        await followed("invoice.finalized", "customer.updated", "payment_intent.created");
        assert.deepEqual([opened.status, opened.amount_due], ["open", 1500]);
        return opened;
      },
      async pay() {
        const paid = await stripe.invoices.pay(invoice);
        await followed("invoice.finalized", "customer.updated", ...SETTLED, ...PAID);
        assert.deepEqual([paid.status, paid.amount_paid], ["paid", 1500]);
      },
    });
  });
}

credited("a unit is taken off an open invoice", async ({ stripe, followed }, { id, customer, open, credit, line, again }) => {
  const { number } = await open();
  const note = await credit({ lines: [line({ quantity: 1 })], reason: "order_change", memo: "One was missing" });
  await followed(...ISSUED);
  assert.deepEqual([note.total, note.pre_payment_amount, note.post_payment_amount], [500, 500, 0]);
  assert.deepEqual([note.type, note.number, note.lines.data[0].quantity], ["pre_payment", `${number}-CN-01`, 1]);
  const invoice = await again();
  assert.deepEqual([invoice.total, invoice.amount_due, invoice.amount_remaining], [1500, 1000, 1000]);
  assert.equal(invoice.pre_payment_credit_notes_amount, 500);
  const paid = await stripe.invoices.pay(id);
  await followed(...SETTLED, ...CHARGED);
  assert.deepEqual([paid.amount_paid, paid.amount_remaining], [1000, 0]);
  const { data: charges } = await stripe.charges.list({ customer });
  assert.deepEqual(charges.map((charge) => charge.amount), [1000]);
});

credited("a void note leaves the invoice as it was", async ({ stripe, followed }, { id, open, credit, again }) => {
  await open();
  const first = await credit({ amount: 700 });
  await followed(...ISSUED);
  const voided = await stripe.creditNotes.voidCreditNote(first.id);
  await followed("invoice.updated", "credit_note.voided");
  assert.deepEqual([voided.status, voided.voided_at], ["void", voided.created]);
  const invoice = await again();
  assert.deepEqual([invoice.amount_due, invoice.pre_payment_credit_notes_amount], [1500, 0]);
  const second = await credit({ amount: 700 });
  await followed(...ISSUED);
  assert.match(second.number, /-CN-02$/);
  await stripe.invoices.pay(id);
  await followed(...SETTLED, ...CHARGED);
  await refused(stripe.creditNotes.voidCreditNote(second.id), INVALID, 400);
});

credited("an open invoice credited whole is paid", async ({ stripe, followed }, { customer, open, credit, again }) => {
  await open();
  await credit({ amount: 1500 });
  await followed("invoice.updated", "payment_intent.canceled", "invoice.updated", "invoice.paid", "credit_note.created");
  const invoice = await again();
  assert.deepEqual([invoice.status, invoice.amount_paid, invoice.amount_remaining], ["paid", 0, 0]);
  assert.deepEqual((await stripe.charges.list({ customer })).data, []);
});

credited("what goes beyond what is asked for is given back", async (world, { id, customer, credit, again }) => {
  const { stripe, followed } = world;
  await stripe.customers.createBalanceTransaction(customer, { amount: -300, currency: "usd" });
  const open = await stripe.invoices.finalizeInvoice(id);
  await followed(
    "customer.updated", "invoice.finalized", "customer.updated", "customer.updated", "payment_intent.created",
  );
  assert.deepEqual([open.total, open.amount_due], [1500, 1200]);
  const error = await refused(credit({ amount: 1500 }), INVALID, 400);
  assert.ok(error.message.includes("post_payment_amount ($3.00)"), error.message);
  const note = await credit({ amount: 1500, credit_amount: 300 });
  await followed(
    "invoice.updated", "customer.updated", "payment_intent.canceled", "invoice.updated", "invoice.paid",
    "credit_note.created",
  );
  assert.deepEqual([note.type, note.pre_payment_amount, note.post_payment_amount], ["mixed", 1200, 300]);
  const invoice = await again();
  assert.deepEqual([invoice.status, invoice.amount_due, invoice.amount_paid], ["paid", 0, 0]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -300);
});

credited("what was paid is refunded", async ({ stripe, followed }, { pay, credit, line, again }) => {
  await pay();
  const note = await credit({ lines: [line({ amount: 450 })], refund_amount: 450 });
  await followed(...REFUNDED, ...ISSUED);
  assert.deepEqual([note.type, note.pre_payment_amount, note.post_payment_amount], ["post_payment", 0, 450]);
  assert.deepEqual(note.refunds.map((one) => one.amount_refunded), [450]);
  const refund = await stripe.refunds.retrieve(note.refunds[0].refund, { expand: ["charge"] });
  assert.deepEqual([refund.amount, refund.charge.amount_refunded], [450, 450]);
  const invoice = await again();
  assert.deepEqual(
    [invoice.status, invoice.amount_paid, invoice.post_payment_credit_notes_amount],
    ["paid", 1500, 450],
  );
});

credited("what was paid is credited to the next invoice", async ({ stripe, followed }, { customer, pay, credit }) => {
  await pay();
  const amounts = { amount: 900, credit_amount: 600, out_of_band_amount: 300 };
  const note = await credit({ ...amounts, expand: ["customer_balance_transaction"] });
  await followed("invoice.updated", "customer.updated", "credit_note.created");
  const { amount, type, credit_note } = note.customer_balance_transaction;
  assert.deepEqual([amount, type, credit_note, note.out_of_band_amount], [-600, "credit_note", note.id, 300]);
  await stripe.invoiceItems.create({ customer, currency: "usd", amount: 1000 });
  const { id } = await stripe.invoices.create({ customer, pending_invoice_items_behavior: "include" });
  const invoice = await stripe.invoices.finalizeInvoice(id);
  assert.deepEqual([invoice.total, invoice.starting_balance, invoice.amount_due], [1000, -600, 400]);
  await followed(
    "invoiceitem.created", "invoice.created", "invoice.finalized", "payment_intent.created", "customer.updated",
    "customer.updated",
  );
});

credited("a refund that was made is linked", async ({ stripe, followed }, { customer, pay, credit }) => {
  await pay();
  const { data: charges } = await stripe.charges.list({ customer });
  const { id: refund } = await stripe.refunds.create({ charge: charges[0].id, amount: 400 });
  await followed(...REFUNDED);
  const note = await credit({ amount: 400, refunds: [{ refund }] });
  await followed(...ISSUED);
  assert.deepEqual(note.refunds.map((one) => [one.refund, one.amount_refunded]), [[refund, 400]]);
  const error = await refused(credit({ amount: 400, refunds: [{ refund }] }), INVALID, 400);
  assert.match(error.message, /can be linked/);
});

credited("discounts and tax are credited in proportion", async (world, { customer }) => {
  const { stripe } = world;
  await stripe.customers.update(customer, { address: { country: "DE" } });
  const { id: coupon } = await stripe.coupons.create({ percent_off: 20 });
  const terms = { currency: "usd", unit_amount: 2900, recurring: { interval: "month" } };
  const { id: price } = await stripe.prices.create({ ...terms, product_data: { name: "Pro" } });
  const sold = await stripe.subscriptions.create({
    customer,
    items: [{ price, quantity: 3 }],
    discounts: [{ coupon }],
    automatic_tax: { enabled: true },
    expand: ["latest_invoice"],
  });
  const invoice = sold.latest_invoice;
  assert.deepEqual([invoice.total, invoice.total_excluding_tax], [8282, 6960]);
  const line = { type: "invoice_line_item", invoice_line_item: invoice.lines.data[0].id };
  const credit = (quantity, credit_amount) =>
    stripe.creditNotes.create({ invoice: invoice.id, lines: [{ ...line, quantity }], credit_amount });
  const first = await credit(1, 2761);
  const rest = await credit(2, 5521);
  assert.deepEqual(
    [first.subtotal, first.discount_amount, first.total_excluding_tax, first.total],
    [2900, 580, 2320, 2761],
  );
  assert.deepEqual(first.total_taxes.map((tax) => [tax.amount, tax.taxable_amount]), [[441, 2320]]);
  assert.deepEqual([rest.discount_amount, rest.total_taxes[0].amount, rest.total], [1160, 881, 5521]);
  assert.equal((await stripe.customers.retrieve(customer)).balance, -8282);
});

credited("a preview changes nothing", async ({ stripe, followed }, { id, open, line, again }) => {
  await open();
  const custom = { type: "custom_line_item", description: "For the delay", quantity: 2, unit_amount: 100 };
  const form = { invoice: id, lines: [custom, line({ amount: 50 })] };
  const preview = await stripe.creditNotes.preview(form);
  assert.deepEqual([preview.total, preview.pre_payment_amount, preview.type], [250, 250, "pre_payment"]);
  const { data: lines } = await stripe.creditNotes.listPreviewLineItems(form);
  assert.deepEqual(lines.map((one) => one.amount), [200, 50]);
  assert.equal((await again()).amount_due, 1500);
  await refused(stripe.creditNotes.retrieve(preview.id), INVALID, 404, "resource_missing");
  const note = await stripe.creditNotes.create(form);
  await followed(...ISSUED);
  assert.equal(note.total, preview.total);
  const { data: kept } = await stripe.creditNotes.listLineItems(note.id);
  assert.deepEqual(kept.map((one) => one.amount), [200, 50]);
});

credited("a note is found and given another memo", async ({ stripe, followed }, { id, open, credit }) => {
  await open();
  const notes = [await credit({ amount: 100 }), await credit({ amount: 200 })];
  await followed(...ISSUED, ...ISSUED);
  const { data: listed } = await stripe.creditNotes.list({ invoice: id });
  assert.deepEqual(listed.map((note) => note.id), [notes[1].id, notes[0].id]);
  const changed = await stripe.creditNotes.update(notes[0].id, { memo: "Sorry", metadata: { ticket: "1" } });
  await followed("credit_note.updated");
  assert.deepEqual([changed.memo, changed.metadata.ticket], ["Sorry", "1"]);
  assert.equal((await stripe.creditNotes.retrieve(notes[0].id)).memo, "Sorry");
});

credited("what cannot be credited is refused", async ({ stripe }, { customer, pay, credit, line }) => {
  const refuse = async (message, code, form) => {
    const error = await refused(credit(form), INVALID, 400, code);
    assert.ok(error.message.includes(message), error.message);
  };
  await refuse("You cannot create a credit note for a draft invoice.", undefined, { amount: 100 });
  await pay();
  await refuse("One of `amount`, `lines`, or `shipping_cost` must be provided.", "parameter_missing", {});
  await refuse("`quantity` or `amount` is required", "parameter_missing", { lines: [line()] });
  await refuse("must equal the credit note post_payment_amount ($1.00)", undefined, { amount: 100 });
  const more = { amount: 1501, credit_amount: 1501 };
  await refuse("greater than what is left to be credited of the invoice ($15.00)", undefined, more);
  const units = { lines: [line({ quantity: 4 })], credit_amount: 2000 };
  await refuse("left to be credited", "parameter_invalid_integer", units);
  await refuse("does not serve", "sandbox_unsupported_parameter", { shipping_cost: { shipping_rate: "shr_1" } });
  assert.deepEqual((await stripe.creditNotes.list({ customer })).data, []);
});
