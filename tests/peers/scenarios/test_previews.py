"""Invoices before they are made: what they will come to, and that nothing is kept of it."""

import stripe

from support import DAY, Scenario
from scenarios.test_proration import FIRST_PAID, INTO_MONTH, INVOICED


class Previews(Scenario):
    def setUp(self):
        super().setUp()
        self.world.advance(90 * DAY)
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed("customer.created", "customer.updated", "payment_method.attached")

    def a(self, amount, **more):
        made = self.price(amount, recurring={"interval": "month"}, **more)
        self.followed("product.created", "price.created")
        return made.id

    def subscribed(self, price, **more):
        form = {"customer": self.customer, "items": [{"price": price}], **more}
        subscription = self.v1.subscriptions.create(form)
        self.followed(*FIRST_PAID)
        return subscription

    def test_the_next_month(self):
        subscription = self.subscribed(self.a(2900))
        self.v1.invoice_items.create({"customer": self.customer, "currency": "usd", "amount": -300})
        self.followed("invoiceitem.created")
        amounts, preview = self.preview(subscription=subscription.id)
        end = subscription["items"].data[0].current_period_end
        self.assertEqual((amounts, preview.amount_due, preview.created), ([2900, -300], 2600, end))
        self.assertEqual(preview.next_payment_attempt, end + 3600)
        self.assertEqual(preview.parent.subscription_details.subscription, subscription.id)
        self.refused(
            stripe.InvalidRequestError, 404, "resource_missing", self.v1.invoices.retrieve, preview.id
        )
        self.assertEqual(len(self.v1.invoices.list({"customer": self.customer}).data), 1)

    def test_an_upgrade_costs_what_was_previewed(self):
        subscription = self.subscribed(self.a(2900))
        dear = self.a(7900)
        self.world.advance(INTO_MONTH)
        self.v1.balance.retrieve()
        self.followed("balance.available")
        date = self.world.now()
        change = {
            "items": [{"id": subscription["items"].data[0].id, "price": dear}],
            "proration_behavior": "always_invoice", "proration_date": date,
        }
        amounts, preview = self.preview(subscription=subscription.id, subscription_details=change)
        self.assertEqual((amounts, preview.total), ([-1901, 5179], 3278))
        self.assertTrue(all(line.parent.subscription_item_details.proration for line in preview.lines.data))
        self.world.advance(300)
        changed = self.v1.subscriptions.update(subscription.id, change)
        invoice = self.v1.invoices.retrieve(changed.latest_invoice)
        self.assertEqual(([line.amount for line in invoice.lines.data], invoice.total), (amounts, preview.total))
        self.followed("invoiceitem.created", "invoiceitem.created", *INVOICED)

    def test_an_upgrade_on_the_next_invoice(self):
        subscription = self.subscribed(self.a(2900))
        dear = self.a(7900)
        self.world.advance(INTO_MONTH)
        self.v1.balance.retrieve()
        self.followed("balance.available")
        item = {"id": subscription["items"].data[0].id, "price": dear}
        for how, expected in (("create_prorations", [7900, -1901, 5179]), ("none", [7900])):
            amounts, _ = self.preview(
                subscription=subscription.id, subscription_details={"items": [item], "proration_behavior": how}
            )
            self.assertEqual(amounts, expected, how)
        self.assertEqual(self.v1.invoice_items.list({"customer": self.customer}).data, [])

    def test_there_is_nothing_to_come(self):
        subscription = self.subscribed(self.a(2900))
        for details in ({"cancel_at_period_end": True}, {"cancel_now": True, "proration_behavior": "none"}):
            form = {"subscription": subscription.id, "subscription_details": details}
            self.refused(
                stripe.InvalidRequestError, 404, "invoice_upcoming_none", self.v1.invoices.create_preview, form
            )
        amounts, _ = self.preview(subscription=subscription.id, subscription_details={"cancel_now": True})
        self.assertEqual(amounts, [-2900])
        error = self.refused(
            stripe.InvalidRequestError, 400, None, self.v1.invoices.create_preview, {"customer": self.customer}
        )
        self.assertIn("You must provide at least one of: `subscription`", error.user_message)
        self.followed()

    def test_what_is_not_sold_yet(self):
        plan = self.a(4900)
        once = [self.price(amount).id for amount in (29_900, 9900)]
        coupon = self.v1.coupons.create({"percent_off": 15})
        code = self.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
        self.followed(
            *["product.created", "price.created"] * 2, "coupon.created", "promotion_code.created"
        )
        sold = {
            "invoice_items": [{"price": price, "quantity": 1} for price in once],
            "discounts": [{"promotion_code": code.id}],
        }
        amounts, preview = self.preview(**sold)
        self.assertEqual((amounts, preview.total), ([29_900, 9900], 33_830))
        with_plan = {**sold, "subscription_details": {"items": [{"price": plan}]}}
        amounts, preview = self.preview(**with_plan)
        self.assertEqual((amounts, preview.total), ([4900, 29_900, 9900], 37_995))
        amounts, preview = self.preview(**with_plan, preview_mode="recurring")
        self.assertEqual((amounts, preview.total), ([4900], 4900))

    def test_tax_where_the_customer_is(self):
        _, preview = self.preview(
            customer=self.customer, automatic_tax={"enabled": True},
            customer_details={"address": {"country": "DE"}},
            subscription_details={"items": [{"price": self.a(2900)}]},
        )
        self.assertEqual((preview.total_excluding_tax, preview.total, preview.customer), (2900, 3451, self.customer))
