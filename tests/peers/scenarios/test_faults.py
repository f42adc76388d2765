"""What goes wrong between a call and its answer, and that the SDK's own retries make it happen once."""

import stripe

from support import Scenario

CUSTOMERS = {"method": "POST", "path": "/v1/customers"}
ONE_MADE = [("created", "POST /v1/customers")]


class Faults(Scenario):
    def setUp(self):
        super().setUp()
        self.patient = self.world.client_of("sk_test_peers", retries=2)

    def create(self, client=None, **options):
        return (client or self.world.client).v1.customers.create({"name": "Jenny"}, options)

    def test_refusals_for_the_moment_are_tried_again(self):
        for status, more in (
            (409, {"code": "lock_timeout"}), (429, {}), (429, {"retry_after": 1}), (500, {}), (503, {"retry_after": 1}),
        ):
            with self.subTest(status=status, **more):
                self.world.spoil({**CUSTOMERS, "kind": "status", "status": status, **more})
                customer = self.create(self.patient)
                (created,) = self.followed("customer.created")
                self.assertEqual(created.data.object.id, customer.id)
                self.assertTrue(created.request.idempotency_key)
        self.assertEqual(self.world.effects("customer"), ONE_MADE * 5)

    def test_refusals_are_the_sdks_errors_where_it_does_not_try_again(self):
        for status, error, code in (
            (409, stripe.APIError, "idempotency_key_in_use"), (429, stripe.RateLimitError, "rate_limit"),
            (500, stripe.APIError, None), (503, stripe.APIError, None),
        ):
            with self.subTest(status):
                self.world.spoil({**CUSTOMERS, "kind": "status", "status": status, "retry_after": 2})
                refused = self.refused(error, status, code, self.create)
                self.assertEqual(refused.headers["retry-after"], "2")
        self.followed()
        self.assertEqual(self.world.effects("customer"), [])

    def test_a_proxys_page_is_no_answer(self):
        self.world.spoil({**CUSTOMERS, "kind": "html_502", "times": 2})
        with self.assertRaises(stripe.APIError) as caught:
            self.create()
        self.assertEqual((caught.exception.http_status, "502 Bad Gateway" in caught.exception.http_body), (502, True))
        self.followed()
        self.assertEqual(self.create(self.patient).name, "Jenny")
        self.followed("customer.created")
        # A page may hide that the call was executed.
        self.world.spoil({**CUSTOMERS, "kind": "html_502", "executed": True})
        customer = self.create(self.patient)
        self.assertEqual(customer.last_response.headers["idempotent-replayed"], "true")
        self.followed("customer.created")
        self.assertEqual(self.world.effects("customer"), ONE_MADE * 2)

    def test_half_an_answer_is_asked_for_again(self):
        self.world.spoil({**CUSTOMERS, "kind": "truncated"})
        with self.assertRaises(stripe.StripeError):
            self.create(idempotency_key="half")
        (created,) = self.followed("customer.created")
        customer = self.create(idempotency_key="half")
        self.assertEqual((customer.id, customer.name), (created.data.object.id, "Jenny"))
        self.assertEqual(customer.last_response.headers["idempotent-replayed"], "true")
        self.assertEqual(self.world.effects("customer"), ONE_MADE)
        self.followed()

    def test_a_lost_connection_makes_one_object_whenever_it_is_lost(self):
        for kind, replayed in (("reset_before", None), ("reset_after", "true")):
            with self.subTest(kind):
                self.world.spoil({**CUSTOMERS, "kind": kind})
                customer = self.create(self.patient)
                self.assertEqual(customer.last_response.headers.get("idempotent-replayed"), replayed)
                (created,) = self.followed("customer.created")
                self.assertEqual(created.data.object.id, customer.id)
        self.assertEqual(self.world.effects("customer"), ONE_MADE * 2)

    def test_without_retries_a_lost_connection_is_an_error_and_the_key_finds_what_was_made(self):
        self.world.spoil({**CUSTOMERS, "kind": "reset_after", "times": 2})
        for _ in range(2):
            with self.assertRaises(stripe.APIConnectionError):
                self.create(idempotency_key="lost")
        (created,) = self.followed("customer.created")
        self.assertEqual((self.create(idempotency_key="lost").id, created.request.idempotency_key), (
            created.data.object.id, "lost",
        ))
        self.assertEqual(self.world.effects("customer"), ONE_MADE)

    def test_a_failure_is_kept_under_its_key_and_another_key_succeeds(self):
        self.world.spoil({**CUSTOMERS, "kind": "error_500_cached"})
        self.refused(stripe.APIError, 500, None, lambda: self.create(idempotency_key="bad"))
        again = self.refused(stripe.APIError, 500, None, lambda: self.create(self.patient, idempotency_key="bad"))
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.followed()
        self.create(idempotency_key="good")
        self.followed("customer.created")
        self.assertEqual(self.world.effects("customer"), ONE_MADE)
