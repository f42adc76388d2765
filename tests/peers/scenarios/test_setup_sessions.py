"""Checkout sessions in setup mode, and what becomes of those that expire."""

import stripe

from support import DAY, PAID, Scenario

DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}"
SETUP = {"mode": "setup", "currency": "usd", "success_url": DONE}


class SetupSessions(Scenario):
    def test_a_card_is_saved_for_a_customer(self):
        customer = self.v1.customers.create({"email": "jenny@example.com"})
        session = self.v1.checkout.sessions.create({
            **SETUP, "customer": customer.id, "setup_intent_data": {"description": "Card on file", "metadata": {"order": "7"}},
            "client_reference_id": "u7",
        })
        self.assertEqual((session.amount_total, session.payment_status, session.payment_intent),
                         (None, "no_payment_required", None))
        _, created = self.followed("customer.created", "setup_intent.created")
        intent = created.data.object
        self.assertEqual((intent.id, intent.description, intent.metadata["order"], intent.usage),
                         (session.setup_intent, "Card on file", "7", "off_session"))

        self.assertEqual(self.world.pay(session.url)[1]["location"], f"https://example.com/done?session={session.id}")
        completed, attached, succeeded = self.followed(
            "checkout.session.completed", "payment_method.attached", "setup_intent.succeeded"
        )
        self.assertEqual((completed.data.object.setup_intent, completed.data.object.client_reference_id), (intent.id, "u7"))
        self.assertEqual((attached.data.object.customer, attached.data.object.id),
                         (customer.id, succeeded.data.object.payment_method))
        session = self.v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
        self.assertEqual((session.status, session.setup_intent.payment_method.card.last4), ("complete", "4242"))

    def test_a_card_that_its_bank_refuses_leaves_the_session_open(self):
        session = self.v1.checkout.sessions.create({**SETUP, "customer_creation": "always"})
        self.followed("setup_intent.created")
        status, _, page = self.world.pay(session.url, "4000000000000002", email="jenny@example.com")
        self.assertEqual((status, "declined" in page), (402, True))
        (failed,) = self.followed("setup_intent.setup_failed")
        self.assertEqual(failed.data.object.last_setup_error.decline_code, "generic_decline")
        self.assertEqual(self.world.pay(session.url, email="jenny@example.com")[0], 303)
        created, attached, _, _ = self.followed(
            "customer.created", "payment_method.attached", "setup_intent.succeeded", "checkout.session.completed"
        )
        self.assertEqual(attached.data.object.customer, created.data.object.id)

    def test_the_owner_of_a_card_authenticates_to_save_it(self):
        customer = self.v1.customers.create({"email": "jenny@example.com"})
        session = self.v1.checkout.sessions.create({**SETUP, "customer": customer.id})
        self.followed("customer.created", "setup_intent.created")
        page = self.world.pay(session.url, "4000002500003155")[1]["location"]
        self.followed("setup_intent.requires_action")
        back = self.world.submit(page, action="fail")[1]["location"]
        self.followed("setup_intent.setup_failed")
        self.assertIn("/c/pay/", back)
        page = self.world.pay(session.url, "4000002500003155")[1]["location"]
        self.followed("setup_intent.requires_action")
        self.assertEqual(self.world.submit(page, action="complete")[1]["location"],
                         f"https://example.com/done?session={session.id}")
        self.followed("payment_method.attached", "setup_intent.succeeded", "checkout.session.completed")

    def test_a_session_that_sets_up_ends_with_its_intent(self):
        session = self.v1.checkout.sessions.create(SETUP)
        self.followed("setup_intent.created")
        self.world.advance(DAY + 60)
        self.followed("setup_intent.canceled", "checkout.session.expired")
        self.assertEqual(self.v1.setup_intents.retrieve(session.setup_intent).status, "canceled")

    def test_only_the_page_ends_the_intent_of_a_session(self):
        session = self.v1.checkout.sessions.create(SETUP)
        self.followed("setup_intent.created")
        conflict = (stripe.InvalidRequestError, 400, "setup_intent_unexpected_state")
        intents = self.v1.setup_intents
        self.refused(*conflict, intents.confirm, session.setup_intent, {"payment_method": "pm_card_visa"})
        self.refused(*conflict, intents.cancel, session.setup_intent)
        self.assertEqual(intents.retrieve(session.setup_intent).status, "requires_payment_method")
        self.followed()

    def test_what_belongs_to_another_mode_is_refused(self):
        price = self.price(500)
        lines = [{"price": price.id, "quantity": 1}]
        sessions = self.v1.checkout.sessions
        invalid = stripe.InvalidRequestError
        error = self.refused(invalid, 400, None, sessions.create, {**SETUP, "line_items": lines})
        self.assertEqual(error.param, "line_items")
        error = self.refused(invalid, 400, "parameter_missing", sessions.create, {"mode": "setup", "success_url": DONE})
        self.assertEqual(error.param, "currency")
        form = {"mode": "payment", "line_items": lines, "success_url": DONE, "setup_intent_data": {"description": "x"}}
        error = self.refused(invalid, 400, None, sessions.create, form)
        self.assertEqual(error.param, "setup_intent_data")

    def test_an_expired_session_is_recovered(self):
        price = self.price(500)
        session = self.v1.checkout.sessions.create({
            "mode": "payment", "line_items": [{"price": price.id, "quantity": 2}], "success_url": DONE,
            "after_expiration": {"recovery": {"enabled": True}},
        })
        self.assertIsNone(session.after_expiration.recovery.url)
        self.followed("product.created", "price.created")
        self.world.advance(DAY + 60)
        (expired,) = self.followed("checkout.session.expired")
        recovery = expired.data.object.after_expiration.recovery
        self.assertEqual(recovery.expires_at, expired.created + 30 * DAY)
        self.assertIn("Checkout", self.world.page(recovery.url))
        (recovered,) = self.v1.checkout.sessions.list({"status": "open"}).data
        self.assertEqual((recovered.recovered_from, recovered.amount_total, recovered.after_expiration),
                         (session.id, 1000, None))
        self.assertEqual(self.world.pay(recovered.url, email="jenny@example.com")[0], 303)
        self.followed("checkout.session.completed", *PAID)
