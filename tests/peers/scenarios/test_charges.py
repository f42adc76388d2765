"""Charges: what a payment leaves."""

import stripe

from support import PAID, Scenario, before

INVALID = stripe.InvalidRequestError


class Charges(Scenario):
    def test_a_charge_shows_what_stripe_keeps(self):
        intent = self.paid(10_000, "visa_debit", description="Chair", expand=["latest_charge.balance_transaction"])
        charge = intent.latest_charge
        self.assertEqual((charge.amount, charge.amount_captured), (10_000, 10_000))
        self.assertEqual((charge.paid, charge.status), (True, "succeeded"))
        money = charge.balance_transaction
        self.assertEqual((money.amount, money.fee, money.net, money.type), (10_000, 320, 9680, "charge"))
        self.assertEqual([(fee.amount, fee.type) for fee in money.fee_details], [(320, "stripe_fee")])
        self.assertEqual((money.source, money.description, money.status), (charge.id, "Chair", "pending"))
        self.assertEqual(self.followed(*PAID)[2].data.object.balance_transaction, money.id)
        whole = self.v1.charges.retrieve(charge.id, {"expand": ["payment_intent", "refunds"]})
        self.assertEqual((whole.payment_intent.id, whole.refunds.data), (intent.id, []))

    def test_a_charge_is_annotated(self):
        customer = self.v1.customers.create({"name": "Jenny"}).id
        charge = self.paid(2000, metadata={"order": "7"}).latest_charge
        self.followed("customer.created", *PAID)
        changed = self.v1.charges.update(charge, {
            "description": "Lamp", "customer": customer, "metadata": {"parcel": "9"}, "fraud_details": {"user_report": "safe"},
            "shipping": {"name": "Jenny", "address": {"line1": "1 Main St", "city": "Berlin", "country": "DE"}},
        })
        self.assertEqual((changed.description, changed.customer, changed.amount), ("Lamp", customer, 2000))
        self.assertEqual(changed.metadata.to_dict(), {"order": "7", "parcel": "9"})
        self.assertEqual((changed.shipping.address.city, changed.fraud_details.user_report), ("Berlin", "safe"))
        (updated,) = self.followed("charge.updated")
        self.assertEqual(before(updated)["description"], None)
        self.assertEqual(before(updated)["metadata"], {"parcel": None})
        other = self.v1.customers.create({"name": "Joe"}).id
        self.followed("customer.created")
        error = self.refused(INVALID, 400, None, self.v1.charges.update, charge, {"customer": other})
        self.assertEqual(error.param, "customer")
        self.followed()

    def test_a_charge_is_captured_later(self):
        intent = self.paid(5000, capture_method="manual")
        self.followed("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded")
        self.refused(INVALID, 400, "amount_too_large", self.v1.charges.capture, intent.latest_charge, {"amount": 5001})
        form = {"amount": 4000, "statement_descriptor_suffix": "LAMP", "expand": ["balance_transaction"]}
        charge = self.v1.charges.capture(intent.latest_charge, form)
        self.assertEqual((charge.captured, charge.amount, charge.amount_captured), (True, 5000, 4000))
        self.assertEqual((charge.balance_transaction.amount, charge.balance_transaction.fee), (4000, 146))
        self.followed("charge.captured", "payment_intent.succeeded")
        self.assertEqual(self.v1.payment_intents.retrieve(intent.id).amount_received, 4000)
        self.refused(INVALID, 400, "charge_already_captured", self.v1.charges.capture, charge.id)
        self.followed()

    def test_charges_are_found(self):
        customer = self.v1.customers.create({"name": "Jenny"}).id
        small = self.paid(700, "amex", customer=customer, metadata={"order": "a"})
        large = self.paid(70_000, "visa", customer=customer)
        other = self.paid(700, currency="eur")
        self.v1.refunds.create({"payment_intent": small.id})
        self.followed("customer.created", *PAID, *PAID, *PAID, "refund.created", "charge.refunded")
        charges = self.v1.charges
        ids = lambda found: [one.id for one in found.data]
        self.assertEqual(ids(charges.list({"customer": customer})), [large.latest_charge, small.latest_charge])
        self.assertEqual(ids(charges.list({"payment_intent": other.id})), [other.latest_charge])
        self.assertEqual(ids(charges.list({"limit": 1, "starting_after": other.latest_charge})), [large.latest_charge])
        for query, expected in (
            ("payment_method_details.card.brand:'amex'", [small]),
            ("payment_method_details.card.last4:4242 AND currency:'usd'", [large]),
            ("refunded:'true'", [small]),
            ("amount>=700 AND -currency:'eur'", [large, small]),
            ("metadata['order']:'a'", [small]),
        ):
            with self.subTest(query=query):
                self.assertEqual(ids(charges.search({"query": query})), [one.latest_charge for one in expected])
        self.refused(INVALID, 400, None, charges.search, {"query": "colour:'red'"})
        self.followed()
