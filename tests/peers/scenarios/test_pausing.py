"""Pausing a subscription and resuming it, and pausing the collection of its invoices only."""

import stripe

from support import DAY, PAID, Scenario

HOUR = 3600
# The first period.
MONTH = 31 * DAY
UPDATED = "customer.subscription.updated"
OPENED = ("invoice.created", "invoice.finalized", "customer.updated", "payment_intent.created")
# What follows the payment of an invoice whose intent is there already.
SETTLED = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", *PAID[1:])


class Pausing(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        self.give("visa")
        price = self.price(2900, recurring={"interval": "month"})
        form = {"customer": self.customer, "items": [{"price": price.id}]}
        self.subscription = self.v1.subscriptions.create(form).id
        self._mark = self.world.mark()

    def give(self, card):
        method = self.v1.payment_methods.attach(f"pm_card_{card}", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self._mark = self.world.mark()

    def followed(self, *types):
        """As for any scenario, but that money becomes available is none of these stories."""
        events = self.world.events_since(self._mark)
        self._mark += len(events)
        self.assertEqual(sorted(event.type for event in events if event.type != "balance.available"), sorted(types))

    def now(self):
        return self.v1.subscriptions.retrieve(self.subscription, {"expand": ["latest_invoice"]})

    def collection_paused(self, behavior, **more):
        form = {"pause_collection": {"behavior": behavior, **more}}
        paused = self.v1.subscriptions.update(self.subscription, form)
        self.assertEqual((paused.status, paused.pause_collection.behavior), ("active", behavior))
        self.followed(UPDATED)

    def test_while_collection_is_paused_invoices_are_void_and_then_paid_again(self):
        resumes = self.world.now() + MONTH + 10 * DAY
        self.collection_paused("void", resumes_at=resumes)
        self.world.advance(MONTH + 2 * HOUR)
        self.followed(*OPENED, UPDATED, "invoice.updated", "invoice.voided", "payment_intent.canceled")
        now = self.now()
        self.assertEqual((now.status, now.latest_invoice.status), ("active", "void"))
        self.world.advance(10 * DAY)
        self.followed(UPDATED)
        self.assertIsNone(self.now().pause_collection)
        self.world.advance(18 * DAY)
        self.assertEqual(self.now().latest_invoice.amount_paid, 2900)
        self.followed("invoice.upcoming", *OPENED, UPDATED, *SETTLED)

    def test_while_collection_is_paused_invoices_are_written_off(self):
        self.collection_paused("mark_uncollectible")
        self.world.advance(MONTH)
        self.followed(*OPENED, UPDATED, "invoice.updated", "invoice.marked_uncollectible")
        invoice = self.now().latest_invoice
        self.assertEqual((invoice.status, invoice.amount_remaining, invoice.auto_advance), ("uncollectible", 2900, False))
        self.assertEqual(invoice.status_details["uncollectible"]["reason"], "subscription_paused")

    def test_while_collection_is_paused_invoices_are_kept_as_drafts(self):
        self.collection_paused("keep_as_draft")
        self.world.advance(MONTH + 2 * HOUR)
        self.followed("invoice.created", UPDATED)
        draft = self.now().latest_invoice
        self.assertEqual((draft.status, draft.auto_advance), ("draft", False))
        self.assertIsNone(self.v1.subscriptions.update(self.subscription, {"pause_collection": ""}).pause_collection)
        self.followed(UPDATED)
        self.v1.invoices.update(draft.id, {"auto_advance": True})
        self.world.advance(HOUR)
        self.assertEqual(self.now().latest_invoice.status, "paid")
        self.followed("invoice.updated", *OPENED[1:], *SETTLED)

    def test_a_pause_gives_back_what_was_not_used_and_a_resumption_waits_for_payment(self):
        self.world.advance(MONTH // 2)
        paused = self.v1.subscriptions.pause(self.subscription)
        self.assertEqual(paused.status, "paused")
        self.assertEqual(paused.status_details["paused"]["subscription"]["type"], "pause_requested")
        self.followed("invoiceitem.created", UPDATED, "customer.subscription.paused")
        self.world.advance(90 * DAY)
        self.followed()
        resumed = self.v1.subscriptions.resume(self.subscription, {"billing_cycle_anchor": {"type": "now"}})
        self.assertEqual(resumed.status, "paused")
        self.followed(*OPENED, UPDATED)
        invoice = self.now().latest_invoice
        self.assertEqual((invoice.status, invoice.total), ("open", 1450))
        self.assertEqual([line.amount for line in invoice.lines.data], [2900, -1450])
        self.v1.invoices.pay(invoice.id)
        self.followed(*SETTLED, UPDATED, "customer.subscription.resumed")
        now = self.now()
        self.assertEqual((now.status, now.status_details, now.billing_cycle_anchor), ("active", None, self.world.now()))

    def test_a_resumption_that_nobody_pays_is_void_after_23_hours(self):
        self.v1.subscriptions.pause(self.subscription, {"bill_for": {"unused_time_from": {"type": "none"}}})
        self.followed(UPDATED, "customer.subscription.paused")
        self.world.advance(10 * DAY)
        self.v1.subscriptions.resume(self.subscription)
        self.followed(*OPENED, UPDATED)
        self.world.advance(23 * HOUR)
        now = self.now()
        self.assertEqual((now.status, now.latest_invoice.status), ("paused", "void"))
        self.followed("invoice.updated", "invoice.voided", "payment_intent.canceled", UPDATED)

    def test_a_resumption_may_wait_for_success_and_is_tried_again(self):
        self.v1.subscriptions.pause(self.subscription, {"bill_for": {"unused_time_from": {"type": "none"}}})
        self.give("chargeCustomerFail")
        form = {"payment_behavior": "resume_on_payment_success"}
        self.assertEqual(self.v1.subscriptions.resume(self.subscription, form).status, "paused")
        failed = ("payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed")
        self.followed(*OPENED, UPDATED, *failed)
        self.give("visa")
        self.world.advance(3 * DAY)
        now = self.now()
        self.assertEqual((now.status, now.latest_invoice.attempt_count), ("active", 2))
        self.followed(*SETTLED, UPDATED, "customer.subscription.resumed")

    def test_a_resumption_may_go_on_with_the_period_there_was(self):
        self.world.advance(MONTH // 2)
        self.v1.subscriptions.pause(self.subscription, {"invoicing_behavior": "invoice"})
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -1450)
        self._mark = self.world.mark()
        anchor = self.now().billing_cycle_anchor
        self.world.advance(MONTH // 4)
        form = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "always_invoice"}
        resumed = self.v1.subscriptions.resume(self.subscription, form)
        self.assertEqual((resumed.status, resumed.billing_cycle_anchor), ("active", anchor))
        invoice = self.now().latest_invoice
        self.assertEqual((invoice.total, invoice.amount_due, invoice.ending_balance), (725, 0, -725))
        self.followed(
            "invoiceitem.created", "invoice.created", "invoice.finalized", "customer.updated", "customer.updated", UPDATED,
            "invoice.updated", "invoice.paid", "invoice.payment_succeeded", UPDATED, "customer.subscription.resumed",
        )

    def test_what_is_not_active_is_not_paused_and_what_is_not_paused_not_resumed(self):
        resume = lambda: self.v1.subscriptions.resume(self.subscription)
        self.refused(stripe.InvalidRequestError, 400, None, resume)
        self.v1.subscriptions.pause(self.subscription)
        pause = lambda: self.v1.subscriptions.pause(self.subscription)
        self.refused(stripe.InvalidRequestError, 400, None, pause)
        self.followed("invoiceitem.created", UPDATED, "customer.subscription.paused")
