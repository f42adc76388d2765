"""What customers do, drawn from a seed: each act is asked of the sandbox and told to the customer's books."""

from fractions import Fraction

from . import calendar, catalog
from .life import Customer

DAY = calendar.DAY
# A year with a leap day. Many begin where months differ in length.
BEGIN = calendar.moment(2027, 12, 1)
END = calendar.moment(2028, 12, 1)
EDGES = [(2027, 12, 29), (2027, 12, 30), (2027, 12, 31), (2028, 1, 29), (2028, 1, 30), (2028, 1, 31), (2028, 2, 28), (2028, 2, 29)]
PRORATIONS = (None, "create_prorations", "always_invoice", "always_invoice", "none")


class Person:
    """A customer at the sandbox, the books of it, and what it does."""

    def __init__(self, number, draw, wire, prices, coupons, log):
        self.number, self._draw, self._wire, self._log = number, draw, wire, log
        self.currency = draw.choice(catalog.CURRENCIES)
        self._prices = [price for price in prices if price.currency == self.currency]
        self._coupons = coupons[self.currency]
        self.books = None
        edge = calendar.moment(*draw.choice(EDGES)) if draw.random() < 0.5 else BEGIN + draw.randrange(240) * DAY
        begins = edge + draw.randrange(DAY)
        self.moments = [begins, *sorted(draw.randrange(begins + 1, END) for _ in range(draw.randrange(3, 9)))]

    def act(self, now):
        if self.books is None:
            self._arrive()
            self._subscribe(now)
            return
        self.books.live_until(now)
        alive = [one for one in self.books.subscriptions if one.alive]
        acts = [self._item, self._balance, self._usage, self._usage]
        if len(self.books.subscriptions) < 2 and self._draw.random() < 0.15 or not self.books.subscriptions:
            acts = [self._subscribe]
        elif alive:
            subscription = self._draw.choice(alive)
            acts += [lambda now, act=act: act(now, subscription) for act in (
                self._quantity, self._quantity, self._quantity, self._price, self._price, self._price, self._length, self._add,
                self._add, self._remove, self._anchor, self._discount, self._undiscount, self._plan_end, self._cancel,
                self._trial, self._trial,
            )]
        if any(one.subscription is None for one in self.books.waiting):
            acts.append(self._invoice)
        self._draw.shuffle(acts)
        next(act for act in acts if act(now))

    def _arrive(self):
        made = self._wire.post("customers", {"name": f"Customer {self.number}"})
        method = self._wire.post("payment_methods/pm_card_visa/attach", {"customer": made["id"]})["id"]
        self._wire.post(f"customers/{made['id']}", {"invoice_settings": {"default_payment_method": method}})
        self.books = Customer(made["id"], catalog.FORMULAS)

    def _ask(self, now, path, form=None, delete=False):
        """Calls the sandbox, and keeps what was asked."""
        self._log.append((now, self.books.id, path, form))
        return self._wire.delete(path, form) if delete else self._wire.post(path, form)

    # Subscribing

    def _subscribe(self, now):
        draw = self._draw
        mode = draw.choice(("flexible", "flexible", "classic"))
        family = draw.choices(catalog.FAMILIES, catalog.WEIGHTS)[0]
        length = draw.choice(family)
        items = []
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            if mode == "flexible" and draw.random() < 0.3:
                length = draw.choice(family)
            self._sell(items, [length])
        form = {
            "customer": self.books.id, "billing_mode": {"type": mode},
            "items": [self._item_form(price, quantity) for price, quantity in items],
        }
        coupons = draw.sample(self._coupons, draw.choice((0, 0, 1, 1, 2)))
        if coupons:
            form["discounts"] = [{"coupon": one.id} for one in coupons]
        trial_end = None
        if draw.random() < 0.25:
            if draw.random() < 0.5:
                form["trial_period_days"] = draw.randrange(1, 40)
                trial_end = now + form["trial_period_days"] * DAY
            else:
                form["trial_end"] = trial_end = now + draw.randrange(3600, 40 * DAY)
        made = self._ask(now, "subscriptions", form)
        ids = [item["id"] for item in made["items"]["data"]]
        self.books.subscribe(now, mode, items, coupons, trial_end, made["id"], ids)
        return True

    def _sell(self, items, lengths, metered=None):
        """Draws a price of one of the lengths that is not sold yet, with a quantity."""
        wants_metered = self._draw.random() < 0.25 if metered is None else metered
        sold = [price for price, _ in items]
        found = [price for price in self._prices if price.length in lengths and price not in sold]
        found = [price for price in found if (price.meter is not None) == wants_metered]
        price = self._draw.choice(found)
        items.append((price, None if price.meter else self._draw.randrange(1, 9)))

    @staticmethod
    def _item_form(price, quantity):
        return {"price": price.id, "quantity": quantity}

    # Changing

    def _change(self, now, subscription, lines, *, may_date=True, anchor_now=False, **change):
        how = self._draw.choice(PRORATIONS)
        form = {"items": lines, "proration_behavior": how}
        at = now
        if may_date and self._draw.random() < 0.3:
            at = self._draw.randrange(max(item.start for item in subscription.items), now + 1)
            if at <= min(item.end for item in subscription.items):
                form["proration_date"] = at
            else:
                at = now
        if anchor_now:
            form["billing_cycle_anchor"] = {"type": "now"}
        made = self._ask(now, f"subscriptions/{subscription.id}", form)
        known = {item.id for item in subscription.items}
        fresh = [item["id"] for item in made["items"]["data"] if item["id"] not in known]
        if "add" in change:
            change["add"] = [(price, quantity, id) for (price, quantity), id in zip(change["add"], fresh)]
        self.books.change(now, subscription, prorate=how or "create_prorations", at=at, anchor_now=anchor_now, **change)
        return True

    def _quantity(self, now, subscription):
        items = [item for item in subscription.items if not item.metered]
        if not items:
            return False
        item, quantity = self._draw.choice(items), self._draw.randrange(1, 12)
        return self._change(now, subscription, [{"id": item.id, "quantity": quantity}], quantities={item: quantity})

    def _price(self, now, subscription):
        item = self._draw.choice(subscription.items)
        return self._other_price(now, subscription, item, [item.price.length])

    def _length(self, now, subscription):
        """Another length: in classic mode, where all items have the same, only of the one item there is."""
        item = self._draw.choice(subscription.items)
        if item.metered or (subscription.mode == "classic" and len(subscription.items) > 1):
            return False
        family = next(family for family in catalog.FAMILIES if item.price.length in family)
        lengths = [length for length in family if length != item.price.length]
        return self._other_price(now, subscription, item, lengths, may_date=False)

    def _other_price(self, now, subscription, item, lengths, **how):
        fresh = [(one.price, one.quantity) for one in subscription.items]
        self._sell(fresh, lengths, item.metered)
        price = fresh[-1][0]
        line = {"id": item.id, "price": price.id}
        return self._change(now, subscription, [line], prices={item: price}, **how)

    def _add(self, now, subscription):
        if len(subscription.items) > 4:
            return False
        items = [(item.price, item.quantity) for item in subscription.items]
        lengths = [subscription.items[0].price.length]
        if subscription.mode == "flexible" and self._draw.random() < 0.3:
            lengths = list(next(family for family in catalog.FAMILIES if lengths[0] in family))
        self._sell(items, lengths)
        price, quantity = items[-1]
        return self._change(now, subscription, [self._item_form(price, quantity)], may_date=False, add=[(price, quantity)])

    def _remove(self, now, subscription):
        if len(subscription.items) < 2:
            return False
        item = self._draw.choice(subscription.items)
        return self._change(now, subscription, [{"id": item.id, "deleted": True}], remove=[item])

    def _anchor(self, now, subscription):
        if subscription.trialing:
            return False
        return self._change(now, subscription, [], may_date=False, anchor_now=True)

    def _discount(self, now, subscription):
        coupons = self._draw.sample(self._coupons, self._draw.choice((1, 1, 2)))
        self._ask(now, f"subscriptions/{subscription.id}", {"discounts": [{"coupon": one.id} for one in coupons]})
        self.books.discount(now, subscription, coupons)
        return True

    def _undiscount(self, now, subscription):
        if not subscription.discounts:
            return False
        self._ask(now, f"subscriptions/{subscription.id}", {"discounts": ""})
        self.books.discount(now, subscription, [])
        return True

    def _trial(self, now, subscription):
        if not subscription.trialing:
            return False
        end = "now" if self._draw.random() < 0.4 else now + self._draw.randrange(3600, 50 * DAY)
        self._ask(now, f"subscriptions/{subscription.id}", {"trial_end": end})
        if end == "now":
            self.books.end_trial(now, subscription)
        else:
            self.books.move_trial(subscription, end)
        return True

    # Ending

    def _plan_end(self, now, subscription):
        wanted = subscription.cancel_at is None
        if wanted and self._draw.random() < 0.6:
            return False
        self._ask(now, f"subscriptions/{subscription.id}", {"cancel_at_period_end": wanted})
        self.books.cancel_at_period_end(subscription, wanted)
        return True

    def _cancel(self, now, subscription):
        if self._draw.random() < 0.6:
            return False
        how = {name: True for name in ("prorate", "invoice_now") if self._draw.random() < 0.5}
        self._ask(now, f"subscriptions/{subscription.id}", how, delete=True)
        self.books.cancel(now, subscription, **how)
        return True

    # Beside subscriptions

    def _usage(self, now):
        metered = [item for one in self.books.subscriptions if one.alive for item in one.items if item.metered]
        if not metered:
            return False
        item = self._draw.choice(metered)
        for _ in range(self._draw.randrange(1, 5)):
            value = self._draw.choice((1, 7, 90, 250, 1500, "0.5", "12.25", "-3"))
            at = self._draw.randrange(max(item.since, now - 30 * DAY), now + 1) if self._draw.random() < 0.5 else now
            payload = {"stripe_customer_id": self.books.id, "value": value}
            event = {"event_name": item.price.meter, "payload": payload, "timestamp": at}
            self._ask(now, "billing/meter_events", event)
            self.books.usage.report(item.price.meter, at, Fraction(value))
        return True

    def _item(self, now):
        amount = self._draw.randrange(-900, 3000) if self._draw.random() < 0.8 else self._draw.randrange(1, 60)
        subscription = self._draw.choice([None, *(one for one in self.books.subscriptions if one.alive)])
        discountable = self._draw.random() < 0.7
        form = {"customer": self.books.id, "currency": self.currency, "amount": amount, "discountable": discountable}
        if subscription:
            form["subscription"] = subscription.id
        self._ask(now, "invoiceitems", form)
        self.books.put_item(now, amount, None, subscription, discountable)
        return True

    def _balance(self, now):
        amount = self._draw.randrange(-2500, 1500)
        self._ask(now, f"customers/{self.books.id}/balance_transactions", {"amount": amount, "currency": self.currency})
        self.books.balance += amount
        return True

    def _invoice(self, now):
        form = {
            "customer": self.books.id, "currency": self.currency, "pending_invoice_items_behavior": "include", "auto_advance": True,
        }
        self._ask(now, "invoices", form)
        self.books.invoice(now)
        return True
