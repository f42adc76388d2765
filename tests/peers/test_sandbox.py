"""Stripe's own Python SDK drives the sandbox binary through a subscription's life.

Nothing here is ours but the story: requests, response types and the check of signatures are the SDK's.
"""

import unittest
import urllib.request

import stripe

from support import DAY, PATIENCE_SECONDS, WEBHOOK_SECRET, World, post


class SandboxTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World("python-sandbox", refuse_first=True)
        cls.addClassCleanup(cls.world.end)
        cls.client, cls.receiver = cls.world.client, cls.world.receiver

    def test_a_subscription_from_checkout_to_its_end(self):
        v1 = self.client.v1
        customer = v1.customers.create(
            {"email": "jenny@example.com", "name": "Jenny", "metadata": {"user_id": "user-1"}},
            {"idempotency_key": "customer-1"},
        )
        again = v1.customers.create(
            {"email": "jenny@example.com", "name": "Jenny", "metadata": {"user_id": "user-1"}},
            {"idempotency_key": "customer-1"},
        )
        self.assertEqual(customer.id, again.id)
        self.assertEqual(again.last_response.headers["idempotent-replayed"], "true")
        found = v1.customers.search({"query": "metadata['user_id']:'user-1'"})
        self.assertEqual([one.id for one in found.data], [customer.id])

        product = v1.products.create({"name": "Pro"})
        price = v1.prices.create({
            "product": product.id, "currency": "usd", "unit_amount": 2900,
            "recurring": {"interval": "month"}, "lookup_key": "pro_monthly",
        })
        self.assertEqual(v1.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id, price.id)

        session = v1.checkout.sessions.create({
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "https://example.com/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://example.com/back",
            "subscription_data": {"metadata": {"user_id": "user-1"}},
        })
        with urllib.request.urlopen(session.url, timeout=PATIENCE_SECONDS) as page:
            self.assertIn("text/html", page.headers["content-type"])
            self.assertIn("29.00 usd", page.read().decode())

        status, _, page = self.world.pay(session.url, "4000000000000002")
        self.assertEqual(status, 402)
        self.assertIn("declined", page)
        self.assertEqual(v1.checkout.sessions.retrieve(session.id).status, "open")

        status, headers, _ = self.world.pay(session.url, "4242 4242 4242 4242")
        self.assertEqual(status, 303)
        self.assertEqual(headers["location"], f"https://example.com/done?session={session.id}")

        session = v1.checkout.sessions.retrieve(
            session.id, {"expand": ["subscription.latest_invoice.payments.data", "line_items"]}
        )
        self.assertEqual((session.status, session.payment_status), ("complete", "paid"))
        self.assertEqual(session.line_items.data[0].price.id, price.id)
        subscription = session.subscription
        self.assertEqual(subscription.status, "active")
        self.assertEqual(subscription.metadata["user_id"], "user-1")
        invoice = subscription.latest_invoice
        self.assertEqual((invoice.status, invoice.amount_paid, invoice.amount_remaining), ("paid", 2900, 0))
        self.assertEqual(invoice.payments.data[0].status, "paid")
        self.world.settle()
        types = self.receiver.types()
        for kind in (
            "customer.created", "charge.failed", "payment_intent.payment_failed", "payment_method.attached",
            "customer.subscription.created", "invoice.paid", "checkout.session.completed",
        ):
            self.assertEqual(types.count(kind), 1, f"{kind} in {types}")

        ending = v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        self.assertEqual((ending.status, ending.cancel_at_period_end), ("active", True))
        period_end = ending["items"].data[0].current_period_end
        self.assertEqual(ending.cancel_at, period_end)

        self.world.advance(32 * DAY)
        ended = v1.subscriptions.retrieve(subscription.id)
        self.assertEqual((ended.status, ended.ended_at), ("canceled", period_end))
        self.assertEqual(ended.cancellation_details.reason, "cancellation_requested")
        self.assertEqual(len(v1.invoices.list({"subscription": subscription.id}).data), 1)
        self.world.settle()
        deleted = [event for event in self.receiver.events if event.type == "customer.subscription.deleted"]
        self.assertEqual([event.data.object.id for event in deleted], [subscription.id])
        self.assertEqual(deleted[0].api_version, stripe.api_version)
        self.assertEqual(self.receiver.refused, [])

        created = [event for event in self.receiver.events if event.type == "customer.created"][0]
        self.assertEqual(created.request.idempotency_key, "customer-1")

    def test_a_delivery_with_one_byte_altered_is_refused(self):
        self.client.v1.products.create({"name": "Signed"})
        body, signature = self.receiver.raw.get(timeout=PATIENCE_SECONDS)
        self.assertTrue(stripe.Webhook.construct_event(body, signature, WEBHOOK_SECRET))
        altered = body.replace(b'"livemode":false', b'"livemode":truE', 1)
        self.assertNotEqual(altered, body)
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(altered, signature, WEBHOOK_SECRET)
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signature, WEBHOOK_SECRET + "x")

    def test_refusals_become_the_sdks_own_errors(self):
        v1 = self.client.v1
        with self.assertRaises(stripe.InvalidRequestError) as unknown:
            v1.customers.create({"nickname": "x"})
        self.assertEqual((unknown.exception.http_status, unknown.exception.code), (400, "parameter_unknown"))
        with self.assertRaises(stripe.InvalidRequestError) as missing:
            v1.customers.retrieve("cus_none")
        self.assertEqual((missing.exception.http_status, missing.exception.code), (404, "resource_missing"))
        with self.assertRaises(stripe.AuthenticationError):
            self.world.client_of("sk_test_wrong").v1.customers.list()
        v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "reused"})
        with self.assertRaises(stripe.IdempotencyError):
            v1.customers.create({"email": "b@example.com"}, {"idempotency_key": "reused"})
        with self.assertRaises(stripe.CardError) as declined:
            v1.payment_intents.create({
                "amount": 1000, "currency": "usd", "payment_method": "pm_card_visa_chargeDeclined", "confirm": True,
            })
        self.assertEqual(declined.exception.error.decline_code, "generic_decline")
        self.assertEqual(declined.exception.error.payment_intent.status, "requires_payment_method")

    def test_lists_are_paged_through_by_the_sdk(self):
        v1 = self.client.v1
        made = [v1.products.create({"name": f"Paged {n}", "url": "https://paged.example.com"}).id for n in range(25)]
        pages = v1.products.list({"limit": 7, "url": "https://paged.example.com"})
        self.assertEqual([one.id for one in pages.auto_paging_iter()], made[::-1])

    def test_tax_is_calculated_by_place(self):
        calculation = self.client.v1.tax.calculations.create({
            "currency": "eur",
            "line_items": [{"amount": 10_000, "reference": "L1"}],
            "customer_details": {"address": {"country": "DE"}, "address_source": "billing"},
            "expand": ["line_items"],
        })
        self.assertEqual((calculation.amount_total, calculation.tax_amount_exclusive), (11_900, 1_900))
        self.assertEqual(calculation.line_items.data[0].amount_tax, 1_900)
        business = self.client.v1.tax.calculations.create({
            "currency": "eur",
            "line_items": [{"amount": 10_000, "reference": "L1"}],
            "customer_details": {
                "address": {"country": "DE"}, "address_source": "billing",
                "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}],
            },
        })
        self.assertEqual(business.tax_amount_exclusive, 0)
        self.assertEqual(business.tax_breakdown[0].taxability_reason, "reverse_charge")

    def test_a_connected_account_is_onboarded_on_its_page(self):
        v1 = self.client.v1
        account = v1.accounts.create({
            "type": "express", "country": "US", "email": "seller@example.com",
            "capabilities": {"card_payments": {"requested": True}, "transfers": {"requested": True}},
        })
        self.assertEqual((account.charges_enabled, account.details_submitted), (False, False))
        link = v1.account_links.create({
            "account": account.id, "type": "account_onboarding",
            "refresh_url": "https://example.com/again", "return_url": "https://example.com/back",
        })
        with urllib.request.urlopen(link.url, timeout=PATIENCE_SECONDS) as page:
            self.assertEqual(page.status, 200)
        status, headers, _ = post(link.url, b"action=submit")
        self.assertEqual((status, headers["location"]), (303, "https://example.com/back"))
        account = v1.accounts.retrieve(account.id)
        self.assertTrue(account.charges_enabled and account.payouts_enabled and account.details_submitted)
        self.assertEqual(account.capabilities.card_payments, "active")

        theirs = v1.customers.create({"email": "theirs@example.com"}, {"stripe_account": account.id})
        self.assertEqual(v1.customers.retrieve(theirs.id, None, {"stripe_account": account.id}).id, theirs.id)
        with self.assertRaises(stripe.InvalidRequestError):
            v1.customers.retrieve(theirs.id)


if __name__ == "__main__":
    unittest.main()
