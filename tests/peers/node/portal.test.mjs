// The customer portal: its configurations and sessions, and what customers do on its page.

import assert from "node:assert/strict";
import { DAY, ids, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const BACK = "https://example.com/account";
const SAVED = [
  "setup_intent.created", "setup_intent.succeeded", "payment_method.attached", "customer.updated",
  "customer.subscription.updated",
];

const page = async (url) => (await fetch(url)).text();

/** A customer with a subscription that a card of its own pays. */
async function subscribed(stripe, price, name) {
  const customer = await stripe.customers.create({ email: `${name}@example.com` });
  const card = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  const subscription = await stripe.subscriptions.create({
    customer: customer.id, items: [{ price: price.id }], default_payment_method: card.id,
  });
  return { customer, subscription };
}

/** A scenario in which Jenny subscribes to a plan that costs 9.00 a month or 90.00 a year. */
function portal(name, play) {
  scenario(name, async (world) => {
    const { stripe, followed, submit } = world;
    const monthly = await priced(stripe, 900, { recurring: { interval: "month" } });
    const yearly = await stripe.prices.create({
      product: monthly.product, currency: "usd", unit_amount: 9000, recurring: { interval: "year" },
    });
    const { customer, subscription } = await subscribed(stripe, monthly, "jenny");
    const seen = await world.mark();
    await followed(...(await world.eventsSince(0)).map((event) => event.type));
    const configuration = async (features) => {
      const made = await stripe.billingPortal.configurations.create({ features });
      await followed("billing_portal.configuration.created");
      return made;
    };
    const updates = (more = {}) =>
      configuration({
        subscription_update: {
          enabled: true, default_allowed_updates: ["price", "quantity"],
          products: [{
            product: monthly.product, prices: [monthly.id, yearly.id],
            adjustable_quantity: { enabled: true, maximum: 5 },
          }],
          ...more,
        },
      });
    const open = async (chosen, more = {}) => {
      const form = { customer: customer.id, return_url: BACK, ...more };
      if (chosen) form.configuration = chosen.id;
      const session = await stripe.billingPortal.sessions.create(form);
      assert.deepEqual([session.customer, session.return_url], [customer.id, BACK]);
      await followed("billing_portal.session.created", ...(chosen ? [] : ["billing_portal.configuration.created"]));
      return session;
    };
    const now = () => stripe.subscriptions.retrieve(subscription.id);
    const act = async (session, fields) => {
      const answer = await submit(session.url, { subscription: subscription.id, ...fields });
      return { status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
    };
    await play({ ...world, monthly, yearly, customer, subscription, configuration, updates, open, now, act, seen });
  });
}

portal("a card is replaced for all that it pays", async ({ followed, pay, submit, open, now, subscription }) => {
  const session = await open();
  assert.match(await page(session.url), /ending in 4242/);
  const replaced = (number) => pay(session.url, number, { action: "card" });
  const declined = await replaced("4000000000000002");
  assert.equal(declined.status, 402);
  assert.match(await declined.text(), /declined/);
  await followed("setup_intent.created", "setup_intent.setup_failed");
  assert.equal((await now()).default_payment_method, subscription.default_payment_method);

  const saved = await replaced("5555555555554444");
  assert.equal(saved.status, 303);
  const [, , , customer, updated] = await followed(...SAVED);
  const card = customer.data.object.invoice_settings.default_payment_method;
  assert.equal(updated.data.object.default_payment_method, card);
  const text = await page(saved.headers.get("location"));
  assert.match(text, /Your change is saved/);
  assert.match(text, /ending in 4444/);

  const asked = async (action) => {
    const bank = (await replaced("4000002500003155")).headers.get("location");
    await followed("setup_intent.created", "setup_intent.requires_action");
    return submit(bank, { action });
  };
  assert.match(await page((await asked("fail")).headers.get("location")), /not authenticated/);
  await followed("setup_intent.setup_failed");
  assert.equal((await asked("complete")).status, 303);
  await followed(...SAVED.slice(1));
  assert.notEqual((await now()).default_payment_method, card);
});

portal("a subscription is canceled with a reason and kept after all", async ({ followed, advance, open, now, act }) => {
  const session = await open();
  const reason = { feedback: "unused", comment: "Too little time" };
  assert.equal((await act(session, { action: "cancel", ...reason })).status, 303);
  const [canceled] = await followed("customer.subscription.updated");
  const { cancel_at, cancel_at_period_end, cancellation_details, items, status } = canceled.data.object;
  assert.deepEqual([cancel_at, cancel_at_period_end, status], [items.data[0].current_period_end, false, "active"]);
  const { comment, feedback } = cancellation_details;
  assert.deepEqual([{ comment, feedback }, cancellation_details.reason], [reason, "cancellation_requested"]);
  assert.match(await page(session.url), /Ends on/);
  assert.equal((await act(session, { action: "cancel" })).status, 400);
  assert.equal((await act(session, { action: "renew" })).status, 303);
  const [kept] = await followed("customer.subscription.updated");
  assert.deepEqual([kept.data.object.cancel_at, kept.data.object.canceled_at], [null, null]);
  assert.ok(Object.values(kept.data.object.cancellation_details).every((one) => one === null));
  assert.equal(kept.data.previous_attributes.cancel_at, cancel_at);
  await act(session, { action: "cancel" });
  await advance(32 * DAY);
  assert.equal((await now()).status, "canceled");
  await followed("customer.subscription.updated", "customer.subscription.deleted", "balance.available");
});

portal("a plan and its quantity are changed", async ({ stripe, followed, open, updates, act, yearly }) => {
  const session = await open(await updates());
  assert.match(await page(session.url), /90.00 usd \/ year/);
  const changed = async (price, quantity) => (await act(session, { action: "change", price, quantity })).status;
  assert.equal(await changed(yearly.id, "3"), 303);
  const [updated] = await followed("customer.subscription.updated");
  const [item] = updated.data.object.items.data;
  assert.deepEqual([item.price.id, item.quantity], [yearly.id, 3]);
  const other = await priced(stripe, 100, { recurring: { interval: "month" } });
  await followed("product.created", "price.created");
  assert.equal(await changed(other.id, "3"), 400);
  for (const quantity of ["6", "0", "many"]) assert.equal(await changed(yearly.id, quantity), 400);
  await followed();
});

portal("a change is paid for at once or not made", async ({ stripe, advance, updates, customer, subscription, now, act }) => {
  const configuration = await updates({ proration_behavior: "always_invoice" });
  // Half of January 15th to February 15th.
  await advance((31 * DAY) / 2);
  const session = await stripe.billingPortal.sessions.create({
    customer: customer.id, configuration: configuration.id,
  });
  const paidBy = (default_payment_method) => stripe.subscriptions.update(subscription.id, { default_payment_method });
  const poor = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
  await paidBy(poor.id);
  const declined = await act(session, { action: "change", quantity: "3" });
  assert.equal(declined.status, 402);
  assert.match(declined.text, /declined/);
  assert.equal((await now()).items.data[0].quantity, 1);
  await paidBy(subscription.default_payment_method);
  assert.equal((await act(session, { action: "change", quantity: "3" })).status, 303);
  const changed = await stripe.subscriptions.retrieve(subscription.id, { expand: ["latest_invoice"] });
  assert.equal(changed.items.data[0].quantity, 3);
  const { status, amount_paid, billing_reason, lines } = changed.latest_invoice;
  assert.deepEqual([status, amount_paid, billing_reason], ["paid", 900, "subscription_update"]);
  assert.deepEqual(lines.data.map((line) => line.amount).sort(), [-450, 1350]);
});

portal("a smaller plan begins with the next period", async (world) => {
  const { stripe, followed, advance, mark, eventsSince, updates, open, now, act, monthly, yearly } = world;
  const cancels = await world.configuration({ subscription_cancel: { enabled: true } });
  const conditions = [{ type: "decreasing_item_amount" }, { type: "shortening_interval" }];
  const configuration = await updates({ schedule_at_period_end: { conditions } });
  assert.deepEqual(configuration.features.subscription_update.schedule_at_period_end.conditions, conditions);
  const quantity = async () => (await now()).items.data[0].quantity;
  const scheduleNow = async () => stripe.subscriptionSchedules.retrieve((await now()).schedule);
  const released = [
    "subscription_schedule.updated", "customer.subscription.updated", "subscription_schedule.released",
  ];
  const planned = ["subscription_schedule.created", "customer.subscription.updated", "subscription_schedule.updated"];
  let session = await open(configuration);
  await act(session, { action: "change", quantity: "3" });
  await followed("customer.subscription.updated");
  assert.equal(await quantity(), 3);
  await act(session, { action: "change", quantity: "1" });
  await followed(...planned);
  assert.equal(await quantity(), 3);
  assert.match(await page(session.url), /Changes on/);
  // Another plan takes its place.
  await act(session, { action: "change", quantity: "2" });
  await followed(...released, ...planned);
  assert.equal(await quantity(), 3);
  assert.deepEqual((await scheduleNow()).phases.map((phase) => phase.items[0].quantity), [3, 2]);
  const before = await mark();
  await advance(31 * DAY + 2 * 3600);
  assert.equal(await quantity(), 2);
  const invoice = await stripe.invoices.retrieve((await now()).latest_invoice);
  assert.deepEqual([invoice.lines.data.map((line) => line.amount), invoice.status], [[1800], "paid"]);
  await followed(...(await eventsSince(before)).map((event) => event.type));

  session = await open(configuration);
  await act(session, { action: "change", price: yearly.id });
  await followed(...released, "customer.subscription.updated");
  const [year] = (await now()).items.data;
  assert.equal(year.price.id, yearly.id);
  await act(session, { action: "change", price: monthly.id });
  await followed(...planned);
  assert.equal((await scheduleNow()).phases[1].start_date, year.current_period_end);
  // Who cancels gives the change up.
  await act(await open(cancels), { action: "cancel" });
  await followed(...released, "customer.subscription.updated");
  const { schedule, cancel_at } = await now();
  assert.deepEqual([schedule, cancel_at], [null, year.current_period_end]);
});

portal("a flow does one thing and leads on", async ({ followed, pay, open, configuration, act, subscription }) => {
  const cancels = await open(await configuration({ subscription_cancel: { enabled: true, mode: "immediately" } }), {
    flow_data: {
      type: "subscription_cancel", subscription_cancel: { subscription: subscription.id },
      after_completion: { hosted_confirmation: { custom_message: "See you" }, type: "hosted_confirmation" },
    },
  });
  const { type, subscription_cancel } = cancels.flow;
  assert.deepEqual([type, subscription_cancel.subscription], ["subscription_cancel", subscription.id]);
  const text = await page(cancels.url);
  assert.deepEqual(["Cancel now", "Invoices", BACK].map((word) => text.includes(word)), [true, false, true]);
  assert.match(await page((await act(cancels, { action: "cancel" })).location), /See you/);
  const [deleted] = await followed("customer.subscription.deleted");
  assert.equal(deleted.data.object.status, "canceled");

  const saves = await open(await configuration({ payment_method_update: { enabled: true } }), {
    flow_data: {
      type: "payment_method_update",
      after_completion: { type: "redirect", redirect: { return_url: "https://example.com/thanks" } },
    },
  });
  const answer = await pay(saves.url, undefined, { action: "card" });
  assert.equal(answer.headers.get("location"), "https://example.com/thanks");
  await followed(...SAVED.slice(0, 4));
});

portal("a flow confirms a change", async ({ stripe, followed, open, updates, now, act, customer, subscription, yearly }) => {
  const chosen = await updates();
  const flow = (more) => ({
    type: "subscription_update_confirm",
    subscription_update_confirm: {
      subscription: subscription.id, items: [{ id: subscription.items.data[0].id, price: yearly.id, ...more }],
    },
  });
  const session = await open(chosen, { flow_data: flow() });
  const [line] = session.flow.subscription_update_confirm.items;
  assert.deepEqual([line.price, line.quantity], [yearly.id, 1]);
  assert.match(await page(session.url), /90.00 usd \/ year/);
  await act(session, { action: "confirm" });
  await followed("customer.subscription.updated");
  assert.equal((await now()).items.data[0].price.id, yearly.id);
  const form = { customer: customer.id, configuration: chosen.id, flow_data: flow({ quantity: 6 }) };
  const error = await refused(stripe.billingPortal.sessions.create(form), INVALID, 400, undefined);
  assert.equal(error.param, "flow_data[subscription_update_confirm][items]");
});

portal("configurations say what is allowed", async ({ stripe, followed, advance, open, act, customer }) => {
  const { configurations, sessions } = stripe.billingPortal;
  const made = await configurations.create({
    name: "Simple", business_profile: { headline: "Things & more" }, default_return_url: BACK,
    features: { invoice_history: { enabled: true } }, metadata: { a: "1" },
  });
  assert.deepEqual([made.active, made.is_default, made.features.subscription_cancel.enabled], [true, false, false]);
  await advance(5);
  const changed = await configurations.update(made.id, {
    name: "", features: { customer_update: { enabled: true, allowed_updates: ["name"] } },
  });
  assert.deepEqual(
    [changed.name, changed.updated - made.updated, changed.features.invoice_history.enabled], [null, 5, true],
  );
  await followed("billing_portal.configuration.created", "billing_portal.configuration.updated");
  const session = await open(made);
  const text = await page(session.url);
  assert.deepEqual(
    ["Things &amp; more", "Invoices", "Cancel", "Payment method"].map((word) => text.includes(word)),
    [true, true, false, false],
  );
  assert.equal((await act(session, { action: "customer", name: "Jen", email: "other@example.com" })).status, 303);
  const [updated] = await followed("customer.updated");
  assert.deepEqual(updated.data.previous_attributes, { name: null });
  for (const action of ["cancel", "card", "change", "confirm", "renew", "fly"]) {
    assert.equal((await act(session, { action })).status, 400, action);
  }
  await open();
  const [byDefault, ...others] = (await configurations.list({ is_default: true })).data;
  assert.deepEqual(others, []);
  assert.equal(ids(await configurations.list({ active: true })).length, 2);
  const kept = await refused(configurations.update(byDefault.id, { active: false }), INVALID, 400, undefined);
  assert.equal(kept.param, "active");
  await configurations.update(made.id, { active: false });
  const form = { customer: customer.id, configuration: made.id };
  assert.equal((await refused(sessions.create(form), INVALID, 400, undefined)).param, "configuration");
});

portal("what is not the customer's is refused", async ({ stripe, followed, advance, open, act, ...world }) => {
  const { subscription: other } = await subscribed(stripe, world.monthly, "john");
  await followed(...(await world.eventsSince(world.seen)).map((event) => event.type));
  const session = await open();
  assert.equal((await act(session, { action: "cancel", subscription: other.id })).status, 400);
  const cancel = { type: "subscription_cancel", subscription_cancel: { subscription: other.id } };
  const customer = world.customer.id;
  for (const [code, param, form] of [
    ["parameter_missing", "customer", {}],
    ["resource_missing", "customer", { customer: "cus_nobody" }],
    ["url_invalid", "return_url", { customer, return_url: "nowhere" }],
    [undefined, "flow_data[subscription_cancel][subscription]", { customer, flow_data: cancel }],
    [undefined, "flow_data[type]", { customer, flow_data: { type: "subscription_update" } }],
    ["sandbox_unsupported_parameter", "flow_data[type]", { customer, flow_data: { type: "customer_update" } }],
  ]) {
    assert.equal((await refused(stripe.billingPortal.sessions.create(form), INVALID, 400, code)).param, param);
  }
  const features = { subscription_update: { enabled: true, default_allowed_updates: ["price"] } };
  const incomplete = stripe.billingPortal.configurations.create({ features });
  const error = await refused(incomplete, INVALID, 400, "parameter_missing");
  assert.equal(error.param, "features[subscription_update][products]");
  await followed();
  await advance(3601);
  assert.equal((await fetch(session.url)).status, 410);
});
