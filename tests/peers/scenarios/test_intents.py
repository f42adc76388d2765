"""Payment intents, from state to state."""

import stripe

from support import DAY, PAID, RETURN, Scenario

HELD = ("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded")
INVALID = stripe.InvalidRequestError
CONFLICT = "payment_intent_unexpected_state"
WRONG = "payment_intent_invalid_parameter"


class Intents(Scenario):
    def held(self, amount, **more):
        intent = self.paid(amount, capture_method="manual", **more)
        self.assertEqual((intent.status, intent.amount_capturable, intent.amount_received), ("requires_capture", amount, 0))
        self.followed(*HELD)
        return intent

    def test_a_payment_gets_its_method_later(self):
        intents = self.v1.payment_intents
        intent = intents.create({"amount": 1500, "currency": "gbp", "metadata": {"order": "7"}})
        self.assertTrue(intent.client_secret.startswith(f"{intent.id}_secret_"))
        self.followed("payment_intent.created")
        missing = self.refused(INVALID, 400, CONFLICT, intents.confirm, intent.id, {"return_url": RETURN})
        self.assertEqual(missing.error.payment_intent.status, "requires_payment_method")
        intent = intents.update(intent.id, {
            "amount": 1700, "description": "Mug", "metadata": {"gift": "yes"}, "payment_method": "pm_card_gb",
        })
        self.assertEqual((intent.status, intent.amount), ("requires_confirmation", 1700))
        self.assertEqual(intent.metadata.to_dict(), {"order": "7", "gift": "yes"})
        self.followed()
        intent = intents.confirm(intent.id, {"return_url": RETURN, "expand": ["latest_charge"]})
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 1700))
        charge = intent.latest_charge
        self.assertEqual((charge.description, charge.metadata.gift, charge.currency), ("Mug", "yes", "gbp"))
        self.assertEqual(charge.payment_method_details.card.country, "GB")
        self.followed("payment_intent.succeeded", "charge.succeeded")

    def test_an_amount_has_limits(self):
        intents = self.v1.payment_intents
        for amount, currency, code in (
            (49, "usd", "amount_too_small"), (29, "gbp", "amount_too_small"), (100_000_000, "usd", "amount_too_large"),
            (0, "usd", "parameter_invalid_integer"), (-50, "usd", "parameter_invalid_integer"),
        ):
            with self.subTest(amount=amount, currency=currency):
                form = {"amount": amount, "currency": currency}
                self.assertEqual(self.refused(INVALID, 400, code, intents.create, form).param, "amount")
        error = self.refused(INVALID, 400, None, intents.create, {"amount": 500, "currency": "xxx"})
        self.assertTrue(error.user_message.startswith("Invalid currency: xxx. Stripe currently supports"), error)
        self.followed()
        self.assertEqual(intents.list().data, [])
        least, most = (intents.create({"amount": amount, "currency": "usd"}) for amount in (50, 99_999_999))
        self.followed("payment_intent.created", "payment_intent.created")
        self.refused(INVALID, 400, "amount_too_small", intents.update, least.id, {"amount": 10})
        self.assertEqual([one.amount for one in intents.list().data], [99_999_999, 50])
        self.assertEqual(most.status, "requires_payment_method")
        self.followed()

    def test_a_hold_is_captured_whole(self):
        intent = self.held(3000)
        charge = self.v1.charges.retrieve(intent.latest_charge)
        self.assertEqual((charge.captured, charge.amount_captured, charge.balance_transaction), (False, 0, None))
        intent = self.v1.payment_intents.capture(intent.id)
        self.assertEqual((intent.status, intent.amount_received, intent.amount_capturable), ("succeeded", 3000, 0))
        captured, _ = self.followed("charge.captured", "payment_intent.succeeded")
        charge = captured.data.object
        self.assertEqual((charge.captured, charge.amount_captured, charge.amount_refunded), (True, 3000, 0))
        again = self.refused(INVALID, 400, CONFLICT, self.v1.payment_intents.capture, intent.id)
        self.assertIn("already been captured", again.user_message)
        self.followed()

    def test_a_hold_is_captured_in_part(self):
        intent = self.held(3000, card="mastercard")
        too_much = {"amount_to_capture": 3001}
        error = self.refused(INVALID, 400, "amount_too_large", self.v1.payment_intents.capture, intent.id, too_much)
        self.assertEqual(error.param, "amount_to_capture")
        self.followed()
        intent = self.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1200, "metadata": {"parcel": "1"}})
        self.assertEqual((intent.status, intent.amount, intent.amount_received), ("succeeded", 3000, 1200))
        self.assertEqual((intent.amount_capturable, intent.metadata.parcel), (0, "1"))
        captured, _ = self.followed("charge.captured", "payment_intent.succeeded")
        charge = captured.data.object
        # The rest is released, which Stripe counts as refunded.
        self.assertEqual((charge.amount, charge.amount_captured, charge.amount_refunded), (3000, 1200, 1800))
        self.assertIs(charge.refunded, False)

    def test_a_hold_is_canceled(self):
        intent = self.held(800)
        intent = self.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
        self.assertEqual((intent.status, intent.amount_capturable, intent.amount_received), ("canceled", 0, 0))
        released, canceled = self.followed("charge.refunded", "payment_intent.canceled")
        self.assertEqual((released.data.object.amount_refunded, released.data.object.captured), (800, False))
        self.assertEqual(canceled.data.object.cancellation_reason, "requested_by_customer")
        self.refused(INVALID, 400, CONFLICT, self.v1.payment_intents.capture, intent.id)

    def test_a_hold_ends_after_seven_days(self):
        intent = self.held(800)
        self.world.advance(7 * DAY - 60)
        self.followed()
        self.world.advance(120)
        expired, canceled = self.followed("charge.expired", "payment_intent.canceled")
        self.assertEqual((expired.data.object.id, expired.data.object.amount_captured), (intent.latest_charge, 0))
        self.assertEqual(canceled.data.object.cancellation_reason, "automatic")
        intent = self.v1.payment_intents.retrieve(intent.id)
        self.assertEqual((intent.status, intent.amount_capturable), ("canceled", 0))

    def test_a_payment_is_canceled_in_every_open_state(self):
        intents = self.v1.payment_intents
        form = {"amount": 900, "currency": "eur"}
        for more, status, events in (
            ({}, "requires_payment_method", ()),
            ({"payment_method": "pm_card_visa"}, "requires_confirmation", ()),
            (
                {"payment_method": "pm_card_threeDSecure2Required", "confirm": True, "return_url": RETURN},
                "requires_action", ("payment_intent.requires_action",),
            ),
        ):
            with self.subTest(status=status):
                intent = intents.create({**form, **more})
                self.assertEqual(intent.status, status)
                self.followed("payment_intent.created", *events)
                canceled = intents.cancel(intent.id)
                self.assertEqual((canceled.status, canceled.next_action), ("canceled", None))
                self.assertGreaterEqual(canceled.canceled_at, intent.created)
                self.followed("payment_intent.canceled")
                self.refused(INVALID, 400, CONFLICT, intents.cancel, intent.id)
        paid = self.paid(900)
        self.followed(*PAID)
        error = self.refused(INVALID, 400, CONFLICT, intents.cancel, paid.id)
        self.assertEqual(error.error.payment_intent.status, "succeeded")
        self.followed()

    def test_what_is_paid_is_settled(self):
        intents = self.v1.payment_intents
        intent = self.paid(2100, "amex")
        self.followed(*PAID)
        for change, param in (({"amount": 1}, "amount"), ({"currency": "eur"}, "currency")):
            self.assertEqual(self.refused(INVALID, 400, CONFLICT, intents.update, intent.id, change).param, param)
        again = self.refused(INVALID, 400, CONFLICT, intents.confirm, intent.id, {"return_url": RETURN})
        self.assertEqual(again.error.payment_intent.id, intent.id)
        self.assertEqual(intents.update(intent.id, {"metadata": {"seen": "1"}}).metadata.to_dict(), {"seen": "1"})
        self.assertEqual(intents.retrieve(intent.id).amount_received, 2100)
        self.followed()

    def test_a_key_confirms_once(self):
        intent = self.v1.payment_intents.create({"amount": 600, "currency": "usd", "payment_method": "pm_card_visa"})
        self.followed("payment_intent.created")
        once = {"idempotency_key": "confirm-600"}
        first, second = (self.v1.payment_intents.confirm(intent.id, {"return_url": RETURN}, once) for _ in range(2))
        self.assertEqual((first.status, first.latest_charge), (second.status, second.latest_charge))
        self.assertEqual(second.last_response.headers["idempotent-replayed"], "true")
        self.followed("payment_intent.succeeded", "charge.succeeded")
        other = {"return_url": RETURN, "payment_method": "pm_card_mastercard"}
        self.refused(stripe.IdempotencyError, 400, None, self.v1.payment_intents.confirm, intent.id, other, once)
        self.assertEqual(len(self.v1.charges.list({"payment_intent": intent.id}).data), 1)

    def test_payments_are_found(self):
        jenny, joe = (self.v1.customers.create({"name": name}) for name in ("Jenny", "Joe"))
        small = self.paid(700, customer=jenny.id, metadata={"order": "a"})
        large = self.paid(70_000, customer=jenny.id, metadata={"order": "b"})
        other = self.v1.payment_intents.create({"amount": 700, "currency": "eur", "customer": joe.id})
        self.followed("customer.created", "customer.created", *PAID, *PAID, "payment_intent.created")
        ids = lambda found: [one.id for one in found.data]
        intents = self.v1.payment_intents
        self.assertEqual(ids(intents.list({"customer": jenny.id})), [large.id, small.id])
        for query, expected in (
            ("status:'succeeded' AND amount>1000", [large.id]),
            ("metadata['order']:'a'", [small.id]),
            (f"customer:'{joe.id}'", [other.id]),
            ("currency:'eur' OR amount<=700", [other.id, small.id]),
            ("-currency:'eur'", [large.id, small.id]),
        ):
            with self.subTest(query=query):
                self.assertEqual(ids(intents.search({"query": query})), expected)
        self.followed()

    def test_a_client_pays_with_the_secret(self):
        intent = self.v1.payment_intents.create({"amount": 1100, "currency": "usd"})
        self.followed("payment_intent.created")
        client = self.world.client_of(self.world.control("keys")["publishable"]).v1.payment_intents
        known = {"client_secret": intent.client_secret}
        self.assertEqual(client.retrieve(intent.id, known).amount, 1100)
        wrong = {"client_secret": f"{intent.id}_secret_wrong"}
        for one in (client, self.v1.payment_intents):
            self.assertEqual(self.refused(INVALID, 400, WRONG, one.retrieve, intent.id, wrong).param, "client_secret")
        error = self.refused(stripe.AuthenticationError, 401, "secret_key_required", client.list).error
        self.assertEqual(error.code, "secret_key_required")
        self.followed()
        card = {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Jenny"}}
        paid = client.confirm(intent.id, {**known, "payment_method_data": card, "return_url": RETURN})
        self.assertEqual((paid.status, paid.amount), ("succeeded", 1100))
        _, charge = self.followed("payment_intent.succeeded", "charge.succeeded")
        self.assertEqual(charge.data.object.billing_details.name, "Jenny")

    def test_the_page_of_test_cards_pays(self):
        intent = self.v1.payment_intents.create({"amount": 1250, "currency": "usd", "description": "A <mug>"})
        self.followed("payment_intent.created")
        url = f"{self.world.sandbox_url}/_sandbox/pay/{intent.id}"
        page = self.world.page(url)
        self.assertTrue("12.50 usd" in page and "A &lt;mug&gt;" in page, page)
        status, _, page = self.world.submit(url, card_number="4000 0000 0000 9995")
        self.assertEqual((status, 'data-code="insufficient_funds"' in page), (402, True))
        self.followed("payment_intent.payment_failed", "charge.failed")
        status, headers, _ = self.world.submit(url, card_number="4242 4242 4242 4242")
        self.assertEqual((status, headers["location"]), (303, url))
        _, charge = self.followed("payment_intent.succeeded", "charge.succeeded")
        self.assertEqual((charge.data.object.amount, charge.data.object.payment_intent), (1250, intent.id))
        self.assertEqual(self.world.submit(url, card_number="4242 4242 4242 4242")[0], 409)
        self.followed()

    def test_what_a_call_names_must_be_there(self):
        v1, money = self.v1, {"amount": 500, "currency": "usd"}
        for status, param, act, *arguments in (
            (404, "intent", v1.payment_intents.retrieve, "pi_0"),
            (404, "intent", v1.payment_intents.cancel, "pi_0"),
            (400, "customer", v1.payment_intents.create, {**money, "customer": "cus_0"}),
            (400, "payment_method", v1.payment_intents.create, {**money, "payment_method": "pm_0"}),
            (400, "payment_intent", v1.refunds.create, {"payment_intent": "pi_0"}),
            (404, "payment_method", v1.payment_methods.detach, "pm_0"),
            (400, "customer", v1.setup_intents.create, {"customer": "cus_0"}),
        ):
            with self.subTest(param=param, status=status):
                self.assertEqual(self.refused(INVALID, status, "resource_missing", act, *arguments).param, param)
        self.followed()
