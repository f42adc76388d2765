"""Invoices that are sent to be paid, of subscriptions and by hand."""

import stripe

from support import DAY, PAID, Scenario

HOUR = 3600
MONTH = 31 * DAY
UPDATED = "customer.subscription.updated"
OPENED = ("invoice.finalized", "customer.updated", "payment_intent.created")
# What follows the payment of an invoice whose intent is there already.
SETTLED = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", *PAID[1:])


class SentInvoices(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny", "email": "jenny@example.com"}).id
        self._mark = self.world.mark()

    def subscribed(self, days=10):
        price = self.price(2900, recurring={"interval": "month"})
        form = {"customer": self.customer, "items": [{"price": price.id}]}
        form |= {"collection_method": "send_invoice", "days_until_due": days}
        self._mark = self.world.mark()
        subscription = self.v1.subscriptions.create(form)
        self.assertEqual((subscription.status, subscription.days_until_due), ("active", days))
        self.followed("customer.subscription.created", "invoice.created")
        return subscription.id

    def now(self, subscription):
        return self.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice.payments"]})

    def paid_on_its_page(self, invoice):
        status, *_ = self.world.submit(invoice.hosted_invoice_url, card_number="4242424242424242")
        self.assertEqual(status, 303)

    def drafted(self, **more):
        self.v1.invoice_items.create({"customer": self.customer, "currency": "usd", "amount": 1500})
        form = {"customer": self.customer, "pending_invoice_items_behavior": "include", **more}
        invoice = self.v1.invoices.create(form)
        self._mark = self.world.mark()
        return invoice

    def test_a_subscription_is_active_while_its_invoice_is_sent_and_paid_on_its_page(self):
        subscription = self.subscribed()
        draft = self.now(subscription).latest_invoice
        start = self.world.now()
        self.assertEqual((draft.status, draft.due_date), ("draft", start + 10 * DAY))
        self.assertEqual(draft.automatically_finalizes_at, start + HOUR)
        self.world.advance(HOUR)
        self.followed(*OPENED, "invoice.sent")
        invoice = self.now(subscription).latest_invoice
        self.assertEqual((invoice.status, invoice.next_payment_attempt, invoice.attempted), ("open", None, False))
        self.paid_on_its_page(invoice)
        self.followed(*SETTLED, "payment_method.attached")
        (payment,) = self.now(subscription).latest_invoice.payments.data
        self.assertEqual((payment.status, payment.amount_paid, payment.is_default), ("paid", 2900, True))
        self.assertEqual(self.v1.invoice_payments.list({"invoice": invoice.id}).data[0].id, payment.id)
        intent = self.v1.invoice_payments.retrieve(payment.id, {"expand": ["payment.payment_intent"]}).payment.payment_intent
        self.assertEqual((intent.amount_received, intent.status), (2900, "succeeded"))

    def test_a_renewal_is_sent_after_its_hour_of_draft(self):
        subscription = self.subscribed()
        self.world.advance(MONTH)
        self.followed(*OPENED, "invoice.sent", "invoice.upcoming", "invoice.created", UPDATED, UPDATED)
        self.world.advance(HOUR)
        self.followed("invoice.finalized", "customer.updated", "payment_intent.created", "invoice.sent")
        now = self.now(subscription)
        # The first invoice is not paid, and the latest not due.
        self.assertEqual((now.status, now.latest_invoice.billing_reason), ("past_due", "subscription_cycle"))
        self.paid_on_its_page(now.latest_invoice)
        self.assertEqual(self.now(subscription).status, "active")

    def test_what_is_overdue_is_past_due_then_unpaid_and_paid_after_all(self):
        setting = {"days": 5, "subscription": "unpaid", "will_be_due_days": 2, "overdue_days": 1}
        self.world.control("billing", {"sent_invoices": setting})
        subscription = self.subscribed()
        self.world.advance(HOUR)
        self.followed(*OPENED, "invoice.sent")
        self.world.advance(8 * DAY)
        self.followed("invoice.will_be_due")
        self.world.advance(2 * DAY)
        self.followed(UPDATED)
        self.assertEqual(self.now(subscription).status, "past_due")
        self.world.advance(DAY)
        (overdue,) = self.followed("invoice.overdue")
        self.assertEqual((overdue.data.object.status, overdue.data.object.amount_remaining), ("open", 2900))
        self.world.advance(4 * DAY)
        self.followed("invoice.updated", UPDATED)
        now = self.now(subscription)
        self.assertEqual((now.status, now.latest_invoice.auto_advance), ("unpaid", False))
        self.paid_on_its_page(now.latest_invoice)
        self.followed(*SETTLED, "payment_method.attached", UPDATED)
        self.assertEqual(self.now(subscription).status, "active")

    def test_what_is_overdue_is_written_off_and_its_subscription_ends(self):
        setting = {"days": 0, "subscription": "canceled", "invoice": "uncollectible"}
        self.world.control("billing", {"sent_invoices": setting})
        subscription = self.subscribed()
        self.world.advance(11 * DAY)
        now = self.now(subscription)
        self.assertEqual((now.status, now.cancellation_details.reason), ("canceled", "payment_failed"))
        self.assertEqual(now.latest_invoice.status, "uncollectible")
        self.assertEqual(now.latest_invoice.status_details["uncollectible"]["reason"], "payment_not_received")
        written_off = ("invoice.updated", "invoice.marked_uncollectible", UPDATED, "customer.subscription.deleted")
        self.followed(*OPENED, "invoice.sent", *written_off)

    def test_an_invoice_is_sent_by_hand(self):
        invoice = self.drafted(collection_method="send_invoice", days_until_due=7)
        sent = self.v1.invoices.send_invoice(invoice.id)
        self.assertEqual((sent.status, sent.due_date, sent.amount_due), ("open", self.world.now() + 7 * DAY, 1500))
        self.followed(*OPENED, "invoice.sent")
        self.v1.invoices.send_invoice(invoice.id)
        self.followed("invoice.sent")
        self.paid_on_its_page(sent)
        self.followed(*SETTLED, "payment_method.attached")

    def test_what_is_charged_is_not_sent_and_nobody_without_an_address_is_sent_anything(self):
        invoice = self.drafted()
        send = lambda: self.v1.invoices.send_invoice(invoice.id)
        self.refused(stripe.InvalidRequestError, 400, None, send)
        nobody = self.v1.customers.create({"name": "Nobody"}).id
        form = {"customer": nobody, "collection_method": "send_invoice", "days_until_due": 7}
        self.refused(stripe.InvalidRequestError, 400, None, lambda: self.v1.invoices.create(form))
        form = {"customer": self.customer, "collection_method": "send_invoice"}
        self.refused(stripe.InvalidRequestError, 400, "parameter_missing", lambda: self.v1.invoices.create(form))
        self.followed("customer.created")

    def test_an_invoice_advances_when_it_is_told_to(self):
        invoice = self.drafted(collection_method="send_invoice", days_until_due=7)
        self.assertEqual((invoice.auto_advance, invoice.automatically_finalizes_at), (False, None))
        later = self.world.now() + 2 * DAY
        planned = self.v1.invoices.update(invoice.id, {"automatically_finalizes_at": later})
        self.assertEqual((planned.auto_advance, planned.automatically_finalizes_at), (True, later))
        self.followed("invoice.updated")
        self.world.advance(2 * DAY)
        self.followed(*OPENED, "invoice.sent")
        stopped = self.v1.invoices.update(invoice.id, {"auto_advance": False})
        self.assertEqual((stopped.status, stopped.auto_advance), ("open", False))
        self.followed("invoice.updated")

    def test_a_subscription_goes_over_to_invoices_that_are_sent(self):
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        price = self.price(2900, recurring={"interval": "month"})
        form = {"customer": self.customer, "items": [{"price": price.id}], "default_payment_method": method.id}
        subscription = self.v1.subscriptions.create(form).id
        self._mark = self.world.mark()
        form = {"collection_method": "send_invoice", "days_until_due": 3}
        changed = self.v1.subscriptions.update(subscription, form)
        self.assertEqual((changed.collection_method, changed.days_until_due), ("send_invoice", 3))
        self.followed(UPDATED)
        self.world.advance(MONTH + HOUR)
        invoice = self.now(subscription).latest_invoice
        self.assertEqual((invoice.status, invoice.due_date), ("open", invoice.created + 3 * DAY))
        self.followed("balance.available", "invoice.upcoming", "invoice.created", UPDATED, *OPENED, "invoice.sent")
