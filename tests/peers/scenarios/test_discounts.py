"""Coupons and promotion codes, and what they take off a checkout session, to the cent."""

import stripe

from support import DAY, Scenario

PAID = ("checkout.session.completed", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded")


class Discounts(Scenario):
    def session(self, *amounts, **more):
        """A checkout session over things of these amounts."""
        lines = [
            {"price_data": {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Thing"}}, "quantity": 1}
            for amount in amounts
        ]
        made = self.v1.checkout.sessions.create(
            {"mode": "payment", "line_items": lines, "success_url": "https://example.com", **more}
        )
        self.followed(*["product.created", "price.created"] * len(amounts))
        return made

    def code(self, coupon, **more):
        made = self.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, **more})
        self.followed("promotion_code.created")
        return made

    def test_a_coupon_takes_off_a_share_or_an_amount_and_counts_until_it_is_used_up(self):
        share = self.v1.coupons.create({"percent_off": 33.33, "max_redemptions": 1, "name": "Third"})
        amount = self.v1.coupons.create({"amount_off": 500, "currency": "usd", "id": "FIVE"})
        self.followed("coupon.created", "coupon.created")
        self.assertEqual((share.valid, share.duration, amount.id, amount.amount_off), (True, "once", "FIVE", 500))

        session = self.session(1000, 50, discounts=[{"coupon": share.id}])
        self.assertEqual((session.amount_subtotal, session.amount_total), (1050, 700))
        self.assertEqual(session.total_details.amount_discount, 350)
        lines = self.v1.checkout.sessions.line_items.list(session.id).data
        self.assertEqual([(line.amount_discount, line.amount_total) for line in lines], [(333, 667), (17, 33)])
        self.world.pay(session.url, email="jenny@example.com")
        completed, _, _, charged, counted = self.followed(*PAID, "coupon.updated")
        self.assertEqual((completed.data.object.amount_total, charged.data.object.amount), (700, 700))
        self.assertEqual((counted.data.object.times_redeemed, counted.data.object.valid), (1, False))
        used_up = {"discounts": [{"coupon": share.id}]}
        self.refused(stripe.InvalidRequestError, 400, "coupon_expired", lambda: self.session(1000, **used_up))

        # Never more than what is due, and then nothing has to be paid.
        session = self.session(300, discounts=[{"coupon": "FIVE"}])
        self.assertEqual((session.amount_total, session.total_details.amount_discount), (0, 300))
        self.assertEqual(self.world.pay(session.url, email="jenny@example.com")[0], 303)
        completed, _ = self.followed("checkout.session.completed", "coupon.updated")
        self.assertEqual(completed.data.object.payment_status, "no_payment_required")

    def test_a_coupon_ends_with_its_last_day_and_takes_its_codes_along(self):
        until = self.world.now() + DAY
        coupon = self.v1.coupons.create({"percent_off": 20, "redeem_by": until})
        self.followed("coupon.created")
        code = self.code(coupon.id, code="SPRING")
        self.assertEqual((coupon.redeem_by, code.active), (until, True))
        self.world.advance(DAY + 60)
        ended, inactive = self.followed("coupon.updated", "promotion_code.updated")
        self.assertEqual((ended.data.object.valid, ended.created), (False, until))
        self.assertEqual((inactive.data.object.active, inactive.data.object.code), (False, "SPRING"))
        form = {"promotion": {"type": "coupon", "coupon": coupon.id}}
        self.refused(stripe.InvalidRequestError, 400, "coupon_expired", self.v1.promotion_codes.create, form)
        self.assertTrue(self.v1.coupons.delete(coupon.id).deleted)
        self.followed("coupon.deleted")

    def test_a_promotion_code_is_restricted_to_whom_and_for_how_much_it_is(self):
        coupon = self.v1.coupons.create({"percent_off": 25})
        jenny = self.v1.customers.create({"email": "jenny@example.com"})
        self.followed("coupon.created", "customer.created")
        code = self.code(
            coupon.id, code="JENNY25", customer=jenny.id,
            restrictions={"minimum_amount": 2000, "minimum_amount_currency": "usd", "first_time_transaction": True},
        )
        takes = {"discounts": [{"promotion_code": code.id}]}
        form = {
            "mode": "payment", "success_url": "https://example.com", **takes,
            "line_items": [{"price": self.price(1999).id, "quantity": 1}],
        }
        self.followed("product.created", "price.created")
        create = self.v1.checkout.sessions.create
        self.refused(stripe.InvalidRequestError, 400, None, create, form)
        self.refused(stripe.InvalidRequestError, 400, None, create, {**form, "customer": jenny.id})
        self.followed()

        session = self.session(1999, 2, customer=jenny.id, **takes)
        self.assertEqual((session.amount_total, session.discounts[0].promotion_code), (1500, code.id))
        self.world.pay(session.url)
        _, _, _, charged, counted, _ = self.followed(*PAID, "promotion_code.updated", "coupon.updated")
        self.assertEqual((charged.data.object.amount, charged.data.object.customer), (1500, jenny.id))
        self.assertEqual((counted.data.object.times_redeemed, counted.data.object.active), (1, True))
        twice = {**form, "customer": jenny.id, "line_items": [{**form["line_items"][0], "quantity": 2}]}
        self.refused(stripe.InvalidRequestError, 400, "promotion_code_customer_not_first_time", create, twice)

    def test_a_code_is_active_once_whatever_its_case(self):
        coupon = self.v1.coupons.create({"amount_off": 100, "currency": "usd", "max_redemptions": 3})
        self.followed("coupon.created")
        code = self.code(coupon.id, code="Fall20", max_redemptions=1)
        form = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FALL20"}
        create = self.v1.promotion_codes.create
        self.refused(stripe.InvalidRequestError, 400, None, create, form)
        self.refused(stripe.InvalidRequestError, 400, None, create, {**form, "code": "A", "max_redemptions": 4})
        self.assertFalse(self.v1.promotion_codes.update(code.id, {"active": False}).active)
        self.followed("promotion_code.updated")
        other = self.code(coupon.id, code="FALL20", metadata={"run": "2"})
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.promotion_codes.update, code.id, {"active": True})
        for filters, found in (
            ({"code": "fall20"}, [other, code]), ({"active": True}, [other]), ({"coupon": coupon.id, "active": False}, [code]),
        ):
            listed = self.v1.promotion_codes.list(filters).data
            self.assertEqual([one.id for one in listed], [one.id for one in found])
        shown = self.v1.promotion_codes.retrieve(other.id, {"expand": ["promotion.coupon"]}).promotion
        self.assertEqual((shown.coupon.amount_off, shown.coupon.max_redemptions), (100, 3))
        self.followed()
