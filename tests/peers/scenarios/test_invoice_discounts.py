"""Discounts wherever something is invoiced: subscriptions bought on a page, items, invoices made by hand, changes."""

import stripe

from support import DAY, RETURN, Scenario
from scenarios.test_proration import FIRST_PAID, INTO_MONTH

REDEEMED = ("coupon.updated", "customer.discount.created")


class InvoiceDiscounts(Scenario):
    """In a month of thirty days."""

    def setUp(self):
        super().setUp()
        self.world.advance(90 * DAY)
        self.customer = self.v1.customers.create({"name": "Jenny", "email": "jenny@example.com"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed("customer.created", "customer.updated", "payment_method.attached")

    def monthly(self, amount):
        made = self.price(amount, recurring={"interval": "month"})
        self.followed("product.created", "price.created")
        return made.id

    def coupon(self, **terms):
        made = self.v1.coupons.create({"duration": "forever", **terms})
        self.followed("coupon.created")
        return made.id

    def waiting(self):
        items = self.v1.invoice_items.list({"customer": self.customer, "pending": True, "limit": 100}).data
        return [item.amount for item in reversed(items)]

    def test_a_subscription_bought_with_a_code(self):
        price, coupon = self.monthly(2900), self.coupon(percent_off=20)
        code = self.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})
        self.followed("promotion_code.created")
        session = self.v1.checkout.sessions.create({
            "mode": "subscription", "customer": self.customer, "line_items": [{"price": price, "quantity": 1}],
            "success_url": RETURN, "discounts": [{"promotion_code": code.id}],
        })
        self.assertEqual((session.amount_subtotal, session.amount_total), (2900, 2320))
        self.assertEqual(self.world.pay(session.url)[0], 303)
        session = self.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
        self.assertEqual((session.payment_status, session.invoice.total), ("paid", 2320))
        self.assertEqual(len(session.subscription.discounts), 1)
        self.assertEqual(self.v1.promotion_codes.retrieve(code.id).times_redeemed, 1)
        self.followed(*FIRST_PAID, *REDEEMED, "promotion_code.updated", "payment_method.attached", "checkout.session.completed")

    def test_an_invoice_made_by_hand(self):
        fifth, ten = self.coupon(percent_off=20), self.coupon(amount_off=1000, currency="usd")
        for more in ({"amount": 5000, "discounts": [{"coupon": fifth}]}, {"amount": 3000}):
            self.v1.invoice_items.create({"customer": self.customer, "currency": "usd", **more})
        invoice = self.v1.invoices.create({
            "customer": self.customer, "pending_invoice_items_behavior": "include", "discounts": [{"coupon": ten}],
            "expand": ["discounts"],
        })
        self.assertEqual((invoice.subtotal, invoice.total), (8000, 6000))
        self.assertEqual((invoice.discounts[0].invoice, invoice.discounts[0].source.coupon), (invoice.id, ten))
        self.followed("coupon.updated", "coupon.updated", "invoiceitem.created", "invoiceitem.created", "invoice.created")
        invoice = self.v1.invoices.update(invoice.id, {"discounts": ""})
        self.assertEqual((invoice.total, invoice.discounts), (7000, []))
        self.followed("invoice.updated")
        error = self.refused(
            stripe.InvalidRequestError, 400, "resource_missing", self.v1.invoices.update, invoice.id,
            {"discounts": [{"coupon": "none"}]},
        )
        self.assertEqual(error.param, "discounts[0][coupon]")

    def test_an_item_with_a_discount_of_its_own(self):
        base, seats, fifth = self.monthly(2900), self.monthly(1000), self.coupon(percent_off=20)
        subscription = self.v1.subscriptions.create({
            "customer": self.customer,
            "items": [{"price": base}, {"price": seats, "discounts": [{"coupon": fifth}]}],
        })
        self.followed(*FIRST_PAID, *REDEEMED)
        self.assertEqual(self.v1.invoices.retrieve(subscription.latest_invoice).total, 3700)
        item = subscription["items"].data[1]
        self.assertEqual((len(item.discounts), subscription.discounts), (1, []))
        changed = self.v1.subscription_items.update(item.id, {"discounts": ""})
        self.assertEqual(changed.discounts, [])
        self.followed("customer.subscription.updated")

    def test_an_amount_off_in_what_a_change_costs(self):
        old, new, ten = self.monthly(2900), self.monthly(7900), self.coupon(amount_off=1000, currency="usd")
        subscription = self.v1.subscriptions.create({
            "customer": self.customer, "items": [{"price": old}], "discounts": [{"coupon": ten}],
        })
        self.followed(*FIRST_PAID, *REDEEMED)
        self.world.advance(INTO_MONTH)
        self.v1.subscriptions.update(subscription.id, {
            "items": [{"id": subscription["items"].data[0].id, "price": new}],
        })
        self.followed("balance.available", "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created")
        self.assertEqual(self.waiting(), [-1246, 4523])

    def test_a_payer_types_a_code(self):
        price, coupon = self.monthly(2900), self.coupon(amount_off=1000, currency="usd")
        self.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "WELCOME"})
        self.followed("promotion_code.created")
        session = self.v1.checkout.sessions.create({
            "mode": "subscription", "customer": self.customer, "line_items": [{"price": price, "quantity": 1}],
            "success_url": RETURN, "allow_promotion_codes": True,
        })
        self.assertEqual(self.world.submit(session.url, promotion_code="NOTHING")[0], 400)
        self.assertEqual(self.world.submit(session.url, promotion_code="welcome")[0], 200)
        self.assertEqual(self.v1.checkout.sessions.retrieve(session.id).amount_total, 1900)
        self.followed()
        self.assertEqual(self.world.pay(session.url)[0], 303)
        session = self.v1.checkout.sessions.retrieve(session.id, {"expand": ["invoice"]})
        self.assertEqual((session.status, session.invoice.total), ("complete", 1900))
        self.followed(*FIRST_PAID, *REDEEMED, "promotion_code.updated", "payment_method.attached", "checkout.session.completed")
