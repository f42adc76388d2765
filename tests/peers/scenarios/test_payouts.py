"""Payouts by wish and by schedule, to banks where they arrive and where they do not."""

import stripe

from support import DAY, PAID, Scenario

HOUR = 3600
# 2027-01-15T00:00:00Z, the beginning of the day on which scenarios begin.
MIDNIGHT = 1_799_971_200
# What is left of 100.00 after Stripe's fee.
NET = 9680
SENT = ("payout.updated", "payout.reconciliation_completed")


class Payouts(Scenario):
    def setUp(self):
        super().setUp()
        self.own = {}

    def connect(self):
        """Goes on as a connected account that has been onboarded."""
        account = self.v1.accounts.create({"country": "US", "type": "express"}).id
        link = self.v1.account_links.create({
            "account": account, "type": "account_onboarding",
            "refresh_url": "https://example.com/again", "return_url": "https://example.com/back",
        })
        self.world.submit(link.url, action="submit")
        self.followed()
        self.world.receive_of_accounts()
        self.own = {"stripe_account": account}
        return account

    def earn(self, card="bypassPending"):
        form = {"amount": 10_000, "currency": "usd", "confirm": True, "payment_method": f"pm_card_{card}",
                "return_url": "https://example.com"}
        self.v1.payment_intents.create(form, self.own)
        self.followed(*PAID)

    def pay_out(self, amount, **more):
        payout = self.v1.payouts.create({"amount": amount, "currency": "usd", **more}, self.own)
        self.followed("payout.created")
        return payout

    def again(self, payout, **more):
        return self.v1.payouts.retrieve(payout.id, more, self.own)

    def available(self):
        return self.v1.balance.retrieve(options=self.own).available[0].amount

    def transactions(self, **filters):
        return self.v1.balance_transactions.list(filters, self.own).data

    def schedule(self, **schedule):
        settings = self.v1.balance_settings.update({"payments": {"payouts": {"schedule": schedule}}}, self.own)
        self.followed("balance_settings.updated", *(["account.updated"] if self.own else []))
        return settings.payments.payouts.schedule

    def refuse(self, code, act, *arguments):
        return self.refused(stripe.InvalidRequestError, 400, code, act, *arguments)

    def test_a_payout_arrives_after_two_days(self):
        self.earn()
        payout = self.pay_out(5000, description="Rent", metadata={"a": "b"})
        self.assertEqual((payout.status, payout.automatic, payout.arrival_date), ("pending", False, MIDNIGHT + 2 * DAY))
        self.assertEqual(self.available(), NET - 5000)
        (posted,) = self.transactions(type="payout")
        self.assertEqual((posted.id, posted.amount, posted.description), (payout.balance_transaction, -5000, "Rent"))
        self.world.advance(HOUR)
        self.followed("payout.updated")
        self.assertEqual(self.again(payout).status, "in_transit")
        self.world.advance(2 * DAY)
        (_, told) = self.followed("payout.updated", "payout.paid")
        self.assertEqual((told.data.object["id"], told.data.object["status"]), (payout.id, "paid"))
        paid = self.again(payout, expand=["destination", "balance_transaction"])
        self.assertEqual((paid.destination.status, paid.balance_transaction.net), ("verified", -5000))
        self.assertEqual([one.id for one in self.v1.payouts.list({"status": "paid"}).data], [payout.id])
        changed = self.v1.payouts.update(payout.id, {"metadata": {"a": "c"}})
        self.followed("payout.updated")
        self.assertEqual(changed.metadata["a"], "c")

    def test_more_than_is_available_is_refused(self):
        self.earn("visa")
        form = {"amount": 100, "currency": "usd"}
        error = self.refuse("balance_insufficient", self.v1.payouts.create, form)
        self.assertIn("You have insufficient funds in your Stripe account", str(error))
        self.refuse("sandbox_unsupported_parameter", self.v1.payouts.create, {**form, "method": "instant"})
        self.world.advance(2 * DAY)
        self.followed("balance.available")
        self.assertEqual(self.pay_out(NET).amount, NET)
        self.assertEqual(self.available(), 0)

    def test_a_pending_payout_is_canceled(self):
        self.earn()
        canceled = self.v1.payouts.cancel(self.pay_out(5000).id)
        self.followed("payout.updated", "payout.canceled")
        self.assertEqual((canceled.status, self.available()), ("canceled", NET))
        back = self.v1.balance_transactions.retrieve(canceled.failure_balance_transaction)
        self.assertEqual((back.type, back.amount, back.reporting_category), ("payout_cancel", 5000, "payout_reversal"))
        payout = self.pay_out(5000)
        self.world.advance(HOUR)
        self.followed("payout.updated")
        self.refuse(None, self.v1.payouts.cancel, payout.id)

    def test_a_payout_to_a_test_account_fails(self):
        account = self.connect()
        self.schedule(interval="manual")
        self.earn()
        bank = {"country": "US", "routing_number": "110000000", "account_number": "000111111113"}
        bank = self.v1.accounts.external_accounts.create(account, {"bank_account": bank})
        self.followed("account.external_account.created", "account.updated")
        payout = self.pay_out(5000)
        self.world.advance(2 * DAY)
        told = self.followed("payout.updated", "payout.updated", "payout.failed", "account.external_account.updated",
                             "account.updated")
        self.assertEqual({event.account for event in told}, {account})
        failed = self.again(payout)
        self.assertEqual((failed.status, failed.failure_code), ("failed", "account_closed"))
        self.assertEqual(failed.failure_message, "The bank account has been closed.")
        self.assertEqual([one.amount for one in self.transactions(type="payout_failure")], [5000])
        self.assertEqual(self.available(), NET)
        bank = self.v1.accounts.external_accounts.retrieve(account, bank.id)
        self.assertEqual((bank.status, bank.last4), ("errored", "1113"))
        again = lambda: self.v1.payouts.create({"amount": 1, "currency": "usd"}, self.own)
        self.refuse("bank_account_unusable", again)

    def test_a_schedule_pays_out_by_itself(self):
        self.assertEqual(self.v1.balance_settings.retrieve().payments.payouts.schedule.interval, "manual")
        self.assertEqual(self.schedule(interval="daily").interval, "daily")
        self.earn("visa")
        self.earn("visa")
        self.world.advance(3 * DAY)
        self.followed("balance.available", "payout.created", *SENT)
        (payout,) = self.v1.payouts.list().data
        self.assertEqual((payout.amount, payout.automatic, payout.status), (2 * NET, True, "in_transit"))
        self.assertEqual((payout.created, payout.reconciliation_status), (MIDNIGHT + 3 * DAY, "completed"))
        made_of = self.transactions(payout=payout.id)
        self.assertEqual([one.type for one in made_of], ["payout", "charge", "charge"])
        self.assertEqual(sum(one.net for one in made_of), 0)
        self.refuse(None, self.v1.payouts.cancel, payout.id)
        self.world.advance(2 * DAY)
        self.followed("payout.updated", "payout.paid")
        self.assertEqual((self.again(payout).status, self.available()), ("paid", 0))

    def test_what_a_payout_is_made_of_is_known_once_it_is_on_its_way(self):
        self.schedule(interval="weekly", weekly_payout_days=["tuesday"])
        self.earn()
        self.world.advance(MIDNIGHT + 4 * DAY - self.world.now())
        self.followed("payout.created")
        (payout,) = self.v1.payouts.list().data
        self.assertEqual((payout.status, payout.reconciliation_status), ("pending", "in_progress"))
        self.refuse("payout_reconciliation_not_ready", self.v1.balance_transactions.list, {"payout": payout.id})
        self.world.advance(HOUR)
        self.followed(*SENT)
        self.assertEqual(len(self.transactions(payout=payout.id)), 2)
        self.earn()
        wished = self.pay_out(1)
        self.refuse(None, self.v1.balance_transactions.list, {"payout": wished.id})

    def test_a_connected_account_is_paid_out_daily(self):
        account = self.connect()
        self.earn()
        without = lambda: self.v1.payouts.create({"amount": 1, "currency": "usd"}, self.own)
        error = self.refuse(None, without)
        self.assertIn("you don't have any external accounts in that currency (usd)", str(error))
        bank = self.v1.accounts.external_accounts.create(account, {"external_account": "btok_us_verified"})
        self.followed("account.external_account.created", "account.updated")
        self.assertEqual((bank.default_for_currency, bank.account), (True, account))
        self.world.advance(4 * DAY)
        self.followed("payout.created", *SENT, "payout.updated", "payout.paid")
        (payout,) = self.v1.payouts.list({}, self.own).data
        self.assertEqual((payout.amount, payout.status, payout.destination), (NET, "paid", bank.id))
        self.assertEqual(self.v1.payouts.list().data, [])
        reversal = self.v1.payouts.reverse(payout.id, {"metadata": {"why": "wrong"}}, self.own)
        self.followed("payout.created", "payout.updated")
        self.assertEqual((reversal.amount, reversal.original_payout), (-NET, payout.id))
        self.assertEqual(self.again(payout).reversed_by, reversal.id)
        form = {"settings": {"payouts": {"schedule": {"interval": "monthly", "monthly_anchor": 31}}}}
        changed = self.v1.accounts.update(account, form)
        self.followed("account.updated")
        schedule = changed.settings.payouts.schedule
        self.assertEqual((schedule.interval, schedule.monthly_anchor, schedule.delay_days), ("monthly", 31, 2))

    def test_bank_accounts_are_added_and_removed(self):
        account = self.connect()
        banks = self.v1.accounts.external_accounts
        made = []
        for end in ("", "_noAccount"):
            made.append(banks.create(account, {"external_account": f"btok_us_verified{end}"}))
        self.followed(*["account.external_account.created", "account.updated"] * 2)
        self.assertEqual([bank.default_for_currency for bank in made], [True, False])
        self.refuse(None, banks.delete, account, made[0].id)
        banks.update(account, made[1].id, {"default_for_currency": True})
        self.assertTrue(banks.delete(account, made[0].id).deleted)
        self.followed("account.external_account.updated", "account.updated", "account.external_account.deleted",
                      "account.updated")
        self.assertEqual([bank.id for bank in banks.list(account).data], [made[1].id])
        shown = self.v1.accounts.retrieve(account).external_accounts.data
        self.assertEqual([(bank.id, bank.default_for_currency) for bank in shown], [(made[1].id, True)])
