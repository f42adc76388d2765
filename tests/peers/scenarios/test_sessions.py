"""Checkout sessions that are paid once: what is asked for at creation, what the page says, what comes of it."""

import urllib.error
import urllib.request

import stripe

from support import PATIENCE_SECONDS, Scenario

DONE = "https://example.com/done?session={CHECKOUT_SESSION_ID}"
PAID = ("checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded")


def page(url):
    """What a browser is shown: the status and the text."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


class Sessions(Scenario):
    def session(self, *lines, **more):
        return self.v1.checkout.sessions.create(
            {"mode": "payment", "line_items": [*lines], "success_url": DONE, **more}
        )

    def test_what_is_said_of_the_payment_reaches_the_intent_and_its_charge(self):
        price = self.price(1234)
        customer = self.v1.customers.create({"email": "jenny@example.com"})
        session = self.session(
            {"price": price.id, "quantity": 2}, customer=customer.id, client_reference_id="cart-7", metadata={"cart": "7"},
            payment_intent_data={
                "description": "Two things", "metadata": {"order": "o-1"}, "receipt_email": "bill@example.com",
                "statement_descriptor_suffix": "THINGS",
                "shipping": {"name": "Jenny", "address": {"country": "DE", "line1": "Weg 1"}},
            },
        )
        self.assertEqual((session.amount_total, session.payment_intent, session.client_reference_id), (2468, None, "cart-7"))
        self.followed("product.created", "price.created", "customer.created")
        self.assertEqual(self.world.pay(session.url)[0], 303)
        completed, _, succeeded, charged = self.followed(*PAID)
        intent, charge = succeeded.data.object, charged.data.object
        self.assertEqual((intent.description, intent.metadata["order"], intent.amount_received), ("Two things", "o-1", 2468))
        self.assertEqual((charge.receipt_email, charge.shipping.name), ("bill@example.com", "Jenny"))
        self.assertEqual((charge.customer, charge.statement_descriptor_suffix), (customer.id, "THINGS"))
        self.assertEqual((completed.data.object.metadata["cart"], completed.data.object.payment_intent), ("7", intent.id))
        found = self.v1.checkout.sessions.list({"payment_intent": intent.id}).data
        self.assertEqual([(one.id, one.status, one.url) for one in found], [(session.id, "complete", None)])

    def test_the_page_says_what_is_due_and_is_gone_when_it_is_paid_or_expired(self):
        price = self.price(1999)
        paid, ended = self.session({"price": price.id, "quantity": 3}), self.session({"price": price.id, "quantity": 1})
        self.followed("product.created", "price.created")
        status, text = page(paid.url)
        self.assertEqual((status, "59.97 usd" in text, "Thing" in text), (200, True, True))
        status, _, text = self.world.pay(paid.url)
        self.assertEqual((status, "email" in text), (400, True))
        self.followed()
        status, headers, _ = self.world.pay(paid.url, email="jenny@example.com", name="Jenny Rosen")
        self.assertEqual((status, headers["location"]), (303, f"https://example.com/done?session={paid.id}"))
        completed = self.followed(*PAID)[0].data.object
        details = completed.customer_details
        self.assertEqual((details.email, details.name, completed.customer), ("jenny@example.com", "Jenny Rosen", None))

        self.v1.checkout.sessions.expire(ended.id)
        self.followed("checkout.session.expired")
        for gone in (paid, ended):
            self.assertNotIn("card_number", page(gone.url)[1])
            self.assertEqual(self.world.pay(gone.url, email="jenny@example.com")[0], 409)
            self.refused(stripe.InvalidRequestError, 400, None, self.v1.checkout.sessions.expire, gone.id)
        self.followed()

    def test_line_items_are_paged_and_a_sessions_metadata_is_changed(self):
        lines = [
            {
                "price_data": {"currency": "eur", "unit_amount": amount, "product_data": {"name": f"Thing {amount}"}},
                "quantity": quantity,
            }
            for amount, quantity in ((150, 2), (999, 1), (1, 7))
        ]
        lines[0]["adjustable_quantity"] = {"enabled": True, "minimum": 1, "maximum": 5}
        session = self.session(*lines, metadata={"cart": "7"})
        self.followed(*["product.created", "price.created"] * 3)
        self.assertEqual((session.amount_total, session.currency), (1306, "eur"))
        items = self.v1.checkout.sessions.line_items
        first = items.list(session.id, {"limit": 2})
        self.assertEqual((len(first.data), first.has_more), (2, True))
        listed = [(line.description, line.quantity, line.amount_total) for line in first.auto_paging_iter()]
        self.assertEqual(listed, [("Thing 150", 2, 300), ("Thing 999", 1, 999), ("Thing 1", 7, 7)])
        self.assertEqual(first.data[0].adjustable_quantity.maximum, 5)

        changed = self.v1.checkout.sessions.update(session.id, {"metadata": {"cart": "", "note": "gift"}})
        self.assertEqual((changed.metadata.to_dict(), changed.status), ({"note": "gift"}, "open"))
        self.followed()

    def test_a_payer_may_become_a_customer_whose_card_is_kept(self):
        price = self.price(800)
        session = self.session(
            {"price": price.id, "quantity": 1}, customer_creation="always", customer_email="jenny@example.com",
            payment_intent_data={"setup_future_usage": "off_session"},
        )
        self.followed("product.created", "price.created")
        self.assertEqual((session.customer_details.email, session.customer_creation), ("jenny@example.com", "always"))
        self.world.pay(session.url, "5555555555554444", name="Jenny")
        created, attached = self.followed("customer.created", "payment_method.attached", *PAID)[:2]
        customer, card = created.data.object.id, attached.data.object
        self.assertEqual((created.data.object.email, card.customer, card.card.last4), ("jenny@example.com", customer, "4444"))
        again = self.v1.payment_intents.create({
            "amount": 500, "currency": "usd", "customer": customer, "payment_method": card.id, "off_session": True,
            "confirm": True,
        })
        self.assertEqual((again.status, again.amount_received), ("succeeded", 500))
        self.followed("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")

    def test_what_does_not_go_together_is_refused(self):
        once, monthly = self.price(500), self.price(900, recurring={"interval": "month"})
        euros = self.price(500, currency="eur")
        self.followed(*["product.created", "price.created"] * 3)
        line = {"price": once.id, "quantity": 1}
        for lines, more, param in (
            ([{"price": monthly.id, "quantity": 1}], {}, "line_items"),
            ([line, {"price": euros.id, "quantity": 1}], {}, "line_items[1][price]"),
            ([line], {"success_url": "nowhere"}, "success_url"),
            ([line], {"expires_at": self.world.now() + 60}, "expires_at"),
            ([line], {"subscription_data": {"description": "x"}}, "subscription_data"),
            ([line], {"mode": "subscription"}, "line_items"),
            ([{"price": "price_none", "quantity": 1}], {}, "line_items[0][price]"),
        ):
            with self.subTest(param=param), self.assertRaises(stripe.InvalidRequestError) as caught:
                self.session(*lines, **more)
            self.assertEqual(caught.exception.param, param)
        self.followed()
        self.assertEqual(self.v1.checkout.sessions.list().data, [])
