"""What a customer used of what a meter counts: of the events from a moment to just before another.

Source: https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure
"""

from fractions import Fraction


class Usage:
    def __init__(self):
        self._events = []

    def report(self, meter, at, value):
        self._events.append((meter, at, Fraction(value)))

    def of(self, meter, formula, start, end):
        """Never less than nothing. Of events of the same second the last reported is the last."""
        events = [(at, value) for of, at, value in self._events if of == meter and start <= at < end]
        if formula == "count":
            return Fraction(len(events))
        if formula == "last":
            return max(max(enumerate(events), key=lambda one: (one[1][0], one[0]))[1][1], 0) if events else Fraction(0)
        return max(sum((value for _, value in events), Fraction(0)), 0)
