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


def net(mode, item, discounts, among):
    """What an item costs for a whole period, less what is off.

    The items `among` which an amount off is shared bear it by their amounts in flexible mode, and evenly in classic mode.
    """
    whole = cost(item)
    exact = Fraction(whole)
    for discount in discounts:
        coupon = discount.coupon
        if coupon.product not in (None, item.price.product):
            continue
        if coupon.percent is not None:
            exact *= 1 - coupon.percent / 100
            continue
        costs = [cost(one) for one in among if coupon.product in (None, one.price.product) and cost(one) > 0]
        share = Fraction(1, max(len(costs), 1)) if mode == "classic" else Fraction(whole, max(sum(costs), 1))
        exact = max(exact - coupon.amount * share, Fraction(0))
    return exact


def cost(item):
    return 0 if item.metered else item.price.cost(item.quantity)


def credits(mode, item, discounts_used, at, among):
    """What is given back for the time after `at`: amounts, each with its period."""
    if mode == "classic":
        found = [(-share(net(mode, item, discounts_used, among), item.start, item.end, at), (at, item.end))]
    else:
        left = [debit for debit in item.debits if debit.end > at]
        found = [(-share(debit.amount, debit.start, debit.end, at), (max(at, debit.start), debit.end)) for debit in left]
    return [credit for credit in found if credit[0]]


def debit(mode, item, discounts, at, among):
    """What the item costs from `at` to its period's end."""
    return Debit(share(net(mode, item, discounts, among), item.start, item.end, at), at, item.end)
