// What cannot be billed: which error, on which parameter, and that nothing came of the call.

import assert from "node:assert/strict";

import { DAY, START, refused, scenario } from "./support.mjs";

const NOW = Number(START);
const INVALID = "StripeInvalidRequestError";

function billing(name, run) {
  scenario(name, async (world) => {
    const { stripe, mark } = world;
    const customer = (await stripe.customers.create({ name: "Jenny" })).id;
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    const product = (await stripe.products.create({ name: "Thing" })).id;
    const made = async (more, recurring = { interval: "month" }) =>
      (await stripe.prices.create({ product, currency: "usd", ...(recurring && { recurring }), ...more })).id;
    const monthly = await made({ unit_amount: 2900 });
    const subscribed = () => stripe.subscriptions.create({ customer, items: [{ price: monthly }] });
    // Each is a status, a code, the parameter to blame, a part of the message, and a call; nothing comes of any.
    const allRefused = async (...refusals) => {
      const before = await mark();
      for (const [status, code, param, words, call] of refusals) {
        const error = await refused(call(), INVALID, status, code);
        assert.equal(error.param, param, words);
        assert.ok(error.raw.message.includes(words), `${words}: ${error.raw.message}`);
      }
      assert.equal(await mark(), before);
    };
    await run({ ...world, customer, product, made, monthly, subscribed, allRefused });
  });
}

billing("a canceled subscription is changed no more", async ({ stripe, mark, eventsSince, made, subscribed, allRefused }) => {
  const { id, items: { data: [item] } } = await subscribed();
  const other = await made({ unit_amount: 100 });
  await stripe.subscriptions.cancel(id);
  const only = "A canceled subscription can only update its cancellation_details and metadata.";
  const update = (form) => () => stripe.subscriptions.update(id, form);
  await allRefused(
    [400, undefined, undefined, only, update({ items: [{ id: item.id, quantity: 2 }] })],
    [400, undefined, undefined, only, update({ cancel_at_period_end: true })],
    [400, undefined, undefined, only, update({ metadata: { a: "b" }, description: "Thing" })],
    [400, undefined, undefined, only, () => stripe.subscriptionItems.update(item.id, { quantity: 2 })],
    [400, undefined, undefined, only, () => stripe.subscriptionItems.create({ subscription: id, price: other })],
    [404, "resource_missing", "id", "No such subscription", () => stripe.subscriptions.cancel(id)],
    [400, undefined, undefined, only, () => stripe.subscriptions.resume(id)],
  );
  const before = await mark();
  const told = await update({ cancellation_details: { feedback: "too_expensive" }, metadata: { why: "dear" } })();
  assert.deepEqual([told.status, told.cancellation_details.feedback, told.metadata.why], ["canceled", "too_expensive", "dear"]);
  assert.deepEqual((await eventsSince(before)).map((event) => event.type), ["customer.subscription.updated"]);
});

billing("items that cannot stand on a subscription", async ({ stripe, customer, made, monthly, subscribed, allRefused }) => {
  const euros = await made({ unit_amount: 100, currency: "eur" });
  const once = await made({ unit_amount: 100 }, null);
  const { id, items: { data: [item] } } = await subscribed();
  const create = (form) => () => stripe.subscriptions.create({ customer, ...form });
  const update = (line) => () => stripe.subscriptions.update(id, { items: [line] });
  await allRefused(
    [400, "parameter_missing", "items", "Missing required param: items.", create({})],
    [400, "resource_missing", "items[0][price]", "No such price: 'price_none'", create({ items: [{ price: "price_none" }] })],
    [400, undefined, "items[0][price]", "only accepts prices with `type=recurring`", create({ items: [{ price: once }] })],
    [400, undefined, "items[0][price]", "This doesn't match the expected currency: `usd`.", update({ price: euros })],
    [400, undefined, "items[0][price]", "Cannot add multiple subscription items with the same plan", update({ price: monthly })],
    [400, "parameter_invalid_integer", "items[0][quantity]", "", update({ id: item.id, quantity: -1 })],
    [400, "parameter_invalid_integer", "items[0][quantity]", "Invalid integer: many", update({ id: item.id, quantity: "many" })],
    [400, "resource_missing", "items[0][id]", "No such subscription_item: 'si_none'", update({ id: "si_none", quantity: 2 })],
    [400, undefined, "items[0][deleted]", "must have at least one item", update({ id: item.id, deleted: true })],
  );
  const kept = await stripe.subscriptions.retrieve(id);
  assert.deepEqual(kept.items.data.map((one) => [one.price.id, one.quantity]), [[monthly, 1]]);
});

billing("moments at which nothing can happen", async ({ stripe, customer, monthly, subscribed, allRefused }) => {
  const { id, items: { data: [item] } } = await subscribed();
  const create = (form) => () => stripe.subscriptions.create({ customer, items: [{ price: monthly }], ...form });
  const update = (form) => () => stripe.subscriptions.update(id, form);
  const more = { items: [{ id: item.id, quantity: 2 }] };
  const outside = "Cannot specify a proration date outside of the current billing period.";
  await allRefused(
    [400, undefined, "proration_date", outside, update({ ...more, proration_date: NOW - 1 })],
    [400, undefined, "proration_date", outside, update({ ...more, proration_date: item.current_period_end + 1 })],
    [400, undefined, "cancel_at", "", update({ cancel_at: NOW })],
    [400, undefined, undefined, "You may only specify one of these parameters",
      update({ cancel_at: NOW + DAY, cancel_at_period_end: true })],
    [400, undefined, "trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.", create({ trial_end: NOW })],
    [400, undefined, "trial_end", "can be no more than two years in the future", create({ trial_end: NOW + 731 * DAY })],
    [400, undefined, "trial_end", "You may only specify one of these parameters",
      create({ trial_end: NOW + DAY, trial_period_days: 1 })],
    [400, undefined, "trial_period_days", "Invalid number of trial days: 731", create({ trial_period_days: 731 })],
    [400, undefined, undefined, "You can only resume subscriptions with a status of `paused`.", () => stripe.subscriptions.resume(id)],
  );
  assert.equal((await stripe.subscriptions.retrieve(id)).cancel_at, null);
});

billing("tiers that are none", async ({ stripe, product, allRefused }) => {
  const price = { product, currency: "usd", recurring: { interval: "month" }, billing_scheme: "tiered" };
  const create = (form) => () => stripe.prices.create({ ...price, ...form });
  const tiered = (ends, more = {}) =>
    create({ tiers_mode: "graduated", tiers: ends.map((up_to) => ({ up_to, unit_amount: 100 })), ...more });
  const order = "Tiers must be in ascending order of `up_to`";
  await allRefused(
    [400, undefined, "tiers_mode", "must be one of", tiered(["inf"], { tiers_mode: "stairs" })],
    [400, "parameter_missing", "tiers_mode", "", create({ tiers: [{ up_to: "inf", unit_amount: 1 }] })],
    [400, "parameter_missing", "tiers", "", create({ tiers_mode: "volume" })],
    [400, undefined, "tiers[1][up_to]", order, tiered([10, 5, "inf"])],
    [400, undefined, "tiers[1][up_to]", order, tiered([10, 10, "inf"])],
    [400, undefined, "tiers[0][up_to]", order, tiered([0, "inf"])],
    [400, undefined, "tiers[1][up_to]", order, tiered(["inf", "inf"])],
    [400, undefined, "tiers", "The last tier must end with `inf`.", tiered([10])],
    [400, undefined, "tiers[0][up_to]", "Invalid tiers[0][up_to]: must be one of inf", tiered(["soon", "inf"])],
    [400, "parameter_missing", "tiers[0][unit_amount]", "", create({ tiers_mode: "volume", tiers: [{ up_to: "inf" }] })],
    [400, undefined, "unit_amount", "cannot be set where", tiered(["inf"], { unit_amount: 100 })],
    [400, undefined, "tiers_mode", "can only be set where `billing_scheme` is `tiered`",
      create({ billing_scheme: "per_unit", unit_amount: 1, tiers_mode: "volume" })],
  );
  assert.equal((await stripe.prices.list()).data.length, 1);
});

billing("coupons that take nothing off", async ({ stripe, subscribed, allRefused }) => {
  const create = (form) => () => stripe.coupons.create(form);
  await stripe.coupons.create({ id: "EUROS", amount_off: 500, currency: "eur" });
  const { id } = await subscribed();
  const update = (discount) => () => stripe.subscriptions.update(id, { discounts: [discount] });
  await allRefused(
    [400, undefined, "percent_off", "", create({ percent_off: 101 })],
    [400, undefined, "percent_off", "", create({ percent_off: 0 })],
    [400, undefined, undefined, "", create({ percent_off: 10, amount_off: 100, currency: "usd" })],
    [400, "parameter_missing", "currency", "", create({ amount_off: 100 })],
    [400, "parameter_missing", "duration_in_months", "", create({ percent_off: 10, duration: "repeating" })],
    [400, "resource_missing", "discounts[0][coupon]", "No such coupon: 'NONE'", update({ coupon: "NONE" })],
    [400, undefined, "discounts[0][coupon]", "", update({ coupon: "EUROS" })],
    [400, undefined, "discounts[0]", "You may only specify one of these parameters",
      update({ coupon: "EUROS", promotion_code: "promo_none" })],
  );
  assert.deepEqual((await stripe.subscriptions.retrieve(id)).discounts, []);
});

billing("an invoice that is no draft any more", async ({ stripe, customer, subscribed, allRefused }) => {
  const { invoices } = stripe;
  const subscription = await subscribed();
  const paid = subscription.latest_invoice;
  const draft = (await invoices.create({ customer })).id;
  const item = (form) => () => stripe.invoiceItems.create({ customer, currency: "usd", amount: 100, ...form });
  await allRefused(
    [400, "invoice_already_paid", undefined, "Invoice is already paid", () => invoices.pay(paid)],
    [400, "invoice_not_editable", undefined, "", () => invoices.finalizeInvoice(paid)],
    [400, "invoice_not_editable", undefined, "", () => invoices.voidInvoice(paid)],
    [400, "invoice_not_editable", undefined, "", () => invoices.markUncollectible(paid)],
    [400, "invoice_not_editable", undefined, "", () => invoices.update(paid, { description: "Thing" })],
    [400, "invoice_not_editable", undefined, "", () => invoices.del(paid)],
    [400, "invoice_not_editable", undefined, "", () => invoices.voidInvoice(draft)],
    [400, "invoice_not_editable", undefined, "", item({ invoice: paid })],
    [400, "invoice_no_subscription_line_items", undefined, "Nothing to invoice for subscription",
      () => invoices.create({ customer, subscription: subscription.id })],
    [400, undefined, "currency", "", item({ currency: "eur", invoice: draft })],
    [400, undefined, "amount", "You may only specify one of these parameters", item({ quantity: 2 })],
    [400, undefined, "currency", "",
      () => stripe.customers.createBalanceTransaction(customer, { amount: -100, currency: "eur" })],
  );
  assert.deepEqual((await invoices.retrieve(draft)).lines.data, []);
});
