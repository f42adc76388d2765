"""Payment methods: made, saved, changed, taken away."""

import stripe

from support import PAID, Scenario, before

INVALID = stripe.InvalidRequestError


class Methods(Scenario):
    def customer(self, name="Jenny"):
        customer = self.v1.customers.create({"name": name})
        self.followed("customer.created")
        return customer.id

    def attached(self, card, customer):
        method = self.v1.payment_methods.attach(f"pm_card_{card}", {"customer": customer})
        self.followed("payment_method.attached")
        return method.id

    def test_a_card_is_made_of_a_token_saved_and_changed(self):
        methods = self.v1.payment_methods
        method = methods.create({
            "type": "card", "card": {"token": "tok_mastercard"}, "metadata": {"nick": "red"},
            "billing_details": {"name": "Jenny", "address": {"postal_code": "10115", "country": "DE"}},
        })
        self.assertEqual((method.customer, method.card.brand, method.card.last4), (None, "mastercard", "4444"))
        self.assertEqual((method.card.checks.address_postal_code_check, method.billing_details.name), ("pass", "Jenny"))
        self.refused(INVALID, 400, None, methods.update, method.id, {"metadata": {"nick": "blue"}})
        self.followed()
        customer = self.customer()
        self.assertEqual(methods.attach(method.id, {"customer": customer}).customer, customer)
        self.followed("payment_method.attached")
        changed = methods.update(method.id, {
            "card": {"exp_month": 7, "exp_year": 2041}, "billing_details": {"email": "jenny@example.com"},
            "metadata": {"nick": ""},
        })
        self.assertEqual((changed.card.exp_month, changed.card.exp_year, changed.metadata.to_dict()), (7, 2041, {}))
        self.assertEqual((changed.billing_details.email, changed.billing_details.name), ("jenny@example.com", "Jenny"))
        (updated,) = self.followed("payment_method.updated")
        self.assertEqual(before(updated)["billing_details"], {"email": None})
        self.assertEqual(before(updated)["metadata"], {"nick": "red"})
        for code, param, form in (
            ("resource_missing", "card[token]", {"card": {"token": "tok_none"}}),
            ("email_invalid", "billing_details[email]", {"card": {"token": "tok_visa"}, "billing_details": {"email": "jenny"}}),
        ):
            error = self.refused(INVALID, 400, code, methods.create, {"type": "card", **form})
            self.assertEqual(error.param, param)

    def test_a_detached_card_never_serves_again(self):
        customer = self.customer()
        card = self.attached("visa", customer)
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
        self.followed("customer.updated")
        self.assertIsNone(self.v1.payment_methods.detach(card).customer)
        detached, cleared = self.followed("payment_method.detached", "customer.updated")
        self.assertEqual(before(detached), {"customer": customer})
        self.assertEqual(before(cleared), {"invoice_settings": {"default_payment_method": card}})
        self.refused(INVALID, 400, None, self.v1.payment_methods.detach, card)
        self.refused(INVALID, 400, None, self.v1.payment_methods.attach, card, {"customer": customer})
        for owner in ({}, {"customer": customer}):
            pay = lambda: self.paid(500, payment_method=card, **owner)
            self.assertEqual(self.refused(INVALID, 400, None, pay).param, "payment_method")
        self.assertEqual(self.v1.payment_methods.list({"customer": customer}).data, [])
        self.followed()

    def test_a_card_without_a_customer_serves_once(self):
        card = self.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
        self.assertEqual(self.paid(500, payment_method=card).amount_received, 500)
        self.followed(*PAID)
        error = self.refused(INVALID, 400, None, lambda: self.paid(500, payment_method=card))
        self.assertIn("may not be used again", error.user_message)
        customer = self.customer()
        self.refused(INVALID, 400, None, self.v1.payment_methods.attach, card, {"customer": customer})
        self.followed()
        self.assertIsNone(self.v1.payment_methods.retrieve(card).customer)

    def test_a_card_serves_its_customer_only(self):
        jenny, joe = self.customer("Jenny"), self.customer("Joe")
        card = self.attached("visa", jenny)
        for owner in ({}, {"customer": joe}):
            pay = lambda: self.paid(500, payment_method=card, **owner)
            self.assertEqual(self.refused(INVALID, 400, None, pay).param, "payment_method")
        self.refused(INVALID, 400, None, self.v1.payment_methods.attach, card, {"customer": joe})
        default = {"invoice_settings": {"default_payment_method": card}}
        error = self.refused(INVALID, 400, "resource_missing", self.v1.customers.update, joe, default)
        self.assertEqual(error.param, "invoice_settings[default_payment_method]")
        self.refused(INVALID, 404, "resource_missing", self.v1.customers.payment_methods.retrieve, joe, card)
        self.followed()
        self.assertEqual(self.paid(500, payment_method=card, customer=jenny).amount_received, 500)
        self.followed(*PAID)

    def test_cards_are_listed_by_customer(self):
        jenny, joe = self.customer("Jenny"), self.customer("Joe")
        first, second, other = self.attached("visa", jenny), self.attached("amex", jenny), self.attached("jcb", joe)
        ids = lambda page: [one.id for one in page.data]
        self.assertEqual(ids(self.v1.payment_methods.list({"customer": jenny, "type": "card"})), [second, first])
        self.assertEqual(ids(self.v1.customers.payment_methods.list(joe)), [other])
        page = self.v1.customers.payment_methods.list(jenny, {"limit": 1})
        self.assertEqual((ids(page), page.has_more), ([second], True))
        self.assertEqual([one.id for one in page.auto_paging_iter()], [second, first])
        self.assertEqual(self.v1.customers.payment_methods.retrieve(jenny, first).card.brand, "visa")
        self.v1.payment_methods.detach(second)
        self.followed("payment_method.detached")
        self.assertEqual(ids(self.v1.payment_methods.list({"customer": jenny})), [first])

    def test_a_default_card_pays_invoices(self):
        customer = self.customer()
        card = self.attached("mastercard", customer)
        changed = self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
        self.assertEqual(changed.invoice_settings.default_payment_method, card)
        (updated,) = self.followed("customer.updated")
        self.assertEqual(before(updated), {"invoice_settings": {"default_payment_method": None}})
        product = self.v1.products.create({"name": "Pro"})
        recurring = {"product": product.id, "currency": "usd", "unit_amount": 1200, "recurring": {"interval": "month"}}
        price = self.v1.prices.create(recurring)
        self.followed("product.created", "price.created")
        subscription = self.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
        self.assertEqual((subscription.status, subscription.default_payment_method), ("active", None))
        invoice, charge = self.followed(
            "invoice.paid", "charge.succeeded", "customer.subscription.created", "customer.subscription.updated",
            "customer.updated", "invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_succeeded",
            "invoice_payment.paid", "payment_intent.created", "payment_intent.succeeded",
        )[:2]
        self.assertEqual((invoice.data.object.amount_paid, charge.data.object.payment_method), (1200, card))

    def test_a_payment_saves_its_card(self):
        customer = self.customer()
        declined = lambda: self.paid(900, "visa_chargeDeclined", customer=customer, setup_future_usage="off_session")
        self.refused(stripe.CardError, 402, "card_declined", declined)
        self.followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed")
        self.assertEqual(self.v1.payment_methods.list({"customer": customer}).data, [])
        intent = self.paid(900, customer=customer, setup_future_usage="off_session")
        attached = self.followed("payment_method.attached", *PAID)[0].data.object
        self.assertEqual((attached.id, attached.customer), (intent.payment_method, customer))
        again = self.paid(900, customer=customer, payment_method=attached.id, off_session=True)
        self.assertEqual(again.amount_received, 900)
        self.followed(*PAID)
