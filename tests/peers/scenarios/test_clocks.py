"""Test clocks: what Stripe's own guide does with them, their limits, and all that is refused."""

import time

import stripe

from support import DAY, PAID, PATIENCE_SECONDS, START, Scenario, before

NOW = int(START)
# 2026-01-01T00:00:00Z, a year before the scenario's own time; January has 31 days.
JANUARY = 1_767_225_600
FEBRUARY = JANUARY + 31 * DAY
HOUR = 3600
MADE = ("customer.created", "customer.updated", "payment_method.attached")
SETTLED = (
    "customer.updated", "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
    "invoice_payment.paid",
)
SUBSCRIBED = ("customer.subscription.created", "customer.subscription.updated", "invoice.created", *SETTLED, *PAID)
DRAFTED = ("invoice.created", "customer.subscription.updated")
COLLECTED = (*SETTLED, *PAID)
ON_ITS_WAY = ("test_helpers.test_clock.advancing", "test_helpers.test_clock.ready")


class TestClocks(Scenario):
    def setUp(self):
        super().setUp()
        # Notice of each renewal is among the events of test_dunning.
        self.world.control("billing", {"upcoming_days": None})
        self.clocks = self.v1.test_helpers.test_clocks

    def clock(self, frozen_time=JANUARY, **more):
        clock = self.clocks.create({"frozen_time": frozen_time, **more})
        self.assertEqual((clock.status, clock.frozen_time, clock.created), ("ready", frozen_time, self.world.now()))
        self.followed("test_helpers.test_clock.created")
        return clock

    def customer(self, clock, card="visa"):
        customer = self.v1.customers.create({"test_clock": clock.id, "email": "jenny@example.com"})
        self.assertEqual((customer.test_clock, customer.created), (clock.id, clock.frozen_time))
        method = self.v1.payment_methods.attach(f"pm_card_{card}", {"customer": customer.id})
        self.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed(*MADE)
        return customer

    def monthly(self, amount):
        price = self.price(amount, currency="eur", recurring={"interval": "month"})
        self.followed("product.created", "price.created")
        return price.id

    def subscribe(self, customer, amount=5000, **more):
        form = {"customer": customer.id, "items": [{"price": self.monthly(amount)}], **more}
        return self.v1.subscriptions.create(form)

    def set_out(self, clock, frozen_time):
        sent = self.clocks.advance(clock.id, {"frozen_time": frozen_time})
        self.assertEqual((sent.status, sent.status_details.advancing.target_frozen_time), ("advancing", frozen_time))
        return sent

    def advance(self, clock, frozen_time):
        """As Stripe's guide has it: told to advance, and polled until it is there."""
        self.set_out(clock, frozen_time)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := self.clocks.retrieve(clock.id)).status == "advancing":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        self.assertEqual((now.status, now.frozen_time, now.status_details.to_dict()), ("ready", frozen_time, {}))

    def invoices(self, customer):
        return self.v1.invoices.list({"customer": customer.id, "limit": 100}).data

    def test_a_subscription_renews(self):
        clock = self.clock(name="Monthly renewal")
        customer = self.customer(clock)
        subscription = self.subscribe(customer)
        self.assertEqual((subscription.status, subscription.test_clock), ("active", clock.id))
        self.assertEqual((subscription.created, subscription.billing_cycle_anchor), (JANUARY, JANUARY))
        self.assertEqual(subscription["items"].data[0].current_period_end, FEBRUARY)
        self.assertEqual({event.created for event in self.followed(*SUBSCRIBED)}, {JANUARY})
        # Its own time does nothing to what is the clock's.
        self.world.advance(10 * DAY)
        self.followed()
        self.advance(clock, FEBRUARY)
        (_, _, available, drafted, _) = self.followed(*ON_ITS_WAY, "balance.available", *DRAFTED)
        self.assertEqual((available.created, drafted.created), (JANUARY + 2 * DAY, FEBRUARY))
        invoice = drafted.data.object
        self.assertEqual((invoice.status, invoice.total, invoice.billing_reason), ("draft", 5000, "subscription_cycle"))
        self.assertEqual((invoice.test_clock, invoice.automatically_finalizes_at), (clock.id, FEBRUARY + HOUR))
        self.advance(clock, FEBRUARY + HOUR)
        advancing, ready, *collected = self.followed(*ON_ITS_WAY, *COLLECTED)
        self.assertEqual({event.created for event in collected}, {FEBRUARY + HOUR})
        # A clock itself is of the sandbox's own time.
        self.assertEqual((advancing.created, ready.created), (NOW + 10 * DAY, NOW + 10 * DAY))
        self.assertEqual(advancing.data.object.frozen_time, FEBRUARY)
        invoice = self.v1.invoices.retrieve(invoice.id)
        self.assertEqual((invoice.status, invoice.amount_paid), ("paid", 5000))
        self.assertEqual(invoice.status_transitions.paid_at, FEBRUARY + HOUR)

    def test_an_upgrade_in_the_middle_of_a_month(self):
        clock = self.clock()
        customer = self.customer(clock)
        subscription = self.subscribe(customer)
        self.followed(*SUBSCRIBED)
        premium = self.monthly(10_000)
        self.advance(clock, JANUARY + 15 * DAY)
        self.followed(*ON_ITS_WAY, "balance.available")
        item = subscription["items"].data[0].id
        self.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": premium}]})
        self.followed("customer.subscription.updated", "invoiceitem.created", "invoiceitem.created")
        waiting = self.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
        # 16 of 31 days are left.
        self.assertEqual(sorted(one.amount for one in waiting), [-2581, 5161])
        self.assertEqual({(one.date, one.test_clock) for one in waiting}, {(JANUARY + 15 * DAY, clock.id)})
        self.advance(clock, FEBRUARY)
        self.followed(*ON_ITS_WAY, *DRAFTED)
        self.assertEqual((self.invoices(customer)[0].status, self.invoices(customer)[0].total), ("draft", 12_580))
        self.advance(clock, FEBRUARY + HOUR)
        self.followed(*ON_ITS_WAY, *COLLECTED)
        self.assertEqual((self.invoices(customer)[0].status, self.invoices(customer)[0].amount_paid), ("paid", 12_580))

    def test_a_trial_ends_after_a_notice(self):
        clock = self.clock()
        customer = self.customer(clock)
        subscription = self.subscribe(customer, trial_period_days=7)
        self.assertEqual((subscription.status, subscription.trial_end), ("trialing", JANUARY + 7 * DAY))
        self.followed("customer.subscription.created", "invoice.created", *SETTLED[:-1])
        self.assertEqual([one.total for one in self.invoices(customer)], [0])
        self.advance(clock, JANUARY + 4 * DAY)
        (_, _, notice) = self.followed(*ON_ITS_WAY, "customer.subscription.trial_will_end")
        self.assertEqual((notice.created, notice.data.object.id), (JANUARY + 4 * DAY, subscription.id))
        self.advance(clock, JANUARY + 7 * DAY)
        (*_, updated) = self.followed(*ON_ITS_WAY, *DRAFTED)
        self.assertEqual((updated.data.object.status, before(updated)["status"]), ("active", "trialing"))
        self.advance(clock, JANUARY + 38 * DAY + HOUR)
        self.followed(*ON_ITS_WAY, *COLLECTED, "balance.available", *DRAFTED, *COLLECTED)
        paid = [(one.status, one.amount_paid) for one in self.invoices(customer)]
        self.assertEqual(paid, [("paid", 5000), ("paid", 5000), ("paid", 0)])

    def test_payments_fail_until_it_is_canceled(self):
        clock = self.clock()
        customer = self.customer(clock)
        subscription = self.subscribe(customer)
        self.followed(*SUBSCRIBED)
        poor = self.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
        self.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": poor.id}})
        self.followed("payment_method.attached", "customer.updated")
        self.advance(clock, FEBRUARY + 4 * DAY)
        behind = self.v1.subscriptions.retrieve(subscription.id)
        self.assertEqual(behind.status, "past_due")
        first = FEBRUARY + HOUR
        invoice = self.v1.invoices.retrieve(behind.latest_invoice)
        self.assertEqual((invoice.attempt_count, invoice.next_payment_attempt), (2, first + 8 * DAY))
        failed = ("payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed")
        began = ("customer.updated", "invoice.finalized", "payment_intent.created", "customer.subscription.updated")
        self.followed(*ON_ITS_WAY, "balance.available", *DRAFTED, *began, *failed, *failed)
        self.advance(clock, FEBRUARY + 20 * DAY)
        given_up = (*failed, *failed, "invoice.updated", "customer.subscription.deleted")
        *_, deleted = self.followed(*ON_ITS_WAY, *given_up)
        self.assertEqual(deleted.created, first + 15 * DAY)
        ended = self.v1.subscriptions.retrieve(subscription.id)
        self.assertEqual((ended.status, ended.ended_at), ("canceled", first + 15 * DAY))
        self.assertEqual(ended.cancellation_details.reason, "payment_failed")

    def test_two_clocks_and_the_present_are_independent(self):
        one, other = self.clock(), self.clock(FEBRUARY)
        slow, fast = self.customer(one), self.customer(other)
        free = self.v1.customers.create({"email": "joe@example.com", "payment_method": "pm_card_visa"})
        self.assertIsNone(free.test_clock)
        self.followed("customer.created", "payment_method.attached")
        for customer in (slow, fast):
            self.subscribe(customer)
            self.followed(*SUBSCRIBED)
        self.advance(other, FEBRUARY + 28 * DAY + HOUR)
        self.followed(*ON_ITS_WAY, "balance.available", *DRAFTED, *COLLECTED)
        self.assertEqual((len(self.invoices(slow)), len(self.invoices(fast))), (1, 2))
        self.assertEqual(self.clocks.retrieve(one.id).frozen_time, JANUARY)
        self.assertEqual([clock.id for clock in self.clocks.list().data], [other.id, one.id])
        self.advance(one, FEBRUARY)
        self.followed(*ON_ITS_WAY, "balance.available", *DRAFTED)
        self.assertEqual((len(self.invoices(slow)), len(self.invoices(fast))), (2, 2))

    def test_it_goes_forward_only_and_not_too_far(self):
        clock = self.clock(FEBRUARY)
        for wrong in (JANUARY, FEBRUARY):
            form = {"frozen_time": wrong}
            error = self.refused(stripe.InvalidRequestError, 400, None, self.clocks.advance, clock.id, form)
            self.assertEqual(error.param, "frozen_time")
        # 2028-02-01: two years.
        most = 1_832_976_000
        error = self.refused(stripe.InvalidRequestError, 400, None, self.clocks.advance, clock.id, {"frozen_time": most + 1})
        self.assertIn(f"You can only advance it up to {most} (2028-02-01 00:00:00 UTC).", str(error))
        self.subscribe(self.customer(clock))
        self.followed(*SUBSCRIBED)
        # 2026-04-01: two months, though they have 59 days only.
        most = FEBRUARY + 59 * DAY
        error = self.refused(stripe.InvalidRequestError, 400, None, self.clocks.advance, clock.id, {"frozen_time": most + 1})
        self.assertIn(f"You can only advance it up to {most} (2026-04-01 00:00:00 UTC).", str(error))
        self.followed()
        self.advance(clock, most)
        self.followed(*ON_ITS_WAY, "balance.available", *DRAFTED, *COLLECTED, "balance.available", *DRAFTED)

    def test_nothing_of_it_is_changed_while_it_advances(self):
        clock = self.clock()
        customer = self.customer(clock)
        subscription = self.subscribe(customer)
        self.followed(*SUBSCRIBED)
        self.world.control("faults", {"test_clocks": "hold"})
        self.set_out(clock, FEBRUARY)
        for act, *arguments in (
            (self.clocks.advance, clock.id, {"frozen_time": FEBRUARY + DAY}),
            (self.clocks.delete, clock.id),
            (self.v1.customers.update, customer.id, {"name": "Jen"}),
            (self.v1.customers.create, {"test_clock": clock.id}),
            (self.v1.subscriptions.cancel, subscription.id),
            (self.v1.invoice_items.create, {"customer": customer.id, "currency": "eur", "amount": 100}),
        ):
            error = self.refused(stripe.RateLimitError, 429, None, act, *arguments)
            self.assertIn("Test clock advancement underway - cannot perform modifications", str(error))
        self.assertEqual(self.clocks.retrieve(clock.id).status, "advancing")
        self.v1.customers.create({"email": "joe@example.com"})
        self.followed("test_helpers.test_clock.advancing", "customer.created")
        self.world.control("faults", {})
        self.assertEqual(self.clocks.retrieve(clock.id).status, "ready")
        self.followed("test_helpers.test_clock.ready", "balance.available", *DRAFTED)
        self.assertEqual(self.v1.customers.update(customer.id, {"name": "Jen"}).name, "Jen")
        self.followed("customer.updated")

    def test_it_is_ready_though_nobody_asks(self):
        clock = self.clock()
        self.set_out(clock, FEBRUARY)
        (_, ready) = self.awaited(*ON_ITS_WAY)
        self.assertEqual((ready.data.object.id, ready.data.object.frozen_time), (clock.id, FEBRUARY))

    def test_it_fails_to_advance(self):
        clock = self.clock()
        self.world.control("faults", {"test_clocks": "fail"})
        self.set_out(clock, FEBRUARY)
        failed = self.clocks.retrieve(clock.id)
        self.assertEqual((failed.status, failed.frozen_time), ("internal_failure", JANUARY))
        self.followed("test_helpers.test_clock.advancing", "test_helpers.test_clock.internal_failure")
        self.world.control("faults", {})
        self.refused(stripe.InvalidRequestError, 400, None, self.clocks.advance, clock.id, {"frozen_time": FEBRUARY})
        self.assertTrue(self.clocks.delete(clock.id).deleted)
        self.followed("test_helpers.test_clock.deleted")

    def test_it_has_three_customers_with_three_subscriptions(self):
        clock = self.clock()
        customers = [self.customer(clock) for _ in range(3)]
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.customers.create, {"test_clock": clock.id})
        self.assertEqual(error.param, "test_clock")
        price = self.monthly(5000)
        form = {"customer": customers[0].id, "items": [{"price": price}]}
        for _ in range(3):
            last = self.v1.subscriptions.create(form)
            self.followed(*SUBSCRIBED)
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.subscriptions.create, form)
        self.assertEqual(error.param, "customer")
        self.v1.subscriptions.cancel(last.id)
        self.followed("customer.subscription.deleted")
        self.assertEqual(self.v1.subscriptions.create(form).status, "active")
        self.followed(*SUBSCRIBED)
        none = {"test_clock": "clock_none"}
        error = self.refused(stripe.InvalidRequestError, 400, "resource_missing", self.v1.customers.create, none)
        self.assertIn("No such billingclock: 'clock_none'", str(error))

    def test_it_is_deleted_with_its_customers(self):
        clock = self.clock()
        customer = self.customer(clock)
        subscription = self.subscribe(customer)
        self.followed(*SUBSCRIBED)
        self.advance(clock, JANUARY + DAY)
        self.followed(*ON_ITS_WAY)
        self.assertTrue(self.clocks.delete(clock.id).deleted)
        ended, gone, deleted, _ = self.followed(
            "customer.subscription.deleted", "customer.deleted", "test_helpers.test_clock.deleted", "payment_method.detached"
        )
        self.assertEqual((ended.created, gone.created, deleted.created), (JANUARY + DAY, JANUARY + DAY, NOW))
        self.assertTrue(self.v1.customers.retrieve(customer.id).deleted)
        ended = self.v1.subscriptions.retrieve(subscription.id)
        self.assertEqual((ended.status, ended.ended_at), ("canceled", JANUARY + DAY))
        error = self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.clocks.retrieve, clock.id)
        self.assertIn("No such billingclock", str(error))
        self.assertEqual(self.clocks.list().data, [])

    def test_it_is_deleted_after_thirty_days(self):
        clock = self.clock()
        self.assertEqual(clock.deletes_after, NOW + 30 * DAY)
        customer = self.v1.customers.create({"test_clock": clock.id})
        self.followed("customer.created")
        self.world.advance(30 * DAY - 1)
        self.assertEqual(self.clocks.retrieve(clock.id).status, "ready")
        self.world.advance(1)
        deleted, gone = self.followed("test_helpers.test_clock.deleted", "customer.deleted")
        self.assertEqual((deleted.created, gone.created), (NOW + 30 * DAY, JANUARY))
        self.assertTrue(self.v1.customers.retrieve(customer.id).deleted)

    def test_lists_leave_out_what_is_a_clocks(self):
        clock = self.clock()
        customer = self.customer(clock)
        self.subscribe(customer)
        self.followed(*SUBSCRIBED)
        free = self.v1.customers.create({"email": "jenny@example.com"})
        self.followed("customer.created")
        ids = lambda found: [one.id for one in found.data]  # noqa: E731
        self.assertEqual(ids(self.v1.customers.list({"email": "jenny@example.com"})), [free.id])
        self.assertEqual(ids(self.v1.customers.list({"test_clock": clock.id})), [customer.id])
        self.assertEqual(ids(self.v1.subscriptions.list()), [])
        self.assertEqual(len(self.v1.subscriptions.list({"test_clock": clock.id}).data), 1)
        self.assertEqual(len(self.v1.subscriptions.list({"customer": customer.id}).data), 1)
        self.assertEqual(ids(self.v1.invoices.list()), [])
        self.assertEqual(len(self.invoices(customer)), 1)
        filtered = {"test_clock": "clock_none"}
        self.refused(stripe.InvalidRequestError, 400, "resource_missing", self.v1.customers.list, filtered)
        expanded = self.v1.customers.retrieve(customer.id, {"expand": ["test_clock"]})
        self.assertEqual((expanded.test_clock.id, expanded.test_clock.frozen_time), (clock.id, JANUARY))

    def test_a_checkout_session_goes_by_its_customers_clock(self):
        clock = self.clock()
        customer = self.customer(clock)
        price = self.monthly(5000)
        form = {
            "mode": "subscription", "customer": customer.id, "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://example.com/done",
        }
        session, left = self.v1.checkout.sessions.create(form), self.v1.checkout.sessions.create(form)
        self.assertEqual((session.created, session.expires_at), (JANUARY, JANUARY + DAY))
        status, _, _ = self.world.pay(session.url)
        self.assertEqual(status, 303)
        paid = self.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
        self.assertEqual((paid.subscription.test_clock, paid.subscription.start_date), (clock.id, JANUARY))
        told = self.followed(*SUBSCRIBED, "payment_method.attached", "checkout.session.completed")
        self.assertEqual({event.created for event in told}, {JANUARY})
        self.advance(clock, JANUARY + DAY)
        (*_, expired) = self.followed(*ON_ITS_WAY, "checkout.session.expired")
        self.assertEqual((expired.data.object.id, expired.created), (left.id, JANUARY + DAY))

    def test_the_same_key_advances_once(self):
        clock = self.clock()
        form, options = {"frozen_time": FEBRUARY}, {"idempotency_key": "advance-1"}
        first = self.clocks.advance(clock.id, form, options)
        again = self.clocks.advance(clock.id, form, options)
        self.assertEqual((first.status, again.to_dict()), ("advancing", first.to_dict()))
        self.assertEqual(self.clocks.retrieve(clock.id).frozen_time, FEBRUARY)
        self.followed(*ON_ITS_WAY)
