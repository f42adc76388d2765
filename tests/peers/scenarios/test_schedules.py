"""Subscription schedules: phases that begin at their times, to the cent."""

from support import DAY, before
from scenarios.scheduled import BEGUN, COLLECTED, HOUR, INTO_MONTH, INVALID, RELEASED, Scheduled


class Schedules(Scheduled):
    def test_a_plan_is_left_when_its_period_ends(self):
        self.downgrades("flexible")

    def test_a_plan_is_left_in_classic_mode_too(self):
        self.downgrades("classic")

    def downgrades(self, mode):
        dear, cheap = self.a(7900), self.a(2900)
        subscription, schedule = self.taken_over(dear, mode=mode)
        self.assertEqual(schedule.current_phase.to_dict(), {"start_date": self.start, "end_date": self.month})
        self.assertEqual((schedule.status, schedule.billing_mode.type), ("active", mode))
        self.assertEqual(self.v1.subscriptions.retrieve(subscription.id).schedule, schedule.id)
        planned = self.then(schedule, cheap)
        self.assertEqual([phase.end_date for phase in planned.phases], [self.month, self.second])
        self.to(self.month - 1)
        self.followed("balance.available")
        self.assertEqual(self.sold(schedule), [(dear, 1)])
        self.to(self.month)
        moved, changed, _ = self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoice.created"
        )
        self.assertEqual(before(moved)["current_phase"]["start_date"], self.start)
        self.assertIn("items", before(changed))
        self.assertEqual(self.sold(schedule), [(cheap, 1)])
        self.to(self.month + HOUR)
        self.followed(*COLLECTED)
        self.assertEqual(self.invoices(), [([7900], "paid"), ([2900], "paid")])
        self.assertEqual(self.waiting(), [])
        self.to(self.second)
        self.followed(
            "balance.available", "subscription_schedule.expiring", *RELEASED, "invoice.created",
            "customer.subscription.updated",
        )
        over = self.schedules.retrieve(schedule.id)
        self.assertEqual((over.status, over.released_subscription, over.subscription), ("released", subscription.id, None))
        self.to(self.second + HOUR)
        self.followed(*COLLECTED)
        subscription = self.v1.subscriptions.retrieve(subscription.id)
        self.assertEqual((subscription.status, subscription.schedule), ("active", None))
        self.assertEqual(self.invoices()[2:], [([2900], "paid")])

    def test_a_price_rises_for_all_seats(self):
        old, new = self.a(1200), self.a(1500)
        _, schedule = self.taken_over(old, 5)
        self.assertEqual(schedule.phases[0]["items"][0].quantity, 5)
        self.then(schedule, new)
        self.to(self.month + HOUR)
        self.followed(
            "balance.available", "subscription_schedule.updated", "customer.subscription.updated", "invoice.created",
            *COLLECTED,
        )
        self.assertEqual(self.sold(schedule), [(new, 5)])
        self.assertEqual(self.invoices(), [([6000], "paid"), ([7500], "paid")])

    def test_it_begins_now(self):
        price = self.a(2900)
        phase = {
            "items": [{"price": price, "quantity": 2, "metadata": {"seat": "a"}}], "metadata": {"plan": "pro"},
            "duration": {"interval": "month", "interval_count": 2},
        }
        schedule = self.begun(phase, metadata={"deal": "7"}, default_settings={"description": "Deal"})
        self.assertEqual(schedule.current_phase.to_dict(), {"start_date": self.start, "end_date": self.second})
        self.assertEqual(schedule.metadata.to_dict(), {"deal": "7"})
        subscription = self.of(schedule)
        self.assertEqual((subscription.status, subscription.description), ("active", "Deal"))
        self.assertEqual(subscription.metadata.to_dict(), {"plan": "pro"})
        self.assertEqual(subscription["items"].data[0].metadata.to_dict(), {"seat": "a"})
        self.assertEqual(self.invoices(), [([5800], "draft")])
        self.world.advance(HOUR)
        self.followed(*COLLECTED)
        self.assertEqual(self.invoices(), [([5800], "paid")])

    def test_it_begins_when_its_day_comes(self):
        price = self.a(2900)
        form = {"customer": self.customer, "start_date": self.month, "phases": [{"items": [{"price": price}]}]}
        schedule = self.schedules.create(form)
        self.followed("subscription_schedule.created")
        self.assertEqual((schedule.status, schedule.subscription), ("not_started", None))
        self.to(self.month - 1)
        self.assertEqual(self.schedules.retrieve(schedule.id).status, "not_started")
        self.to(self.month)
        begun, *_ = self.followed("subscription_schedule.updated", "customer.subscription.created", "invoice.created")
        self.assertEqual(before(begun)["status"], "not_started")
        subscription = self.of(schedule)
        self.assertEqual((subscription.status, subscription.start_date), ("active", self.month))
        self.to(self.month + HOUR)
        self.followed(*COLLECTED)
        self.assertEqual(self.invoices(), [([2900], "paid")])

    def changes_in_the_middle(self, **more):
        cheap, dear = self.a(2900), self.a(7900)
        change = self.start + INTO_MONTH
        schedule = self.begun(
            {"items": [{"price": cheap}], "end_date": change},
            {"items": [{"price": dear}], "end_date": self.second, **more},
        )
        self.to(change - 1)
        self.followed(*COLLECTED, "balance.available")
        self.assertEqual(self.sold(schedule), [(cheap, 1)])
        self.to(change)
        self.assertEqual(self.sold(schedule), [(dear, 1)])
        return schedule

    def test_a_phase_within_a_period_is_prorated(self):
        self.changes_in_the_middle()
        self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"
        )
        self.assertEqual(self.waiting(), [-1901, 5179])
        self.to(self.month + HOUR)
        self.followed("customer.subscription.updated", "invoice.created", *COLLECTED)
        self.assertEqual(self.invoices(), [([2900], "paid"), ([7900, -1901, 5179], "paid")])

    def test_a_proration_is_invoiced_at_once(self):
        self.changes_in_the_middle(proration_behavior="always_invoice")
        self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoiceitem.created",
            "invoiceitem.created", "invoice.created",
        )
        self.assertEqual(self.invoices(), [([2900], "paid"), ([-1901, 5179], "draft")])
        self.world.advance(HOUR)
        self.followed(*COLLECTED)
        self.assertEqual(self.v1.invoices.list({"customer": self.customer}).data[0].amount_paid, 3278)

    def test_a_phase_begins_a_period(self):
        schedule = self.changes_in_the_middle(billing_cycle_anchor="phase_start")
        self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoiceitem.created", "invoice.created"
        )
        subscription = self.of(schedule)
        self.assertEqual(subscription.billing_cycle_anchor, self.start + INTO_MONTH)
        self.assertEqual(subscription["items"].data[0].current_period_start, self.start + INTO_MONTH)
        self.assertEqual(self.invoices(), [([2900], "paid"), ([7900, -1901], "draft")])

    def test_a_trial_is_a_phase(self):
        cheap, dear = self.a(2900), self.a(7900)
        schedule = self.begun(
            {"items": [{"price": cheap}], "trial": True, "end_date": self.start + 14 * DAY},
            {"items": [{"price": dear}], "proration_behavior": "none"},
        )
        subscription = self.of(schedule)
        self.assertEqual((subscription.status, subscription.trial_end), ("trialing", self.start + 14 * DAY))
        self.to(self.start + 14 * DAY + HOUR)
        self.followed(
            # The invoice of the trial comes to nothing.
            "invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
            "customer.subscription.trial_will_end", "subscription_schedule.updated", "customer.subscription.updated",
            "invoice.created", *COLLECTED,
        )
        self.assertEqual(self.invoices(), [([0], "paid"), ([7900], "paid")])
        self.assertEqual((self.of(schedule).status, self.sold(schedule)), ("active", [(dear, 1)]))

    def test_it_is_released(self):
        phase = {"items": [{"price": self.a(2900)}], "end_date": self.second}
        for keeps in (False, True):
            schedule = self.begun(phase, end_behavior="cancel")
            self.assertEqual(self.of(schedule).cancel_at, self.second)
            released = self.schedules.release(schedule.id, {"preserve_cancel_date": keeps})
            self.followed(*RELEASED)
            self.assertEqual((released.status, released.subscription), ("released", None))
            subscription = self.of(schedule)
            self.assertEqual((subscription.schedule, subscription.status), (None, "active"))
            self.assertEqual(subscription.cancel_at, self.second if keeps else None)
            error = self.refused(INVALID, 400, None, self.schedules.cancel, schedule.id)
            self.assertIn("in the `released` status", str(error))

    def test_canceling_credits_what_is_unused(self):
        schedule = self.begun({"items": [{"price": self.a(2900)}]})
        self.world.advance(INTO_MONTH)
        self.followed(*COLLECTED, "balance.available")
        canceled = self.schedules.cancel(schedule.id)
        self.followed(
            "invoiceitem.created", "invoice.created", "invoice.finalized", "customer.updated", "customer.updated",
            "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.deleted",
            "subscription_schedule.canceled",
        )
        self.assertEqual((canceled.status, canceled.canceled_at), ("canceled", self.start + INTO_MONTH))
        self.assertEqual((self.of(schedule).status, canceled.current_phase), ("canceled", None))
        self.assertEqual(self.invoices(), [([2900], "paid"), ([-1901], "paid")])
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -1901)

    def test_canceling_credits_nothing_if_it_is_not_to(self):
        schedule = self.begun({"items": [{"price": self.a(2900)}]})
        self.world.advance(INTO_MONTH)
        self.followed(*COLLECTED, "balance.available")
        canceled = self.schedules.cancel(schedule.id, {"prorate": False, "invoice_now": False})
        self.followed("customer.subscription.deleted", "subscription_schedule.canceled")
        self.assertEqual(canceled.status, "canceled")
        self.assertEqual(self.invoices(), [([2900], "paid")])

    def test_it_ends_with_its_subscription(self):
        phase = {"items": [{"price": self.a(2900)}], "end_date": self.month}
        schedule = self.begun(phase, end_behavior="cancel")
        self.to(self.month)
        self.followed(
            *COLLECTED, "balance.available", "subscription_schedule.expiring", "customer.subscription.deleted",
            "subscription_schedule.completed",
        )
        over = self.schedules.retrieve(schedule.id)
        self.assertEqual((over.status, over.completed_at), ("completed", self.month))
        subscription = self.of(schedule)
        self.assertEqual((subscription.status, subscription.ended_at), ("canceled", self.month))
        self.assertEqual(len(self.invoices()), 1)

    def test_the_present_phase_and_those_to_come_are_changed(self):
        seat, dear = self.a(1200), self.a(7900)
        schedule = self.begun(
            {"items": [{"price": seat, "quantity": 5}], "end_date": self.month},
            {"items": [{"price": seat, "quantity": 5}], "end_date": self.second},
        )
        self.world.advance(INTO_MONTH)
        self.followed(*COLLECTED, "balance.available")
        changed = self.schedules.update(schedule.id, {"phases": [
            {"items": [{"price": seat, "quantity": 8}], "start_date": self.start, "end_date": self.month},
            {"items": [{"price": dear}], "duration": {"interval": "month"}},
        ]})
        self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"
        )
        self.assertEqual([phase.end_date for phase in changed.phases], [self.month, self.second])
        self.assertEqual(self.sold(schedule), [(seat, 8)])
        self.assertEqual(self.waiting(), [-3933, 6293])
        self.to(self.month + HOUR)
        self.followed(
            "subscription_schedule.updated", "customer.subscription.updated", "invoice.created", *COLLECTED
        )
        self.assertEqual(self.invoices(), [([6000], "paid"), ([7900, -3933, 6293], "paid")])
        # Phases that are over may be left out, and stay.
        phase = {"items": [{"price": dear}], "start_date": self.month, "end_date": self.second + DAY}
        longer = self.schedules.update(schedule.id, {"phases": [phase]})
        self.followed("subscription_schedule.updated")
        self.assertEqual([phase.end_date for phase in longer.phases], [self.month, self.second + DAY])

    def test_its_subscription_is_changed_and_canceled_directly(self):
        seat, dear = self.a(1200), self.a(7900)
        subscription, schedule = self.taken_over(seat, 5)
        self.then(schedule, dear)
        update = self.v1.subscriptions.update
        error = self.refused(INVALID, 400, None, update, subscription.id, {"cancel_at_period_end": True})
        self.assertIn(f"managed by the subscription schedule `{schedule.id}`", str(error))
        self.world.advance(INTO_MONTH)
        self.followed("balance.available")
        self.v1.subscription_items.update(subscription["items"].data[0].id, {"quantity": 8})
        self.followed(
            "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created", "subscription_schedule.updated"
        )
        phases = self.schedules.retrieve(schedule.id).phases
        self.assertEqual([phase["items"][0].quantity for phase in phases], [8, 5])
        self.v1.subscriptions.cancel(subscription.id)
        self.followed("customer.subscription.deleted", "subscription_schedule.canceled")
        self.assertEqual(self.schedules.retrieve(schedule.id).status, "canceled")

    def test_a_payment_that_fails_for_good_aborts_it(self):
        self.card("chargeCustomerFail")
        self.followed("payment_method.attached", "customer.updated")
        phase = {"items": [{"price": self.a(2900)}], "duration": {"interval": "year"}}
        schedule = self.begun(phase)
        self.world.advance(HOUR)
        self.followed(
            "invoice.finalized", "customer.updated", "payment_intent.created", "payment_intent.payment_failed",
            "charge.failed", "invoice.updated", "invoice.payment_failed", "customer.subscription.updated",
        )
        self.assertEqual(self.of(schedule).status, "past_due")
        failed = ("payment_intent.payment_failed", "charge.failed", "invoice.updated", "invoice.payment_failed")
        self.world.advance(15 * DAY)
        self.followed(*failed * 3, "invoice.updated", "customer.subscription.deleted", "subscription_schedule.aborted")
        self.assertEqual(self.schedules.retrieve(schedule.id).status, "canceled")
        self.assertEqual(self.of(schedule).cancellation_details.reason, "payment_failed")

    def test_a_phase_brings_its_discount_and_what_it_sells_once(self):
        price = self.a(2900)
        coupon = self.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
        setup = {"currency": "usd", "product": self.v1.prices.retrieve(price).product, "unit_amount": 5000}
        self.followed("coupon.created")
        form = {"customer": self.customer, "start_date": "now", "phases": [
            {
                "items": [{"price": price}], "end_date": self.month, "discounts": [{"coupon": coupon}],
                "add_invoice_items": [{"price_data": setup}],
            },
            {"items": [{"price": price}]},
        ]}
        schedule = self.schedules.create(form)
        self.followed(
            *BEGUN, "price.created", "invoiceitem.created", "coupon.updated", "customer.discount.created"
        )
        self.assertEqual(schedule.phases[0].discounts[0].coupon, coupon)
        self.to(self.month + HOUR)
        self.followed(
            *COLLECTED, "balance.available", "subscription_schedule.updated", "customer.discount.deleted",
            "customer.subscription.updated", "invoice.created", *COLLECTED,
        )
        self.assertEqual(self.invoices(), [([2900, 5000], "paid"), ([2900], "paid")])
        totals = [one.total for one in self.v1.invoices.list({"customer": self.customer}).data]
        self.assertEqual(totals, [2900, 3950])

    def test_an_item_has_a_discount_of_its_own(self):
        cheap, dear = self.a(2900), self.a(7900)
        coupon = self.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
        self.followed("coupon.created")
        form = {"customer": self.customer, "start_date": "now", "phases": [
            {"items": [{"price": cheap, "discounts": [{"coupon": coupon}]}, {"price": dear}], "end_date": self.month},
            {"items": [{"price": cheap}, {"price": dear}]},
        ]}
        schedule = self.schedules.create(form)
        self.followed(*BEGUN, "coupon.updated", "customer.discount.created")
        first, second = schedule.phases[0]["items"]
        self.assertEqual((first.discounts[0].coupon, second.discounts), (coupon, []))
        first, second = self.of(schedule)["items"].data
        self.assertEqual((len(first.discounts), second.discounts), (1, []))
        self.to(self.month)
        self.followed(
            *COLLECTED, "balance.available", "subscription_schedule.updated", "customer.discount.deleted",
            "customer.subscription.updated", "invoice.created",
        )
        totals = [one.total for one in self.v1.invoices.list({"customer": self.customer}).data]
        self.assertEqual(totals, [10_800, 9350])

    def test_what_it_cannot_be_is_refused(self):
        price = self.a(2900)
        phase = {"items": [{"price": price}]}
        form = {"customer": self.customer, "start_date": "now"}
        create = self.schedules.create
        for sent, code, param in (
            ({**form, "phases": [{**phase, "end_date": self.start - 1}]}, None, "phases[0][end_date]"),
            ({**form, "phases": [{**phase, "iterations": 2}]}, "parameter_unknown", "phases[0][iterations]"),
            ({"customer": self.customer, "phases": [phase]}, "parameter_missing", "start_date"),
            ({"start_date": "now", "phases": [phase]}, "parameter_missing", "customer"),
            (form, "parameter_missing", "phases"),
        ):
            error = self.refused(INVALID, 400, code, create, sent)
            self.assertEqual(error.param, param)
        subscription, schedule = self.taken_over(price)
        both = {"from_subscription": subscription.id, "phases": [phase]}
        error = self.refused(INVALID, 400, None, create, both)
        self.assertIn("You cannot set `phases` if `from_subscription` is set", str(error))
        error = self.refused(INVALID, 400, None, create, {"from_subscription": subscription.id})
        self.assertIn("already attached to a schedule", str(error))
        present = {**phase, "start_date": self.start, "end_date": self.month}
        for phases, message in (
            ([{**phase, "end_date": self.month}], "missing at least one phase with a `start_date`"),
            ([{**present, "start_date": self.start + 1}], "can not modify the start date of the current phase"),
            ([present, {**phase, "start_date": self.month + 1}], "must equal the `end_date` of the phase before it"),
        ):
            error = self.refused(INVALID, 400, None, self.schedules.update, schedule.id, {"phases": phases})
            self.assertIn(message, str(error))
        self.world.advance(DAY)
        past = [{**present, "end_date": self.start + HOUR}]
        error = self.refused(INVALID, 400, None, self.schedules.update, schedule.id, {"phases": past})
        self.assertIn("can only adjust the end date to a future date", str(error))

    def test_they_are_listed(self):
        phase = {"items": [{"price": self.a(2900)}]}
        form = {"customer": self.customer, "phases": [phase]}
        later = self.schedules.create({**form, "start_date": self.month})
        gone = self.schedules.create({**form, "start_date": self.month})
        now = self.schedules.create({**form, "start_date": "now"})
        self.schedules.cancel(gone.id)
        created = ["subscription_schedule.created"] * 2
        self.followed(*created, *BEGUN, "subscription_schedule.canceled")
        listed = lambda **more: [one.id for one in self.schedules.list({"customer": self.customer, **more}).data]
        self.assertEqual(listed(), [now.id, gone.id, later.id])
        self.assertEqual(listed(scheduled=True), [later.id])
        self.assertEqual(listed(canceled_at={"gte": self.start}), [gone.id])
        self.assertEqual(listed(released_at={"gte": self.start}), [])
        expanded = self.schedules.retrieve(now.id, {"expand": ["subscription", "phases.items.price"]})
        self.assertEqual(expanded.subscription.schedule, now.id)
        self.assertEqual(expanded.phases[0]["items"][0].price.unit_amount, 2900)
