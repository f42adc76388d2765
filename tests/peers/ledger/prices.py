"""What a quantity costs at a price. All of it is reckoned exactly and rounded once, half up.

Sources: https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing,
https://docs.stripe.com/products-prices/pricing-models#package-pricing
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor


def rounded(exact):
    """To the nearest whole number, a half away from zero."""
    whole = floor(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


@dataclass(frozen=True)
class Tier:
    """Up to and with `up_to` units, or without an end."""

    up_to: int | None
    unit: Fraction
    flat: Fraction

    def cost(self, quantity):
        return quantity * self.unit + self.flat


@dataclass(frozen=True)
class Price:
    key: str
    currency: str
    product: str
    interval: str
    count: int
    unit: Fraction = Fraction(0)
    # How many units a package has, and whether a package that was begun counts (`up`) or not (`down`).
    package: tuple[int, str] | None = None
    # `graduated` or `volume`, and the tiers.
    tiers_mode: str | None = None
    tiers: tuple[Tier, ...] = ()
    # What a metered price counts; others are licensed.
    meter: str | None = None
    # As Stripe knows it.
    id: str = field(default="", compare=False)

    @property
    def length(self):
        return self.interval, self.count

    def cost(self, quantity):
        """In minor units."""
        return rounded(self.exactly(Fraction(quantity)))

    def exactly(self, quantity):
        if self.tiers_mode == "volume":
            return next(tier for tier in self.tiers if tier.up_to is None or quantity <= tier.up_to).cost(quantity)
        if self.tiers_mode == "graduated":
            total, passed = Fraction(0), 0
            for number, tier in enumerate(self.tiers):
                within = quantity - passed if tier.up_to is None else min(quantity, tier.up_to) - passed
                # The flat amount of the first tier is due even for nothing.
                if within > 0 or number == 0:
                    total += tier.cost(max(within, 0))
                passed = tier.up_to
                if tier.up_to is None or quantity <= passed:
                    break
            return total
        if self.package:
            size, how = self.package
            quantity = (ceil if how == "up" else floor)(quantity / size)
        return quantity * self.unit
