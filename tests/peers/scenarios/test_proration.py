"""Changes of subscriptions within a period, to the cent, in both billing modes."""

import stripe

from support import DAY, Scenario, before

# All but 0.6555… of a month of thirty days has passed then.
INTO_MONTH = 10 * DAY + 8 * 3600
FIRST_PAID = (
    "customer.updated", "customer.subscription.created", "customer.subscription.updated",
    "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
    "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded",
)
INVOICED = tuple(kind for kind in FIRST_PAID if kind != "customer.subscription.created")


class Prorations(Scenario):
    def setUp(self):
        super().setUp()
        self.world.advance(90 * DAY)
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed("customer.created", "customer.updated", "payment_method.attached")

    def a(self, amount, interval="month"):
        made = self.price(amount, recurring={"interval": interval})
        self.followed("product.created", "price.created")
        return made.id

    def subscribed(self, price, quantity=1, mode="flexible", **more):
        form = {"customer": self.customer, "items": [{"price": price, "quantity": quantity}], "billing_mode": {"type": mode}}
        subscription = self.v1.subscriptions.create({**form, **more})
        self.assertEqual(subscription.status, "active")
        return subscription

    def changed(self, subscription, item, **more):
        item = {"id": subscription["items"].data[0].id, **item}
        return self.v1.subscriptions.update(subscription.id, {"items": [item], **more})

    def waiting(self):
        items = self.v1.invoice_items.list({"customer": self.customer, "pending": True, "limit": 100}).data
        return [item.amount for item in reversed(items)]

    def lines(self, subscription):
        invoice = self.v1.invoices.retrieve(subscription.latest_invoice)
        return [line.amount for line in invoice.lines.data], invoice

    def prorates(self, old, new, credit, debit, quantities=(1, 1), percent=None):
        """In either mode the same two invoice items wait, and the next month's invoice has them."""
        for mode in ("flexible", "classic"):
            with self.subTest(mode):
                first = self.a(old)
                discounts, counted = {}, ()
                if percent:
                    coupon = self.v1.coupons.create({"percent_off": percent, "duration": "forever"})
                    self.followed("coupon.created")
                    discounts = {"discounts": [{"coupon": coupon.id}]}
                    counted = ("coupon.updated", "customer.discount.created")
                subscription = self.subscribed(first, quantities[0], mode, **discounts)
                self.followed(*FIRST_PAID, *counted)
                self.world.advance(INTO_MONTH)
                self.v1.balance.retrieve()
                self.followed("balance.available")
                second = first if old == new else self.a(new)
                subscription = self.changed(subscription, {"price": second, "quantity": quantities[1]})
                event, *_ = self.followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created")
                self.assertIn("items", before(event))
                self.assertEqual(self.waiting(), [credit, debit])
                credited = self.v1.invoice_items.list({"customer": self.customer, "pending": True}).data[-1]
                self.assertTrue(credited.proration)
                self.assertEqual(self.v1.subscriptions.cancel(subscription.id, {"invoice_now": False}).status, "canceled")
                self.followed("customer.subscription.deleted")
                for item in self.v1.invoice_items.list({"customer": self.customer, "pending": True}).data:
                    self.v1.invoice_items.delete(item.id)
                self.followed("invoiceitem.deleted", "invoiceitem.deleted")
                # To the middle of a month of thirty days again.
                self.world.advance(61 * DAY - INTO_MONTH if mode == "flexible" else 0)

    def test_a_dearer_plan(self):
        self.prorates(2900, 7900, -1901, 5179)

    def test_a_cheaper_plan(self):
        self.prorates(7900, 2900, -5179, 1901)

    def test_more_seats(self):
        self.prorates(1200, 1200, -3933, 6293, quantities=(5, 8))

    def test_a_dearer_plan_with_a_fifth_off(self):
        self.prorates(2900, 7900, -1521, 4143, percent=20)

    def test_exactly_half(self):
        subscription = self.subscribed(self.a(1000))
        self.followed(*FIRST_PAID)
        self.world.advance(15 * DAY)
        self.changed(subscription, {"price": self.a_later(2000)})
        self.followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created")
        self.assertEqual(self.waiting(), [-500, 1000])

    def a_later(self, amount, interval="month"):
        """A price made after money has become available."""
        made = self.price(amount, recurring={"interval": interval})
        self.followed("balance.available", "product.created", "price.created")
        return made.id

    def test_a_year_that_begins_today(self):
        subscription = self.subscribed(self.a(2900))
        self.followed(*FIRST_PAID)
        self.world.advance(INTO_MONTH)
        changed = self.changed(
            subscription, {"price": self.a_later(29_000, "year")}, billing_cycle_anchor={"type": "now"}
        )
        self.followed("invoiceitem.created", "customer.subscription.updated", *INVOICED[:1], *INVOICED[2:])
        amounts, invoice = self.lines(changed)
        self.assertEqual((sorted(amounts), invoice.total, invoice.status), ([-1901, 29_000], 27_099, "paid"))
        self.assertEqual((invoice.billing_reason, changed.billing_cycle_anchor), ("subscription_update", self.world.now()))

    def test_a_year_begins_by_itself_in_classic_mode(self):
        subscription = self.subscribed(self.a(2900), mode="classic")
        self.followed(*FIRST_PAID)
        self.world.advance(INTO_MONTH)
        changed = self.changed(subscription, {"price": self.a_later(29_000, "year")})
        self.followed("invoiceitem.created", "customer.subscription.updated", *INVOICED[:1], *INVOICED[2:])
        amounts, invoice = self.lines(changed)
        self.assertEqual((sorted(amounts), invoice.total, invoice.status), ([-1901, 29_000], 27_099, "paid"))

    def test_what_is_less_than_nothing_becomes_credit(self):
        subscription = self.subscribed(self.a(7900))
        self.followed(*FIRST_PAID)
        self.world.advance(INTO_MONTH)
        changed = self.changed(subscription, {"price": self.a_later(2900)}, proration_behavior="always_invoice")
        _, invoice = self.lines(changed)
        self.assertEqual((invoice.total, invoice.amount_due, invoice.status), (-3278, 0, "paid"))
        self.assertEqual((invoice.starting_balance, invoice.ending_balance), (0, -3278))
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -3278)
        moved = self.v1.customers.balance_transactions.list(self.customer).data
        self.assertEqual([(one.amount, one.type, one.invoice) for one in moved], [(-3278, "applied_to_invoice", invoice.id)])
        self.followed(
            "invoiceitem.created", "invoiceitem.created", "customer.subscription.updated", "customer.updated", "customer.updated",
            "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
        )

    def test_items_come_and_go(self):
        subscription = self.subscribed(self.a(2900))
        self.followed(*FIRST_PAID)
        self.world.advance(INTO_MONTH)
        seats = self.a_later(1000)
        item = self.v1.subscription_items.create({"subscription": subscription.id, "price": seats, "quantity": 2})
        self.followed("customer.subscription.updated", "invoiceitem.created")
        self.v1.subscription_items.update(item.id, {"quantity": 4, "proration_behavior": "none"})
        self.followed("customer.subscription.updated")
        self.assertEqual(self.waiting(), [1311])
        listed = self.v1.subscription_items.list({"subscription": subscription.id}).data
        self.assertEqual(sorted(one.quantity for one in listed), [1, 4])
        self.assertTrue(self.v1.subscription_items.delete(item.id).deleted)
        self.followed("customer.subscription.updated", "invoiceitem.created")
        self.assertEqual(self.waiting(), [1311, -1311])
        self.refused(
            stripe.InvalidRequestError, 404, "resource_missing", self.v1.subscription_items.retrieve, item.id
        )

    def test_a_change_that_cannot_be_paid(self):
        subscription = self.subscribed(self.a(1200))
        self.followed(*FIRST_PAID)
        bad = self.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": self.customer})
        self.v1.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
        self.followed("payment_method.attached", "customer.subscription.updated")
        more = {"quantity": 9}
        at_once = {"proration_behavior": "always_invoice"}
        error = self.refused(
            stripe.CardError, 402, "card_declined",
            lambda: self.changed(subscription, more, payment_behavior="error_if_incomplete", **at_once),
        )
        self.assertEqual(error.json_body["error"]["decline_code"], "generic_decline")
        self.followed()
        changed = self.changed(subscription, more, **at_once)
        self.assertEqual((changed.status, changed["items"].data[0].quantity), ("past_due", 9))
        failed = "payment_intent.payment_failed"
        self.followed(
            "invoiceitem.created", "invoiceitem.created", "customer.subscription.updated", "customer.subscription.updated",
            "customer.updated", "invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_failed",
            "payment_intent.created", failed, "charge.failed",
        )
        self.v1.invoices.pay(changed.latest_invoice, {"payment_method": "pm_card_visa"})
        self.assertEqual(self.v1.subscriptions.retrieve(subscription.id).status, "active")
        self.followed(
            "payment_method.attached", "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid",
            "payment_intent.succeeded", "charge.succeeded", "customer.subscription.updated",
        )
