// Coupons and promotion codes, and what they take off a checkout session, to the cent.

import assert from "node:assert/strict";

import { DAY, ids, priced, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const PAID = ["checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded"];
const PAYER = { email: "jenny@example.com" };

/** A checkout session over things of these amounts. */
async function sold({ stripe, followed }, amounts, more) {
  const session = await stripe.checkout.sessions.create({
    mode: "payment", success_url: "https://example.com", ...more,
    line_items: amounts.map((unit_amount) => ({
      price_data: { currency: "usd", unit_amount, product_data: { name: "Thing" } }, quantity: 1,
    })),
  });
  await followed(...amounts.flatMap(() => ["product.created", "price.created"]));
  return session;
}

async function codeOf({ stripe, followed }, coupon, more) {
  const code = await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon }, ...more });
  await followed("promotion_code.created");
  return code;
}

scenario("a coupon takes off a share or an amount and counts until it is used up", async (world) => {
  const { stripe, followed, pay } = world;
  const share = await stripe.coupons.create({ percent_off: 33.33, max_redemptions: 1, name: "Third" });
  const amount = await stripe.coupons.create({ amount_off: 500, currency: "usd", id: "FIVE" });
  await followed("coupon.created", "coupon.created");
  assert.deepEqual([share.valid, share.duration, amount.id, amount.amount_off], [true, "once", "FIVE", 500]);

  const third = await sold(world, [1000, 50], { discounts: [{ coupon: share.id }] });
  assert.deepEqual([third.amount_subtotal, third.amount_total, third.total_details.amount_discount], [1050, 700, 350]);
  const { data: lines } = await stripe.checkout.sessions.listLineItems(third.id);
  assert.deepEqual(lines.map((line) => [line.amount_discount, line.amount_total]), [[333, 667], [17, 33]]);
  await pay(third.url, undefined, PAYER);
  const [completed, , , charged, counted] = await followed(...PAID, "coupon.updated");
  assert.deepEqual([completed.data.object.amount_total, charged.data.object.amount], [700, 700]);
  assert.deepEqual([counted.data.object.times_redeemed, counted.data.object.valid], [1, false]);
  await refused(sold(world, [1000], { discounts: [{ coupon: share.id }] }), INVALID, 400, "coupon_expired");

  // Never more than what is due, and then nothing has to be paid.
  const free = await sold(world, [300], { discounts: [{ coupon: "FIVE" }] });
  assert.deepEqual([free.amount_total, free.total_details.amount_discount], [0, 300]);
  assert.equal((await pay(free.url, undefined, PAYER)).status, 303);
  const [given] = await followed("checkout.session.completed", "coupon.updated");
  assert.equal(given.data.object.payment_status, "no_payment_required");
});

scenario("a coupon ends with its last day and takes its codes along", async (world) => {
  const { stripe, followed, advance, now } = world;
  const until = (await now()) + DAY;
  const coupon = await stripe.coupons.create({ percent_off: 20, redeem_by: until });
  await followed("coupon.created");
  const code = await codeOf(world, coupon.id, { code: "SPRING" });
  assert.deepEqual([coupon.redeem_by, code.active], [until, true]);
  await advance(DAY + 60);
  const [ended, inactive] = await followed("coupon.updated", "promotion_code.updated");
  assert.deepEqual([ended.data.object.valid, ended.created], [false, until]);
  assert.deepEqual([inactive.data.object.active, inactive.data.object.code], [false, "SPRING"]);
  const late = stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: coupon.id } });
  await refused(late, INVALID, 400, "coupon_expired");
  assert.equal((await stripe.coupons.del(coupon.id)).deleted, true);
  await followed("coupon.deleted");
});

scenario("a promotion code is restricted to whom and for how much it is", async (world) => {
  const { stripe, followed, pay } = world;
  const coupon = await stripe.coupons.create({ percent_off: 25 });
  const jenny = await stripe.customers.create(PAYER);
  await followed("coupon.created", "customer.created");
  const code = await codeOf(world, coupon.id, {
    code: "JENNY25", customer: jenny.id,
    restrictions: { minimum_amount: 2000, minimum_amount_currency: "usd", first_time_transaction: true },
  });
  const discounts = [{ promotion_code: code.id }];
  const price = await priced(stripe, 1999);
  await followed("product.created", "price.created");
  const buy = (quantity, more) => stripe.checkout.sessions.create({
    mode: "payment", success_url: "https://example.com", discounts, line_items: [{ price: price.id, quantity }], ...more,
  });
  await refused(buy(2), INVALID, 400, undefined);
  await refused(buy(1, { customer: jenny.id }), INVALID, 400, undefined);
  await followed();

  const session = await sold(world, [1999, 2], { customer: jenny.id, discounts });
  assert.deepEqual([session.amount_total, session.discounts[0].promotion_code], [1500, code.id]);
  await pay(session.url);
  const [, , , charged, counted] = await followed(...PAID, "promotion_code.updated", "coupon.updated");
  assert.deepEqual([charged.data.object.amount, charged.data.object.customer], [1500, jenny.id]);
  assert.deepEqual([counted.data.object.times_redeemed, counted.data.object.active], [1, true]);
  await refused(buy(2, { customer: jenny.id }), INVALID, 400, "promotion_code_customer_not_first_time");
});

scenario("a code is active once, whatever its case", async (world) => {
  const { stripe, followed } = world;
  const { id } = await stripe.coupons.create({ amount_off: 100, currency: "usd", max_redemptions: 3 });
  await followed("coupon.created");
  const code = await codeOf(world, id, { code: "Fall20", max_redemptions: 1 });
  await refused(codeOf(world, id, { code: "FALL20" }), INVALID, 400, undefined);
  await refused(codeOf(world, id, { code: "A", max_redemptions: 4 }), INVALID, 400, undefined);
  assert.equal((await stripe.promotionCodes.update(code.id, { active: false })).active, false);
  await followed("promotion_code.updated");
  const other = await codeOf(world, id, { code: "FALL20", metadata: { run: "2" } });
  await refused(stripe.promotionCodes.update(code.id, { active: true }), INVALID, 400, undefined);
  for (const [filters, found] of [
    [{ code: "fall20" }, [other, code]], [{ active: true }, [other]], [{ coupon: id, active: false }, [code]],
  ]) {
    assert.deepEqual(ids(await stripe.promotionCodes.list(filters)), ids(found), JSON.stringify(filters));
  }
  const { promotion } = await stripe.promotionCodes.retrieve(other.id, { expand: ["promotion.coupon"] });
  assert.deepEqual([promotion.coupon.amount_off, promotion.coupon.max_redemptions], [100, 3]);
  await followed();
});
