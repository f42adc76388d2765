"""What a change within a period gives back and costs, each line reckoned by the second and rounded on its own, half up.

In flexible mode a credit gives back what was debited, one credit for each debit of time that is left; in classic mode it goes by
the item's price and quantity and the discounts last used. Debits go by the new price less the discounts of the subscription.
Sources: https://docs.stripe.com/billing/subscriptions/prorations,
https://docs.stripe.com/billing/subscriptions/billing-mode/compare
"""

from dataclasses import dataclass
from fractions import Fraction

from .prices import rounded


@dataclass(frozen=True)
class Debit:
    """An amount, discounts taken off, that was debited for a time."""

    amount: int
    start: int
    end: int


def share(whole, start, end, at):
    """The part of `whole`, for the time from `start` to `end`, that falls after `at`."""
    return rounded(Fraction(whole) * max(end - max(at, start), 0) / (end - start))


def net(item, discounts):
    """What an item costs for a whole period, less percentages off."""
    exact = Fraction(item.price.cost(item.quantity))
    for discount in discounts:
        coupon = discount.coupon
        if coupon.percent is not None and coupon.product in (None, item.price.product):
            exact *= 1 - coupon.percent / 100
    return exact


def credits(mode, item, discounts_used, at):
    """What is given back for the time after `at`: amounts, each with its period."""
    if mode == "classic":
        found = [(-share(net(item, discounts_used), item.start, item.end, at), (at, item.end))]
    else:
        left = [debit for debit in item.debits if debit.end > at]
        found = [(-share(debit.amount, debit.start, debit.end, at), (max(at, debit.start), debit.end)) for debit in left]
    return [credit for credit in found if credit[0]]


def debit(item, discounts, at):
    """What the item costs from `at` to its period's end."""
    return Debit(share(net(item, discounts), item.start, item.end, at), at, item.end)
