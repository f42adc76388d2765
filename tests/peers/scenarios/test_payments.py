"""Payment intents without a page."""

import stripe

from support import Scenario


class Payments(Scenario):
    def test_a_payment_is_confirmed_later(self):
        intent = self.v1.payment_intents.create({"amount": 2000, "currency": "eur"})
        self.assertEqual((intent.status, intent.amount_received), ("requires_payment_method", 0))
        self.followed("payment_intent.created")
        intent = self.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa", "return_url": "https://example.com", "expand": ["latest_charge"]}
        )
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 2000))
        charge = intent.latest_charge
        self.assertEqual((charge.amount, charge.currency, charge.payment_method_details.card.last4), (2000, "eur", "4242"))
        succeeded, _ = self.followed("payment_intent.succeeded", "charge.succeeded")
        self.assertEqual(succeeded.data.object.latest_charge, charge.id)

    def test_a_declined_card_is_an_error_with_the_intent_in_it(self):
        form = {
            "amount": 2000, "currency": "usd", "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds", "confirm": True,
            "return_url": "https://example.com",
        }
        declined = self.refused(stripe.CardError, 402, "card_declined", self.v1.payment_intents.create, form)
        intent = declined.error.payment_intent
        self.assertEqual((declined.error.decline_code, intent.status), ("insufficient_funds", "requires_payment_method"))
        created, failed, charge = self.followed("payment_intent.created", "payment_intent.payment_failed", "charge.failed")
        self.assertEqual((created.data.object.id, failed.data.object.id), (intent.id, intent.id))
        self.assertEqual(charge.data.object.outcome.reason, "insufficient_funds")

    def test_a_canceled_payment_cannot_be_confirmed(self):
        intent = self.v1.payment_intents.create({"amount": 2000, "currency": "usd"})
        canceled = self.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
        self.assertEqual((canceled.status, canceled.cancellation_reason), ("canceled", "abandoned"))
        self.followed("payment_intent.created", "payment_intent.canceled")
        confirm = {"payment_method": "pm_card_visa"}
        unexpected = "payment_intent_unexpected_state"
        self.refused(stripe.InvalidRequestError, 400, unexpected, self.v1.payment_intents.confirm, intent.id, confirm)
        self.followed()
