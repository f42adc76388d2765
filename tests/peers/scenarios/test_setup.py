"""Setup intents and their attempts."""

import stripe

from support import RETURN, Scenario

INVALID = stripe.InvalidRequestError
CONFLICT = "setup_intent_unexpected_state"


class Setup(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny"})
        self.followed("customer.created")

    def set_up(self, card, **more):
        form = {"customer": self.customer.id, "payment_method": f"pm_card_{card}", "confirm": True, "return_url": RETURN}
        return self.v1.setup_intents.create({**form, **more})

    def attempts(self, intent):
        return self.v1.setup_attempts.list({"setup_intent": intent.id}).data

    def test_a_card_is_set_up_and_saved(self):
        intent = self.v1.setup_intents.create({"customer": self.customer.id, "metadata": {"why": "trial"}})
        self.assertEqual((intent.status, intent.usage), ("requires_payment_method", "off_session"))
        self.assertTrue(intent.client_secret.startswith(f"{intent.id}_secret_"))
        intent = self.v1.setup_intents.update(intent.id, {"payment_method": "pm_card_mastercard", "description": "Trial"})
        self.assertEqual((intent.status, intent.description, intent.metadata.why), ("requires_confirmation", "Trial", "trial"))
        self.followed("setup_intent.created")
        self.assertEqual(self.attempts(intent), [])
        intent = self.v1.setup_intents.confirm(intent.id, {"return_url": RETURN, "expand": ["latest_attempt"]})
        self.assertEqual((intent.status, intent.latest_attempt.status), ("succeeded", "succeeded"))
        events = self.followed("setup_intent.succeeded", "payment_method.attached")
        done, attached = (event.data.object for event in events)
        self.assertEqual((done.payment_method, attached.customer), (attached.id, self.customer.id))
        (attempt,) = self.attempts(intent)
        self.assertEqual((attempt.payment_method, attempt.payment_method_details.card.last4), (attached.id, "4444"))

    def test_a_card_is_set_up_by_its_owner(self):
        intent = self.set_up("authenticationRequiredOnSetup")
        self.assertEqual(intent.status, "requires_action")
        self.assertEqual([one.status for one in self.attempts(intent)], ["requires_action"])
        self.followed("setup_intent.created", "setup_intent.requires_action")
        url = intent.next_action.redirect_to_url.url
        self.assertIn("save the card", self.world.page(url))
        self.assertEqual(self.v1.payment_methods.list({"customer": self.customer.id}).data, [])
        status, headers, _ = self.world.submit(url, action="complete")
        self.assertEqual((status, headers["location"].startswith(f"{RETURN}?setup_intent={intent.id}")), (303, True))
        self.followed("setup_intent.succeeded", "payment_method.attached")
        (attempt,) = self.attempts(intent)
        secure = attempt.payment_method_details.card.three_d_secure
        self.assertEqual((attempt.status, secure.result), ("succeeded", "authenticated"))

    def test_a_declined_card_is_not_set_up(self):
        error = self.refused(stripe.CardError, 402, "card_declined", self.set_up, "visa_chargeDeclinedLostCard").error
        self.assertEqual((error.decline_code, error.setup_intent.status), ("lost_card", "requires_payment_method"))
        _, failed = self.followed("setup_intent.created", "setup_intent.setup_failed")
        self.assertEqual(failed.data.object.last_setup_error.decline_code, "lost_card")
        (attempt,) = self.attempts(error.setup_intent)
        self.assertEqual((attempt.status, attempt.setup_error.decline_code), ("failed", "lost_card"))
        self.assertEqual(self.v1.payment_methods.list({"customer": self.customer.id}).data, [])

    def test_another_card_is_set_up_after_a_failure(self):
        intent = self.set_up("threeDSecureRequired")
        self.world.submit(intent.next_action.redirect_to_url.url, action="fail")
        failed = self.followed("setup_intent.setup_failed", "setup_intent.created", "setup_intent.requires_action")[0]
        self.assertEqual(failed.data.object.last_setup_error.code, "setup_intent_authentication_failure")
        self.assertEqual(failed.data.object.status, "requires_payment_method")
        self.world.advance(60)
        intent = self.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN})
        self.assertEqual((intent.status, intent.last_setup_error, intent.next_action), ("succeeded", None, None))
        self.followed("setup_intent.succeeded", "payment_method.attached")
        self.assertEqual([one.status for one in self.attempts(intent)], ["succeeded", "failed"])

    def test_an_intent_is_canceled_while_it_is_open(self):
        setup = self.v1.setup_intents
        for more, status, events in (
            ({"confirm": False, "return_url": "", "payment_method": ""}, "requires_payment_method", ()),
            ({"confirm": False, "return_url": ""}, "requires_confirmation", ()),
            ({"payment_method": "pm_card_authenticationRequired"}, "requires_action", ("setup_intent.requires_action",)),
        ):
            with self.subTest(status=status):
                form = {"customer": self.customer.id, "payment_method": "pm_card_visa", "confirm": True, "return_url": RETURN}
                intent = setup.create({name: value for name, value in {**form, **more}.items() if value})
                self.assertEqual(intent.status, status)
                self.followed("setup_intent.created", *events)
                canceled = setup.cancel(intent.id, {"cancellation_reason": "abandoned"})
                self.assertEqual((canceled.status, canceled.cancellation_reason), ("canceled", "abandoned"))
                self.followed("setup_intent.canceled")
                self.refused(INVALID, 400, CONFLICT, setup.confirm, intent.id, {"payment_method": "pm_card_visa"})
        self.assertEqual([one.status for one in self.attempts(intent)], ["abandoned"])
        done = self.set_up("visa")
        self.followed("setup_intent.created", "setup_intent.succeeded", "payment_method.attached")
        error = self.refused(INVALID, 400, CONFLICT, setup.cancel, done.id).error
        self.assertEqual(error.setup_intent.status, "succeeded")
        self.refused(INVALID, 400, CONFLICT, setup.confirm, done.id, {"return_url": RETURN})
        self.followed()

    def test_intents_are_listed_by_customer(self):
        first, second = self.set_up("visa"), self.set_up("amex")
        nobody = self.v1.setup_intents.create({"payment_method": "pm_card_visa", "confirm": True, "return_url": RETURN})
        self.followed(*("setup_intent.created", "setup_intent.succeeded", "payment_method.attached") * 2,
                      "setup_intent.created", "setup_intent.succeeded")
        ids = lambda **form: [one.id for one in self.v1.setup_intents.list(form).data]
        self.assertEqual(ids(customer=self.customer.id), [second.id, first.id])
        self.assertEqual(ids(payment_method=first.payment_method), [first.id])
        self.assertEqual(ids(), [nobody.id, second.id, first.id])
        self.assertIsNone(self.v1.payment_methods.retrieve(nobody.payment_method).customer)
