"""Refusals: which error of the SDK, with which code, and that nothing came of the call."""

import stripe

from support import Scenario


class Errors(Scenario):
    def test_what_is_wrong_with_a_request_is_named(self):
        v1 = self.v1
        invalid = stripe.InvalidRequestError
        customer = v1.customers.create({})
        self.followed("customer.created")
        for status, code, param, act, *arguments in (
            (400, "parameter_unknown", "nickname", v1.customers.create, {"nickname": "x"}),
            (400, "parameter_missing", "amount", v1.payment_intents.create, {"currency": "usd"}),
            (400, "amount_too_small", "amount", v1.payment_intents.create, {"amount": 10, "currency": "usd"}),
            (400, "parameter_invalid_integer", "limit", v1.customers.list, {"limit": 101}),
            (404, "resource_missing", "id", v1.customers.retrieve, "cus_none"),
        ):
            with self.subTest(code=code, param=param):
                self.assertEqual(self.refused(invalid, status, code, act, *arguments).param, param)
        self.followed()
        self.assertEqual([one.id for one in v1.customers.list().data], [customer.id])

    def test_a_wrong_key_opens_nothing(self):
        stranger = self.world.client_of("sk_test_wrong")
        self.refused(stripe.AuthenticationError, 401, None, stranger.v1.customers.create, {})
        self.followed()
        self.assertEqual(self.v1.customers.list().data, [])
