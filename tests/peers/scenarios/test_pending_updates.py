"""Changes that take effect when they are paid, and not before."""

import stripe

from support import DAY, Scenario
from scenarios.test_proration import FIRST_PAID, INTO_MONTH, INVOICED

LIFE = 23 * 3600
TRIED = (
    "invoiceitem.created", "invoiceitem.created", "customer.subscription.updated", "customer.updated", "invoice.created",
    "invoice.finalized", "invoice.updated", "invoice.payment_failed", "payment_intent.created",
    "payment_intent.payment_failed", "charge.failed",
)
DROPPED = (
    "customer.subscription.pending_update_expired", "customer.subscription.updated", "invoice.updated", "invoice.voided",
    "payment_intent.canceled",
)


class PendingUpdates(Scenario):
    """Of a subscription whose card pays no more, in a month of thirty days."""

    def setUp(self):
        super().setUp()
        self.world.advance(90 * DAY)
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        self.card("visa")
        prices = [self.price(amount, recurring={"interval": "month"}).id for amount in (2900, 7900)]
        self.followed("customer.created", *["product.created", "price.created"] * 2, *self.carded)
        self.dear = prices[1]
        self.subscription = self.v1.subscriptions.create({"customer": self.customer, "items": [{"price": prices[0]}]})
        self.item = self.subscription["items"].data[0].id
        self.followed(*FIRST_PAID)
        self.world.advance(INTO_MONTH)
        self.card("chargeCustomerFail")
        self.followed("balance.available", *self.carded)

    carded = ("customer.updated", "payment_method.attached")

    def card(self, name):
        method = self.v1.payment_methods.attach(f"pm_card_{name}", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})

    def upgraded(self, quantity=1, **more):
        return self.v1.subscriptions.update(self.subscription.id, {
            "items": [{"id": self.item, "price": self.dear, "quantity": quantity}],
            "proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete", **more,
        })

    def now(self):
        return self.v1.subscriptions.retrieve(self.subscription.id)

    def sold(self, subscription):
        return [(item.price.unit_amount, item.quantity) for item in subscription["items"].data]

    def test_it_waits_until_it_is_paid(self):
        waiting = self.upgraded()
        self.followed(*TRIED)
        self.assertEqual((waiting.status, self.sold(waiting)), ("active", [(2900, 1)]))
        update = waiting.pending_update
        self.assertEqual(update.expires_at, self.world.now() + LIFE)
        self.assertEqual([(one.id, one.price.id) for one in update.subscription_items], [(self.item, self.dear)])
        invoice = self.v1.invoices.retrieve(waiting.latest_invoice)
        self.assertEqual((invoice.status, invoice.amount_due), ("open", 3278))
        self.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"})
        applied, *_ = self.followed(
            "customer.subscription.pending_update_applied", "customer.subscription.updated", "invoice.updated", "invoice.paid",
            "invoice.payment_succeeded", "invoice_payment.paid", "payment_intent.succeeded", "charge.succeeded",
            "payment_method.attached",
        )
        self.assertIsNone(applied.data.object.pending_update)
        self.assertEqual(self.sold(self.now()), [(7900, 1)])

    def test_paid_at_once_it_never_waits(self):
        self.card("visa")
        self.followed(*self.carded)
        changed = self.upgraded()
        self.followed("invoiceitem.created", "invoiceitem.created", *INVOICED)
        self.assertEqual((self.sold(changed), changed.pending_update), ([(7900, 1)], None))

    def test_nobody_pays(self):
        waiting = self.upgraded()
        self.followed(*TRIED)
        self.world.advance(LIFE)
        self.followed(*DROPPED)
        now = self.now()
        self.assertEqual((self.sold(now), now.pending_update), ([(2900, 1)], None))
        self.assertEqual(self.v1.invoices.retrieve(waiting.latest_invoice).status, "void")

    def test_another_replaces_it_and_voiding_drops_it(self):
        first = self.upgraded()
        self.followed(*TRIED)
        second = self.upgraded(quantity=3)
        self.followed(*DROPPED, *TRIED)
        self.assertEqual(second.pending_update.subscription_items[0].quantity, 3)
        self.assertEqual(self.v1.invoices.retrieve(first.latest_invoice).status, "void")
        self.v1.invoices.void_invoice(second.latest_invoice)
        self.followed(*DROPPED)
        self.assertIsNone(self.now().pending_update)

    def test_only_what_can_wait_is_taken(self):
        error = self.refused(stripe.InvalidRequestError, 400, None, lambda: self.upgraded(description="More"))
        self.assertEqual(error.param, "description")
        self.assertIn("you can only pass supported params", error.user_message)
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.subscriptions.create, {
            "customer": self.customer, "items": [{"price": self.dear}], "payment_behavior": "pending_if_incomplete",
        })
        self.followed()

    def test_an_item_that_is_added(self):
        item = self.v1.subscription_items.create({
            "subscription": self.subscription.id, "price": self.dear, "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        })
        self.followed(*TRIED[1:])
        waiting = self.now()
        self.assertEqual((item.price.id, self.sold(waiting)), (self.dear, [(2900, 1)]))
        self.assertEqual(len(waiting.pending_update.subscription_items), 2)
        self.v1.invoices.pay(waiting.latest_invoice, {"payment_method": "pm_card_visa"})
        self.assertEqual(self.sold(self.now()), [(2900, 1), (7900, 1)])
        self.followed(
            "customer.subscription.pending_update_applied", "customer.subscription.updated", "invoice.updated", "invoice.paid",
            "invoice.payment_succeeded", "invoice_payment.paid", "payment_intent.succeeded", "charge.succeeded",
            "payment_method.attached",
        )
