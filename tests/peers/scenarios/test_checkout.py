"""Checkout sessions: paid once, subscribed to, left alone."""

from support import DAY, Scenario

DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}"


class Checkout(Scenario):
    def test_three_things_are_paid_at_once(self):
        price = self.price(500)
        session = self.v1.checkout.sessions.create(
            {"mode": "payment", "line_items": [{"price": price.id, "quantity": 3}], "success_url": DONE}
        )
        self.assertEqual((session.amount_total, session.status, session.payment_status), (1500, "open", "unpaid"))
        self.followed("product.created", "price.created")

        status, headers, _ = self.world.pay(session.url, email="jenny@example.com")
        self.assertEqual((status, headers["location"]), (303, f"https://example.com/done?session={session.id}"))
        completed, _, _, charged = self.followed(
            "checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded"
        )
        self.assertEqual(completed.data.object.payment_status, "paid")
        self.assertEqual((charged.data.object.amount_captured, charged.data.object.paid), (1500, True))

        session = self.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge", "line_items"]})
        self.assertEqual((session.status, session.payment_intent.amount_received), ("complete", 1500))
        self.assertEqual(session.payment_intent.latest_charge.id, charged.data.object.id)
        self.assertEqual([(line.quantity, line.amount_total) for line in session.line_items.data], [(3, 1500)])

    def test_a_declined_card_leaves_the_session_open(self):
        price = self.price(700)
        session = self.v1.checkout.sessions.create(
            {"mode": "payment", "line_items": [{"price": price.id, "quantity": 1}], "success_url": DONE}
        )
        self.followed("product.created", "price.created")
        status, _, page = self.world.pay(session.url, "4000000000009995", email="jenny@example.com")
        self.assertEqual((status, "insufficient funds" in page), (402, True))
        failed, _, charge = self.followed("payment_intent.payment_failed", "payment_intent.created", "charge.failed")
        self.assertEqual(failed.data.object.last_payment_error.decline_code, "insufficient_funds")
        self.assertEqual((charge.data.object.status, charge.data.object.amount_captured), ("failed", 0))
        session = self.v1.checkout.sessions.retrieve(session.id)
        self.assertEqual((session.status, session.payment_status), ("open", "unpaid"))

    def test_a_trial_costs_nothing_and_its_end_the_price(self):
        price = self.price(2900, recurring={"interval": "month"})
        customer = self.v1.customers.create({"email": "jenny@example.com"})
        session = self.v1.checkout.sessions.create({
            "mode": "subscription", "customer": customer.id, "line_items": [{"price": price.id, "quantity": 2}],
            "subscription_data": {"trial_period_days": 7}, "success_url": DONE,
        })
        self.assertEqual(session.amount_total, 0)
        self.followed("product.created", "price.created", "customer.created")

        self.assertEqual(self.world.pay(session.url)[0], 303)
        subscribed, invoice = self.followed(
            "customer.subscription.created", "invoice.paid", "invoice.created", "invoice.finalized", "invoice.updated",
            "invoice.payment_succeeded", "payment_method.attached", "customer.updated", "checkout.session.completed",
        )[:2]
        self.assertEqual((subscribed.data.object.status, invoice.data.object.amount_paid), ("trialing", 0))

        self.world.advance(4 * DAY + 60)
        self.followed("customer.subscription.trial_will_end")
        self.world.advance(4 * DAY)
        charge, invoice, subscription = self.followed(
            "charge.succeeded", "invoice.paid", "customer.subscription.updated", "invoice.created", "invoice.finalized",
            "invoice.updated", "invoice.payment_succeeded", "invoice_payment.paid", "payment_intent.created",
            "payment_intent.succeeded", "customer.updated",
        )[:3]
        self.assertEqual((charge.data.object.amount, invoice.data.object.billing_reason), (5800, "subscription_cycle"))
        self.assertEqual(subscription.data.object.status, "active")

    def test_a_session_that_nobody_pays_expires_after_a_day(self):
        price = self.price(500)
        form = {"mode": "payment", "line_items": [{"price": price.id, "quantity": 1}], "success_url": DONE}
        left, ended = self.v1.checkout.sessions.create(form), self.v1.checkout.sessions.create(form)
        self.followed("product.created", "price.created")

        self.assertEqual(self.v1.checkout.sessions.expire(ended.id).status, "expired")
        (expired,) = self.followed("checkout.session.expired")
        self.assertEqual(expired.data.object.id, ended.id)
        self.world.advance(DAY + 60)
        (expired,) = self.followed("checkout.session.expired")
        self.assertEqual((expired.data.object.id, expired.created), (left.id, left.expires_at))
