// Payouts by wish and by schedule, to banks where they arrive and where they do not.

import assert from "node:assert/strict";

import { DAY, PAID, ids, refused, scenario } from "./support.mjs";

const INVALID = "StripeInvalidRequestError";
const HOUR = 3600;
// 2027-01-15T00:00:00Z, the beginning of the day on which scenarios begin, eight hours before them.
const MIDNIGHT = 1_799_971_200;
const MORNING = 8 * HOUR;
// What is left of 100.00 after Stripe's fee.
const NET = 9680;
const SENT = ["payout.updated", "payout.reconciliation_completed"];

/** A scenario of the platform's money, or of a connected account that has been onboarded. */
function paidOut(name, play, { connected = false } = {}) {
  scenario(name, async (world) => {
    const { stripe, followed } = world;
    let account;
    if (connected) {
      account = (await stripe.accounts.create({ country: "US", type: "express" })).id;
      const link = await stripe.accountLinks.create({
        account,
        type: "account_onboarding",
        refresh_url: "https://example.com/again",
        return_url: "https://example.com/back",
      });
      await world.submit(link.url, { action: "submit" });
      await followed();
      await world.receiveOfAccounts();
    }
    const own = account ? { stripeAccount: account } : {};
    const money = {
      account,
      own,
      async earn(card = "bypassPending") {
        const form = { amount: 10_000, currency: "usd", confirm: true, payment_method: `pm_card_${card}` };
        await stripe.paymentIntents.create({ ...form, return_url: "https://example.com" }, own);
        await followed(...PAID);
      },
      async payOut(amount, more) {
        const payout = await stripe.payouts.create({ amount, currency: "usd", ...more }, own);
        await followed("payout.created");
        return payout;
      },
      again: ({ id }, more = {}) => stripe.payouts.retrieve(id, more, own),
      available: async () => (await stripe.balance.retrieve({}, own)).available[0].amount,
      transactions: async (filters) => (await stripe.balanceTransactions.list(filters, own)).data,
      async schedule(schedule) {
        const settings = await stripe.balanceSettings.update({ payments: { payouts: { schedule } } }, own);
        await followed("balance_settings.updated", ...(account ? ["account.updated"] : []));
        return settings.payments.payouts.schedule;
      },
    };
    await play(world, money);
  });
}

paidOut("a payout arrives after two days", async ({ stripe, followed, advance }, money) => {
  await money.earn();
  const payout = await money.payOut(5000, { description: "Rent", metadata: { a: "b" } });
  const arrival = MIDNIGHT + 2 * DAY;
  assert.deepEqual([payout.status, payout.automatic, payout.arrival_date], ["pending", false, arrival]);
  assert.equal(await money.available(), NET - 5000);
  const [posted] = await money.transactions({ type: "payout" });
  assert.deepEqual([posted.id, posted.amount, posted.description], [payout.balance_transaction, -5000, "Rent"]);
  await advance(HOUR);
  await followed("payout.updated");
  assert.equal((await money.again(payout)).status, "in_transit");
  await advance(2 * DAY);
  const [, told] = await followed("payout.updated", "payout.paid");
  assert.deepEqual([told.data.object.id, told.data.object.status], [payout.id, "paid"]);
  const paid = await money.again(payout, { expand: ["destination", "balance_transaction"] });
  assert.deepEqual([paid.destination.status, paid.balance_transaction.net], ["verified", -5000]);
  assert.deepEqual(ids(await stripe.payouts.list({ status: "paid" })), [payout.id]);
  const changed = await stripe.payouts.update(payout.id, { metadata: { a: "c" } });
  await followed("payout.updated");
  assert.equal(changed.metadata.a, "c");
});

paidOut("more than is available is refused", async ({ stripe, followed, advance }, money) => {
  await money.earn("visa");
  const form = { amount: 100, currency: "usd" };
  const error = await refused(stripe.payouts.create(form), INVALID, 400, "balance_insufficient");
  assert.match(error.message, /You have insufficient funds in your Stripe account/);
  const instant = stripe.payouts.create({ ...form, method: "instant" });
  await refused(instant, INVALID, 400, "sandbox_unsupported_parameter");
  await advance(2 * DAY);
  await followed("balance.available");
  assert.equal((await money.payOut(NET)).amount, NET);
  assert.equal(await money.available(), 0);
});

paidOut("a pending payout is canceled", async ({ stripe, followed, advance }, money) => {
  await money.earn();
  const canceled = await stripe.payouts.cancel((await money.payOut(5000)).id);
  await followed("payout.updated", "payout.canceled");
  assert.deepEqual([canceled.status, await money.available()], ["canceled", NET]);
  const back = await stripe.balanceTransactions.retrieve(canceled.failure_balance_transaction);
  assert.deepEqual([back.type, back.amount, back.reporting_category], ["payout_cancel", 5000, "payout_reversal"]);
  const { id } = await money.payOut(5000);
  await advance(HOUR);
  await followed("payout.updated");
  await refused(stripe.payouts.cancel(id), INVALID, 400);
});

paidOut("a payout to a test account fails", async ({ stripe, followed, advance }, money) => {
  const { account, own } = money;
  await money.schedule({ interval: "manual" });
  await money.earn();
  const bank_account = { country: "US", routing_number: "110000000", account_number: "000111111113" };
  const { id } = await stripe.accounts.createExternalAccount(account, { bank_account });
  await followed("account.external_account.created", "account.updated");
  const payout = await money.payOut(5000);
  await advance(2 * DAY);
  const told = await followed(
    "payout.updated", "payout.updated", "payout.failed", "account.external_account.updated", "account.updated",
  );
  assert.deepEqual([...new Set(told.map((event) => event.account))], [account]);
  const failed = await money.again(payout);
  assert.deepEqual([failed.status, failed.failure_code], ["failed", "account_closed"]);
  assert.equal(failed.failure_message, "The bank account has been closed.");
  const returned = await money.transactions({ type: "payout_failure" });
  assert.deepEqual(returned.map((one) => one.amount), [5000]);
  assert.equal(await money.available(), NET);
  const bank = await stripe.accounts.retrieveExternalAccount(account, id);
  assert.deepEqual([bank.status, bank.last4], ["errored", "1113"]);
  const again = stripe.payouts.create({ amount: 1, currency: "usd" }, own);
  await refused(again, INVALID, 400, "bank_account_unusable");
}, { connected: true });

paidOut("a schedule pays out by itself", async ({ stripe, followed, advance }, money) => {
  const settings = await stripe.balanceSettings.retrieve();
  assert.equal(settings.payments.payouts.schedule.interval, "manual");
  assert.equal((await money.schedule({ interval: "daily" })).interval, "daily");
  await money.earn("visa");
  await money.earn("visa");
  await advance(3 * DAY);
  await followed("balance.available", "payout.created", ...SENT);
  const { data: [payout, ...none] } = await stripe.payouts.list();
  assert.deepEqual(none, []);
  assert.deepEqual([payout.amount, payout.automatic, payout.status], [2 * NET, true, "in_transit"]);
  assert.deepEqual([payout.created, payout.reconciliation_status], [MIDNIGHT + 3 * DAY, "completed"]);
  const madeOf = await money.transactions({ payout: payout.id });
  assert.deepEqual(madeOf.map((one) => one.type), ["payout", "charge", "charge"]);
  assert.equal(madeOf.reduce((sum, one) => sum + one.net, 0), 0);
  await refused(stripe.payouts.cancel(payout.id), INVALID, 400);
  await advance(2 * DAY);
  await followed("payout.updated", "payout.paid");
  assert.deepEqual([(await money.again(payout)).status, await money.available()], ["paid", 0]);
});

paidOut("what a payout is made of is known once it is on its way", async ({ stripe, followed, advance }, money) => {
  await money.schedule({ interval: "weekly", weekly_payout_days: ["tuesday"] });
  await money.earn();
  await advance(4 * DAY - MORNING);
  await followed("payout.created");
  const { data: [payout] } = await stripe.payouts.list();
  assert.deepEqual([payout.status, payout.reconciliation_status], ["pending", "in_progress"]);
  const early = stripe.balanceTransactions.list({ payout: payout.id });
  await refused(early, INVALID, 400, "payout_reconciliation_not_ready");
  await advance(HOUR);
  await followed(...SENT);
  assert.equal((await money.transactions({ payout: payout.id })).length, 2);
  await money.earn();
  const { id } = await money.payOut(1);
  await refused(stripe.balanceTransactions.list({ payout: id }), INVALID, 400);
});

paidOut("a connected account is paid out daily", async ({ stripe, followed, advance }, money) => {
  const { account, own } = money;
  await money.earn();
  const error = await refused(stripe.payouts.create({ amount: 1, currency: "usd" }, own), INVALID, 400);
  assert.match(error.message, /you don't have any external accounts in that currency \(usd\)/);
  const bank = await stripe.accounts.createExternalAccount(account, { external_account: "btok_us_verified" });
  await followed("account.external_account.created", "account.updated");
  assert.deepEqual([bank.default_for_currency, bank.account], [true, account]);
  await advance(4 * DAY);
  await followed("payout.created", ...SENT, "payout.updated", "payout.paid");
  const { data: [payout] } = await stripe.payouts.list({}, own);
  assert.deepEqual([payout.amount, payout.status, payout.destination], [NET, "paid", bank.id]);
  assert.deepEqual((await stripe.payouts.list()).data, []);
  const reversal = await stripe.payouts.reverse(payout.id, { metadata: { why: "wrong" } }, own);
  await followed("payout.created", "payout.updated");
  assert.deepEqual([reversal.amount, reversal.original_payout], [-NET, payout.id]);
  assert.equal((await money.again(payout)).reversed_by, reversal.id);
  const form = { settings: { payouts: { schedule: { interval: "monthly", monthly_anchor: 31 } } } };
  const { schedule } = (await stripe.accounts.update(account, form)).settings.payouts;
  await followed("account.updated");
  assert.deepEqual([schedule.interval, schedule.monthly_anchor, schedule.delay_days], ["monthly", 31, 2]);
}, { connected: true });

paidOut("bank accounts are added and removed", async ({ stripe, followed }, { account }) => {
  const { accounts } = stripe;
  const made = [];
  for (const end of ["", "_noAccount"]) {
    made.push(await accounts.createExternalAccount(account, { external_account: `btok_us_verified${end}` }));
  }
  const added = ["account.external_account.created", "account.updated"];
  await followed(...added, ...added);
  assert.deepEqual(made.map((bank) => bank.default_for_currency), [true, false]);
  const [first, second] = ids(made);
  await refused(accounts.deleteExternalAccount(account, first), INVALID, 400);
  await accounts.updateExternalAccount(account, second, { default_for_currency: true });
  assert.equal((await accounts.deleteExternalAccount(account, first)).deleted, true);
  await followed(
    "account.external_account.updated", "account.updated", "account.external_account.deleted", "account.updated",
  );
  assert.deepEqual(ids(await accounts.listExternalAccounts(account)), [second]);
  const { data: shown } = (await accounts.retrieve(account)).external_accounts;
  assert.deepEqual(shown.map((bank) => [bank.id, bank.default_for_currency]), [[second, true]]);
}, { connected: true });
