"""Customers: their life, what clears a field, and a key that makes a call happen once."""

import stripe

from support import Scenario, before


class Customers(Scenario):
    def test_a_customer_is_created_renamed_and_deleted(self):
        customer = self.v1.customers.create({"name": "Jenny", "email": "jenny@example.com"})
        self.assertEqual((customer.name, customer.balance, customer.livemode), ("Jenny", 0, False))
        (created,) = self.followed("customer.created")
        self.assertEqual((created.data.object.id, created.api_version), (customer.id, stripe.api_version))

        self.assertEqual(self.v1.customers.update(customer.id, {"name": "Jen"}).name, "Jen")
        (updated,) = self.followed("customer.updated")
        self.assertEqual(before(updated), {"name": "Jenny"})

        self.assertTrue(self.v1.customers.delete(customer.id).deleted)
        (deleted,) = self.followed("customer.deleted")
        self.assertEqual(deleted.data.object.email, "jenny@example.com")
        self.assertTrue(self.v1.customers.retrieve(customer.id).deleted)
        self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.customers.update, customer.id, {"name": "J"})
        self.followed()

    def test_metadata_is_merged_key_by_key_and_an_empty_value_takes_one_away(self):
        customer = self.v1.customers.create({"metadata": {"user": "1", "plan": "pro"}, "description": "first"})
        changed = self.v1.customers.update(customer.id, {"metadata": {"plan": "", "seats": "3"}, "description": ""})
        self.assertEqual((changed.metadata.to_dict(), changed.description), ({"user": "1", "seats": "3"}, None))
        _, updated = self.followed("customer.created", "customer.updated")
        self.assertEqual(before(updated), {"metadata": {"plan": "pro", "seats": None}, "description": "first"})

    def test_a_key_makes_a_call_happen_once(self):
        key = {"idempotency_key": "customer-1"}
        customer = self.v1.customers.create({"email": "a@example.com"}, key)
        again = self.v1.customers.create({"email": "a@example.com"}, key)
        self.assertEqual(again.id, customer.id)
        self.assertEqual(again.last_response.headers["idempotent-replayed"], "true")
        self.refused(stripe.IdempotencyError, 400, None, self.v1.customers.create, {"email": "b@example.com"}, key)
        (created,) = self.followed("customer.created")
        self.assertEqual(created.request.idempotency_key, "customer-1")
        self.assertEqual(created.request.id, customer.last_response.request_id)
