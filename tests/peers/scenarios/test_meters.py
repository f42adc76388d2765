"""Meters: usage reported, added up, taken back, and billed when its period is over."""

import stripe

from support import DAY, START, Scenario, before

NOW = int(START)
DONE = "https://example.com/done"


class Meters(Scenario):
    def setUp(self):
        super().setUp()
        self.billing = self.v1.billing

    def meter(self, formula="sum", **more):
        form = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": formula}, **more}
        meter = self.billing.meters.create(form)
        self.followed("billing.meter.created")
        return meter

    def customer(self):
        customer = self.v1.customers.create({"email": "jenny@example.com"})
        self.followed("customer.created")
        return customer

    def report(self, customer, value, **more):
        payload = {"stripe_customer_id": customer.id, "value": str(value)}
        return self.billing.meter_events.create({"event_name": "calls", "payload": payload, **more})

    def used(self, meter, customer, **more):
        """What a customer used from a day before now to a day after, each with when it began."""
        form = {"customer": customer.id, "start_time": NOW - NOW % DAY - DAY, "end_time": NOW - NOW % DAY + 2 * DAY, **more}
        return [(one.start_time, float(one.aggregated_value)) for one in self.billing.meters.event_summaries.list(meter.id, form)]

    def test_a_meter_is_made_renamed_and_put_out_of_use(self):
        meter = self.meter()
        self.assertTrue(meter.id.startswith("mtr_"))
        self.assertEqual((meter.status, meter.customer_mapping.event_payload_key), ("active", "stripe_customer_id"))
        second = {"display_name": "More", "event_name": "calls", "default_aggregation": {"formula": "count"}}
        self.refused(stripe.InvalidRequestError, 400, None, self.billing.meters.create, second)
        self.billing.meters.update(meter.id, {"display_name": "API calls"})
        (updated,) = self.followed("billing.meter.updated")
        self.assertEqual(before(updated), {"display_name": "Calls"})
        off = self.billing.meters.deactivate(meter.id)
        self.assertEqual((off.status, off.status_transitions.deactivated_at), ("inactive", NOW))
        self.followed("billing.meter.deactivated")
        self.refused(stripe.InvalidRequestError, 400, "resource_missing", self.report, self.customer(), 1)
        self.assertEqual([one.id for one in self.billing.meters.list({"status": "inactive"}).data], [meter.id])
        self.assertEqual(self.billing.meters.reactivate(meter.id).status, "active")
        self.followed("billing.meter.reactivated")
        self.assertEqual(self.billing.meters.retrieve(meter.id).display_name, "API calls")

    def test_usage_is_added_up_by_hour_and_by_day(self):
        meter, customer = self.meter(), self.customer()
        for before_now, value in ((DAY, 4), (3600, "2.5"), (0, 3), (0, -1)):
            event = self.report(customer, value, timestamp=NOW - before_now)
            self.assertEqual((event.timestamp, event.created), (NOW - before_now, NOW))
        today = NOW - NOW % DAY
        self.assertEqual(self.used(meter, customer), [(today - DAY, 8.5)])
        self.assertEqual(self.used(meter, customer, value_grouping_window="day"), [(today, 4.5), (today - DAY, 4)])
        hours = [(NOW, 2), (NOW - 3600, 2.5), (NOW - DAY, 4)]
        self.assertEqual(self.used(meter, customer, value_grouping_window="hour"), hours)
        # Nothing of it is an event.
        self.followed()

    def test_the_last_value_or_the_number_of_events_counts(self):
        customer = self.customer()
        for formula, counted in (("last", 7), ("count", 3)):
            meter = self.meter(formula)
            for before_now, value in ((0, 7), (600, 100), (60, 50)):
                self.report(customer, value, timestamp=NOW - before_now)
            self.assertEqual([value for _, value in self.used(meter, customer)], [counted])
            self.billing.meters.deactivate(meter.id)
            self.followed("billing.meter.deactivated")

    def test_an_identifier_counts_once_a_day_and_is_taken_back(self):
        meter, customer = self.meter(), self.customer()
        self.assertEqual(self.report(customer, 5, identifier="row-1").identifier, "row-1")
        self.report(customer, 1)
        again = lambda: self.report(customer, 5, identifier="row-1")
        error = self.refused(stripe.InvalidRequestError, 400, None, again)
        self.assertIn("An event already exists with identifier row-1.", str(error))
        form = {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "row-1"}}
        adjustment = self.billing.meter_event_adjustments.create(form)
        self.assertEqual((adjustment.status, adjustment.cancel.identifier), ("complete", "row-1"))
        self.assertEqual([value for _, value in self.used(meter, customer)], [1])
        self.refused(stripe.InvalidRequestError, 400, None, self.billing.meter_event_adjustments.create, form)
        self.world.advance(DAY)
        again()
        self.world.advance(DAY)
        self.refused(stripe.InvalidRequestError, 400, "resource_missing", self.billing.meter_event_adjustments.create, form)

    def test_usage_that_cannot_be_is_refused(self):
        self.meter()
        customer = self.customer()
        for form, param in (
            ({"timestamp": NOW - 35 * DAY - 1}, "timestamp"),
            ({"timestamp": NOW + 301}, "timestamp"),
            ({"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}}, "payload[stripe_customer_id]"),
            ({"payload": {"value": "1"}}, "payload[stripe_customer_id]"),
            ({"payload": {"stripe_customer_id": customer.id, "value": "many"}}, "payload[value]"),
            ({"event_name": "visits"}, "event_name"),
        ):
            with self.assertRaises(stripe.InvalidRequestError) as caught:
                self.report(customer, 1, **form)
            self.assertEqual((caught.exception.http_status, caught.exception.param), (400, param))
        self.report(customer, 1, timestamp=NOW - 35 * DAY)
        self.report(customer, 1, timestamp=NOW + 300)

    def metered(self, meter):
        return self.price(5, recurring={"interval": "month", "usage_type": "metered", "meter": meter.id})

    def test_a_metered_price_needs_a_meter_and_takes_no_quantity(self):
        price = self.metered(self.meter())
        self.assertEqual(price.recurring.usage_type, "metered")
        self.followed("product.created", "price.created")
        customer = self.customer()
        for recurring in ({"usage_type": "metered"}, {"usage_type": "licensed", "meter": price.recurring.meter}):
            form = {"product": price.product, "currency": "usd", "unit_amount": 1, "recurring": {"interval": "month", **recurring}}
            with self.assertRaises(stripe.InvalidRequestError) as caught:
                self.v1.prices.create(form)
            self.assertEqual(caught.exception.param, "recurring[meter]")
        items = [{"price": price.id, "quantity": 2}]
        form = {"customer": customer.id, "items": items}
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.subscriptions.create, form)
        self.assertEqual(error.param, "items[0][quantity]")
        form = {"mode": "subscription", "line_items": items, "success_url": DONE}
        error = self.refused(stripe.InvalidRequestError, 400, None, self.v1.checkout.sessions.create, form)
        self.assertIn("Quantity should not be specified where usage_type is `metered`.", str(error))
        found = self.v1.prices.list({"recurring": {"meter": price.recurring.meter}}).data
        self.assertEqual([one.id for one in found], [price.id])
        self.followed()

    def test_usage_is_billed_when_its_period_is_over(self):
        meter, customer = self.meter(), self.customer()
        metered, flat = self.metered(meter), self.price(2900, recurring={"interval": "month"})
        session = self.v1.checkout.sessions.create({
            "mode": "subscription", "customer": customer.id, "success_url": DONE,
            "line_items": [{"price": flat.id, "quantity": 1}, {"price": metered.id}], "expand": ["line_items"],
        })
        lines = [(line.quantity, line.amount_total) for line in session.line_items.data]
        self.assertEqual((session.amount_total, lines), (2900, [(1, 2900), (None, 0)]))
        self.assertEqual(self.world.pay(session.url)[0], 303)
        (subscription,) = self.v1.subscriptions.list({"customer": customer.id}).data
        item = subscription["items"].data[1].to_dict()
        self.assertEqual(("quantity" in item, item["plan"]["usage_type"], item["plan"]["meter"]), (False, "metered", meter.id))
        for value in (10, 20, 12):
            self.report(customer, value)
            self.world.advance(DAY)
        self.world.advance(30 * DAY)
        renewal = self.v1.invoices.list({"limit": 1}).data[0]
        self.assertEqual((renewal.billing_reason, renewal.status, renewal.total), ("subscription_cycle", "paid", 2900 + 42 * 5))
        used = next(line for line in renewal.lines.data if line.pricing.price_details.price == metered.id)
        self.assertEqual((used.quantity, used.amount), (42, 210))
