"""Previews of subscription schedules, as they are and as they would be."""

from support import DAY
from scenarios.scheduled import COLLECTED, HOUR, INTO_MONTH, INVALID, Scheduled


class SchedulePreviews(Scheduled):
    def details(self, schedule, price, **more):
        """The present phase with a price, until the end of the next period."""
        phase = {"items": [{"price": price}], "start_date": self.start, "end_date": self.second}
        return {"schedule": schedule.id, "schedule_details": {"phases": [phase], **more}}

    def test_the_next_phase_is_previewed(self):
        cheap, dear = self.a(2900), self.a(7900)
        _, schedule = self.taken_over(cheap, 3)
        amounts, preview = self.preview(schedule=schedule.id)
        self.assertEqual((amounts, preview.created), ([8700], self.month))
        self.then(schedule, dear)
        amounts, preview = self.preview(schedule=schedule.id)
        self.assertEqual((amounts, preview.amount_due), ([23_700], 23_700))
        self.assertEqual(self.preview(subscription=schedule.subscription)[0], [23_700])
        self.assertEqual(self.preview(schedule=schedule.id, preview_mode="recurring")[0], [8700])
        self.to(self.month)
        self.assertEqual(self.invoices()[1], ([23_700], "draft"))

    def test_a_change_costs_what_was_previewed(self):
        cheap, dear = self.a(2900), self.a(7900)
        _, schedule = self.taken_over(cheap)
        self.world.advance(INTO_MONTH)
        self.v1.balance.retrieve()
        self.followed("balance.available")
        for behavior, lines, created in (
            ("none", [7900], self.month),
            ("create_prorations", [7900, -1901, 5179], self.month),
            ("always_invoice", [-1901, 5179], self.start + INTO_MONTH),
        ):
            asked = self.details(schedule, dear, proration_behavior=behavior)
            amounts, preview = self.preview(**asked)
            self.assertEqual((amounts, preview.created), (lines, created))
        self.assertEqual(
            preview.parent.subscription_details.subscription_proration_date, self.start + INTO_MONTH
        )
        self.schedules.update(schedule.id, asked["schedule_details"])
        self.assertEqual(self.invoices()[1], ([-1901, 5179], "draft"))

    def test_a_schedule_that_is_not_there_is_previewed(self):
        cheap, dear = self.a(2900), self.a(7900)
        phases = [{"items": [{"price": cheap}], "end_date": self.month}, {"items": [{"price": dear}]}]
        amounts, preview = self.preview(customer=self.customer, schedule_details={"phases": phases})
        self.assertEqual((amounts, preview.created), ([2900], self.start))
        phases[0] |= {"start_date": self.start + DAY, "trial": True}
        amounts, preview = self.preview(
            schedule_details={"phases": phases, "end_behavior": "cancel", "billing_mode": {"type": "classic"}},
        )
        self.assertEqual((amounts, preview.created), ([0], self.start + DAY))
        self.assertEqual(self.schedules.list({"customer": self.customer}).data, [])

    def test_one_that_begins_later_and_ends_is_previewed(self):
        form = {"customer": self.customer, "start_date": self.month, "end_behavior": "cancel"}
        schedule = self.schedules.create({**form, "phases": [{"items": [{"price": self.a(2900)}]}]})
        self.followed("subscription_schedule.created")
        amounts, preview = self.preview(schedule=schedule.id)
        self.assertEqual((amounts, preview.created), ([2900], self.month))
        self.to(self.month + HOUR)
        self.followed(
            "subscription_schedule.updated", "customer.subscription.created", "invoice.created", *COLLECTED
        )
        ends = {"schedule": schedule.id}
        self.refused(INVALID, 404, "invoice_upcoming_none", self.v1.invoices.create_preview, ends)
        goes_on = {**ends, "schedule_details": {"end_behavior": "release"}}
        self.assertEqual(self.preview(**goes_on)[0], [2900])

    def test_what_is_not_previewed_is_refused(self):
        price = self.a(2900)
        subscription, schedule = self.taken_over(price)
        phases = {"phases": [{"items": [{"price": price}]}]}
        for form, param in (
            ({"schedule_details": {"end_behavior": "cancel"}}, "schedule_details"),
            ({"schedule": schedule.id, "subscription": subscription.id}, "schedule"),
            ({"schedule": schedule.id, "subscription_details": {"cancel_now": True}}, "schedule"),
            ({"subscription": subscription.id, "schedule_details": phases}, "schedule_details"),
            ({"schedule": schedule.id, "currency": "eur"}, "currency"),
            ({"schedule": schedule.id, "schedule_details": phases}, "schedule_details[phases]"),
            (
                {"schedule": schedule.id, "schedule_details": {"billing_mode": {"type": "classic"}}},
                "schedule_details[billing_mode]",
            ),
        ):
            error = self.refused(INVALID, 400, None, self.v1.invoices.create_preview, form)
            self.assertEqual(error.param, param, form)
        self.schedules.release(schedule.id)
        form = {"schedule": schedule.id}
        self.refused(INVALID, 404, "invoice_upcoming_none", self.v1.invoices.create_preview, form)
