"""How subscriptions begin and end within periods, to the cent, and what is sold once with them."""

import stripe

from support import DAY, Scenario
from scenarios.test_proration import FIRST_PAID, INTO_MONTH, INVOICED

# Of a subscription that begins with no invoice.
BEGUN = ("customer.subscription.created",)


class Starts(Scenario):
    """In a month of thirty days."""

    def setUp(self):
        super().setUp()
        self.start = self.world.advance(90 * DAY)
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed("customer.created", "customer.updated", "payment_method.attached")

    def a(self, amount, **more):
        made = self.price(amount, **more)
        self.followed("product.created", "price.created")
        return made.id

    def monthly(self, amount):
        return self.a(amount, recurring={"interval": "month"})

    def subscribed(self, price, events=FIRST_PAID, **more):
        subscription = self.v1.subscriptions.create({"customer": self.customer, "items": [{"price": price}], **more})
        self.followed(*events)
        return subscription

    def amounts(self, subscription):
        return [line.amount for line in self.v1.invoices.retrieve(subscription.latest_invoice).lines.data]

    def waiting(self):
        items = self.v1.invoice_items.list({"customer": self.customer, "pending": True, "limit": 100}).data
        return [item.amount for item in reversed(items)]

    def test_the_time_until_an_anchor_is_billed_in_part_or_free(self):
        price = self.monthly(3000)
        anchor = self.start + 10 * DAY
        part = self.subscribed(price, billing_cycle_anchor=anchor)
        whole = anchor - (self.start + 10 * DAY - 31 * DAY)
        self.assertEqual(self.amounts(part), [round(3000 * 10 * DAY / whole)])
        self.assertEqual((part.billing_cycle_anchor, part["items"].data[0].current_period_end), (anchor, anchor))
        free = self.subscribed(price, events=BEGUN, billing_cycle_anchor=anchor, proration_behavior="none")
        self.assertEqual((free.status, free.latest_invoice), ("active", None))
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.subscriptions.create, {
            "customer": self.customer, "items": [{"price": price}], "billing_cycle_anchor": self.start + 32 * DAY,
        })
        self.assertIn("cannot be later than next natural billing date", error.user_message)
        self.followed()

    def test_the_last_day_of_the_month(self):
        price = self.monthly(3000)
        subscription = self.subscribed(price, billing_cycle_anchor_config={"day_of_month": 31})
        self.assertEqual(subscription.billing_cycle_anchor_config.day_of_month, 31)
        self.assertLess(self.amounts(subscription)[0], 3000)

    def test_it_began_earlier(self):
        price = self.monthly(2900)
        start = self.start - 61 * DAY
        flexible = self.subscribed(price, backdate_start_date=start)
        self.assertEqual((flexible.start_date, flexible.billing_cycle_anchor), (start, start))
        self.assertEqual(self.amounts(flexible)[:2], [2900, 2900])
        classic = self.subscribed(price, backdate_start_date=start, billing_mode={"type": "classic"})
        self.assertEqual(len(self.amounts(classic)), 2)
        self.assertEqual((classic.start_date, classic.billing_cycle_anchor), (start, self.start))

    def test_things_sold_once(self):
        price, setup = self.monthly(2900), self.a(5000)
        subscription = self.subscribed(
            price, events=[*FIRST_PAID, "invoiceitem.created"], add_invoice_items=[{"price": setup}]
        )
        self.assertEqual(self.amounts(subscription), [2900, 5000])
        self.v1.subscriptions.update(subscription.id, {"add_invoice_items": [{"price": setup, "quantity": 2}]})
        self.followed("invoiceitem.created")
        self.assertEqual(self.waiting(), [10_000])

    def test_an_end_within_the_period(self):
        subscription = self.subscribed(self.monthly(3000))
        self.v1.subscriptions.update(subscription.id, {"cancel_at": self.start + 20 * DAY})
        self.followed("customer.subscription.updated", "invoiceitem.created")
        self.assertEqual(self.waiting(), [-1000])
        self.v1.subscriptions.update(subscription.id, {"cancel_at": ""})
        self.followed("customer.subscription.updated", "invoiceitem.created")
        self.assertEqual(self.waiting(), [-1000, 1000])

    def test_it_is_found(self):
        subscription = self.subscribed(self.monthly(2900), metadata={"order": "6735"})
        found = self.v1.subscriptions.search({"query": "metadata['order']:'6735' AND status:'active'"})
        self.assertEqual(([one.id for one in found.data], found.has_more), ([subscription.id], False))
        query = f"subscription:'{subscription.id}' AND total>=2900"
        found = self.v1.invoices.search({"query": query})
        self.assertEqual([one.id for one in found.data], [subscription.latest_invoice])
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.invoices.search, {"query": "amount_due>0"})
        self.followed()

    def test_it_is_migrated(self):
        subscription = self.subscribed(self.monthly(2900), billing_mode={"type": "classic"})
        migrated = self.v1.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})
        self.followed("customer.subscription.updated")
        self.assertEqual((migrated.billing_mode.type, migrated.billing_mode.updated_at), ("flexible", self.start))
        self.refused(
            stripe.InvalidRequestError, 400, None, self.v1.subscriptions.migrate, subscription.id,
            {"billing_mode": {"type": "flexible"}},
        )

    def test_a_trial_in_a_paid_month(self):
        subscription = self.subscribed(self.monthly(2900))
        self.world.advance(INTO_MONTH)
        end = self.start + 40 * DAY
        trial = self.v1.subscriptions.update(subscription.id, {"trial_end": end})
        self.assertEqual((trial.status, trial.trial_end, trial.billing_cycle_anchor), ("trialing", end, end))
        self.assertEqual(sorted(self.amounts(trial)), [-1901, 0])
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -1901)
        self.followed(
            "balance.available", "invoiceitem.created", "customer.subscription.updated", "customer.updated", "customer.updated",
            "invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
        )

    def test_usage_has_no_line_until_there_is_some(self):
        meter = self.v1.billing.meters.create({
            "display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"},
        })
        self.followed("billing.meter.created")
        price = self.a(2, recurring={"interval": "month", "usage_type": "metered", "meter": meter.id})
        subscription = self.subscribed(price, events=BEGUN)
        self.assertEqual((subscription.status, subscription.latest_invoice), ("active", None))
        self.v1.billing.meter_events.create({
            "event_name": "calls", "payload": {"stripe_customer_id": self.customer, "value": "50"},
        })
        self.world.advance(DAY)
        other = self.monthly(100)
        self.v1.subscriptions.update(subscription.id, {"items": [
            {"price": other}, {"id": subscription["items"].data[0].id, "deleted": True, "clear_usage": True},
        ]})
        self.followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created")
        self.assertEqual(sorted(self.waiting()), [97, 100])

    def test_the_currency_is_that_of_the_prices(self):
        dollars = self.monthly(3000)
        euros = self.a(3000, currency="eur", recurring={"interval": "month"})
        subscription = self.subscribed(dollars, currency="usd")
        form = {"customer": self.customer, "items": [{"price": dollars}], "currency": "eur"}
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.subscriptions.create, form)
        self.assertIn("only supports `usd`. This doesn't match the expected currency: `eur`.", str(error))
        self.assertEqual(error.param, "currency")
        change = {"items": [{"id": subscription["items"].data[0].id, "price": euros}]}
        update = self.v1.subscriptions.update
        error = self.refused(stripe.InvalidRequestError, 400, None, update, subscription.id, change)
        self.assertIn("only supports `eur`. This doesn't match the expected currency: `usd`.", str(error))
        self.assertEqual(error.param, "items[0][price]")
        self.followed()
