"""Webhook endpoints: several at once, what each is sent, in which shape, and under which secrets."""

import stripe

from support import Scenario


class Endpoints(Scenario):
    def endpoint(self, *events, **more):
        """A new endpoint and what receives for it."""
        receiver = self.world.another_receiver()
        made = self.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": events, **more})
        receiver.secret = made.secret
        return made, receiver

    def test_endpoints_hear_of_the_platform_or_of_connected_accounts(self):
        everything, all_received = self.endpoint("*")
        _, of_accounts = self.endpoint("*", connect=True)
        account = self.v1.accounts.create({"type": "express", "country": "DE", "email": "seller@example.com"})
        own = self.v1.customers.create({"name": "Ours"})
        theirs = self.v1.customers.create({"name": "Theirs"}, {"stripe_account": account.id})
        (ours,) = self.followed("customer.created")
        self.assertEqual([event.data.object.id for event in all_received.events], [own.id])
        self.assertEqual((ours.pending_webhooks, getattr(ours, "account", None)), (2, None))
        (received,) = of_accounts.events
        self.assertEqual((received.data.object.id, received.account, received.pending_webhooks), (theirs.id, account.id, 1))
        listed = self.v1.webhook_endpoints.list().data
        self.assertEqual([one.enabled_events for one in listed], [["*"], ["*"], ["*"]])
        self.assertEqual(listed[1].id, everything.id)

    def test_an_endpoint_is_changed_turned_off_and_on(self):
        endpoint, receiver = self.endpoint("customer.created", description="first", metadata={"team": "red"})
        self.assertEqual((endpoint.status, endpoint.secret.startswith("whsec_")), ("enabled", True))
        update = self.v1.webhook_endpoints.update
        changed = update(endpoint.id, {"enabled_events": ["product.created", "product.deleted"], "description": "second"})
        self.assertEqual((changed.description, changed.metadata["team"]), ("second", "red"))
        self.assertFalse(hasattr(changed, "secret"))
        self.v1.customers.create({})
        product = self.v1.products.create({"name": "Pro"})
        self.followed("customer.created", "product.created")
        self.assertEqual(receiver.types(), ["product.created"])

        self.assertEqual(update(endpoint.id, {"disabled": True}).status, "disabled")
        self.v1.products.delete(product.id)
        self.followed("product.deleted")
        self.assertEqual(update(endpoint.id, {"disabled": False}).status, "enabled")
        self.v1.products.create({"name": "Pro"})
        self.followed("product.created")
        self.assertEqual((receiver.types(), receiver.refused), (["product.created"] * 2, []))
        invalid = stripe.InvalidRequestError
        self.refused(invalid, 400, None, update, endpoint.id, {"enabled_events": ["product.painted"]})
        self.refused(invalid, 400, "url_invalid", update, endpoint.id, {"url": "nowhere"})

    def test_a_rolled_secret_and_the_one_before_both_sign_for_a_while(self):
        endpoint, receiver = self.endpoint("customer.created")
        old = endpoint.secret
        new = self.world.control(f"webhook_endpoints/{endpoint.id}/roll", {"expire_seconds": 3600})["secret"]
        self.assertNotEqual(new, old)
        self.v1.customers.create({})
        (created,) = self.followed("customer.created")
        body, signature = receiver.raw.get_nowait()
        self.assertEqual(signature.count("v1="), 2)
        for secret in (old, new):
            self.assertEqual(stripe.Webhook.construct_event(body, signature, secret).id, created.id)

        self.world.advance(3601)
        receiver.secret = new
        self.v1.customers.create({})
        self.followed("customer.created")
        body, signature = receiver.raw.get_nowait()
        self.assertEqual((signature.count("v1="), receiver.refused), (1, []))
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signature, old)

    def test_an_endpoint_of_an_older_version_is_sent_the_older_shape(self):
        _, older = self.endpoint("promotion_code.created", api_version="2025-08-27.basil")
        coupon = self.v1.coupons.create({"percent_off": 20})
        code = self.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FALL20"})
        _, now = self.followed("coupon.created", "promotion_code.created")
        self.assertEqual((now.data.object.promotion.coupon, now.api_version), (coupon.id, stripe.api_version))
        (before,) = older.events
        self.assertEqual((before.id, before.api_version), (now.id, "2025-08-27.basil"))
        shape = before.to_dict()["data"]["object"]
        self.assertEqual((shape["id"], shape["coupon"]["percent_off"], "promotion" in shape), (code.id, 20, False))
        unknown = {"url": older.url, "enabled_events": ["*"], "api_version": "2019-13-45"}
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.webhook_endpoints.create, unknown)
