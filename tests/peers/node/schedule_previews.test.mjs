// Previews of subscription schedules, as they are and as they would be.

import assert from "node:assert/strict";

import {
  COLLECTED, HOUR, INTO_MONTH, INVALID, following, invoices, priceOf, scheduled, takenOver, to,
} from "./scheduled.mjs";
import { DAY, amountsOf, preview, refused } from "./support.mjs";

scheduled("the next phase is previewed", async (world) => {
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const [{ id: subscription }, schedule] = await takenOver(world, cheap, 3);
  const asked = { schedule: schedule.id };
  const before = await preview(world, asked);
  assert.deepEqual([amountsOf(before), before.created], [[8700], world.month]);
  await following(world, schedule, dear);
  const after = await preview(world, asked);
  assert.deepEqual([amountsOf(after), after.amount_due], [[23_700], 23_700]);
  assert.deepEqual(amountsOf(await preview(world, { subscription })), [23_700]);
  assert.deepEqual(amountsOf(await preview(world, { ...asked, preview_mode: "recurring" })), [8700]);
  await to(world, world.month);
  assert.deepEqual((await invoices(world))[1], [[23_700], "draft"]);
});

scheduled("a change of a schedule costs what was previewed", async (world) => {
  const { stripe, followed, advance, start, month, second } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const [, { id: schedule }] = await takenOver(world, cheap);
  await advance(INTO_MONTH);
  await stripe.balance.retrieve();
  await followed("balance.available");
  const phases = [{ items: [{ price: dear }], start_date: start, end_date: second }];
  let last;
  for (const [proration_behavior, lines, created] of [
    ["none", [7900], month],
    ["create_prorations", [7900, -1901, 5179], month],
    ["always_invoice", [-1901, 5179], start + INTO_MONTH],
  ]) {
    last = await preview(world, { schedule, schedule_details: { phases, proration_behavior } });
    assert.deepEqual([amountsOf(last), last.created], [lines, created]);
  }
  assert.equal(last.parent.subscription_details.subscription_proration_date, start + INTO_MONTH);
  await stripe.subscriptionSchedules.update(schedule, { phases, proration_behavior: "always_invoice" });
  assert.deepEqual((await invoices(world))[1], [[-1901, 5179], "draft"]);
});

scheduled("a schedule that is not there is previewed", async (world) => {
  const { stripe, customer, start, month } = world;
  const [cheap, dear] = [await priceOf(world, 2900), await priceOf(world, 7900)];
  const first = { items: [{ price: cheap }], end_date: month };
  const phases = [first, { items: [{ price: dear }] }];
  const now = await preview(world, { customer, schedule_details: { phases } });
  assert.deepEqual([amountsOf(now), now.created], [[2900], start]);
  const later = await preview(world, {
    schedule_details: {
      phases: [{ ...first, start_date: start + DAY, trial: true }, phases[1]],
      end_behavior: "cancel", billing_mode: { type: "classic" },
    },
  });
  assert.deepEqual([amountsOf(later), later.created], [[0], start + DAY]);
  assert.deepEqual((await stripe.subscriptionSchedules.list({ customer })).data, []);
});

scheduled("a schedule that begins later and ends is previewed", async (world) => {
  const { stripe, followed, customer, month } = world;
  const phases = [{ items: [{ price: await priceOf(world, 2900) }] }];
  const form = { customer, start_date: month, end_behavior: "cancel", phases };
  const { id: schedule } = await stripe.subscriptionSchedules.create(form);
  await followed("subscription_schedule.created");
  const begins = await preview(world, { schedule });
  assert.deepEqual([amountsOf(begins), begins.created], [[2900], month]);
  await to(world, month + HOUR);
  await followed(
    "subscription_schedule.updated", "customer.subscription.created", "invoice.created", ...COLLECTED,
  );
  await refused(stripe.invoices.createPreview({ schedule }), INVALID, 404, "invoice_upcoming_none");
  const goesOn = await preview(world, { schedule, schedule_details: { end_behavior: "release" } });
  assert.deepEqual(amountsOf(goesOn), [2900]);
});

scheduled("what of a schedule is not previewed is refused", async (world) => {
  const { stripe } = world;
  const price = await priceOf(world, 2900);
  const [{ id: subscription }, { id: schedule }] = await takenOver(world, price);
  const phases = { phases: [{ items: [{ price }] }] };
  for (const [form, param] of [
    [{ schedule_details: { end_behavior: "cancel" } }, "schedule_details"],
    [{ schedule, subscription }, "schedule"],
    [{ schedule, subscription_details: { cancel_now: true } }, "schedule"],
    [{ subscription, schedule_details: phases }, "schedule_details"],
    [{ schedule, currency: "eur" }, "currency"],
    [{ schedule, schedule_details: phases }, "schedule_details[phases]"],
    [{ schedule, schedule_details: { billing_mode: { type: "classic" } } }, "schedule_details[billing_mode]"],
  ]) {
    const error = await refused(stripe.invoices.createPreview(form), INVALID, 400);
    assert.equal(error.param, param);
  }
  await stripe.subscriptionSchedules.release(schedule);
  await refused(stripe.invoices.createPreview({ schedule }), INVALID, 404, "invoice_upcoming_none");
});
