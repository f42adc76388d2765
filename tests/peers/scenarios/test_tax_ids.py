"""Tax ids: of customers and of the account, and what the authorities say of them."""

import stripe

from support import Scenario, before


class TaxIds(Scenario):
    def test_the_authorities_answer_after_a_while(self):
        customer = self.v1.customers.create({"name": "Jenny GmbH"})
        self.followed("customer.created")
        for value, outcome, name in (
            ("000000000", "verified", "Jenny GmbH"), ("111111111", "unverified", None), ("222222222", "pending", None),
        ):
            made = self.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": value})
            self.assertEqual((made.verification.status, made.owner.customer), ("pending", customer.id))
            self.followed("customer.tax_id.created")
            self.world.advance(15)
            if outcome == "pending":
                self.followed()
            else:
                (updated,) = self.followed("customer.tax_id.updated")
                self.assertEqual(before(updated)["verification"]["status"], "pending")
            found = self.v1.customers.tax_ids.retrieve(customer.id, made.id)
            self.assertEqual((found.verification.status, found.verification.verified_name), (outcome, name))
        of_others = self.v1.customers.tax_ids.create(customer.id, {"type": "us_ein", "value": "12-3456789"})
        self.assertEqual((of_others.verification.status, of_others.country), ("unavailable", "US"))
        self.followed("customer.tax_id.created")

    def test_a_customers_tax_ids_are_listed_and_deleted(self):
        customer = self.v1.customers.create({"tax_id_data": [{"type": "gb_vat", "value": "GB123456789"}]})
        self.v1.tax_ids.create(
            {"type": "au_abn", "value": "12345678912", "owner": {"type": "customer", "customer": customer.id}}
        )
        self.followed("customer.created", "customer.tax_id.created", "customer.tax_id.created")
        listed = self.v1.customers.tax_ids.list(customer.id).data
        self.assertEqual([(one.type, one.country) for one in listed], [("au_abn", "AU"), ("gb_vat", "GB")])

        stub = self.v1.customers.tax_ids.delete(customer.id, listed[0].id)
        self.assertEqual((stub.id, stub.deleted), (listed[0].id, True))
        (deleted,) = self.followed("customer.tax_id.deleted")
        self.assertEqual(deleted.data.object.value, "12345678912")
        left = self.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]}).tax_ids
        self.assertEqual([one.value for one in left.data], ["GB123456789"])
        self.refused(
            stripe.InvalidRequestError, 404, "resource_missing",
            self.v1.customers.tax_ids.retrieve, customer.id, listed[0].id,
        )
        wrong = {"type": "eu_vat", "value": "DE12"}
        refused = self.refused(
            stripe.InvalidRequestError, 400, "tax_id_invalid", self.v1.customers.tax_ids.create, customer.id, wrong
        )
        self.assertEqual(refused.param, "value")
        self.followed()

    def test_the_account_has_tax_ids_of_its_own_of_which_no_event_tells(self):
        own = self.v1.tax_ids.create({"type": "eu_vat", "value": "IE1234567FA"})
        self.assertEqual((own.customer, own.owner.type, own.country), (None, "self", "IE"))
        self.assertEqual([one.id for one in self.v1.tax_ids.list({"owner": {"type": "self"}}).data], [own.id])
        self.world.advance(15)
        self.assertEqual(self.v1.tax_ids.retrieve(own.id).verification.status, "verified")
        self.assertTrue(self.v1.tax_ids.delete(own.id).deleted)
        self.assertEqual(self.v1.tax_ids.list().data, [])
        self.followed()
