"""Prices: in tiers, by the package, in several currencies, and the products they belong to."""

from decimal import Decimal

import stripe

from support import Scenario, before

DONE = "https://example.com/done"


class Prices(Scenario):
    def total(self, price, quantity):
        """What so many cost, as a checkout session says it."""
        form = {"mode": "payment", "line_items": [{"price": price.id, "quantity": quantity}], "success_url": DONE}
        return self.v1.checkout.sessions.create(form).amount_total

    def test_tiers_are_added_up_or_decided_by_the_whole_quantity(self):
        product = self.v1.products.create({"name": "Seats"})
        tiers = [
            {"up_to": 5, "unit_amount": 1000}, {"up_to": 10, "unit_amount": 800, "flat_amount": 300},
            {"up_to": "inf", "unit_amount_decimal": "0.5"},
        ]
        form = {"product": product.id, "currency": "usd", "billing_scheme": "tiered", "tiers": tiers, "expand": ["tiers"]}
        graduated = self.v1.prices.create({**form, "tiers_mode": "graduated"})
        volume = self.v1.prices.create({**form, "tiers_mode": "volume"})
        self.followed("product.created", "price.created", "price.created")
        self.assertEqual([(tier.up_to, tier.flat_amount) for tier in graduated.tiers], [(5, None), (10, 300), (None, None)])
        self.assertEqual((graduated.unit_amount, graduated.tiers[2].unit_amount_decimal), (None, Decimal("0.5")))
        for quantity, added_up, by_volume in ((1, 1000, 1000), (5, 5000, 5000), (6, 6100, 5100), (13, 9302, 7)):
            self.assertEqual((self.total(graduated, quantity), self.total(volume, quantity)), (added_up, by_volume))
        open_end = {**form, "tiers_mode": "volume", "tiers": tiers[:2]}
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.prices.create, open_end)
        self.followed()

    def test_a_package_is_begun_or_filled(self):
        for rounding, of_ten, of_twelve, of_nineteen in (("up", 700, 1400, 1400), ("down", 700, 700, 700)):
            price = self.price(700, transform_quantity={"divide_by": 10, "round": rounding})
            self.followed("product.created", "price.created")
            self.assertEqual(price.transform_quantity.to_dict(), {"divide_by": 10, "round": rounding})
            totals = [self.total(price, quantity) for quantity in (10, 12, 19)]
            self.assertEqual(totals, [of_ten, of_twelve, of_nineteen])

    def test_a_price_has_other_currencies_that_are_shown_when_asked_for(self):
        options = {"eur": {"unit_amount": 1800, "tax_behavior": "inclusive"}, "jpy": {"unit_amount": 3000}}
        price = self.price(2000, currency_options=options)
        self.assertFalse(hasattr(price, "currency_options"))
        shown = self.v1.prices.retrieve(price.id, {"expand": ["currency_options"]}).to_dict()["currency_options"]
        amounts = {code: (option["unit_amount"], option["tax_behavior"]) for code, option in shown.items()}
        self.assertEqual(
            amounts, {"usd": (2000, "unspecified"), "eur": (1800, "inclusive"), "jpy": (3000, "unspecified")}
        )
        self.followed("product.created", "price.created")
        self.v1.prices.update(price.id, {"currency_options": {"gbp": {"unit_amount": 1600}}, "nickname": "World"})
        (updated,) = self.followed("price.updated")
        self.assertEqual(before(updated), {"nickname": None})
        shown = self.v1.prices.retrieve(price.id, {"expand": ["currency_options"]}).to_dict()["currency_options"]
        self.assertEqual((sorted(shown), shown["gbp"]["unit_amount"]), (["eur", "gbp", "jpy", "usd"], 1600))

    def test_products_and_prices_are_searched(self):
        gold = self.v1.products.create({"name": "Gold plan", "metadata": {"line": "a"}, "shippable": False})
        old = self.v1.products.create({"name": "Old plan", "active": False})
        monthly = {"product": gold.id, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
        monthly = self.v1.prices.create({**monthly, "lookup_key": "gold_monthly"})
        once = self.v1.prices.create({"product": gold.id, "currency": "eur", "unit_amount": 100})
        self.followed("product.created", "product.created", "price.created", "price.created")
        for search, query, found in (
            (self.v1.products.search, "name~'plan' AND active:'true'", [gold]),
            (self.v1.products.search, "active:'false'", [old]),
            (self.v1.products.search, "metadata['line']:'a'", [gold]),
            (self.v1.prices.search, "lookup_key:'gold_monthly'", [monthly]),
            (self.v1.prices.search, f"product:'{gold.id}' AND type:'one_time'", [once]),
            (self.v1.prices.search, "currency:'usd' OR currency:'eur'", [once, monthly]),
        ):
            with self.subTest(query):
                self.assertEqual([one.id for one in search({"query": query}).data], [one.id for one in found])
        recurring = self.v1.prices.list({"recurring": {"interval": "month"}, "product": gold.id}).data
        self.assertEqual([one.id for one in recurring], [monthly.id])

    def test_a_product_goes_only_without_prices_and_keeps_its_default_price(self):
        product = self.v1.products.create({
            "name": "Pro", "default_price_data": {"currency": "usd", "unit_amount": 2900}, "expand": ["default_price"],
        })
        price = product.default_price
        self.assertEqual((price.unit_amount, price.product, price.type), (2900, product.id, "one_time"))
        self.followed("product.created", "price.created", "product.updated")
        invalid = stripe.InvalidRequestError
        self.refused(invalid, 400, None, self.v1.prices.update, price.id, {"active": False})
        self.refused(invalid, 400, None, self.v1.products.delete, product.id)
        self.followed()

        other = self.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 3900})
        self.v1.products.update(product.id, {"default_price": other.id})
        self.v1.prices.update(price.id, {"active": False})
        _, moved, archived = self.followed("price.created", "product.updated", "price.updated")
        self.assertEqual((before(moved), before(archived)), ({"default_price": price.id}, {"active": True}))
        line = {"mode": "payment", "line_items": [{"price": price.id, "quantity": 1}], "success_url": DONE}
        self.refused(invalid, 400, None, self.v1.checkout.sessions.create, line)

        bare = self.v1.products.create({"name": "Idea", "id": "idea"})
        self.assertEqual((bare.id, self.v1.products.delete("idea").deleted), ("idea", True))
        _, deleted = self.followed("product.created", "product.deleted")
        self.assertEqual(deleted.data.object.name, "Idea")
        self.refused(invalid, 404, "resource_missing", self.v1.products.retrieve, "idea")
