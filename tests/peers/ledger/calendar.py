"""Billing periods by the calendar.

The n-th period of an anchor ends n intervals after it, on the anchor's day, or on the last of a month that has no such day.
Source: https://docs.stripe.com/billing/subscriptions/billing-cycle
"""

from datetime import datetime, timedelta, timezone

DAY = 86_400


def moment(year, month, day, hour=0, minute=0, second=0):
    return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp())


def after(anchor, interval, count):
    """The moment `count` intervals after `anchor`."""
    begun = datetime.fromtimestamp(anchor, timezone.utc)
    if interval in ("day", "week"):
        return int((begun + timedelta(days=count * (7 if interval == "week" else 1))).timestamp())
    months = begun.year * 12 + begun.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    return int(begun.replace(year=year, month=month + 1, day=min(begun.day, days_of(year, month + 1))).timestamp())


def days_of(year, month):
    first = datetime(year, month, 1)
    return ((first + timedelta(days=32)).replace(day=1) - first).days


def period(anchor, now, interval, count):
    """The period that `now` lies in. Before its anchor a subscription is in a period that begins now and ends there."""
    if anchor > now:
        return now, anchor
    passed = 0
    while (end := after(anchor, interval, (passed + 1) * count)) <= now:
        passed += 1
    return after(anchor, interval, passed * count), end
