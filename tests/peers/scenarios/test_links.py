"""Payment links: what they sell, to how many, and what follows."""

import urllib.error

import stripe

from support import DAY, PAID, Scenario, before

INVALID = stripe.InvalidRequestError
MADE = ("product.created", "price.created", "payment_link.created")


class Links(Scenario):
    def link(self, price, **more):
        form = {"line_items": [{"price": price.id, "quantity": 1}], **more}
        return self.v1.payment_links.create(form)

    def visit(self, link, query=""):
        """Opens the link, as a browser does; gives the session that this made."""
        self.assertIn("Checkout", self.world.page(link.url + query))
        return self.v1.checkout.sessions.list({"payment_link": link.id}).data[0]

    def gone(self, link):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.world.page(link.url)
        with caught.exception as answer:
            self.assertEqual(answer.code, 410)
            return answer.read().decode()

    def test_a_link_sells_to_whoever_opens_it(self):
        link = self.link(
            self.price(700), metadata={"campaign": "spring"}, payment_intent_data={"description": "A thing"},
            after_completion={"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "It is on its way"}},
        )
        self.assertEqual((link.active, link.currency, link.restrictions, link.metadata.campaign), (True, "usd", None, "spring"))
        self.followed(*MADE)
        for name in ("jenny", "john"):
            session = self.visit(link, "?client_reference_id=r-7&utm_source=mail")
            self.assertEqual((session.amount_total, session.mode, session.client_reference_id), (700, "payment", "r-7"))
            self.assertEqual(session.metadata.campaign, "spring")
            status, headers, _ = self.world.pay(session.url, email=f"{name}@example.com")
            self.assertEqual(status, 303)
            self.assertIn("It is on its way", self.world.page(headers["location"]))
            created, *_, completed = self.followed(*PAID, "checkout.session.completed")
            self.assertEqual(created.data.object.description, "A thing")
            self.assertEqual(completed.data.object.payment_link, link.id)
        self.assertEqual(len(self.v1.checkout.sessions.list({"payment_link": link.id}).data), 2)

    def test_a_link_subscribes_and_leads_away(self):
        link = self.link(
            self.price(900, recurring={"interval": "month"}), subscription_data={"trial_period_days": 7, "metadata": {"plan": "pro"}},
            after_completion={"type": "redirect", "redirect": {"url": "https://example.com/in?s={CHECKOUT_SESSION_ID}"}},
        )
        self.followed(*MADE)
        session = self.visit(link, "?prefilled_email=jenny%40example.com&client_reference_id=not%20valid")
        self.assertEqual((session.mode, session.customer_email, session.client_reference_id),
                         ("subscription", "jenny@example.com", None))
        _, headers, _ = self.world.pay(session.url)
        self.assertEqual(headers["location"], f"https://example.com/in?s={session.id}")
        subscription = self.v1.subscriptions.retrieve(self.v1.checkout.sessions.retrieve(session.id).subscription)
        self.assertEqual((subscription.status, subscription.metadata.plan), ("trialing", "pro"))
        self.assertEqual(subscription.trial_end - subscription.trial_start, 7 * DAY)

    def test_a_link_sells_no_more_than_its_limit(self):
        link = self.link(self.price(700), restrictions={"completed_sessions": {"limit": 1}}, inactive_message="Sold out")
        first, late = self.visit(link), self.visit(link)
        self.followed(*MADE)
        self.world.pay(late.url, "4000000000000002", email="john@example.com")
        self.followed("payment_intent.created", "charge.failed", "payment_intent.payment_failed")
        self.assertEqual(self.world.pay(first.url, email="jenny@example.com")[0], 303)
        updated, expired, *_ = self.followed(
            "payment_link.updated", "checkout.session.expired", "payment_intent.canceled", *PAID, "checkout.session.completed"
        )
        self.assertEqual((before(updated), expired.data.object.id), ({"active": True}, late.id))
        link = self.v1.payment_links.retrieve(link.id)
        self.assertEqual((link.active, link.restrictions.completed_sessions.count), (False, 1))
        self.assertIn("Sold out", self.gone(link))
        self.v1.payment_links.update(link.id, {"active": True, "restrictions": ""})
        self.assertEqual(self.visit(link).status, "open")

    def test_a_link_is_changed_and_listed(self):
        first, second = self.link(self.price(700)), self.link(self.price(900), metadata={"a": "1"})
        self.followed(*MADE, *MADE)
        changed = self.v1.payment_links.update(second.id, {
            "active": False, "inactive_message": "Come back", "metadata": {"a": "", "b": "2"}, "submit_type": "donate",
        })
        self.assertEqual((changed.active, changed.submit_type, changed.metadata.to_dict()), (False, "donate", {"b": "2"}))
        (updated,) = self.followed("payment_link.updated")
        self.assertEqual(before(updated)["active"], True)
        self.assertIn("Come back", self.gone(second))
        listed = lambda **form: [one.id for one in self.v1.payment_links.list(form).data]
        self.assertEqual((listed(), listed(active=True), listed(active=False)), ([second.id, first.id], [first.id], [second.id]))
        (line,) = self.v1.payment_links.line_items.list(second.id).data
        self.assertEqual((line.amount_total, line.quantity, line.description), (900, 1, "Thing"))
        expanded = self.v1.payment_links.retrieve(second.id, {"expand": ["line_items"]})
        self.assertEqual(expanded.line_items.data[0].id, line.id)

    def test_links_that_cannot_be_are_refused(self):
        price, monthly = self.price(700), self.price(900, recurring={"interval": "month"})
        for more, code, param in (
            ({"after_completion": {"type": "redirect"}}, "parameter_missing", "after_completion[redirect][url]"),
            ({"after_completion": {"type": "redirect", "redirect": {"url": "nowhere"}}}, "url_invalid",
             "after_completion[redirect][url]"),
            ({"restrictions": {"completed_sessions": {"limit": 0}}}, "parameter_invalid_integer",
             "restrictions[completed_sessions][limit]"),
            ({"subscription_data": {"trial_period_days": 7}}, None, "subscription_data"),
            ({"line_items": [{"price": monthly.id, "quantity": 1}], "payment_intent_data": {"description": "x"}}, None,
             "payment_intent_data"),
            ({"shipping_address_collection": {"allowed_countries": ["IE"]}}, "sandbox_unsupported_parameter",
             "shipping_address_collection"),
            ({"line_items": [{"price": price.id, "quantity": 1}] * 21}, None, "line_items"),
        ):
            with self.subTest(param=param, code=code):
                form = {"line_items": [{"price": price.id, "quantity": 1}], **more}
                self.assertEqual(self.refused(INVALID, 400, code, self.v1.payment_links.create, form).error.param, param)
        self.refused(INVALID, 404, "resource_missing", self.v1.payment_links.retrieve, "plink_nobody")
