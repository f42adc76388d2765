// Customers: how they are found, what is expanded, what is left of a deleted one, and their balance.

import assert from "node:assert/strict";

import { DAY, ids, refused, scenario } from "./support.mjs";

scenario("customers are searched by email, name and metadata", async ({ stripe, followed }) => {
  const jenny = await stripe.customers.create({ email: "Jenny@example.com", name: "Jenny Rosen", metadata: { team: "red" } });
  const tom = await stripe.customers.create({ email: "tom@example.com", name: "Tom Rosen", metadata: { team: "blue" } });
  await followed("customer.created", "customer.created");
  for (const [query, found] of [
    ["email:'jenny@example.com'", [jenny]],
    ["email~'example'", [tom, jenny]],
    ["name~'rosen' AND metadata['team']:'blue'", [tom]],
    ["metadata['team']:'red' OR metadata['team']:'blue'", [tom, jenny]],
    ["-email:'tom@example.com'", [jenny]],
    ["metadata['age']:null AND email:'nobody@example.com'", []],
  ]) {
    assert.deepEqual(ids(await stripe.customers.search({ query })), ids(found), query);
  }
  await refused(stripe.customers.search({ query: "shoe:'44'" }), "StripeInvalidRequestError", 400, undefined);
  await followed();
});

scenario("customers are listed by email and by when they came", async ({ stripe, followed, advance }) => {
  const first = await stripe.customers.create({ email: "one@example.com" });
  await advance(DAY);
  const second = await stripe.customers.create({ email: "two@example.com" });
  await followed("customer.created", "customer.created");
  assert.ok(second.created - first.created >= DAY);
  for (const [form, found] of [
    [{ email: "one@example.com" }, [first]],
    [{ email: "ONE@example.com" }, []],
    [{ created: { gte: second.created } }, [second]],
    [{ created: { lt: second.created } }, [first]],
    [{ created: first.created }, [first]],
    [{ created: { gt: first.created, lte: second.created } }, [second]],
  ]) {
    assert.deepEqual(ids(await stripe.customers.list(form)), ids(found), JSON.stringify(form));
  }
});

scenario("expansions show what a customer has and what is left of a deleted one", async ({ stripe, followed }) => {
  const customer = await stripe.customers.create({
    email: "jenny@example.com", address: { country: "DE", postal_code: "10115", line1: "Invalidenstr. 1" },
    payment_method: "pm_card_mastercard", shipping: { name: "Jenny", address: { country: "AT" } },
    expand: ["tax", "subscriptions"],
  });
  await followed("customer.created", "payment_method.attached");
  assert.deepEqual([customer.tax.automatic_tax, customer.tax.location.country], ["supported", "DE"]);
  assert.deepEqual([customer.subscriptions.data, customer.shipping.address.country], [[], "AT"]);
  const { data: [card] } = await stripe.customers.listPaymentMethods(customer.id);
  const changed = await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: card.id }, expand: ["invoice_settings.default_payment_method"],
  });
  assert.equal(changed.invoice_settings.default_payment_method.card.brand, "mastercard");
  const [updated] = await followed("customer.updated");
  assert.deepEqual(updated.data.previous_attributes, { invoice_settings: { default_payment_method: null } });

  const intent = await stripe.paymentIntents.create({
    amount: 900, currency: "eur", customer: customer.id, payment_method: card.id, confirm: true,
    return_url: "https://example.com",
  });
  await followed("payment_intent.created", "payment_intent.succeeded", "charge.succeeded");
  const stub = await stripe.customers.del(customer.id);
  assert.deepEqual({ ...stub }, { id: customer.id, object: "customer", deleted: true });
  await followed("payment_method.detached", "customer.deleted");
  const charge = await stripe.charges.retrieve(intent.latest_charge, { expand: ["customer"] });
  assert.deepEqual([charge.amount, charge.customer.deleted], [900, true]);
  assert.deepEqual((await stripe.customers.list()).data, []);
});

scenario("a balance is what its transactions add up to", async ({ stripe, followed }) => {
  const { id } = await stripe.customers.create({});
  const credit = await stripe.customers.createBalanceTransaction(id, { amount: -1500, currency: "usd", description: "Sorry" });
  const debit = await stripe.customers.createBalanceTransaction(id, { amount: 250, currency: "usd", metadata: { why: "fee" } });
  assert.deepEqual([credit.ending_balance, debit.ending_balance, credit.type], [-1500, -1250, "adjustment"]);
  const [, first, second] = await followed("customer.created", "customer.updated", "customer.updated");
  assert.deepEqual(first.data.previous_attributes, { balance: 0, currency: null });
  assert.deepEqual([second.data.previous_attributes, second.data.object.balance], [{ balance: -1500 }, -1250]);

  const { data: listed } = await stripe.customers.listBalanceTransactions(id);
  assert.deepEqual(listed.map((one) => one.amount), [250, -1500]);
  const changed = await stripe.customers.updateBalanceTransaction(id, debit.id, { description: "Fee" });
  assert.deepEqual([changed.description, changed.metadata.why, changed.amount], ["Fee", "fee", 250]);
  const euros = stripe.customers.createBalanceTransaction(id, { amount: 1, currency: "eur" });
  await refused(euros, "StripeInvalidRequestError", 400, undefined);
  assert.equal((await stripe.customers.retrieve(id)).balance, -1250);
  await followed();
});
