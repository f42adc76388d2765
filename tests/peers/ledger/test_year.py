"""Every invoice of a random year of 200 customers, to the cent; and the judge is judged by errors planted for it.

LEDGER_SEED and LEDGER_CUSTOMERS choose another year; each prints its seed.
"""

import copy
import os
import sys
import unittest
from fractions import Fraction
from math import floor
from unittest import mock

from support import SECRET_KEY, start_sandbox

from . import calendar, compare, discounts, life, prices, prorations
from .play import play
from .prices import Price, Tier

SEED = int(os.environ.get("LEDGER_SEED", "1"))
CUSTOMERS = int(os.environ.get("LEDGER_CUSTOMERS", "200"))


def year_of(customers, seed):
    process, url = start_sandbox(seed)
    try:
        return play(url, SECRET_KEY, customers, seed)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Year(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.year = year_of(CUSTOMERS, SEED)
        print(f"seed {SEED}: {cls.year.summary()}", file=sys.stderr)

    def test_every_invoice_is_right_to_the_cent(self):
        found = self.year.differences()
        shown = "\n".join(found[:20])
        self.assertEqual(found, [], f"{len(found)} differences with seed {SEED}:\n{shown}")

    def test_there_is_some_of_everything(self):
        invoices = [one for all_of in self.year.invoices.values() for one in all_of]
        lines = [line for one in invoices for line in one["lines"]["data"]]
        for what, are_some in (
            ("credits", any(line["amount"] < 0 and compare.details(line)["proration"] for line in lines)),
            ("debits", any(line["amount"] > 0 and compare.details(line)["proration"] for line in lines)),
            ("discounts", any(one["total_discount_amounts"] for one in invoices)),
            ("usage", any(line["quantity_decimal"] not in (None, str(line["quantity"])) for line in lines)),
            ("invoices by hand", any(one["billing_reason"] == "manual" for one in invoices)),
            ("invoices that give back", any(one["total"] < 0 for one in invoices)),
            ("balances that bear", any(one["starting_balance"] < 0 < one["total"] for one in invoices)),
            ("balances that are owed", any(one["amount_due"] > one["total"] > 0 for one in invoices)),
            ("too little to be charged", any(one["ending_balance"] and one["ending_balance"] > 0 for one in invoices)),
            ("subscriptions that ended", any(one["status"] == "canceled" for all_of in self.year.subscriptions.values() for one in all_of)),
            ("yen", any(one["currency"] == "jpy" for one in invoices)),
        ):
            with self.subTest(what):
                self.assertTrue(are_some)

    def plant(self, change, *words):
        """Spoils a copy of what the sandbox said of one customer, and expects the judge to say so."""
        person = max(self.year.people, key=lambda one: len(self.year.invoices.get(one.books.id, [])))
        books = person.books
        invoices = copy.deepcopy(self.year.invoices[books.id])
        subscriptions = copy.deepcopy(self.year.subscriptions[books.id])
        change(invoices, subscriptions)
        found = compare.differences(books, invoices) + compare.of_subscriptions(books, subscriptions)
        found += compare.twice_or_never(books, invoices)
        self.assertTrue(found, f"{words} is not found")
        for word in words:
            self.assertIn(word, " ".join(found))

    def test_a_planted_error_is_found(self):
        def cent(invoices, _):
            invoices[2]["lines"]["data"][0]["amount"] += 1

        def second(invoices, _):
            invoices[2]["lines"]["data"][0]["period"]["end"] += 1

        def again(invoices, _):
            invoices.append({**invoices[2], "id": "in_again"})

        def missing(invoices, _):
            del invoices[2]

        def balance(invoices, _):
            invoices[2]["starting_balance"] -= 1

        def due(invoices, _):
            invoices[2]["amount_due"] += 1

        def off(invoices, _):
            invoices[2]["total_discount_amounts"].append({"amount": 1, "discount": "di_none"})

        def status(_, subscriptions):
            subscriptions[0]["status"] = "unpaid"

        def period(_, subscriptions):
            subscriptions[0]["items"]["data"][0]["current_period_end"] -= 1

        for change, *words in (
            (cent, "lines is", "should be"), (second, "lines is"), (again, "an invoice too many, in_again"),
            (missing, "an invoice is missing"), (balance, "starting_balance is"), (due, "amount_due is"), (off, "off is"),
            (status, "unpaid"), (period, "should be"),
        ):
            with self.subTest(change.__name__):
                self.plant(change, *words)

    def test_an_invoice_twice_for_a_period_is_found_by_the_invoices_alone(self):
        def is_even(books):
            return not any(one.resets or any(item.uneven for item in one.known) for one in books.subscriptions)

        books = max(
            (person.books for person in self.year.people if is_even(person.books) and len(person.books.subscriptions) == 1),
            key=lambda books: len(self.year.invoices[books.id]),
        )
        invoices = self.year.invoices[books.id]
        self.assertEqual(compare.twice_or_never(books, invoices), [])
        _, renewal, *_ = [one for one in invoices if one["billing_reason"] == "subscription_cycle"]
        self.assertTrue(compare.twice_or_never(books, [*invoices, renewal]))
        self.assertTrue(compare.twice_or_never(books, [one for one in invoices if one is not renewal]))


class WrongBooks(unittest.TestCase):
    """Books that go by a wrong rule do not agree with the sandbox: a cent is enough."""

    def test_a_wrong_rule_is_found(self):
        def down(exact):
            return floor(exact)

        for place, name, wrong in (
            (prorations, "rounded", down),
            (discounts, "rounded", down),
            (life, "DRAFT_LIFE", 3601),
        ):
            with self.subTest(name), mock.patch.object(place, name, wrong):
                self.assertTrue(year_of(12, 5).differences())


class Rules(unittest.TestCase):
    """The rules by Stripe's own examples and by hand."""

    def test_tiers(self):
        fonts = (Tier(5, Fraction(700), Fraction(0)), Tier(10, Fraction(650), Fraction(0)), Tier(None, Fraction(600), Fraction(0)))
        for mode, costs in (
            ("graduated", {1: 700, 5: 3500, 6: 4150, 20: 12_750, 25: 15_750}),
            ("volume", {1: 700, 5: 3500, 6: 3900, 20: 12_000, 25: 15_000}),
        ):
            price = Price("fonts", "usd", "font", "month", 1, tiers_mode=mode, tiers=fonts)
            self.assertEqual({quantity: price.cost(quantity) for quantity in costs}, costs)
        self.assertEqual([prices.rounded(Fraction(one, 2)) for one in (-3, -1, 0, 1, 3)], [-2, -1, 0, 1, 2])

    def test_prorations(self):
        june, july = calendar.moment(2026, 6, 1), calendar.moment(2026, 7, 1)
        change = calendar.moment(2026, 6, 11, 8)
        for whole, part in ((2900, 1901), (7900, 5179), (6000, 3933), (9600, 6293), (Fraction(2900 * 8, 10), 1521)):
            self.assertEqual(prorations.share(whole, june, july, change), part)

    def test_the_calendar(self):
        last = calendar.moment(2027, 1, 31, 10)
        ends = [calendar.after(last, "month", count) for count in range(1, 5)]
        self.assertEqual(ends, [calendar.moment(2027, *day, 10) for day in ((2, 28), (3, 31), (4, 30), (5, 31))])
        leap = calendar.moment(2028, 2, 29)
        self.assertEqual([calendar.after(leap, "year", count) for count in (1, 4)], [calendar.moment(2029, 2, 28), calendar.moment(2032, 2, 29)])
        self.assertEqual(calendar.period(last, ends[1], "month", 1), (ends[1], ends[2]))
        self.assertEqual(calendar.period(last, last - 5, "month", 1), (last - 5, last))

    def test_an_amount_is_spread_to_the_cent(self):
        self.assertEqual(discounts.spread(100, [100, 100, 100]), [33, 33, 34])
        self.assertEqual(discounts.spread(0, [0, 0]), [0, 0])
