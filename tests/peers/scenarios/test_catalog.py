"""Products and prices."""

import stripe

from support import Scenario, before


class Catalog(Scenario):
    def test_a_product_is_renamed_and_archived(self):
        product = self.v1.products.create({"name": "Pro", "metadata": {"tier": "2"}})
        self.v1.products.update(product.id, {"name": "Pro 2"})
        _, renamed = self.followed("product.created", "product.updated")
        self.assertEqual(before(renamed), {"name": "Pro"})

        archived = self.v1.products.update(product.id, {"active": False})
        self.assertEqual((archived.name, archived.active, archived.metadata["tier"]), ("Pro 2", False, "2"))
        (updated,) = self.followed("product.updated")
        self.assertEqual(before(updated), {"active": True})
        self.assertEqual([one.id for one in self.v1.products.list({"active": False}).data], [product.id])

    def test_a_price_is_found_by_its_lookup_key_which_another_can_take_over(self):
        product = self.v1.products.create({"name": "Pro"})
        monthly = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}, "lookup_key": "pro"}
        old = self.v1.prices.create({**monthly, "unit_amount": 2900})
        self.assertEqual((old.type, old.recurring.interval, old.unit_amount), ("recurring", "month", 2900))
        self.followed("product.created", "price.created")

        self.refused(stripe.InvalidRequestError, 400, None, self.v1.prices.create, {**monthly, "unit_amount": 3900})
        new = self.v1.prices.create({**monthly, "unit_amount": 3900, "transfer_lookup_key": True})
        self.followed("price.created", "price.updated")
        found = self.v1.prices.list({"lookup_keys": ["pro"], "expand": ["data.product"]}).data
        self.assertEqual([(one.id, one.unit_amount, one.product.name) for one in found], [(new.id, 3900, "Pro")])
