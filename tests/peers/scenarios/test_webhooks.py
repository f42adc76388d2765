"""Endpoints that the API makes, and the list of what happened."""

from support import Scenario, before


class Webhooks(Scenario):
    def test_an_endpoint_receives_what_it_asked_for_with_a_secret_of_its_own(self):
        receiver = self.world.another_receiver()
        endpoint = self.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.updated"]})
        receiver.secret = endpoint.secret
        self.assertEqual(endpoint.status, "enabled")

        customer = self.v1.customers.create({"name": "Jenny"})
        self.v1.customers.update(customer.id, {"name": "Jen"})
        created, updated = self.followed("customer.created", "customer.updated")
        self.assertEqual((created.pending_webhooks, updated.pending_webhooks), (1, 2))
        self.assertEqual(([event.id for event in receiver.events], receiver.refused), ([updated.id], []))

        self.assertTrue(self.v1.webhook_endpoints.delete(endpoint.id).deleted)
        self.v1.customers.update(customer.id, {"name": "J"})
        self.followed("customer.updated")
        self.assertEqual(len(receiver.events), 1)

    def test_what_was_delivered_is_listed_newest_first(self):
        customer = self.v1.customers.create({"name": "Jenny"})
        self.v1.customers.update(customer.id, {"name": "Jen"})
        created, updated = self.followed("customer.created", "customer.updated")
        self.assertEqual([event.id for event in self.v1.events.list().data], [updated.id, created.id])
        self.assertEqual([event.id for event in self.v1.events.list({"type": "customer.created"}).data], [created.id])
        listed = self.v1.events.retrieve(updated.id)
        self.assertEqual((listed.data.object.name, before(listed)), ("Jen", {"name": "Jenny"}))
