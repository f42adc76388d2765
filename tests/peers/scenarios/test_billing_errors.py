"""What cannot be billed: which error, on which parameter, and that nothing came of the call."""

import stripe

from support import DAY, START, Scenario

NOW = int(START)
INVALID = stripe.InvalidRequestError


class BillingErrors(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.product = self.v1.products.create({"name": "Thing"}).id
        self.monthly = self.made(unit_amount=2900)
        self._mark = self.world.mark()

    def made(self, interval="month", **more):
        recurring = {"recurring": {"interval": interval}} if interval else {}
        form = {"product": self.product, "currency": "usd", **recurring, **more}
        return self.v1.prices.create(form).id

    def subscribed(self, **more):
        form = {"customer": self.customer, "items": [{"price": self.monthly}], **more}
        subscription = self.v1.subscriptions.create(form)
        self._mark = self.world.mark()
        return subscription

    def all_refused(self, *refusals):
        """Each is a status, a code, the parameter to blame, a part of the message, and a call; nothing comes of any."""
        for status, code, param, words, act, *arguments in refusals:
            with self.subTest(words):
                error = self.refused(INVALID, status, code, act, *arguments)
                self.assertEqual(error.param, param)
                self.assertIn(words, error.user_message)
        self.followed()

    def test_a_canceled_subscription_is_changed_no_more(self):
        subscription = self.subscribed()
        item = subscription["items"].data[0].id
        self.v1.subscriptions.cancel(subscription.id)
        self.followed("customer.subscription.deleted")
        only = "A canceled subscription can only update its cancellation_details and metadata."
        update, items = self.v1.subscriptions.update, self.v1.subscription_items
        self.all_refused(
            (400, None, None, only, update, subscription.id, {"items": [{"id": item, "quantity": 2}]}),
            (400, None, None, only, update, subscription.id, {"cancel_at_period_end": True}),
            (400, None, None, only, update, subscription.id, {"metadata": {"a": "b"}, "description": "Thing"}),
            (400, None, None, only, items.update, item, {"quantity": 2}),
            (400, None, None, only, items.create, {"subscription": subscription.id, "price": self.made_quietly(100)}),
            (404, "resource_missing", "id", "No such subscription", self.v1.subscriptions.cancel, subscription.id),
            (400, None, None, only, self.v1.subscriptions.resume, subscription.id),
        )
        feedback = {"cancellation_details": {"feedback": "too_expensive"}, "metadata": {"why": "dear"}}
        told = update(subscription.id, feedback)
        self.assertEqual((told.status, told.cancellation_details.feedback, told.metadata["why"]), ("canceled", "too_expensive", "dear"))
        self.followed("customer.subscription.updated")

    def made_quietly(self, amount, **more):
        price = self.made(unit_amount=amount, **more)
        self._mark = self.world.mark()
        return price

    def test_items_that_cannot_stand_on_a_subscription(self):
        euros, once = self.made_quietly(100, currency="eur"), self.made_quietly(100, interval=None)
        subscription = self.subscribed()
        item = subscription["items"].data[0].id
        create, update = self.v1.subscriptions.create, self.v1.subscriptions.update
        of_customer = {"customer": self.customer}
        self.all_refused(
            (400, "parameter_missing", "items", "Missing required param: items.", create, of_customer),
            (400, "resource_missing", "items[0][price]", "No such price: 'price_none'",
             create, {**of_customer, "items": [{"price": "price_none"}]}),
            (400, None, "items[0][price]", "only accepts prices with `type=recurring`", create, {**of_customer, "items": [{"price": once}]}),
            (400, None, "items[0][price]", "This doesn't match the expected currency: `usd`.", update, subscription.id, {"items": [{"price": euros}]}),
            (400, None, "items[0][price]", "Cannot add multiple subscription items with the same plan",
             update, subscription.id, {"items": [{"price": self.monthly}]}),
            (400, "parameter_invalid_integer", "items[0][quantity]", "", update, subscription.id, {"items": [{"id": item, "quantity": -1}]}),
            (400, "parameter_invalid_integer", "items[0][quantity]", "Invalid integer: many",
             update, subscription.id, {"items": [{"id": item, "quantity": "many"}]}),
            (400, "resource_missing", "items[0][id]", "No such subscription_item: 'si_none'",
             update, subscription.id, {"items": [{"id": "si_none", "quantity": 2}]}),
            (400, None, "items[0][deleted]", "must have at least one item", update, subscription.id, {"items": [{"id": item, "deleted": True}]}),
        )
        kept = self.v1.subscriptions.retrieve(subscription.id)
        self.assertEqual([(one.price.id, one.quantity) for one in kept["items"].data], [(self.monthly, 1)])

    def test_moments_at_which_nothing_can_happen(self):
        subscription = self.subscribed()
        item = subscription["items"].data[0]
        create, update = self.v1.subscriptions.create, self.v1.subscriptions.update
        new = {"customer": self.customer, "items": [{"price": self.monthly}]}
        more = {"items": [{"id": item.id, "quantity": 2}]}
        outside = "Cannot specify a proration date outside of the current billing period."
        self.all_refused(
            (400, None, "proration_date", outside, update, subscription.id, {**more, "proration_date": NOW - 1}),
            (400, None, "proration_date", outside, update, subscription.id, {**more, "proration_date": item.current_period_end + 1}),
            (400, None, "cancel_at", "", update, subscription.id, {"cancel_at": NOW}),
            (400, None, None, "You may only specify one of these parameters",
             update, subscription.id, {"cancel_at": NOW + DAY, "cancel_at_period_end": True}),
            (400, None, "trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.", create, {**new, "trial_end": NOW}),
            (400, None, "trial_end", "can be no more than two years in the future", create, {**new, "trial_end": NOW + 731 * DAY}),
            (400, None, "trial_end", "You may only specify one of these parameters", create, {**new, "trial_end": NOW + DAY, "trial_period_days": 1}),
            (400, None, "trial_period_days", "Invalid number of trial days: 731", create, {**new, "trial_period_days": 731}),
            (400, None, None, "You can only resume subscriptions with a status of `paused`.", self.v1.subscriptions.resume, subscription.id),
        )
        self.assertEqual(self.v1.subscriptions.retrieve(subscription.id).cancel_at, None)

    def test_tiers_that_are_none(self):
        create = self.v1.prices.create
        price = {"product": self.product, "currency": "usd", "recurring": {"interval": "month"}, "billing_scheme": "tiered"}

        def tiered(*ends, mode="graduated", **more):
            return {**price, "tiers_mode": mode, "tiers": [{"up_to": end, "unit_amount": 100} for end in ends], **more}

        order = "Tiers must be in ascending order of `up_to`"
        self.all_refused(
            (400, None, "tiers_mode", "must be one of", create, tiered("inf", mode="stairs")),
            (400, "parameter_missing", "tiers_mode", "", create, {**price, "tiers": [{"up_to": "inf", "unit_amount": 1}]}),
            (400, "parameter_missing", "tiers", "", create, {**price, "tiers_mode": "volume"}),
            (400, None, "tiers[1][up_to]", order, create, tiered(10, 5, "inf")),
            (400, None, "tiers[1][up_to]", order, create, tiered(10, 10, "inf")),
            (400, None, "tiers[0][up_to]", order, create, tiered(0, "inf")),
            (400, None, "tiers[1][up_to]", order, create, tiered("inf", "inf")),
            (400, None, "tiers", "The last tier must end with `inf`.", create, tiered(10)),
            (400, None, "tiers[0][up_to]", "Invalid tiers[0][up_to]: must be one of inf", create, tiered("soon", "inf")),
            (400, "parameter_missing", "tiers[0][unit_amount]", "", create, {**price, "tiers_mode": "volume", "tiers": [{"up_to": "inf"}]}),
            (400, None, "unit_amount", "cannot be set where", create, tiered("inf", unit_amount=100)),
            (400, None, "tiers_mode", "can only be set where `billing_scheme` is `tiered`",
             create, {**price, "billing_scheme": "per_unit", "unit_amount": 1, "tiers_mode": "volume"}),
        )
        self.assertEqual(len(self.v1.prices.list().data), 1)

    def test_coupons_that_take_nothing_off(self):
        create = self.v1.coupons.create
        self.v1.coupons.create({"id": "EUROS", "amount_off": 500, "currency": "eur"})
        subscription = self.subscribed()
        update = self.v1.subscriptions.update
        self.all_refused(
            (400, None, "percent_off", "", create, {"percent_off": 101}),
            (400, None, "percent_off", "", create, {"percent_off": 0}),
            (400, None, None, "", create, {"percent_off": 10, "amount_off": 100, "currency": "usd"}),
            (400, "parameter_missing", "currency", "", create, {"amount_off": 100}),
            (400, "parameter_missing", "duration_in_months", "", create, {"percent_off": 10, "duration": "repeating"}),
            (400, "resource_missing", "discounts[0][coupon]", "No such coupon: 'NONE'",
             update, subscription.id, {"discounts": [{"coupon": "NONE"}]}),
            (400, None, "discounts[0][coupon]", "", update, subscription.id, {"discounts": [{"coupon": "EUROS"}]}),
            (400, None, "discounts[0]", "You may only specify one of these parameters",
             update, subscription.id, {"discounts": [{"coupon": "EUROS", "promotion_code": "promo_none"}]}),
        )
        self.assertEqual(self.v1.subscriptions.retrieve(subscription.id).discounts, [])

    def test_an_invoice_that_is_no_draft_any_more(self):
        invoices, items = self.v1.invoices, self.v1.invoice_items
        subscription = self.subscribed()
        paid = subscription.latest_invoice
        draft = invoices.create({"customer": self.customer}).id
        of_customer = {"customer": self.customer, "currency": "usd", "amount": 100}
        self._mark = self.world.mark()
        self.all_refused(
            (400, "invoice_already_paid", None, "Invoice is already paid", invoices.pay, paid),
            (400, "invoice_not_editable", None, "", invoices.finalize_invoice, paid),
            (400, "invoice_not_editable", None, "", invoices.void_invoice, paid),
            (400, "invoice_not_editable", None, "", invoices.mark_uncollectible, paid),
            (400, "invoice_not_editable", None, "", invoices.update, paid, {"description": "Thing"}),
            (400, "invoice_not_editable", None, "", invoices.delete, paid),
            (400, "invoice_not_editable", None, "", invoices.void_invoice, draft),
            (400, "invoice_not_editable", None, "", items.create, {**of_customer, "invoice": paid}),
            (400, "invoice_no_subscription_line_items", None, "Nothing to invoice for subscription",
             invoices.create, {"customer": self.customer, "subscription": subscription.id}),
            (400, None, "currency", "", items.create, {**of_customer, "currency": "eur", "invoice": draft}),
            (400, None, "amount", "You may only specify one of these parameters", items.create, {**of_customer, "quantity": 2}),
            (400, None, "currency", "", self.v1.customers.balance_transactions.create, self.customer, {"amount": -100, "currency": "eur"}),
        )
        self.assertEqual(invoices.retrieve(draft).lines.data, [])
