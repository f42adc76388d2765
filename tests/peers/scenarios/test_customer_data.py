"""Customers: how they are found, what is expanded, what is left of a deleted one, and their balance."""

import stripe

from support import DAY, Scenario, before


class CustomerData(Scenario):
    def test_customers_are_searched_by_email_name_and_metadata(self):
        jenny = self.v1.customers.create({"email": "Jenny@example.com", "name": "Jenny Rosen", "metadata": {"team": "red"}})
        tom = self.v1.customers.create({"email": "tom@example.com", "name": "Tom Rosen", "metadata": {"team": "blue"}})
        self.followed("customer.created", "customer.created")
        for query, found in (
            ("email:'jenny@example.com'", [jenny]),
            ("email~'example'", [tom, jenny]),
            ("name~'rosen' AND metadata['team']:'blue'", [tom]),
            ("metadata['team']:'red' OR metadata['team']:'blue'", [tom, jenny]),
            ("-email:'tom@example.com'", [jenny]),
            ("metadata['age']:null AND email:'nobody@example.com'", []),
        ):
            with self.subTest(query):
                answer = self.v1.customers.search({"query": query})
                self.assertEqual([one.id for one in answer.data], [one.id for one in found])
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.customers.search, {"query": "shoe:'44'"})
        self.followed()

    def test_customers_are_listed_by_email_and_by_when_they_came(self):
        first = self.v1.customers.create({"email": "one@example.com"})
        self.world.advance(DAY)
        second = self.v1.customers.create({"email": "two@example.com"})
        self.followed("customer.created", "customer.created")
        self.assertGreaterEqual(second.created - first.created, DAY)
        for form, found in (
            ({"email": "one@example.com"}, [first]),
            ({"email": "ONE@example.com"}, []),
            ({"created": {"gte": second.created}}, [second]),
            ({"created": {"lt": second.created}}, [first]),
            ({"created": first.created}, [first]),
            ({"created": {"gt": first.created, "lte": second.created}}, [second]),
        ):
            with self.subTest(form):
                self.assertEqual([one.id for one in self.v1.customers.list(form).data], [one.id for one in found])

    def test_expansions_show_what_a_customer_has_and_what_is_left_of_a_deleted_one(self):
        customer = self.v1.customers.create({
            "email": "jenny@example.com", "address": {"country": "DE", "postal_code": "10115", "line1": "Invalidenstr. 1"},
            "payment_method": "pm_card_mastercard", "shipping": {"name": "Jenny", "address": {"country": "AT"}},
            "expand": ["tax", "subscriptions"],
        })
        self.followed("customer.created", "payment_method.attached")
        self.assertEqual((customer.tax.automatic_tax, customer.tax.location.country), ("supported", "DE"))
        self.assertEqual((customer.subscriptions.data, customer.shipping.address.country), ([], "AT"))
        (card,) = self.v1.customers.payment_methods.list(customer.id).data
        settings = {"invoice_settings": {"default_payment_method": card.id}}
        self.v1.customers.update(customer.id, {**settings, "expand": ["invoice_settings.default_payment_method"]})
        (updated,) = self.followed("customer.updated")
        self.assertEqual(before(updated), {"invoice_settings": {"default_payment_method": None}})

        intent = self.v1.payment_intents.create({
            "amount": 900, "currency": "eur", "customer": customer.id, "payment_method": card.id, "confirm": True,
            "return_url": "https://example.com",
        })
        self.followed("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")
        stub = self.v1.customers.delete(customer.id)
        self.assertEqual(stub.to_dict(), {"id": customer.id, "object": "customer", "deleted": True})
        self.followed("payment_method.detached", "customer.deleted")
        charge = self.v1.charges.retrieve(intent.latest_charge, {"expand": ["customer"]})
        self.assertEqual((charge.amount, charge.customer.deleted), (900, True))
        self.assertEqual(self.v1.customers.list().data, [])

    def test_a_balance_is_what_its_transactions_add_up_to(self):
        customer = self.v1.customers.create({})
        transactions = self.v1.customers.balance_transactions
        credit = transactions.create(customer.id, {"amount": -1500, "currency": "usd", "description": "Sorry"})
        debit = transactions.create(customer.id, {"amount": 250, "currency": "usd", "metadata": {"why": "fee"}})
        self.assertEqual((credit.ending_balance, debit.ending_balance, credit.type), (-1500, -1250, "adjustment"))
        _, first, second = self.followed("customer.created", "customer.updated", "customer.updated")
        self.assertEqual(before(first), {"balance": 0, "currency": None})
        self.assertEqual((before(second), second.data.object.balance), ({"balance": -1500}, -1250))

        self.assertEqual([one.amount for one in transactions.list(customer.id).data], [250, -1500])
        changed = transactions.update(customer.id, debit.id, {"description": "Fee"})
        self.assertEqual((changed.description, changed.metadata["why"], changed.amount), ("Fee", "fee", 250))
        euros = {"amount": 1, "currency": "eur"}
        self.refused(stripe.InvalidRequestError, 400, None, transactions.create, customer.id, euros)
        self.assertEqual(self.v1.customers.retrieve(customer.id).balance, -1250)
        self.followed()
