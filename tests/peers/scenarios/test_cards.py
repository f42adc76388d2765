"""Test cards: how each is refused, saved or looked at."""

import stripe

from support import RETURN, Scenario

DECLINED = ("payment_intent.created", "payment_intent.payment_failed", "charge.failed")


class Cards(Scenario):
    def declined(self, card, code, **more):
        error = self.refused(stripe.CardError, 402, code, lambda: self.paid(1000, card, **more))
        self.assertEqual(error.error.payment_intent.status, "requires_payment_method")
        return error.error

    def test_each_card_is_declined_in_its_way(self):
        for card, code, decline_code, advice_code in (
            ("visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later"),
            ("visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", "try_again_later"),
            ("visa_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again"),
            ("visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again"),
            ("visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded", "try_again_later"),
            ("chargeDeclinedExpiredCard", "expired_card", None, "confirm_card_data"),
            ("chargeDeclinedIncorrectCvc", "incorrect_cvc", None, "confirm_card_data"),
            ("chargeDeclinedProcessingError", "processing_error", None, "try_again_later"),
        ):
            with self.subTest(card=card):
                error = self.declined(card, code)
                self.assertEqual((getattr(error, "decline_code", None), error.advice_code), (decline_code, advice_code))
                _, failed, charge = (event.data.object for event in self.followed(*DECLINED))
                self.assertEqual((failed.last_payment_error.code, failed.latest_charge), (code, error.charge))
                self.assertEqual((charge.id, charge.failure_code, charge.amount_captured), (error.charge, code, 0))
                outcome = charge.outcome
                self.assertEqual((outcome.type, outcome.reason), ("issuer_declined", decline_code or code))
                self.assertEqual(outcome.advice_code, advice_code)

    def test_a_declined_card_cannot_be_saved(self):
        customer = self.v1.customers.create({"name": "Jenny"})
        self.followed("customer.created")
        attach = self.v1.payment_methods.attach
        to = {"customer": customer.id}
        error = self.refused(stripe.CardError, 402, "card_declined", attach, "pm_card_chargeDeclined", to)
        self.assertEqual(error.error.decline_code, "generic_decline")
        self.refused(stripe.CardError, 402, "expired_card", attach, "pm_card_chargeDeclinedExpiredCard", to)
        self.assertEqual(self.v1.payment_methods.list({"customer": customer.id}).data, [])
        self.followed()

    def test_a_card_that_pays_nothing_is_saved(self):
        customer = self.v1.customers.create({"name": "Jenny"})
        card = self.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
        self.assertEqual((card.customer, card.card.last4), (customer.id, "0341"))
        self.followed("customer.created", "payment_method.attached")
        for _ in range(2):
            error = self.declined("", "card_declined", payment_method=card.id, customer=customer.id, off_session=True)
            self.assertEqual((error.decline_code, error.payment_method.id), ("generic_decline", card.id))
            self.assertEqual(self.followed(*DECLINED)[2].data.object.customer, customer.id)
        self.assertEqual(self.v1.payment_methods.retrieve(card.id).customer, customer.id)

    def test_radar_blocks_a_payment(self):
        error = self.declined("radarBlock", "card_declined")
        self.assertEqual(error.decline_code, "fraudulent")
        charge = self.followed(*DECLINED)[2].data.object
        outcome = charge.outcome
        self.assertEqual((outcome.type, outcome.network_status), ("blocked", "not_sent_to_network"))
        self.assertEqual((outcome.reason, outcome.risk_level), ("highest_risk_level", "highest"))
        self.assertEqual((charge.paid, charge.status), (False, "failed"))

    def test_radar_opens_a_review(self):
        intent = self.paid(4200, "riskLevelElevated", expand=["review", "latest_charge"])
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 4200))
        self.assertEqual((intent.review.open, intent.review.reason), (True, "rule"))
        outcome = intent.latest_charge.outcome
        self.assertEqual((outcome.type, outcome.risk_level), ("manual_review", "elevated"))
        review = self.followed(
            "review.opened", "payment_intent.created", "payment_intent.succeeded", "charge.succeeded"
        )[0].data.object
        self.assertEqual((review.id, review.charge), (intent.review.id, intent.latest_charge.id))

    def test_another_card_pays_after_a_decline(self):
        failed = self.declined("visa_chargeDeclinedInsufficientFunds", "card_declined")
        self.followed(*DECLINED)
        intent = self.v1.payment_intents.confirm(
            failed.payment_intent.id, {"payment_method": "pm_card_discover", "return_url": RETURN}
        )
        self.assertEqual((intent.status, intent.amount_received, intent.last_payment_error), ("succeeded", 1000, None))
        self.followed("payment_intent.succeeded", "charge.succeeded")
        tried = self.v1.charges.list({"payment_intent": intent.id}).data
        self.assertEqual([one.status for one in tried], ["succeeded", "failed"])
        self.assertEqual([one.id for one in tried], [intent.latest_charge, failed.charge])

    def test_a_card_must_be_written_rightly(self):
        good = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        for change, code, param in (
            ({"number": "4242424242424241"}, "incorrect_number", "number"),
            ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
            ({"exp_year": 2001}, "invalid_expiry_year", "exp_year"),
            ({"cvc": "12"}, "invalid_cvc", "cvc"),
        ):
            with self.subTest(code=code):
                form = {"type": "card", "card": {**good, **change}}
                error = self.refused(stripe.CardError, 402, code, self.v1.payment_methods.create, form)
                self.assertEqual(error.param, param)
        card = self.v1.payment_methods.create({"type": "card", "card": good}).card
        self.assertEqual((card.last4, card.exp_month, card.exp_year, card.checks.cvc_check), ("4242", 12, 2040, "pass"))
        self.followed()

    def test_cards_differ_by_brand_and_country(self):
        for name, brand, funding, country, last4 in (
            ("visa_debit", "visa", "debit", "US", "5556"),
            ("mastercard_prepaid", "mastercard", "prepaid", "US", "5100"),
            ("amex", "amex", "credit", "US", "0005"),
            ("unionpay", "unionpay", "credit", "US", "0005"),
            ("de", "visa", "credit", "DE", "0016"),
        ):
            with self.subTest(card=name):
                charge = self.paid(500, name, expand=["latest_charge"]).latest_charge
                card = charge.payment_method_details.card
                self.assertEqual((card.brand, card.funding, card.country, card.last4), (brand, funding, country, last4))
                self.assertEqual((charge.amount_captured, card.amount_authorized, card.network), (500, 500, brand))
        created = ("payment_intent.created", "payment_intent.succeeded", "charge.succeeded") * 5
        self.followed(*created)
