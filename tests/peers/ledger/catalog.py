"""What can be subscribed to: in three currencies prices of every kind and length, meters, and coupons."""

from dataclasses import replace
from fractions import Fraction

from .discounts import Coupon
from .prices import Price, Tier

CURRENCIES = ("usd", "eur", "jpy")
FORMULAS = {"calls": "sum", "jobs": "count", "seats": "last"}
# Lengths that may stand side by side: the longer ones are multiples of the shortest.
FAMILIES = ((("month", 1), ("month", 3), ("month", 6), ("year", 1)), (("week", 1), ("week", 2)), (("day", 10), ("day", 20)))
# How often a family is drawn. Short periods make many invoices that are alike.
WEIGHTS = (28, 2, 1)


def prices():
    """Of each currency and length: by the unit, with decimals, packed, graduated, by volume, free; and metered ones."""
    made = []
    for currency in CURRENCIES:
        for interval, count in (length for family in FAMILIES for length in family):
            def of(kind, product, **more):
                key = f"{currency}-{count}{interval}-{kind}"
                made.append(Price(key, currency, f"{currency}-{product}", interval, count, **more))

            much = {"day": 1, "week": 1, "month": 4, "year": 40}[interval] * count
            of("plain", "a", unit=Fraction(729 * much))
            of("dear", "b", unit=Fraction(1999 * much))
            of("decimal", "a", unit=Fraction("333.335") * much)
            of("packed", "b", unit=Fraction(1001 * much), package=(3, "up"))
            of("halves", "c", unit=Fraction(1501 * much), package=(2, "down"))
            graduated = (Tier(2, Fraction(700), Fraction(150)), Tier(5, Fraction("449.5"), Fraction(0)), Tier(None, Fraction("300.25"), Fraction(999)))
            of("graduated", "c", tiers_mode="graduated", tiers=graduated)
            volume = (Tier(3, Fraction(800), Fraction(0)), Tier(6, Fraction(705), Fraction(500)), Tier(None, Fraction("610.125"), Fraction(0)))
            of("volume", "a", tiers_mode="volume", tiers=volume)
            for meter in FORMULAS:
                of(f"{meter}-plain", "d", meter=meter, unit=Fraction("2.5"))
            of("calls-packed", "d", meter="calls", unit=Fraction(99), package=(100, "up"))
            calls = (Tier(100, Fraction(0), Fraction(75)), Tier(1000, Fraction("1.05"), Fraction(0)), Tier(None, Fraction("0.3333"), Fraction(0)))
            of("calls-graduated", "d", meter="calls", tiers_mode="graduated", tiers=calls)
            of("seats-volume", "d", meter="seats", tiers_mode="volume", tiers=volume)
    return made


def coupons():
    """Of each currency: shares and amounts, for each duration, one of them for one product only."""
    made = {}
    for currency in CURRENCIES:
        made[currency] = [
            *(
                Coupon(f"{currency}-{percent}-{duration}", duration, percent=Fraction(str(percent)), months=months)
                for percent, duration, months in (
                    (10, "forever", 0), (33.33, "repeating", 3), (50, "once", 0), (12.5, "repeating", 7), (100, "once", 0),
                )
            ),
            *(
                Coupon(f"{currency}-{amount}-{duration}", duration, amount=amount, months=months)
                for amount, duration, months in ((700, "once", 0), (1001, "forever", 0), (333, "repeating", 4))
            ),
            Coupon(f"{currency}-own", "forever", percent=Fraction(25), product=f"{currency}-a"),
        ]
    return made


def create(wire):
    """Makes all of it; gives the prices with their ids, and the coupons by currency."""
    products = {}
    for currency in CURRENCIES:
        for name in "abcd":
            products[f"{currency}-{name}"] = wire.post("products", {"name": f"{currency} {name}"})["id"]
    meters = {
        name: wire.post("billing/meters", {"display_name": name, "event_name": name, "default_aggregation": {"formula": formula}})["id"]
        for name, formula in FORMULAS.items()
    }
    made = [replace(price, product=products[price.product]) for price in prices()]
    made = [replace(price, id=wire.post("prices", form(price, meters))["id"]) for price in made]
    by_currency = {}
    for currency, all_of in coupons().items():
        by_currency[currency] = [replace(one, product=products.get(one.product)) for one in all_of]
        for one in by_currency[currency]:
            off = {"percent_off": decimal(one.percent)} if one.percent is not None else {"amount_off": one.amount, "currency": currency}
            only = {"applies_to": {"products": [one.product]}} if one.product else {}
            months = {"duration_in_months": one.months} if one.months else {}
            wire.post("coupons", {"id": one.id, "duration": one.duration, **off, **only, **months})
    return made, by_currency


def form(price, meters):
    made = {"product": price.product, "currency": price.currency, "recurring": {"interval": price.interval, "interval_count": price.count}}
    if price.meter:
        made["recurring"] |= {"usage_type": "metered", "meter": meters[price.meter]}
    if price.tiers:
        tiers = [
            {"up_to": tier.up_to or "inf", "unit_amount_decimal": decimal(tier.unit), "flat_amount_decimal": decimal(tier.flat)}
            for tier in price.tiers
        ]
        return made | {"billing_scheme": "tiered", "tiers_mode": price.tiers_mode, "tiers": tiers}
    if price.package:
        made["transform_quantity"] = {"divide_by": price.package[0], "round": price.package[1]}
    return made | {"unit_amount_decimal": decimal(price.unit)}


def decimal(exact):
    """A fraction with few places, as Stripe is sent it."""
    text = f"{float(exact):.12f}".rstrip("0").rstrip(".")
    assert Fraction(text) == exact, exact
    return text
