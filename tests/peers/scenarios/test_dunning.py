"""Renewals that are not paid: when they are tried again, and what the settings of the dashboard make of it."""

from collections import Counter

import stripe

from support import DAY, Scenario

# When the invoice of the first renewal is charged.
CHARGED = 31 * DAY + 3600


class Dunning(Scenario):
    def subscribed(self, card="chargeCustomerFail"):
        """A subscription whose renewals are charged to another card than its beginning."""
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        self.give("visa")
        price = self.price(2900, recurring={"interval": "month"})
        subscription = self.v1.subscriptions.create({"customer": self.customer, "items": [{"price": price.id}]})
        self.assertEqual(subscription.status, "active")
        self.give(card)
        self.told()
        return subscription.id

    def give(self, card):
        method = self.v1.payment_methods.attach(f"pm_card_{card}", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})

    def told(self):
        """How often events of each type came since the last time."""
        events = self.world.events_since(self._mark)
        self._mark += len(events)
        return Counter(event.type for event in events)

    def latest(self, subscription):
        return self.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice"]})

    def test_it_is_tried_again_after_three_five_and_seven_days_and_then_ends(self):
        subscription = self.subscribed()
        first = self.world.advance(CHARGED)
        for attempts, wait, then in ((1, 3, 3), (2, 5, 8), (3, 7, 15)):
            behind = self.latest(subscription)
            self.assertEqual(behind.status, "past_due")
            invoice = behind.latest_invoice
            self.assertEqual((invoice.attempt_count, invoice.attempted, invoice.status), (attempts, True, "open"))
            self.assertEqual(invoice.next_payment_attempt, first + then * DAY)
            self.assertEqual(self.told()["invoice.payment_failed"], 1)
            self.world.advance(wait * DAY)
        ended = self.latest(subscription)
        self.assertEqual((ended.status, ended.cancellation_details.reason), ("canceled", "payment_failed"))
        invoice = ended.latest_invoice
        self.assertEqual((invoice.status, invoice.attempt_count, invoice.amount_remaining), ("open", 4, 2900))
        self.assertEqual((invoice.next_payment_attempt, invoice.auto_advance), (None, False))
        told = self.told()
        self.assertEqual((told["invoice.payment_failed"], told["customer.subscription.deleted"]), (1, 1))

    def test_smart_retries_are_eight_in_two_weeks_and_leave_it_unpaid(self):
        self.world.control("billing", {"retries": {"smart": {}}, "after_retries": {"subscription": "unpaid"}})
        subscription = self.subscribed()
        self.world.advance(CHARGED + 14 * DAY)
        unpaid = self.latest(subscription)
        self.assertEqual((unpaid.status, unpaid.latest_invoice.attempt_count), ("unpaid", 9))
        self.assertEqual(self.told()["invoice.payment_failed"], 9)
        self.world.advance(28 * DAY)
        draft = self.latest(subscription).latest_invoice
        self.assertEqual((draft.status, draft.auto_advance, draft.automatically_finalizes_at), ("draft", False, None))
        self.assertEqual(self.told()["invoice.payment_failed"], 0)
        self.give("visa")
        self.assertEqual(self.v1.invoices.pay(draft.id).amount_paid, 2900)
        self.assertEqual(self.latest(subscription).status, "active")
        self.world.advance(31 * DAY)
        self.assertEqual(self.latest(subscription).latest_invoice.status, "paid")

    def test_it_stays_past_due_over_several_renewals_and_invoices_are_written_off(self):
        outcome = {"subscription": "past_due", "invoice": "uncollectible"}
        self.world.control("billing", {"retries": {"custom": [2]}, "after_retries": outcome})
        subscription = self.subscribed()
        for _ in range(2):
            self.world.advance(CHARGED + 3 * DAY)
            behind = self.latest(subscription)
            self.assertEqual((behind.status, behind.latest_invoice.status), ("past_due", "uncollectible"))
            self.assertEqual(behind.latest_invoice.status_details["uncollectible"]["reason"], "max_payment_attempts")
            told = self.told()
            self.assertEqual((told["invoice.payment_failed"], told["invoice.marked_uncollectible"]), (2, 1))
        self.give("visa")
        self.v1.invoices.pay(self.latest(subscription).latest_invoice.id)
        self.assertEqual(self.latest(subscription).status, "active")
        self.assertEqual(self.told()["customer.subscription.updated"], 1)

    def test_a_card_refused_for_good_waits_for_another(self):
        subscription = self.subscribed("radarBlock")
        self.world.advance(CHARGED)
        self.assertEqual(self.told()["charge.failed"], 1)
        self.world.advance(3 * DAY)
        told = self.told()
        self.assertEqual((told["charge.failed"], told["invoice.payment_failed"], told["invoice.updated"]), (0, 0, 1))
        self.assertEqual(self.latest(subscription).latest_invoice.attempt_count, 2)
        self.give("visa")
        self.world.advance(5 * DAY)
        paid = self.latest(subscription)
        self.assertEqual((paid.status, paid.latest_invoice.status, paid.latest_invoice.attempt_count), ("active", "paid", 3))
        self.assertEqual(paid.latest_invoice.amount_paid, 2900)

    def test_notice_of_a_renewal_is_given_as_many_days_before_as_is_set(self):
        self.world.control("billing", {"upcoming_days": 3})
        subscription = self.subscribed("visa")
        end = self.v1.subscriptions.retrieve(subscription)["items"].data[0].current_period_end
        self.world.advance(28 * DAY)
        events = self.world.events_since(self._mark)
        (told,) = [event.to_dict() for event in events if event.type == "invoice.upcoming"]
        self._mark += len(events)
        invoice = told["data"]["object"]
        self.assertNotIn("id", invoice)
        self.assertEqual((told["created"], invoice["created"]), (end - 3 * DAY, end))
        self.assertEqual((invoice["billing_reason"], invoice["total"], invoice["status"]), ("upcoming", 2900, "draft"))
        self.assertEqual(invoice["parent"]["subscription_details"]["subscription"], subscription)
        self.assertEqual(invoice["next_payment_attempt"], end + 3600)
        self.world.advance(3 * DAY + 3600)
        self.assertEqual(self.latest(subscription).latest_invoice.total, 2900)
        self.assertEqual(self.told()["invoice.upcoming"], 0)

    def test_attempts_by_hand_leave_the_schedule_as_it_is(self):
        subscription = self.subscribed()
        first = self.world.advance(CHARGED)
        invoice = self.latest(subscription).latest_invoice
        self.refused(stripe.CardError, 402, "card_declined", self.v1.invoices.pay, invoice.id)
        after = self.v1.invoices.retrieve(invoice.id)
        self.assertEqual((after.attempt_count, after.next_payment_attempt), (1, first + 3 * DAY))
        self.assertEqual(self.told()["invoice.payment_failed"], 2)
        self.give("visa")
        paid = self.v1.invoices.pay(invoice.id)
        self.assertEqual((paid.status, paid.attempt_count, paid.next_payment_attempt), ("paid", 1, None))
        self.assertEqual(self.latest(subscription).status, "active")
