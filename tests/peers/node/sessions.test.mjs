// Checkout sessions that are paid once: what is asked for at creation, what the page says, what comes of it.

import assert from "node:assert/strict";

import { ids, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}";
const PAID = ["checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded"];

function sell(stripe, line_items, more = {}) {
  return stripe.checkout.sessions.create({ mode: "payment", line_items, success_url: DONE, ...more });
}

scenario("what is said of the payment reaches the intent and its charge", async ({ stripe, followed, pay }) => {
  const price = await priced(stripe, 1234);
  const customer = await stripe.customers.create({ email: "jenny@example.com" });
  const session = await sell(stripe, [{ price: price.id, quantity: 2 }], {
    customer: customer.id, client_reference_id: "cart-7", metadata: { cart: "7" },
    payment_intent_data: {
      description: "Two things", metadata: { order: "o-1" }, receipt_email: "bill@example.com",
      statement_descriptor_suffix: "THINGS",
      shipping: { name: "Jenny", address: { country: "DE", line1: "Weg 1" } },
    },
  });
  assert.deepEqual([session.amount_total, session.payment_intent, session.client_reference_id], [2468, null, "cart-7"]);
  await followed("product.created", "price.created", "customer.created");
  assert.equal((await pay(session.url)).status, 303);
  const [completed, , succeeded, charged] = (await followed(...PAID)).map((event) => event.data.object);
  assert.deepEqual(
    [succeeded.description, succeeded.metadata.order, succeeded.amount_received], ["Two things", "o-1", 2468],
  );
  assert.deepEqual([charged.receipt_email, charged.shipping.name], ["bill@example.com", "Jenny"]);
  assert.deepEqual([charged.customer, charged.statement_descriptor_suffix], [customer.id, "THINGS"]);
  assert.deepEqual([completed.metadata.cart, completed.payment_intent], ["7", succeeded.id]);
  const { data: found } = await stripe.checkout.sessions.list({ payment_intent: succeeded.id });
  assert.deepEqual(found.map((one) => [one.id, one.status, one.url]), [[session.id, "complete", null]]);
});

scenario("the page says what is due and is gone when it is paid or expired", async ({ stripe, followed, pay }) => {
  const price = await priced(stripe, 1999);
  const paid = await sell(stripe, [{ price: price.id, quantity: 3 }]);
  const ended = await sell(stripe, [{ price: price.id, quantity: 1 }]);
  await followed("product.created", "price.created");
  const page = await fetch(paid.url);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /Thing[^]*59\.97 usd/);
  const unknown = await pay(paid.url);
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /email/);
  await followed();
  const answer = await pay(paid.url, undefined, { email: "jenny@example.com", name: "Jenny Rosen" });
  assert.equal(answer.headers.get("location"), `https://example.com/done?session=${paid.id}`);
  const [{ data: { object: completed } }] = await followed(...PAID);
  const { email, name } = completed.customer_details;
  assert.deepEqual([email, name, completed.customer], ["jenny@example.com", "Jenny Rosen", null]);

  await stripe.checkout.sessions.expire(ended.id);
  await followed("checkout.session.expired");
  for (const gone of [paid, ended]) {
    assert.doesNotMatch(await (await fetch(gone.url)).text(), /card_number/);
    assert.equal((await pay(gone.url, undefined, { email })).status, 409);
    await refused(stripe.checkout.sessions.expire(gone.id), INVALID, 400, undefined);
  }
  await followed();
});

scenario("line items are paged and a session's metadata is changed", async ({ stripe, followed }) => {
  const lines = [[150, 2], [999, 1], [1, 7]].map(([unit_amount, quantity]) => ({
    price_data: { currency: "eur", unit_amount, product_data: { name: `Thing ${unit_amount}` } }, quantity,
  }));
  lines[0].adjustable_quantity = { enabled: true, minimum: 1, maximum: 5 };
  const session = await sell(stripe, lines, { metadata: { cart: "7" } });
  await followed(...lines.flatMap(() => ["product.created", "price.created"]));
  assert.deepEqual([session.amount_total, session.currency], [1306, "eur"]);
  const first = await stripe.checkout.sessions.listLineItems(session.id, { limit: 2 });
  assert.deepEqual([first.data.length, first.has_more], [2, true]);
  assert.equal(first.data[0].adjustable_quantity.maximum, 5);
  const all = await stripe.checkout.sessions.listLineItems(session.id, { limit: 2 }).autoPagingToArray({ limit: 10 });
  const listed = all.map((line) => [line.description, line.quantity, line.amount_total]);
  assert.deepEqual(listed, [["Thing 150", 2, 300], ["Thing 999", 1, 999], ["Thing 1", 7, 7]]);

  const changed = await stripe.checkout.sessions.update(session.id, { metadata: { cart: "", note: "gift" } });
  assert.deepEqual([{ ...changed.metadata }, changed.status], [{ note: "gift" }, "open"]);
  await followed();
});

scenario("a payer may become a customer whose card is kept", async ({ stripe, followed, pay }) => {
  const price = await priced(stripe, 800);
  const session = await sell(stripe, [{ price: price.id, quantity: 1 }], {
    customer_creation: "always", customer_email: "jenny@example.com",
    payment_intent_data: { setup_future_usage: "off_session" },
  });
  await followed("product.created", "price.created");
  assert.deepEqual([session.customer_details.email, session.customer_creation], ["jenny@example.com", "always"]);
  await pay(session.url, "5555555555554444", { name: "Jenny" });
  const [created, attached] = await followed("customer.created", "payment_method.attached", ...PAID);
  const { id: customer, email } = created.data.object;
  const card = attached.data.object;
  assert.deepEqual([email, card.customer, card.card.last4], ["jenny@example.com", customer, "4444"]);
  const again = await stripe.paymentIntents.create({
    amount: 500, currency: "usd", customer, payment_method: card.id, off_session: true, confirm: true,
  });
  assert.deepEqual([again.status, again.amount_received], ["succeeded", 500]);
  await followed("payment_intent.created", "payment_intent.succeeded", "charge.succeeded");
});

scenario("what does not go together is refused", async ({ stripe, followed, now }) => {
  const once = await priced(stripe, 500);
  const monthly = await priced(stripe, 900, { recurring: { interval: "month" } });
  const euros = await priced(stripe, 500, { currency: "eur" });
  await followed(...[once, monthly, euros].flatMap(() => ["product.created", "price.created"]));
  const line = { price: once.id, quantity: 1 };
  for (const [lines, more, param, code] of [
    [[{ price: monthly.id, quantity: 1 }], {}, "line_items"],
    [[line, { price: euros.id, quantity: 1 }], {}, "line_items[1][price]"],
    [[line], { success_url: "nowhere" }, "success_url", "url_invalid"],
    [[line], { expires_at: (await now()) + 60 }, "expires_at"],
    [[line], { subscription_data: { description: "x" } }, "subscription_data"],
    [[line], { mode: "subscription" }, "line_items"],
  ]) {
    assert.equal((await refused(sell(stripe, lines, more), INVALID, 400, code)).param, param);
  }
  await followed();
  assert.deepEqual(ids(await stripe.checkout.sessions.list()), []);
});
