"""Keys that make a call happen once: what is replayed, what is refused, and for how long."""

import http.client

import stripe

from support import DAY, Scenario


class Idempotency(Scenario):
    def test_a_refusal_of_an_executed_call_is_replayed_and_one_before_it_is_not(self):
        key = {"idempotency_key": "pay-1"}
        form = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
        first = self.refused(stripe.CardError, 402, "card_declined", self.v1.payment_intents.create, form, key)
        self.followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed")
        again = self.refused(stripe.CardError, 402, "card_declined", self.v1.payment_intents.create, form, key)
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(again.error.payment_intent.id, first.error.payment_intent.id)
        self.followed()

        key = {"idempotency_key": "customer-1"}
        create = self.v1.customers.create
        self.refused(stripe.InvalidRequestError, 400, "parameter_unknown", create, {"nickname": "x"}, key)
        self.assertEqual(create({"name": "Jenny"}, key).name, "Jenny")
        self.followed("customer.created")
        self.refused(stripe.IdempotencyError, 400, None, self.v1.products.create, {"name": "Jenny"}, key)
        self.followed()

    def test_a_key_is_forgotten_after_a_day(self):
        key = {"idempotency_key": "daily"}
        first = self.v1.customers.create({"name": "Jenny"}, key)
        self.world.advance(DAY - 60)
        self.assertEqual(self.v1.customers.create({"name": "Jenny"}, key).id, first.id)
        self.followed("customer.created")
        self.world.advance(120)
        second = self.v1.customers.create({"name": "Tom"}, key)
        self.assertNotEqual(second.id, first.id)
        self.assertNotIn("idempotent-replayed", second.last_response.headers)
        (created,) = self.followed("customer.created")
        self.assertEqual((created.data.object.name, created.request.idempotency_key), ("Tom", "daily"))

    def test_a_key_in_use_is_a_conflict_until_the_first_call_is_over(self):
        self.world.spoil({"method": "POST", "path": "/v1/customers", "kind": "hang"})
        slow = http.client.HTTPConnection(self.world.url.removeprefix("http://"))
        headers = {"Authorization": "Bearer sk_test_peers", "Idempotency-Key": "slow"}
        slow.request("POST", "/v1/customers", "name=Jenny", headers)
        # What the hanging call did is told of before it is over.
        (created,) = self.awaited("customer.created")
        form, key = {"name": "Jenny"}, {"idempotency_key": "slow"}
        self.refused(stripe.APIError, 409, "idempotency_key_in_use", self.v1.customers.create, form, key)
        slow.close()
        patient = self.world.client_of("sk_test_peers", retries=5)
        self.assertEqual(patient.v1.customers.create(form, key).id, created.data.object.id)
        self.followed()
        self.assertEqual(self.world.effects("customer"), [("created", "POST /v1/customers")])

    def test_each_account_has_keys_of_its_own(self):
        account = self.v1.accounts.create({"type": "express", "country": "DE"})
        key = {"idempotency_key": "same"}
        ours = self.v1.customers.create({"name": "Jenny"}, key)
        theirs = self.v1.customers.create({"name": "Tom"}, {**key, "stripe_account": account.id})
        self.assertNotEqual(ours.id, theirs.id)
        again = self.v1.customers.create({"name": "Tom"}, {**key, "stripe_account": account.id})
        self.assertEqual((again.id, again.last_response.headers["idempotent-replayed"]), (theirs.id, "true"))
        self.followed("customer.created")
