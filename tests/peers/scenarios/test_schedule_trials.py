"""Subscription schedules whose later phases are trials, or begin with one."""

from support import DAY
from scenarios.scheduled import COLLECTED, HOUR, INTO_MONTH, INVALID, TAKEN_OVER, Scheduled

# A draft that comes to nothing, after its hour.
NOTHING = ("invoice.finalized", "customer.updated", "invoice.updated", "invoice.paid", "invoice.payment_succeeded")
PHASE = ("subscription_schedule.updated", "customer.subscription.updated")


class ScheduleTrials(Scheduled):
    def trial(self, schedule):
        subscription = self.of(schedule)
        return subscription.status, subscription.trial_start, subscription.trial_end

    def test_a_phase_is_a_trial(self):
        cheap, dear = self.a(2900), self.a(7900)
        end = self.month + 14 * DAY
        schedule = self.begun(
            {"items": [{"price": cheap}], "end_date": self.month},
            {"items": [{"price": dear}], "trial": True, "end_date": end},
            {"items": [{"price": dear}]},
        )
        self.assertEqual([phase.trial for phase in schedule.phases], [None, True, None])
        self.assertEqual(schedule.phases[1].trial_end, end)
        self.to(self.month)
        self.followed(*COLLECTED, "balance.available", *PHASE, "invoice.created")
        self.assertEqual(self.trial(schedule), ("trialing", self.month, end))
        self.to(end - 3 * DAY)
        *_, told = self.followed(*NOTHING, "customer.subscription.trial_will_end")
        self.assertEqual((told.created, told.data.object.trial_end), (end - 3 * DAY, end))
        self.assertEqual(self.invoices(), [([2900], "paid"), ([0], "paid")])
        self.to(end + HOUR)
        self.followed(*PHASE, "invoice.created", *COLLECTED)
        subscription = self.of(schedule)
        self.assertEqual((subscription.status, subscription.billing_cycle_anchor), ("active", end))
        self.assertEqual(self.invoices()[2:], [([7900], "paid")])

    def test_a_phase_begins_with_a_trial(self):
        price, end = self.a(2900), self.month + 7 * DAY
        schedule = self.begun(
            {"items": [{"price": price}], "end_date": self.month},
            {"items": [{"price": price}], "trial_end": end, "duration": {"interval": "month", "interval_count": 2}},
        )
        phase = schedule.phases[1]
        self.assertEqual((phase.trial, phase.trial_end), (False, end))
        self.to(end + HOUR)
        self.followed(
            *COLLECTED, "balance.available", *PHASE, "invoice.created", *NOTHING, "customer.subscription.trial_will_end",
            "invoice.created", "customer.subscription.updated", *COLLECTED,
        )
        self.assertEqual(self.trial(schedule), ("active", self.month, end))
        self.assertEqual(self.invoices(), [([2900], "paid"), ([0], "paid"), ([2900], "paid")])

    def test_a_trial_within_a_period_gives_back_what_was_paid_for(self):
        price, begins = self.a(2900), self.start + INTO_MONTH
        schedule = self.begun(
            {"items": [{"price": price}], "end_date": begins},
            {"items": [{"price": price}], "trial": True, "duration": {"interval": "week"}},
        )
        self.to(begins)
        self.followed(
            *COLLECTED, "balance.available", *PHASE, "subscription_schedule.expiring", "invoiceitem.created",
            "invoice.created",
        )
        self.assertEqual(self.trial(schedule), ("trialing", begins, begins + 7 * DAY))
        self.assertEqual(self.invoices(), [([2900], "paid"), ([0, -1901], "draft")])

    def test_a_trial_goes_on_from_phase_to_phase(self):
        cheap, dear = self.a(2900), self.a(7900)
        week = self.start + 7 * DAY
        form = {"customer": self.customer, "items": [{"price": cheap}], "trial_end": week}
        subscription = self.v1.subscriptions.create(form)
        self.followed("customer.subscription.created", "invoice.created", *NOTHING)
        schedule = self.schedules.create({"from_subscription": subscription.id})
        self.followed(*TAKEN_OVER)
        (first,) = schedule.phases
        self.assertEqual((first.trial, first.trial_end, first.end_date), (True, week, week))
        # The phase is written back as it was read.
        kept = {"items": [{"price": cheap}], "start_date": first.start_date, "end_date": first.end_date}
        kept |= {"trial": first.trial, "trial_end": first.trial_end}
        longer = {"items": [{"price": dear}], "trial": True, "end_date": self.month}
        self.schedules.update(schedule.id, {"phases": [kept, longer]})
        self.followed("subscription_schedule.updated")
        self.to(week)
        self.followed("customer.subscription.trial_will_end", *PHASE)
        self.assertEqual(self.trial(schedule), ("trialing", self.start, self.month))
        self.assertEqual((self.sold(schedule), self.invoices()), ([(dear, 1)], [([0], "paid")]))

    def test_a_trial_that_was_ended_is_over(self):
        schedule = self.begun({"items": [{"price": self.a(2900)}], "trial": True, "end_date": self.month})
        self.world.advance(HOUR)
        self.followed(*NOTHING)
        self.v1.subscriptions.update(schedule.subscription, {"trial_end": "now"})
        self.schedules.update(schedule.id, {"metadata": {"a": "1"}})
        changed = ["subscription_schedule.updated"] * 2
        self.followed("customer.subscription.updated", "invoice.created", *COLLECTED, *changed)
        self.assertEqual(self.trial(schedule), ("active", self.start, self.start + HOUR))
        (phase,) = self.schedules.retrieve(schedule.id).phases
        self.assertEqual((phase.trial, phase.trial_end), (False, self.start + HOUR))

    def test_what_is_no_trial_is_refused(self):
        items = [{"price": self.a(2900)}]
        for phase, param in (
            ({"trial": True, "trial_end": self.start + DAY}, "phases[1][trial_end]"),
            ({"trial_end": self.second + 1}, "phases[1][trial_end]"),
            ({"trial_end": self.start + 1}, "phases[1][trial_end]"),
            ({"trial": True, "billing_cycle_anchor": "phase_start"}, "phases[1][billing_cycle_anchor]"),
        ):
            phases = [{"items": items, "end_date": self.month}, {"items": items, "end_date": self.second, **phase}]
            form = {"customer": self.customer, "start_date": "now", "phases": phases}
            error = self.refused(INVALID, 400, None, self.schedules.create, form)
            self.assertEqual(error.param, param)
