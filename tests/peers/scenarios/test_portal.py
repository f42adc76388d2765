"""The customer portal: its configurations and sessions, and what customers do on its page."""

import urllib.error

import stripe

from support import DAY, Scenario, before

INVALID = stripe.InvalidRequestError
BACK = "https://example.com/account"
SAVED = ("setup_intent.created", "setup_intent.succeeded", "payment_method.attached", "customer.updated",
         "customer.subscription.updated")


class Portal(Scenario):
    def setUp(self):
        super().setUp()
        self.monthly = self.price(900, recurring={"interval": "month"})
        self.yearly = self.v1.prices.create({
            "product": self.monthly.product, "currency": "usd", "unit_amount": 9000, "recurring": {"interval": "year"},
        })
        self.customer, self.subscription = self.subscribed("jenny")
        self.world.settle()
        self._mark = len(self.world.receiver.events)

    def subscribed(self, name):
        customer = self.v1.customers.create({"email": f"{name}@example.com"})
        card = self.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
        subscription = self.v1.subscriptions.create({
            "customer": customer.id, "items": [{"price": self.monthly.id}], "default_payment_method": card.id,
        })
        return customer, subscription

    def configuration(self, **features):
        made = self.v1.billing_portal.configurations.create({"features": features})
        self.followed("billing_portal.configuration.created")
        return made

    def updates(self, **more):
        return self.configuration(subscription_update={
            "enabled": True, "default_allowed_updates": ["price", "quantity"],
            "products": [{"product": self.monthly.product, "prices": [self.monthly.id, self.yearly.id],
                          "adjustable_quantity": {"enabled": True, "maximum": 5}}],
            **more,
        })

    def open(self, configuration=None, **more):
        form = {"customer": self.customer.id, "return_url": BACK, **more}
        if configuration:
            form["configuration"] = configuration.id
        session = self.v1.billing_portal.sessions.create(form)
        self.assertEqual((session.customer, session.return_url), (self.customer.id, BACK))
        created = ["billing_portal.session.created"]
        if not configuration:
            created.append("billing_portal.configuration.created")
        self.followed(*created)
        return session

    def now(self):
        return self.v1.subscriptions.retrieve(self.subscription.id)

    def test_a_card_is_replaced_for_all_that_it_pays(self):
        session = self.open()
        self.assertIn("ending in 4242", self.world.page(session.url))
        status, _, page = self.world.pay(session.url, "4000000000000002", action="card")
        self.assertEqual((status, "declined" in page), (402, True))
        self.followed("setup_intent.created", "setup_intent.setup_failed")
        self.assertEqual(self.now().default_payment_method, self.subscription.default_payment_method)

        status, headers, _ = self.world.pay(session.url, "5555555555554444", action="card")
        self.assertEqual(status, 303)
        *_, customer, subscription = self.followed(*SAVED)
        card = customer.data.object.invoice_settings.default_payment_method
        self.assertEqual(subscription.data.object.default_payment_method, card)
        page = self.world.page(headers["location"])
        self.assertIn("Your change is saved", page)
        self.assertIn("ending in 4444", page)

        page = self.world.pay(session.url, "4000002500003155", action="card")[1]["location"]
        self.followed("setup_intent.created", "setup_intent.requires_action")
        back = self.world.submit(page, action="fail")[1]["location"]
        self.assertIn("not authenticated", self.world.page(back))
        self.followed("setup_intent.setup_failed")
        page = self.world.pay(session.url, "4000002500003155", action="card")[1]["location"]
        self.followed("setup_intent.created", "setup_intent.requires_action")
        self.assertEqual(self.world.submit(page, action="complete")[0], 303)
        self.followed(*SAVED[1:])
        self.assertNotEqual(self.now().default_payment_method, card)

    def test_a_subscription_is_canceled_with_a_reason_and_kept_after_all(self):
        session = self.open()
        about = {"subscription": self.subscription.id}
        status, _, _ = self.world.submit(session.url, action="cancel", feedback="unused", comment="Too little time", **about)
        self.assertEqual(status, 303)
        (updated,) = self.followed("customer.subscription.updated")
        canceled = updated.data.object
        end = canceled["items"].data[0].current_period_end
        self.assertEqual((canceled.cancel_at, canceled.cancel_at_period_end, canceled.status), (end, False, "active"))
        details = canceled.cancellation_details
        self.assertEqual((details.comment, details.feedback, details.reason),
                         ("Too little time", "unused", "cancellation_requested"))
        self.assertIn("Ends on", self.world.page(session.url))
        self.assertEqual(self.world.submit(session.url, action="cancel", **about)[0], 400)
        self.assertEqual(self.world.submit(session.url, action="renew", **about)[0], 303)
        (updated,) = self.followed("customer.subscription.updated")
        kept = updated.data.object
        self.assertEqual((kept.cancel_at, kept.canceled_at), (None, None))
        self.assertEqual(set(kept.cancellation_details.to_dict().values()), {None})
        self.assertEqual(before(updated)["cancel_at"], end)
        self.world.submit(session.url, action="cancel", **about)
        self.world.advance(32 * DAY)
        self.assertEqual(self.now().status, "canceled")
        self.followed("customer.subscription.updated", "customer.subscription.deleted", "balance.available")

    def test_a_plan_and_its_quantity_are_changed(self):
        session = self.open(self.updates())
        about = {"subscription": self.subscription.id, "action": "change"}
        self.assertIn("90.00 usd / year", self.world.page(session.url))
        self.assertEqual(self.world.submit(session.url, price=self.yearly.id, quantity="3", **about)[0], 303)
        (updated,) = self.followed("customer.subscription.updated")
        (item,) = updated.data.object["items"].data
        self.assertEqual((item.price.id, item.quantity), (self.yearly.id, 3))
        other = self.price(100, recurring={"interval": "month"})
        self.followed("product.created", "price.created")
        for price, quantity in ((other.id, "3"), (self.yearly.id, "6"), (self.yearly.id, "0"), (self.yearly.id, "many")):
            with self.subTest(price=price, quantity=quantity):
                self.assertEqual(self.world.submit(session.url, price=price, quantity=quantity, **about)[0], 400)
        self.followed()

    def test_a_change_is_paid_for_at_once_or_not_made(self):
        session = self.open(self.updates(proration_behavior="always_invoice"))
        # Half of January 15th to February 15th.
        self.world.advance(31 * DAY // 2)
        session = self.v1.billing_portal.sessions.create(
            {"customer": self.customer.id, "configuration": session.configuration}
        )
        about = {"action": "change", "subscription": self.subscription.id}
        good = self.subscription.default_payment_method
        poor = self.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": self.customer.id})
        self.v1.subscriptions.update(self.subscription.id, {"default_payment_method": poor.id})
        status, _, page = self.world.submit(session.url, quantity="3", **about)
        self.assertEqual((status, "declined" in page), (402, True))
        self.assertEqual(self.now()["items"].data[0].quantity, 1)
        self.v1.subscriptions.update(self.subscription.id, {"default_payment_method": good})
        self.assertEqual(self.world.submit(session.url, quantity="3", **about)[0], 303)
        subscription = self.v1.subscriptions.retrieve(self.subscription.id, {"expand": ["latest_invoice"]})
        self.assertEqual(subscription["items"].data[0].quantity, 3)
        invoice = subscription.latest_invoice
        self.assertEqual((invoice.status, invoice.amount_paid, invoice.billing_reason), ("paid", 900, "subscription_update"))
        self.assertEqual(sorted(line.amount for line in invoice.lines.data), [-450, 1350])
        self.assertIn("9.00 usd", self.world.page(session.url))

    def test_a_smaller_plan_begins_with_the_next_period(self):
        waits = [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]
        configuration = self.updates(schedule_at_period_end={"conditions": waits})
        conditions = configuration.features.subscription_update.schedule_at_period_end.conditions
        self.assertEqual([one.type for one in conditions], ["decreasing_item_amount", "shortening_interval"])
        session = self.open(configuration)
        about = {"action": "change", "subscription": self.subscription.id}
        quantity = lambda: self.now()["items"].data[0].quantity
        released = ("subscription_schedule.updated", "customer.subscription.updated", "subscription_schedule.released")
        planned = ("subscription_schedule.created", "customer.subscription.updated", "subscription_schedule.updated")
        self.world.submit(session.url, quantity="3", **about)
        self.followed("customer.subscription.updated")
        self.assertEqual(quantity(), 3)
        self.world.submit(session.url, quantity="1", **about)
        self.followed(*planned)
        self.assertEqual(quantity(), 3)
        self.assertIn("Changes on", self.world.page(session.url))
        # Another plan takes its place.
        self.world.submit(session.url, quantity="2", **about)
        self.followed(*released, *planned)
        self.assertEqual(quantity(), 3)
        schedule = self.v1.subscription_schedules.retrieve(self.now().schedule)
        self.assertEqual([phase["items"][0].quantity for phase in schedule.phases], [3, 2])
        self.world.advance(31 * DAY + 2 * 3600)
        self.assertEqual(quantity(), 2)
        invoice = self.v1.invoices.retrieve(self.now().latest_invoice)
        self.assertEqual(([line.amount for line in invoice.lines.data], invoice.status), ([1800], "paid"))
        self.world.settle()
        self._mark = len(self.world.receiver.events)

        session = self.open(configuration)
        self.world.submit(session.url, price=self.yearly.id, **about)
        self.followed(*released, "customer.subscription.updated")
        year = self.now()["items"].data[0]
        self.assertEqual(year.price.id, self.yearly.id)
        self.world.submit(session.url, price=self.monthly.id, **about)
        self.followed(*planned)
        schedule = self.v1.subscription_schedules.retrieve(self.now().schedule)
        self.assertEqual(schedule.phases[1].start_date, year.current_period_end)
        # Who cancels gives the change up.
        session = self.open(self.configuration(subscription_cancel={"enabled": True}))
        self.world.submit(session.url, action="cancel", subscription=self.subscription.id)
        self.followed(*released, "customer.subscription.updated")
        self.assertEqual((self.now().schedule, self.now().cancel_at), (None, year.current_period_end))

    def test_a_flow_does_one_thing_and_leads_on(self):
        confirmed = {"hosted_confirmation": {"custom_message": "See you"}, "type": "hosted_confirmation"}
        session = self.open(
            self.configuration(subscription_cancel={"enabled": True, "mode": "immediately"}),
            flow_data={"type": "subscription_cancel", "subscription_cancel": {"subscription": self.subscription.id},
                       "after_completion": confirmed},
        )
        self.assertEqual((session.flow.type, session.flow.subscription_cancel.subscription),
                         ("subscription_cancel", self.subscription.id))
        page = self.world.page(session.url)
        self.assertEqual(("Cancel now" in page, "Invoices" in page, BACK in page), (True, False, True))
        _, headers, _ = self.world.submit(session.url, action="cancel", subscription=self.subscription.id)
        self.assertIn("See you", self.world.page(headers["location"]))
        (deleted,) = self.followed("customer.subscription.deleted")
        self.assertEqual(deleted.data.object.status, "canceled")

        session = self.open(
            self.configuration(payment_method_update={"enabled": True}),
            flow_data={"type": "payment_method_update",
                       "after_completion": {"type": "redirect", "redirect": {"return_url": "https://example.com/thanks"}}},
        )
        self.assertEqual(self.world.pay(session.url, action="card")[1]["location"], "https://example.com/thanks")
        self.followed(*SAVED[:4])

    def test_a_flow_confirms_a_change(self):
        configuration = self.updates()
        item = self.subscription["items"].data[0].id
        wanted = {"subscription": self.subscription.id, "items": [{"id": item, "price": self.yearly.id}]}
        flow = {"type": "subscription_update_confirm", "subscription_update_confirm": wanted}
        session = self.open(configuration, flow_data=flow)
        (line,) = session.flow.subscription_update_confirm["items"]
        self.assertEqual((line.price, line.quantity), (self.yearly.id, 1))
        self.assertIn("90.00 usd / year", self.world.page(session.url))
        self.world.submit(session.url, action="confirm")
        self.followed("customer.subscription.updated")
        self.assertEqual(self.now()["items"].data[0].price.id, self.yearly.id)
        wanted["items"][0]["quantity"] = 6
        error = self.refused(INVALID, 400, None, self.v1.billing_portal.sessions.create, {
            "customer": self.customer.id, "configuration": configuration.id, "flow_data": flow,
        }).error
        self.assertEqual(error.param, "flow_data[subscription_update_confirm][items]")

    def test_configurations_say_what_is_allowed(self):
        configurations = self.v1.billing_portal.configurations
        made = configurations.create({
            "name": "Simple", "business_profile": {"headline": "Things & more"}, "default_return_url": BACK,
            "features": {"invoice_history": {"enabled": True}}, "metadata": {"a": "1"},
        })
        self.assertEqual((made.active, made.is_default, made.features.subscription_cancel.enabled), (True, False, False))
        self.world.advance(5)
        changed = configurations.update(made.id, {"name": "", "features": {"customer_update": {
            "enabled": True, "allowed_updates": ["name"],
        }}})
        self.assertEqual((changed.name, changed.updated - made.updated, changed.features.invoice_history.enabled), (None, 5, True))
        self.followed("billing_portal.configuration.created", "billing_portal.configuration.updated")
        session = self.open(made)
        page = self.world.page(session.url)
        self.assertEqual([word in page for word in ("Things &amp; more", "Invoices", "Cancel", "Payment method")],
                         [True, True, False, False])
        self.assertEqual(self.world.submit(session.url, action="customer", name="Jen", email="other@example.com")[0], 303)
        (updated,) = self.followed("customer.updated")
        self.assertEqual(before(updated), {"name": None})
        for action in ("cancel", "card", "change", "confirm", "renew", "fly"):
            with self.subTest(action=action):
                self.assertEqual(self.world.submit(session.url, action=action, subscription=self.subscription.id)[0], 400)
        self.open()
        (default,) = configurations.list({"is_default": True}).data
        self.assertEqual(len(configurations.list({"active": True}).data), 2)
        self.assertEqual(self.refused(INVALID, 400, None, configurations.update, default.id, {"active": False}).error.param,
                         "active")
        configurations.update(made.id, {"active": False})
        error = self.refused(INVALID, 400, None, self.v1.billing_portal.sessions.create,
                             {"customer": self.customer.id, "configuration": made.id}).error
        self.assertEqual(error.param, "configuration")

    def test_what_is_not_the_customers_is_refused(self):
        _, other = self.subscribed("john")
        self.world.settle()
        self._mark = len(self.world.receiver.events)
        session = self.open()
        self.assertEqual(self.world.submit(session.url, action="cancel", subscription=other.id)[0], 400)
        sessions = self.v1.billing_portal.sessions
        missing, unserved = "parameter_missing", "sandbox_unsupported_parameter"
        cancel = lambda id: {"type": "subscription_cancel", "subscription_cancel": {"subscription": id}}
        for form, code, param in (
            ({}, missing, "customer"),
            ({"customer": "cus_nobody"}, "resource_missing", "customer"),
            ({"return_url": "nowhere"}, "url_invalid", "return_url"),
            ({"flow_data": cancel(other.id)}, None, "flow_data[subscription_cancel][subscription]"),
            ({"flow_data": {"type": "subscription_update"}}, None, "flow_data[type]"),
            ({"flow_data": {"type": "customer_update"}}, unserved, "flow_data[type]"),
        ):
            with self.subTest(param=param, code=code):
                form = {"customer": self.customer.id, **form} if form else form
                self.assertEqual(self.refused(INVALID, 400, code, sessions.create, form).error.param, param)
        features = {"subscription_update": {"enabled": True, "default_allowed_updates": ["price"]}}
        error = self.refused(INVALID, 400, missing, self.v1.billing_portal.configurations.create, {"features": features}).error
        self.assertEqual(error.param, "features[subscription_update][products]")
        self.followed()
        self.world.advance(3601)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.world.page(session.url)
        with caught.exception as answer:
            self.assertEqual(answer.code, 410)
