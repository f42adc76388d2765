"""Who may call, how often, in which version, and whose data they see."""

import stripe

from support import Scenario


class Keys(Scenario):
    def test_a_restricted_key_may_do_what_it_was_given(self):
        key = self.world.control("keys", {"permissions": {"customers": "read", "products": "write"}})["key"]
        limited = self.world.client_of(key).v1
        product = limited.products.create({"name": "Pro"})
        self.followed("product.created")
        self.assertEqual((limited.customers.list().data, limited.products.retrieve(product.id).name), ([], "Pro"))
        for act, form in ((limited.customers.create, {}), (limited.charges.list, {}), (limited.coupons.create, {"percent_off": 5})):
            refused = self.refused(stripe.PermissionError, 403, None, act, form)
            self.assertNotIn(key, str(refused))
        self.followed()

    def test_a_publishable_key_sees_an_intent_whose_secret_it_knows(self):
        key = self.world.control("keys")["publishable"]
        self.assertTrue(key.startswith("pk_test_"))
        browser = self.world.client_of(key).v1
        self.refused(stripe.AuthenticationError, 401, "secret_key_required", browser.customers.list)
        intent = self.v1.payment_intents.create({"amount": 1500, "currency": "usd", "metadata": {"cost": "900"}})
        self.followed("payment_intent.created")
        secret = {"client_secret": intent.client_secret}
        seen = browser.payment_intents.retrieve(intent.id, secret)
        self.assertEqual((seen.amount, seen.status, hasattr(seen, "metadata")), (1500, "requires_payment_method", False))
        wrong = {"client_secret": f"{intent.id}_secret_wrong"}
        self.refused(
            stripe.InvalidRequestError, 400, "payment_intent_invalid_parameter", browser.payment_intents.retrieve,
            intent.id, wrong,
        )
        paid = {**secret, "payment_method": "pm_card_visa", "return_url": "https://example.com"}
        self.assertEqual(browser.payment_intents.confirm(intent.id, paid).status, "succeeded")
        succeeded, _ = self.followed("payment_intent.succeeded", "charge.succeeded")
        self.assertEqual(succeeded.data.object.amount_received, 1500)

    def test_a_version_of_the_past_is_echoed_and_one_that_is_none_is_refused(self):
        for version in ("2024-06-20", "2025-03-31.basil"):
            older = self.world.client_of("sk_test_peers", stripe_version=version).v1
            customer = older.customers.create({"name": "Jenny"})
            self.assertEqual((customer.name, customer.last_response.headers["stripe-version"]), ("Jenny", version))
            (created,) = self.followed("customer.created")
            self.assertEqual(created.api_version, stripe.api_version)
        for version in ("yesterday", "2024-6-2"):
            nonsense = self.world.client_of("sk_test_peers", stripe_version=version).v1
            refused = self.refused(stripe.InvalidRequestError, 400, None, nonsense.customers.create, {})
            self.assertIn(version, str(refused))
        self.followed()

    def test_each_account_has_data_of_its_own(self):
        self.world.receive_of_accounts()
        sellers = [
            self.v1.accounts.create({"type": "express", "country": country, "email": f"{country}@example.com"})
            for country in ("DE", "US")
        ]
        made = [
            self.v1.customers.create({"email": "jenny@example.com"}, {"stripe_account": seller.id}) for seller in sellers
        ]
        events = self.followed("customer.created", "customer.created")
        self.assertEqual({event.account for event in events}, {seller.id for seller in sellers})
        for seller, customer in zip(sellers, made):
            options = {"stripe_account": seller.id}
            listed = self.v1.customers.list(None, options)
            self.assertEqual([one.id for one in listed.data], [customer.id])
            self.assertEqual(listed.last_response.headers["stripe-account"], seller.id)
            self.assertEqual([one.account for one in self.v1.events.list(None, options).data], [seller.id])
            self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.customers.retrieve, customer.id)
        self.assertEqual(self.v1.customers.list().data, [])
        self.refused(
            stripe.PermissionError, 403, "account_invalid", self.v1.customers.list, None, {"stripe_account": "acct_none"}
        )


class Rate(Scenario):
    options = ("--rate-limit", "2")

    def test_too_many_calls_a_second_are_refused_and_tried_again(self):
        def refusal():
            while True:
                self.v1.customers.list()

        refused = self.refused(stripe.RateLimitError, 429, "rate_limit", refusal)
        self.assertEqual(refused.headers["stripe-rate-limited-reason"], "global-rate")
        patient = self.world.client_of("sk_test_peers", retries=5).v1
        for number in range(4):
            patient.customers.create({"name": f"Customer {number}"})
        events = self.followed(*["customer.created"] * 4)
        self.assertEqual([event.data.object.name for event in events], [f"Customer {number}" for number in range(4)])
