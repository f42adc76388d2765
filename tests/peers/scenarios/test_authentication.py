"""3-D Secure: who must authenticate when, and what follows."""

from urllib.parse import parse_qs, urlsplit

import stripe

from support import PAID, RETURN, Scenario

ASKED = ("payment_intent.created", "payment_intent.requires_action")
SUCCEEDED = ("payment_intent.succeeded", "charge.succeeded")
FAILED = ("payment_intent.payment_failed", "charge.failed")


class Authentication(Scenario):
    def asked(self, amount, card, **more):
        """A payment that waits for its payer, and the page on which they authenticate."""
        intent = self.paid(amount, card, **more)
        self.assertEqual((intent.status, intent.amount_received), ("requires_action", 0))
        self.assertEqual(intent.next_action.type, "redirect_to_url")
        return intent, intent.next_action.redirect_to_url.url

    def answered(self, url, action):
        """Authenticates, or fails to: where the payer goes then, and how that was told there."""
        status, headers, _ = self.world.submit(url, action=action)
        self.assertEqual(status, 303)
        target, _, query = headers["location"].partition("?")
        return target, {name: values[0] for name, values in parse_qs(query).items()}

    def saved(self, card):
        customer = self.v1.customers.create({"name": "Jenny"})
        method = self.v1.payment_methods.attach(f"pm_card_{card}", {"customer": customer.id})
        self.followed("customer.created", "payment_method.attached")
        return {"customer": customer.id, "payment_method": method.id}

    def test_a_payer_authenticates(self):
        intent, url = self.asked(2500, "threeDSecure2Required")
        self.followed(*ASKED)
        self.assertIn("25.00 usd", self.world.page(url))
        target, told = self.answered(url, "complete")
        self.assertEqual((target, told["redirect_status"], told["payment_intent"]), (RETURN, "succeeded", intent.id))
        self.assertEqual(told["payment_intent_client_secret"], intent.client_secret)
        succeeded, charge = (event.data.object for event in self.followed(*SUCCEEDED))
        self.assertEqual((succeeded.amount_received, succeeded.next_action), (2500, None))
        secure = charge.payment_method_details.card.three_d_secure
        self.assertEqual((secure.result, secure.authentication_flow), ("authenticated", "challenge"))
        self.assertEqual(self.world.submit(url, action="complete")[0], 409)
        self.followed()

    def test_a_payer_fails_to_authenticate(self):
        intent, url = self.asked(2500, "threeDSecureRequired")
        self.followed(*ASKED)
        self.assertEqual(self.answered(url, "fail")[1]["redirect_status"], "failed")
        (failed,) = self.followed("payment_intent.payment_failed")
        self.assertEqual(failed.data.object.last_payment_error.code, "payment_intent_authentication_failure")
        self.assertEqual((failed.data.object.status, failed.data.object.latest_charge), ("requires_payment_method", None))
        intent = self.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN})
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 2500))
        self.followed(*SUCCEEDED)

    def test_without_the_payer_authentication_is_a_decline(self):
        saved = self.saved("authenticationRequired")
        pay = lambda: self.paid(900, off_session=True, **saved)
        error = self.refused(stripe.CardError, 402, "authentication_required", pay).error
        self.assertEqual((error.decline_code, error.payment_method.id), ("authentication_required", saved["payment_method"]))
        self.assertEqual(error.payment_intent.status, "requires_payment_method")
        _, _, charge = self.followed("payment_intent.created", *FAILED)
        self.assertEqual(charge.data.object.outcome.reason, "authentication_required")
        # The payer comes back and authenticates for the same intent.
        again = {"payment_method": saved["payment_method"], "return_url": RETURN}
        asked = self.v1.payment_intents.confirm(error.payment_intent.id, again)
        self.followed("payment_intent.requires_action")
        self.answered(asked.next_action.redirect_to_url.url, "complete")
        succeeded, _ = self.followed(*SUCCEEDED)
        self.assertEqual((succeeded.data.object.id, succeeded.data.object.amount_received), (asked.id, 900))

    def test_once_set_up_a_card_pays_without_its_owner(self):
        customer = self.v1.customers.create({"name": "Jenny"})
        setup = self.v1.setup_intents.create({
            "customer": customer.id, "payment_method": "pm_card_authenticationRequiredOnSetup", "confirm": True,
            "return_url": RETURN,
        })
        self.assertEqual((setup.status, setup.usage), ("requires_action", "off_session"))
        self.followed("customer.created", "setup_intent.created", "setup_intent.requires_action")
        _, told = self.answered(setup.next_action.redirect_to_url.url, "complete")
        self.assertEqual((told["redirect_status"], told["setup_intent"]), ("succeeded", setup.id))
        _, attached = self.followed("setup_intent.succeeded", "payment_method.attached")
        method = attached.data.object.id
        intent = self.paid(1900, customer=customer.id, payment_method=method, off_session=True)
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 1900))
        self.followed(*PAID)
        asked, _ = self.asked(1900, "", customer=customer.id, payment_method=method)
        self.followed(*ASKED)
        self.assertEqual(asked.payment_method, method)

    def test_a_card_that_was_not_set_up_is_declined_off_session(self):
        saved = self.saved("authenticationRequiredOnSetup")
        pay = lambda: self.paid(1900, off_session=True, **saved)
        self.refused(stripe.CardError, 402, "authentication_required", pay)
        self.followed("payment_intent.created", *FAILED)

    def test_a_card_set_up_elsewhere_asks_its_owner_alone(self):
        saved = self.saved("authenticationRequiredSetupForOffSession")
        self.assertEqual(self.paid(650, off_session=True, **saved).amount_received, 650)
        self.followed(*PAID)
        _, url = self.asked(650, "", **saved)
        self.followed(*ASKED)
        self.answered(url, "complete")
        self.followed(*SUCCEEDED)

    def test_a_bank_declines_after_authentication(self):
        intent, url = self.asked(3300, "authenticationRequiredChargeDeclinedInsufficientFunds")
        self.followed(*ASKED)
        self.assertEqual(self.answered(url, "complete")[1]["redirect_status"], "failed")
        failed, charge = (event.data.object for event in self.followed(*FAILED))
        self.assertEqual((failed.id, failed.last_payment_error.decline_code), (intent.id, "insufficient_funds"))
        self.assertEqual(charge.payment_method_details.card.three_d_secure.result, "authenticated")
        self.assertEqual((charge.amount, charge.amount_captured), (3300, 0))

    def test_a_caller_that_cannot_ask_is_told(self):
        pay = lambda: self.paid(400, "threeDSecure2Required", error_on_requires_action=True)
        error = self.refused(stripe.CardError, 402, "card_declined", pay).error
        self.assertEqual(error.decline_code, "authentication_not_handled")
        self.followed("payment_intent.created", *FAILED)

    def test_authentication_is_asked_for_where_it_is_optional(self):
        wanted = {"payment_method_options": {"card": {"request_three_d_secure": "any"}}}
        self.assertEqual(self.paid(500, "threeDSecureOptional").status, "succeeded")
        self.followed(*PAID)
        intent, url = self.asked(500, "threeDSecureOptional", **wanted)
        self.followed(*ASKED)
        self.answered(url, "complete")
        _, charge = self.followed(*SUCCEEDED)
        self.assertEqual(charge.data.object.payment_method_details.card.three_d_secure.result, "authenticated")
        self.assertEqual(self.paid(500, **wanted).status, "succeeded", "the card is not enrolled")
        self.followed(*PAID)

    def test_a_hold_is_authenticated_too(self):
        intent, url = self.asked(7000, "threeDSecure2Required", capture_method="manual")
        self.followed(*ASKED)
        self.answered(url, "complete")
        held, charge = self.followed("payment_intent.amount_capturable_updated", "charge.succeeded")
        self.assertEqual((held.data.object.status, held.data.object.amount_capturable), ("requires_capture", 7000))
        self.assertIs(charge.data.object.captured, False)
        self.assertEqual(self.v1.payment_intents.capture(intent.id).amount_received, 7000)
        self.followed("charge.captured", "payment_intent.succeeded")

    def checkout(self):
        product = self.v1.products.create({"name": "Thing"})
        price = self.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 800})
        session = self.v1.checkout.sessions.create({
            "mode": "payment", "line_items": [{"price": price.id, "quantity": 2}],
            "success_url": "https://example.com/done?session={CHECKOUT_SESSION_ID}",
        })
        self.followed("product.created", "price.created")
        status, headers, _ = self.world.pay(session.url, "4000 0000 0000 3220", email="jenny@example.com")
        self.assertEqual((status, "/3d_secure/pi_" in headers["location"]), (303, True))
        self.followed(*ASKED)
        return session, headers["location"]

    def test_a_subscription_says_whether_its_payer_is_there(self):
        saved = self.saved("authenticationRequiredSetupForOffSession")
        price = self.price(800, recurring={"interval": "month"}).id
        form = {"customer": saved["customer"], "default_payment_method": saved["payment_method"]}
        form |= {"items": [{"price": price}]}
        subscriptions = [
            self.v1.subscriptions.create({**form, "off_session": off_session}) for off_session in (False, True)
        ]
        self.assertEqual([one.status for one in subscriptions], ["incomplete", "active"])
        subscription = subscriptions[1]
        item = subscription["items"].data[0].id
        how = {"proration_behavior": "always_invoice", "payment_behavior": "error_if_incomplete"}

        def seats(quantity, off_session):
            items = [{"id": item, "quantity": quantity}]
            return self.v1.subscriptions.update(subscription.id, {**how, "items": items, "off_session": off_session})

        code = "subscription_payment_intent_requires_action"
        self.refused(stripe.CardError, 402, code, seats, 3, False)
        self.assertEqual(seats(2, True)["items"].data[0].quantity, 2)
        changed = self.v1.subscription_items.update(item, {**how, "quantity": 4, "off_session": True})
        self.assertEqual(changed.quantity, 4)

    def test_a_session_is_paid_through_authentication(self):
        session, url = self.checkout()
        self.assertEqual(self.v1.checkout.sessions.retrieve(session.id).payment_status, "unpaid")
        target, told = self.answered(url, "complete")
        self.assertEqual((urlsplit(target).path, told), ("/done", {"session": session.id}))
        completed, _, charge = self.followed("checkout.session.completed", *SUCCEEDED)
        self.assertEqual((completed.data.object.payment_status, charge.data.object.amount), ("paid", 1600))

    def test_a_session_stays_open_where_authentication_fails(self):
        session, url = self.checkout()
        target, _ = self.answered(url, "fail")
        self.assertEqual(target, session.url)
        self.followed("payment_intent.payment_failed")
        session = self.v1.checkout.sessions.retrieve(session.id)
        self.assertEqual((session.status, session.payment_status), ("open", "unpaid"))
        self.assertEqual(self.world.pay(session.url, email="jenny@example.com")[0], 303)
        completed, *_ = self.followed("checkout.session.completed", *SUCCEEDED)
        self.assertEqual(completed.data.object.amount_total, 1600)
