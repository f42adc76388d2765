"""The world as a whole: written down and put back, and everything that happened in it."""

import stripe

from support import DAY, Scenario


class State(Scenario):
    def test_a_snapshot_is_what_the_world_goes_back_to(self):
        product = self.v1.products.create({"name": "Pro"})
        key = {"idempotency_key": "kept"}
        kept = self.v1.customers.create({"name": "Jenny"}, key)
        self.followed("product.created", "customer.created")
        snapshot, digest = self.world.snapshot(), self.world.control("world")["sha256"]

        self.v1.customers.delete(kept.id)
        self.v1.products.update(product.id, {"name": "Pro 2"})
        later = self.v1.customers.create({"name": "Tom"})
        self.followed("customer.deleted", "product.updated", "customer.created")
        self.assertNotEqual(self.world.control("world")["sha256"], digest)

        self.world.restore(snapshot)
        self.assertEqual(self.world.control("world")["sha256"], digest)
        self.assertEqual(self.v1.customers.retrieve(kept.id).name, "Jenny")
        self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.customers.retrieve, later.id)
        self.assertEqual(len(self.v1.events.list().data), 2)
        self.assertEqual(self.v1.customers.create({"name": "Jenny"}, key).id, kept.id)
        self.followed()
        self.v1.products.update(product.id, {"name": "Pro 3"})
        self.followed("product.updated")

    def test_the_ledger_has_every_effect_and_the_call_it_came_of(self):
        price = self.price(500)
        form = {"mode": "payment", "line_items": [{"price": price.id, "quantity": 1}], "success_url": "https://example.com"}
        key = {"idempotency_key": "session-1"}
        session = self.v1.checkout.sessions.create(form, key)
        self.v1.checkout.sessions.create(form, key)
        self.followed("product.created", "price.created")
        self.world.advance(DAY + 60)
        (expired,) = self.followed("checkout.session.expired")
        self.assertEqual(expired.request.to_dict(), {"id": None, "idempotency_key": None})
        effects = [one for one in self.world.control("ledger")["effects"] if one["object"] == "checkout.session"]
        made, ended = effects
        self.assertEqual((made["effect"], made["operation"], made["id"]), ("created", "POST /v1/checkout/sessions", session.id))
        self.assertEqual((made["request_id"], made["idempotency_key"]), (session.last_response.request_id, "session-1"))
        self.assertEqual((ended["effect"], ended["idempotency_key"], ended["at"]), ("changed", None, session.expires_at))
        objects = self.world.control("objects/checkout.session")["data"]
        self.assertEqual([one["object"]["status"] for one in objects], ["expired"])
