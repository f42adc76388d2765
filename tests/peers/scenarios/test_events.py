"""Events: how they are listed, sent again, made to order, and what goes wrong on their way."""

import stripe

from support import DAY, Scenario


class Events(Scenario):
    def test_events_are_listed_by_type_and_time_for_thirty_days(self):
        product = self.v1.products.create({"name": "Pro"})
        self.v1.products.update(product.id, {"name": "Pro 2"})
        self.world.advance(DAY)
        self.v1.customers.create({})
        made, renamed, customer = self.followed("product.created", "product.updated", "customer.created")
        for form, found in (
            ({"type": "product.updated"}, [renamed]),
            ({"type": "product.*"}, [renamed, made]),
            ({"types": ["product.created", "customer.created"]}, [customer, made]),
            ({"created": {"gte": customer.created}}, [customer]),
            ({"created": {"lt": customer.created}, "limit": 1}, [renamed]),
            ({"delivery_success": True}, [customer, renamed, made]),
            ({"delivery_success": False}, []),
        ):
            with self.subTest(form):
                self.assertEqual([one.id for one in self.v1.events.list(form).data], [one.id for one in found])
        both = {"type": "product.created", "types": ["product.updated"]}
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.events.list, both)
        self.world.advance(29 * DAY + 3600)
        self.assertEqual([one.id for one in self.v1.events.list().data], [customer.id])
        self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.events.retrieve, made.id)

    def test_an_event_is_sent_again_to_whom_it_is_wished_for(self):
        receiver = self.world.another_receiver()
        endpoint = self.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["coupon.created"]})
        receiver.secret = endpoint.secret
        self.v1.products.create({"name": "Pro"})
        (made,) = self.followed("product.created")
        self.assertEqual((made.pending_webhooks, receiver.events), (1, []))
        # The call behind `stripe events resend`.
        retry = f"/v1/events/{made.id}/retry"
        again = self.world.client.raw_request("post", retry, webhook_endpoint=endpoint.id)
        self.assertEqual((again.code, again.data["id"]), (200, made.id))
        self.followed()
        self.assertEqual([event.id for event in receiver.events], [made.id])
        self.world.client.raw_request("post", retry)
        (once_more,) = self.followed("product.created")
        self.assertEqual((once_more.id, once_more.created), (made.id, made.created))

    def test_deliveries_come_twice_and_out_of_order_and_are_the_same_events(self):
        self.world.spoil(copies=2, swap=True)
        product = self.v1.products.create({"name": "Pro"})
        self.v1.products.update(product.id, {"name": "Pro 2"})
        made, made_again, renamed, renamed_again = self.followed(*["product.created"] * 2, *["product.updated"] * 2)
        self.assertEqual((made.id, renamed.id), (made_again.id, renamed_again.id))
        arrived = [event.type for event in self.world.receiver.events]
        self.assertEqual(arrived, ["product.updated"] * 2 + ["product.created"] * 2)
        self.assertEqual([event.id for event in self.v1.events.list().data], [renamed.id, made.id])
        self.world.spoil()
        self.v1.products.update(product.id, {"name": "Pro 3"})
        self.followed("product.updated")

    def test_an_event_is_lost_on_its_way_or_never_there(self):
        self.world.spoil(drop=["customer.updated"], never_generate=["customer.deleted"])
        customer = self.v1.customers.create({"name": "Jenny"})
        self.v1.customers.update(customer.id, {"name": "Jen"})
        self.v1.customers.delete(customer.id)
        self.followed("customer.created")
        listed = [(event.type, event.pending_webhooks) for event in self.v1.events.list().data]
        self.assertEqual(listed, [("customer.updated", 1), ("customer.created", 0)])
        (lost,) = self.v1.events.list({"delivery_success": False}).data
        self.assertEqual((lost.type, lost.data.object.name), ("customer.updated", "Jen"))
        self.assertEqual(self.world.control("deliveries")["dropped"], 1)

    def test_an_event_that_is_late_comes_when_its_time_does(self):
        self.world.spoil(delay_seconds=3600)
        customer = self.v1.customers.create({})
        self.assertEqual(self.world.control("deliveries")["waiting"], 1)
        self.assertEqual(self.world.receiver.events, [])
        self.world.advance(3601)
        (created,) = self.followed("customer.created")
        self.assertEqual((created.data.object.id, created.created), (customer.id, customer.created))

    def test_an_event_is_made_to_order_and_changes_nothing(self):
        customer = self.v1.customers.create({"name": "Jenny"})
        self.followed("customer.created")
        dispute = self.world.control("trigger", {"type": "charge.dispute.created", "data": {"amount": 900}})
        (disputed,) = self.followed("charge.dispute.created")
        self.assertEqual((disputed.id, disputed.data.object.amount), (dispute["id"], 900))
        self.world.control("trigger", {
            "type": "customer.updated", "data": {"id": customer.id, "name": "Jen"}, "previous_attributes": {"name": "Jenny"},
        })
        (updated,) = self.followed("customer.updated")
        self.assertEqual((updated.data.object.id, updated.data.object.name), (customer.id, "Jen"))
        self.assertEqual(self.v1.customers.retrieve(customer.id).name, "Jenny")
        listed = [event.type for event in self.v1.events.list().data]
        self.assertEqual(listed, ["customer.updated", "charge.dispute.created", "customer.created"])
