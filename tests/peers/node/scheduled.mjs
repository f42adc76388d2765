// What scenarios of subscription schedules begin with: a customer whose invoices a card pays, and schedules.

import assert from "node:assert/strict";

import { DAY, PAID, priced, scenario } from "./support.mjs";

export const INVALID = "StripeInvalidRequestError";
export const HOUR = 3600;
// All but 0.6555… of a month of thirty days has passed then.
export const INTO_MONTH = 10 * DAY + 8 * HOUR;
// What a draft comes to after its hour.
export const COLLECTED = [
  "invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
  "invoice_payment.paid", ...PAID,
];
export const SUBSCRIBED = ["customer.subscription.created", "customer.subscription.updated", "invoice.created", ...COLLECTED];
export const BEGUN = ["subscription_schedule.created", "customer.subscription.created", "invoice.created"];
export const TAKEN_OVER = ["subscription_schedule.created", "customer.subscription.updated"];
export const RELEASED = [
  "subscription_schedule.updated", "customer.subscription.updated", "subscription_schedule.released",
];
/** A change whose prorations wait. */
export const PRORATED = ["customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"];

/** A scenario with a customer whose invoices a card pays, at the beginning of a month of thirty days and before one of 31. */
export function scheduled(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, advance, control } = world;
    // Notice of each renewal is among the events of dunning.test.mjs.
    await control("billing", { upcoming_days: null });
    const start = await advance(90 * DAY);
    const { id: customer } = await stripe.customers.create({ name: "Jenny" });
    await giveCard(world, customer, "visa");
    await followed("customer.created", "payment_method.attached", "customer.updated");
    await play({ ...world, customer, start, month: start + 30 * DAY, second: start + 61 * DAY });
  });
}

export async function giveCard({ stripe }, customer, card) {
  const method = await stripe.paymentMethods.attach(`pm_card_${card}`, { customer });
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
}

export async function priceOf({ stripe, followed }, amount) {
  const { id } = await priced(stripe, amount, { recurring: { interval: "month" } });
  await followed("product.created", "price.created");
  return id;
}

export async function begun({ stripe, followed, customer }, phases, more = {}) {
  const schedule = await stripe.subscriptionSchedules.create({ customer, start_date: "now", phases, ...more });
  assert.equal(schedule.status, "active");
  await followed(...BEGUN);
  return schedule;
}

/** A subscription that is paid, and a schedule that has it. */
export async function takenOver({ stripe, followed, customer }, price, quantity = 1, mode = "flexible") {
  const form = { customer, items: [{ price, quantity }], billing_mode: { type: mode } };
  const subscription = await stripe.subscriptions.create(form);
  await followed(...SUBSCRIBED);
  const schedule = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
  await followed(...TAKEN_OVER);
  return [subscription, schedule];
}

/** Has a price follow where the present phase ends, with nothing prorated. */
export async function following({ stripe, followed }, schedule, price) {
  const [{ items, start_date, end_date }] = schedule.phases;
  const kept = { price: items[0].price, quantity: items[0].quantity };
  const phases = [
    { items: [kept], start_date, end_date },
    { items: [{ ...kept, price }], proration_behavior: "none" },
  ];
  const form = { phases, proration_behavior: "none", end_behavior: "release" };
  const planned = await stripe.subscriptionSchedules.update(schedule.id, form);
  await followed("subscription_schedule.updated");
  return planned;
}

export const to = async ({ advance, now }, moment) => advance(moment - (await now()));

export async function subscriptionOf({ stripe }, { id }) {
  const schedule = await stripe.subscriptionSchedules.retrieve(id);
  return stripe.subscriptions.retrieve(schedule.subscription ?? schedule.released_subscription);
}

export async function sold(world, schedule) {
  const { items } = await subscriptionOf(world, schedule);
  return items.data.map((item) => [item.price.id, item.quantity]);
}

/** The lines of each invoice, and its status, oldest first. */
export async function invoices({ stripe, customer }) {
  const { data } = await stripe.invoices.list({ customer, limit: 100 });
  return data.map((one) => [one.lines.data.map((line) => line.amount), one.status]).reverse();
}

export async function waiting({ stripe, customer }) {
  const { data } = await stripe.invoiceItems.list({ customer, pending: true, limit: 100 });
  return data.map((item) => item.amount).reverse();
}

export const ends = (schedule) => schedule.phases.map((phase) => phase.end_date);
