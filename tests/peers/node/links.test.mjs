// Payment links: what they sell, to how many, and what follows.

import assert from "node:assert/strict";
import { DAY, PAID, ids, priced, refused, scenario } from "./support.mjs";

const MADE = ["product.created", "price.created", "payment_link.created"];

const linked = (stripe, price, more = {}) =>
  stripe.paymentLinks.create({ line_items: [{ price: price.id, quantity: 1 }], ...more });

/** Opens the link, as a browser does; gives the session that this made. */
async function visited(stripe, link, query = "") {
  assert.match(await (await fetch(link.url + query)).text(), /Checkout/);
  return (await stripe.checkout.sessions.list({ payment_link: link.id })).data[0];
}

async function gone(link, message) {
  const answer = await fetch(link.url);
  assert.equal(answer.status, 410);
  assert.match(await answer.text(), message);
}

scenario("a link sells to whoever opens it", async ({ stripe, followed, pay }) => {
  const link = await linked(stripe, await priced(stripe, 700), {
    metadata: { campaign: "spring" }, payment_intent_data: { description: "A thing" },
    after_completion: { type: "hosted_confirmation", hosted_confirmation: { custom_message: "It is on its way" } },
  });
  assert.deepEqual([link.active, link.currency, link.restrictions, link.metadata.campaign], [true, "usd", null, "spring"]);
  await followed(...MADE);
  for (const name of ["jenny", "john"]) {
    const session = await visited(stripe, link, "?client_reference_id=r-7&utm_source=mail");
    assert.deepEqual([session.amount_total, session.mode, session.client_reference_id], [700, "payment", "r-7"]);
    assert.equal(session.metadata.campaign, "spring");
    const answer = await pay(session.url, undefined, { email: `${name}@example.com` });
    assert.equal(answer.status, 303);
    assert.match(await (await fetch(answer.headers.get("location"))).text(), /It is on its way/);
    const [completed, created] = await followed("checkout.session.completed", ...PAID);
    assert.equal(created.data.object.description, "A thing");
    assert.equal(completed.data.object.payment_link, link.id);
  }
  assert.equal((await stripe.checkout.sessions.list({ payment_link: link.id })).data.length, 2);
});

scenario("a link subscribes and leads away", async ({ stripe, followed, pay }) => {
  const link = await linked(stripe, await priced(stripe, 900, { recurring: { interval: "month" } }), {
    subscription_data: { trial_period_days: 7, metadata: { plan: "pro" } },
    after_completion: { type: "redirect", redirect: { url: "https://example.com/in?s={CHECKOUT_SESSION_ID}" } },
  });
  await followed(...MADE);
  const session = await visited(stripe, link, "?prefilled_email=jenny%40example.com&client_reference_id=not%20valid");
  assert.deepEqual(
    [session.mode, session.customer_email, session.client_reference_id], ["subscription", "jenny@example.com", null],
  );
  const answer = await pay(session.url);
  assert.equal(answer.headers.get("location"), `https://example.com/in?s=${session.id}`);
  const { subscription } = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription"] });
  assert.deepEqual([subscription.status, subscription.metadata.plan], ["trialing", "pro"]);
  assert.equal(subscription.trial_end - subscription.trial_start, 7 * DAY);
});

scenario("a link sells no more than its limit", async ({ stripe, followed, pay }) => {
  const link = await linked(stripe, await priced(stripe, 700), {
    restrictions: { completed_sessions: { limit: 1 } }, inactive_message: "Sold out",
  });
  const first = await visited(stripe, link);
  const late = await visited(stripe, link);
  await followed(...MADE);
  await pay(late.url, "4000000000000002", { email: "john@example.com" });
  await followed("payment_intent.created", "charge.failed", "payment_intent.payment_failed");
  assert.equal((await pay(first.url, undefined, { email: "jenny@example.com" })).status, 303);
  const [updated, expired] = await followed(
    "payment_link.updated", "checkout.session.expired", "payment_intent.canceled", ...PAID, "checkout.session.completed",
  );
  assert.deepEqual([updated.data.previous_attributes, expired.data.object.id], [{ active: true }, late.id]);
  const ended = await stripe.paymentLinks.retrieve(link.id);
  assert.deepEqual([ended.active, ended.restrictions.completed_sessions.count], [false, 1]);
  await gone(link, /Sold out/);
  await stripe.paymentLinks.update(link.id, { active: true, restrictions: "" });
  assert.equal((await visited(stripe, link)).status, "open");
});

scenario("a link is changed and listed", async ({ stripe, followed }) => {
  const first = await linked(stripe, await priced(stripe, 700));
  const second = await linked(stripe, await priced(stripe, 900), { metadata: { a: "1" } });
  await followed(...MADE, ...MADE);
  const changed = await stripe.paymentLinks.update(second.id, {
    active: false, inactive_message: "Come back", metadata: { a: "", b: "2" }, submit_type: "donate",
  });
  assert.deepEqual([changed.active, changed.submit_type, changed.metadata], [false, "donate", { b: "2" }]);
  const [updated] = await followed("payment_link.updated");
  assert.equal(updated.data.previous_attributes.active, true);
  await gone(second, /Come back/);
  const links = stripe.paymentLinks;
  assert.deepEqual(ids(await links.list()), [second.id, first.id]);
  assert.deepEqual(ids(await links.list({ active: true })), [first.id]);
  assert.deepEqual(ids(await links.list({ active: false })), [second.id]);
  const [line] = (await links.listLineItems(second.id)).data;
  assert.deepEqual([line.amount_total, line.quantity, line.description], [900, 1, "Thing"]);
  assert.deepEqual(ids((await links.retrieve(second.id, { expand: ["line_items"] })).line_items), [line.id]);
});

scenario("links that cannot be are refused", async ({ stripe }) => {
  const price = await priced(stripe, 700);
  const monthly = await priced(stripe, 900, { recurring: { interval: "month" } });
  const redirect = "after_completion[redirect][url]";
  const line = { price: price.id, quantity: 1 };
  for (const [code, param, more] of [
    ["parameter_missing", redirect, { after_completion: { type: "redirect" } }],
    ["url_invalid", redirect, { after_completion: { type: "redirect", redirect: { url: "nowhere" } } }],
    [
      "parameter_invalid_integer", "restrictions[completed_sessions][limit]",
      { restrictions: { completed_sessions: { limit: 0 } } },
    ],
    [undefined, "subscription_data", { subscription_data: { trial_period_days: 7 } }],
    [
      undefined, "payment_intent_data",
      { line_items: [{ price: monthly.id, quantity: 1 }], payment_intent_data: { description: "x" } },
    ],
    [
      "sandbox_unsupported_parameter", "shipping_address_collection",
      { shipping_address_collection: { allowed_countries: ["IE"] } },
    ],
    [undefined, "line_items", { line_items: Array(21).fill(line) }],
  ]) {
    const error = await refused(linked(stripe, price, more), "StripeInvalidRequestError", 400, code);
    assert.equal(error.param, param);
  }
  await refused(stripe.paymentLinks.retrieve("plink_nobody"), "StripeInvalidRequestError", 404, "resource_missing");
});
