"""What coupons take off an invoice.

Each discount is taken off what those before it left. A percentage is rounded line by line, half up. An amount is spread over
the lines in proportion, never more than there is; of the cents that do not divide, the first lines bear what is rounded down of
their share of the sum so far, which is the sandbox's rule, as Stripe publishes none.
Source: https://docs.stripe.com/billing/subscriptions/coupons
"""

from dataclasses import dataclass, field
from fractions import Fraction

from . import calendar
from .prices import rounded


@dataclass(frozen=True)
class Coupon:
    id: str
    duration: str
    percent: Fraction | None = None
    amount: int = 0
    months: int = 0
    # The one product it is for, if it is for one only.
    product: str | None = None


@dataclass(eq=False)
class Discount:
    coupon: Coupon
    start: int
    # When a repeating one is over.
    end: int | None = field(default=None)

    def __post_init__(self):
        if self.coupon.duration == "repeating":
            self.end = calendar.after(self.start, "month", self.coupon.months)

    def holds(self, now):
        return self.end is None or now < self.end


def taken_off(lines, discounts):
    """What comes off each line (with `amount`, `product`, `discountable`): for each the sum, and the discounts that took some."""
    left = [max(line.amount, 0) if line.discountable else 0 for line in lines]
    off, used = [0] * len(lines), []
    for discount in discounts:
        coupon = discount.coupon
        base = [one if coupon.product in (None, line.product) else 0 for one, line in zip(left, lines)]
        if coupon.percent is not None:
            shares = [rounded(one * coupon.percent / 100) for one in base]
        else:
            shares = spread(min(coupon.amount, sum(base)), base)
        if sum(shares):
            used.append(discount)
        left = [one - share for one, share in zip(left, shares)]
        off = [one + share for one, share in zip(off, shares)]
    return off, used


def spread(amount, over):
    shares, so_far = [], 0
    for one in over:
        before, so_far = so_far, so_far + one
        shares.append(amount * so_far // sum(over) - amount * before // sum(over) if so_far else 0)
    return shares
