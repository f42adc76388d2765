"""A year of many customers: played, then judged."""

import random
from collections import Counter
from dataclasses import dataclass

from . import catalog, compare
from .story import BEGIN, END, Person
from .wire import Wire


EVENTS = [
    "balance.available", "charge.succeeded", "coupon.updated", "customer.created", "customer.discount.created",
    "customer.discount.deleted", "customer.subscription.created", "customer.subscription.deleted",
    "customer.subscription.trial_will_end", "customer.subscription.updated", "customer.updated", "invoice.created",
    "invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "invoice.updated", "invoice_payment.paid",
    "invoiceitem.created", "payment_intent.created", "payment_intent.succeeded", "payment_method.attached",
]


@dataclass
class Year:
    """What was played: each person's books, and all that the sandbox says of them."""

    people: list
    invoices: dict
    subscriptions: dict
    balances: dict
    log: list

    def differences(self):
        found = []
        for person in self.people:
            books = person.books
            invoices = self.invoices.get(books.id, [])
            found += compare.differences(books, invoices)
            found += compare.of_customer(books, self.balances[books.id])
            found += compare.of_subscriptions(books, self.subscriptions.get(books.id, []))
            found += compare.twice_or_never(books, invoices)
        return found

    def summary(self):
        invoices = [one for all_of in self.invoices.values() for one in all_of]
        lines = [line for one in invoices for line in one["lines"]["data"]]
        prorations = sum(compare.details(line)["proration"] for line in lines)
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(one["billing_reason"] for one in invoices).items()))
        return (
            f"{len(self.people)} customers asked {len(self.log)} times for something: {len(invoices)} invoices ({reasons}), "
            f"{len(lines)} lines, {prorations} of them prorations"
        )


def play(url, key, customers, seed):
    """Lets `customers` live through the year at a new sandbox whose clock stands before it."""
    wire = Wire(url, key)
    # Events would be half of the work, and nobody here listens to them.
    wire.control("faults", {"deliveries": {"never_generate": EVENTS}})
    now = wire.advance(0)
    now = wire.advance(BEGIN - now)
    prices, coupons = catalog.create(wire)
    log = []
    people = [Person(number, random.Random(f"{seed} {number}"), wire, prices, coupons, log) for number in range(customers)]
    moments = sorted((at, person.number) for person in people for at in person.moments)
    for at, number in moments:
        if at > now:
            now = wire.advance(at - now)
        people[number].act(at)
    wire.advance(END - now)
    for person in people:
        person.books.live_until(END)
    balances = {one["id"]: one["balance"] for one in wire.all("customers")}
    year = Year(people, of_each(wire.stored("invoice")), of_each(wire.stored("subscription")), balances, log)
    # What is stored is what the API gives.
    for person in people[:: max(len(people) // 3, 1)]:
        given = wire.all("invoices", customer=person.books.id)
        assert [compare.said(one) for one in given] == [compare.said(one) for one in year.invoices.get(person.books.id, [])]
    wire.close()
    return year


def of_each(all_of):
    """Objects by their customer."""
    found = {}
    for one in all_of:
        found.setdefault(one["customer"], []).append(one)
    return found
