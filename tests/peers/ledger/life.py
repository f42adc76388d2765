"""The books of one customer: subscriptions, what waits, and every invoice, as Stripe's documents have them.

Everything is told by its moment: what was asked for at it, and before that whatever came due. Nothing here knows an answer of
the sandbox but the names it gave to subscriptions and their items.
Sources: https://docs.stripe.com/billing/invoices/subscription, https://docs.stripe.com/billing/subscriptions/change,
https://docs.stripe.com/billing/subscriptions/cancel, https://docs.stripe.com/billing/subscriptions/trials,
https://docs.stripe.com/billing/customer/balance
"""

from dataclasses import dataclass, field

from . import calendar, prorations
from .discounts import Discount, taken_off
from .usage import Usage

# A renewal's invoice is a draft so long.
DRAFT_LIFE = 3600
# The least that is charged: 0.50 USD, 0.50 EUR, ¥50. Source: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
LEAST = 50


@dataclass(eq=False)
class Line:
    amount: int
    period: tuple[int, int]
    product: str | None = None
    discountable: bool = True
    proration: bool = False
    item: "Item | None" = None
    off: int = 0


@dataclass(eq=False)
class Waiting:
    """An invoice item that no invoice has taken up."""

    line: Line
    subscription: "Subscription | None" = None


@dataclass(eq=False)
class Invoice:
    created: int
    subscription: str | None
    reason: str
    lines: list[Line]
    status: str = "draft"
    finalizes: int | None = None
    finalized: int | None = None
    starting: int = 0
    ending: int | None = None
    due: int = 0

    @property
    def subtotal(self):
        return sum(line.amount for line in self.lines)

    @property
    def off(self):
        return sum(line.off for line in self.lines)

    @property
    def total(self):
        return self.subtotal - self.off


@dataclass(eq=False)
class Item:
    price: object
    quantity: int
    start: int
    end: int
    id: str = ""
    # What was debited for time that has not passed, for flexible mode.
    debits: list = field(default_factory=list)
    # The discounts in its last debit, if there was one, for classic mode.
    discounts_used: list | None = None
    # From when on its usage is not billed yet.
    since: int = 0
    # Whether its invoices cannot lie side by side: it went over to another length, or to another meter.
    uneven: bool = False

    @property
    def metered(self):
        return self.price.meter is not None

    def move(self, start, end):
        self.start, self.end, self.since = start, end, start


@dataclass(eq=False)
class Subscription:
    mode: str
    anchor: int
    items: list[Item]
    discounts: list[Discount]
    status: str = "active"
    trial_end: int | None = None
    cancel_at: int | None = None
    id: str = ""
    # When its periods began anew by wish or rule.
    resets: list[int] = field(default_factory=list)
    # All items there ever were.
    known: list[Item] = field(default_factory=list)

    @property
    def alive(self):
        return self.status in ("active", "trialing")

    @property
    def trialing(self):
        return self.status == "trialing"

    def end_with_period(self):
        """One that ends with its period ends with another, if it has another."""
        if self.cancel_at:
            self.cancel_at = max(item.end for item in self.items)

    def in_force(self, now):
        return [discount for discount in self.discounts if discount.holds(now)]


class Customer:
    def __init__(self, id, formulas):
        self.id = id
        self.balance = 0
        self.subscriptions = []
        self.invoices = []
        self.waiting = []
        self.usage = Usage()
        self._formulas = formulas

    # What comes due

    def live_until(self, now):
        """Does what comes due until `now`, that moment included."""
        while (due := self._next()) and due[0] <= now:
            at, act = due
            act(at)

    def _next(self):
        due = [(one.finalizes, lambda at, one=one: self._finalize(one, at)) for one in self.invoices if one.finalizes]
        for one in self.subscriptions:
            if one.alive:
                # Where both are due it ends.
                if one.cancel_at:
                    due.append((one.cancel_at, lambda at, one=one: self._end(one, at)))
                due.append((min(item.end for item in one.items), lambda at, one=one: self._renew(one, at)))
        return min(due, key=lambda one: one[0], default=None)

    def _renew(self, subscription, now):
        was_trial, subscription.status = subscription.trialing, "active"
        lines = []
        subscription.discounts = subscription.in_force(now)
        for item in subscription.items:
            if item.end > now:
                continue
            # What was used in a trial is free.
            if item.metered and not was_trial:
                lines.append(self._usage_line(item, now))
            item.move(item.end, calendar.period(subscription.anchor, item.end, *item.price.length)[1])
            lines += self._first_lines(subscription, item) if was_trial or not item.metered else []
        self._draft(subscription, "subscription_cycle", lines, now, self._waits_for(subscription, loose=True), now + DRAFT_LIFE)

    def _end(self, subscription, now):
        """Ends a subscription, billing what was used and what waits."""
        self._invoice_rest(subscription, now)
        self._stop(subscription)

    def _stop(self, subscription):
        subscription.status = "canceled"
        for invoice in self.invoices:
            if invoice.subscription == subscription.id:
                # Its drafts stay drafts.
                invoice.finalizes = None

    # What is asked for

    def subscribe(self, now, mode, items, coupons, trial_end=None, id="", item_ids=()):
        anchor = trial_end or now
        subscription = Subscription(mode, anchor, [], [Discount(coupon, now) for coupon in coupons], trial_end=trial_end, id=id)
        subscription.status = "trialing" if trial_end else "active"
        for (price, quantity), item_id in zip(items, item_ids):
            end = trial_end or calendar.period(anchor, now, *price.length)[1]
            subscription.items.append(Item(price, quantity, now, end, id=item_id, since=now))
        subscription.known = list(subscription.items)
        lines = [line for item in subscription.items for line in self._first_lines(subscription, item)]
        self.subscriptions.append(subscription)
        self._draft(subscription, "subscription_create", lines, now, self._waits_for(subscription, loose=True))
        return subscription

    def change(self, now, subscription, *, quantities=None, prices=None, add=(), remove=(), prorate="create_prorations",
               at=None, anchor_now=False):
        """Changes items: new quantities and prices by item, added (price, quantity, id), removed items."""
        old = [(item, item.price, item.quantity, item.start, item.end) for item in subscription.items]
        at = at or now
        was_free = all(item.price.unit == 0 and not item.price.tiers for item in subscription.items)
        first = subscription.items[0].price.length
        quantities, prices = quantities or {}, prices or {}
        changed = {item for item in subscription.items if quantities.get(item, item.quantity) != item.quantity or item in prices}
        kept = [item for item in subscription.items if item not in remove]
        length = (prices.get(kept[0], kept[0].price)).length
        after_free = all(
            price.unit == 0 and not price.tiers
            for price in [prices.get(item, item.price) for item in kept] + [price for price, *_ in add]
        )
        running = subscription.status == "active"
        by_itself = subscription.mode == "classic" and (length != first or (was_free and not after_free))
        resets = running and (anchor_now or by_itself)
        made = []
        # In flexible mode what was used at a price that goes is billed at it, unless nothing is to be prorated.
        for item in subscription.items:
            goes = item in remove or item in prices
            bills = running and subscription.mode == "flexible" and prorate != "none" and not resets
            if item.metered and goes and bills:
                line = self._usage_line(item, now)
                made += [Waiting(line, subscription)] if line.amount else []
        used = []
        if resets:
            used = [self._usage_line(item, now) for item in subscription.items if item.metered]
            used = [line for line in used if line.amount]
        if prorate != "none" and running:
            for item, *_ in old:
                if not item.metered and (resets or item in changed or item in remove):
                    made += self._credits(subscription, item, now if resets else at, now)
        # The items become what was asked for.
        for item in kept:
            if item in prices:
                was = item.price
                item.price = prices[item]
                if item.metered:
                    # What was used before is not billed at the price that comes.
                    item.since = now
                item.uneven |= item.price.length != was.length or item.metered
                if item.price.length != was.length and not subscription.trialing:
                    item.start, item.end = calendar.period(subscription.anchor, now, *item.price.length)
            item.quantity = quantities.get(item, item.quantity)
        fresh = []
        for price, quantity, id in add:
            start, end = calendar.period(subscription.anchor, now, *price.length)
            fresh.append(Item(price, quantity, start, end, id=id, since=now))
        subscription.items = kept + fresh
        subscription.known += fresh
        lines = []
        if resets:
            subscription.anchor = now
            subscription.resets.append(now)
            for item in subscription.items:
                item.debits = []
                item.move(now, calendar.period(now, now, *item.price.length)[1])
                lines += self._first_lines(subscription, item)
        subscription.end_with_period()
        if not resets and prorate != "none" and running:
            ordered = []
            for item in kept:
                if item in changed and not item.metered:
                    ordered += self._debit(subscription, item, at, now)
            for item in fresh:
                if not item.metered:
                    ordered += self._debit(subscription, item, at, now)
            made += ordered
        self.waiting += made
        waiting = self._waits_for(subscription, loose=False)
        # In classic mode what waits already is reason enough.
        if resets or (prorate == "always_invoice" and (made or (subscription.mode == "classic" and waiting))):
            self._draft(subscription, "subscription_update", used + lines, now, waiting)

    def end_trial(self, now, subscription):
        """A trial ends now: a period begins and is billed; what was used is free."""
        subscription.trial_end = now
        subscription.status = "active"
        subscription.anchor = now
        subscription.resets.append(now)
        lines = []
        for item in subscription.items:
            item.move(now, calendar.period(now, now, *item.price.length)[1])
            lines += self._first_lines(subscription, item)
        subscription.end_with_period()
        self._draft(subscription, "subscription_update", lines, now, self._waits_for(subscription, loose=False))

    def move_trial(self, subscription, end):
        subscription.trial_end = subscription.anchor = end
        subscription.resets.append(end)
        for item in subscription.items:
            item.end = end
        subscription.end_with_period()

    def discount(self, now, subscription, coupons):
        subscription.discounts = [Discount(coupon, now) for coupon in coupons]

    def cancel_at_period_end(self, subscription, wanted):
        subscription.cancel_at = max(item.end for item in subscription.items) if wanted else None

    def cancel(self, now, subscription, prorate=False, invoice_now=False):
        if prorate and not subscription.trialing:
            for item in subscription.items:
                if not item.metered:
                    self.waiting += self._credits(subscription, item, now, now)
        if invoice_now:
            self._invoice_rest(subscription, now)
        self._stop(subscription)

    def put_item(self, now, amount, product=None, subscription=None, discountable=True):
        line = Line(amount, (now, now), product=product, discountable=discountable)
        self.waiting.append(Waiting(line, subscription))

    def invoice(self, now):
        """An invoice by hand, of what waits and is of no subscription, that advances by itself."""
        loose = [one for one in self.waiting if one.subscription is None]
        self._draft(None, "manual", [], now, loose, now + DRAFT_LIFE)

    # What lines and invoices are made of

    def _first_lines(self, subscription, item):
        """The line for a period that begins: nothing of it is due in a trial, or of what is metered."""
        if item.metered and subscription.mode == "flexible":
            return []
        free = item.metered or subscription.trialing
        amount = 0 if free else item.price.cost(item.quantity)
        return [Line(amount, (item.start, item.end), item.price.product, item=item)]

    def _usage_line(self, item, now):
        used = self.usage.of(item.price.meter, self._formulas[item.price.meter], item.since, now)
        return Line(item.price.cost(used), (item.since, now), item.price.product, item=item)

    def _credits(self, subscription, item, at, now):
        used = subscription.in_force(now) if item.discounts_used is None else item.discounts_used
        credits = prorations.credits(subscription.mode, item, used, at, subscription.items)
        item.debits = []
        return [
            Waiting(Line(amount, period, item.price.product, False, True, item), subscription) for amount, period in credits
        ]

    def _debit(self, subscription, item, at, now):
        item.discounts_used = subscription.in_force(now)
        debit = prorations.debit(subscription.mode, item, item.discounts_used, at, subscription.items)
        if not debit.amount:
            return []
        item.debits.append(debit)
        line = Line(debit.amount, (debit.start, debit.end), item.price.product, False, True, item)
        return [Waiting(line, subscription)]

    def _waits_for(self, subscription, loose):
        return [one for one in self.waiting if one.subscription is subscription or (loose and one.subscription is None)]

    def _invoice_rest(self, subscription, now):
        used = [] if subscription.trialing else [self._usage_line(item, now) for item in subscription.items if item.metered]
        used = [line for line in used if line.amount]
        waiting = self._waits_for(subscription, loose=False)
        if used or waiting:
            self._draft(subscription, "subscription_update", used, now, waiting)

    def _draft(self, subscription, reason, lines, now, waiting, finalizes=None):
        lines = lines + [one.line for one in waiting]
        if subscription and not lines:
            return
        self.waiting = [one for one in self.waiting if one not in waiting]
        invoice = Invoice(now, subscription and subscription.id, reason, lines, finalizes=finalizes)
        if subscription:
            in_force = subscription.in_force(now)
            off, used = taken_off(lines, in_force)
            for line, one in zip(lines, off):
                line.off = one
            for line in lines:
                if line.item and not line.proration and not line.item.metered:
                    line.item.discounts_used = in_force
                    line.item.debits = [debit for debit in line.item.debits if debit.end > now]
                    if line.amount > line.off:
                        line.item.debits.append(prorations.Debit(line.amount - line.off, *line.period))
            subscription.discounts = [one for one in in_force if not (one.coupon.duration == "once" and one in used)]
        self.invoices.append(invoice)
        if finalizes is None:
            self._finalize(invoice, now)

    def _finalize(self, invoice, now):
        """A balance bears what it can; what is less than nothing, or than can be charged, goes to it. What is due is paid."""
        invoice.finalizes, invoice.finalized = None, now
        invoice.starting = self.balance
        rest = invoice.total + self.balance
        invoice.due = rest if rest >= LEAST else 0
        invoice.ending = rest - invoice.due
        self.balance = invoice.ending
        invoice.status = "paid"
