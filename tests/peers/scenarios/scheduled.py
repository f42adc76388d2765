"""What scenarios of subscription schedules begin with: a customer whose invoices a card pays, and schedules."""

import stripe

from support import DAY, PAID, Scenario

HOUR = 3600
# All but 0.6555… of a month of thirty days has passed then.
INTO_MONTH = 10 * DAY + 8 * HOUR
# What a draft comes to after its hour.
COLLECTED = (
    "invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
    "invoice_payment.paid", *PAID,
)
SUBSCRIBED = (
    "customer.subscription.created", "customer.subscription.updated", "invoice.created", *COLLECTED,
)
BEGUN = ("subscription_schedule.created", "customer.subscription.created", "invoice.created")
TAKEN_OVER = ("subscription_schedule.created", "customer.subscription.updated")
RELEASED = ("subscription_schedule.updated", "customer.subscription.updated", "subscription_schedule.released")
INVALID = stripe.InvalidRequestError


class Scheduled(Scenario):
    def setUp(self):
        super().setUp()
        # Notice of each renewal is among the events of test_dunning.
        self.world.control("billing", {"upcoming_days": None})
        # A month of thirty days begins then, and one of 31 after it.
        self.start = self.world.advance(90 * DAY)
        self.month, self.second = self.start + 30 * DAY, self.start + 61 * DAY
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        self.card("visa")
        self.followed("customer.created", "payment_method.attached", "customer.updated")
        self.schedules = self.v1.subscription_schedules

    def card(self, name):
        method = self.v1.payment_methods.attach(f"pm_card_{name}", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})

    def a(self, amount, interval="month"):
        made = self.price(amount, recurring={"interval": interval})
        self.followed("product.created", "price.created")
        return made.id

    def begun(self, *phases, **more):
        form = {"customer": self.customer, "start_date": "now", "phases": list(phases), **more}
        schedule = self.schedules.create(form)
        self.assertEqual(schedule.status, "active")
        self.followed(*BEGUN)
        return schedule

    def taken_over(self, price, quantity=1, mode="flexible"):
        """A subscription that is paid, and a schedule that has it."""
        items = [{"price": price, "quantity": quantity}]
        form = {"customer": self.customer, "items": items, "billing_mode": {"type": mode}}
        subscription = self.v1.subscriptions.create(form)
        self.followed(*SUBSCRIBED)
        schedule = self.schedules.create({"from_subscription": subscription.id})
        self.followed(*TAKEN_OVER)
        return subscription, schedule

    def then(self, schedule, price, **more):
        """Has a price follow where the present phase ends, with nothing prorated."""
        (present,) = schedule.phases
        (item,) = present["items"]
        kept = {"price": item.price, "quantity": item.quantity}
        phase = {"items": [kept], "start_date": present.start_date, "end_date": present.end_date}
        following = {"items": [{**kept, "price": price}], "proration_behavior": "none"}
        form = {"phases": [phase, following], "proration_behavior": "none", "end_behavior": "release", **more}
        planned = self.schedules.update(schedule.id, form)
        self.followed("subscription_schedule.updated")
        return planned

    def to(self, moment):
        self.world.advance(moment - self.world.now())

    def of(self, schedule):
        schedule = self.schedules.retrieve(schedule.id)
        return self.v1.subscriptions.retrieve(schedule.subscription or schedule.released_subscription)

    def sold(self, schedule):
        return [(item.price.id, item.quantity) for item in self.of(schedule)["items"].data]

    def invoices(self):
        """The lines of each invoice, and its status, oldest first."""
        found = self.v1.invoices.list({"customer": self.customer, "limit": 100}).data
        return [([line.amount for line in one.lines.data], one.status) for one in reversed(found)]

    def waiting(self):
        items = self.v1.invoice_items.list({"customer": self.customer, "pending": True, "limit": 100}).data
        return [item.amount for item in reversed(items)]
