"""Refunds: money that goes back, at once, later or not at all."""

import stripe

from support import PAID, Scenario, before

INVALID = stripe.InvalidRequestError
REFUNDED = ("refund.created", "charge.refunded")
HOUR = 3600


class Refunds(Scenario):
    def sold(self, amount, card="visa"):
        intent = self.paid(amount, card)
        self.followed(*PAID)
        return intent

    def charge(self, intent):
        charge = self.v1.charges.retrieve(intent.latest_charge)
        return charge.amount_refunded, charge.refunded

    def pending(self):
        return self.v1.balance.retrieve().pending[0].amount

    def test_a_payment_is_refunded_whole(self):
        intent = self.sold(2000)
        self.assertEqual(self.pending(), 2000 - 88)
        refund = self.v1.refunds.create({
            "payment_intent": intent.id, "reason": "requested_by_customer", "metadata": {"ticket": "5"},
            "expand": ["balance_transaction"],
        })
        self.assertEqual((refund.amount, refund.status, refund.charge), (2000, "succeeded", intent.latest_charge))
        self.assertEqual((refund.reason, refund.metadata.ticket), ("requested_by_customer", "5"))
        money = refund.balance_transaction
        self.assertEqual((money.amount, money.fee, money.net, money.type), (-2000, 0, -2000, "refund"))
        created, refunded = self.followed(*REFUNDED)
        self.assertEqual((created.data.object.id, refunded.data.object.refunded), (refund.id, True))
        self.assertEqual(before(refunded), {"amount_refunded": 0, "refunded": False})
        self.assertEqual((self.charge(intent), self.pending()), ((2000, True), -88))
        self.assertEqual(self.v1.payment_intents.retrieve(intent.id).status, "succeeded")

    def test_a_payment_is_refunded_in_parts(self):
        intent = self.sold(3000)
        refunds = []
        for amount, sum_of_all, whole in ((500, 500, False), (1200, 1700, False), (None, 3000, True)):
            form = {"charge": intent.latest_charge, **({"amount": amount} if amount else {})}
            refunds.insert(0, self.v1.refunds.create(form))
            self.followed(*REFUNDED)
            self.assertEqual(self.charge(intent), (sum_of_all, whole))
        self.assertEqual([one.amount for one in refunds], [1300, 1200, 500])
        for named in ({"charge": intent.latest_charge}, {"payment_intent": intent.id}):
            self.assertEqual([one.id for one in self.v1.refunds.list(named).data], [one.id for one in refunds])
        charge = self.v1.charges.retrieve(intent.latest_charge, {"expand": ["refunds"]})
        self.assertEqual([one.amount for one in charge.refunds.data], [1300, 1200, 500])
        self.refused(INVALID, 400, "charge_already_refunded", self.v1.refunds.create, {"payment_intent": intent.id})
        self.followed()

    def test_what_cannot_be_refunded(self):
        intent = self.sold(1000)
        unpaid = self.v1.payment_intents.create({"amount": 900, "currency": "usd"})
        self.followed("payment_intent.created")
        create = self.v1.refunds.create
        for code, param, form in (
            (None, "amount", {"payment_intent": intent.id, "amount": 1001}),
            ("parameter_invalid_integer", "amount", {"payment_intent": intent.id, "amount": 0}),
            (None, "payment_intent", {"payment_intent": unpaid.id}),
            ("parameter_missing", None, {"amount": 5}),
            ("resource_missing", "charge", {"charge": "ch_0"}),
        ):
            with self.subTest(form=form):
                self.assertEqual(self.refused(INVALID, 400, code, create, form).param, param)
        create({"payment_intent": intent.id, "amount": 400})
        self.followed(*REFUNDED)
        error = self.refused(INVALID, 400, None, create, {"payment_intent": intent.id, "amount": 601})
        self.assertEqual(error.user_message, "Refund amount ($6.01) is greater than unrefunded amount on charge ($6.00)")
        self.assertEqual(self.charge(intent), (400, False))
        self.followed()

    def test_a_refund_that_is_pending_succeeds_later(self):
        intent = self.sold(2600, "pendingRefund")
        refund = self.v1.refunds.create({"payment_intent": intent.id, "amount": 600})
        self.assertEqual((refund.status, refund.pending_reason), ("pending", "processing"))
        self.followed(*REFUNDED)
        self.assertEqual((self.charge(intent), self.pending()), ((600, False), 2600 - 105 - 600))
        self.world.advance(HOUR + 1)
        updated, old = self.followed("refund.updated", "charge.refund.updated")
        self.assertEqual((updated.data.object.status, old.data.object.id), ("succeeded", refund.id))
        self.assertEqual(before(updated)["status"], "pending")
        self.assertEqual(self.v1.refunds.retrieve(refund.id).status, "succeeded")
        self.refused(INVALID, 400, None, self.v1.refunds.cancel, refund.id)

    def test_a_refund_that_fails_gives_the_money_back(self):
        intent = self.sold(2600, "refundFail")
        refund = self.v1.refunds.create({"payment_intent": intent.id})
        self.assertEqual(refund.status, "succeeded")
        self.followed(*REFUNDED)
        self.assertEqual((self.charge(intent), self.pending()), ((2600, True), -105))
        self.world.advance(HOUR + 1)
        failed, *_ = self.followed("refund.failed", "refund.updated", "charge.refund.updated", "charge.updated")
        refund = failed.data.object
        self.assertEqual((refund.status, refund.failure_reason), ("failed", "expired_or_canceled_card"))
        money = self.v1.balance_transactions.retrieve(refund.failure_balance_transaction)
        self.assertEqual((money.amount, money.type, money.source), (2600, "refund_failure", refund.id))
        self.assertEqual(self.charge(intent), (0, False))
        balance = self.v1.balance.retrieve()
        self.assertEqual(balance.available[0].amount + balance.pending[0].amount, 2600 - 105)

    def test_a_pending_refund_is_canceled(self):
        intent = self.sold(1000, "pendingRefund")
        refund = self.v1.refunds.create({"payment_intent": intent.id})
        self.followed(*REFUNDED)
        refund = self.v1.refunds.cancel(refund.id)
        self.assertEqual((refund.status, refund.failure_reason), ("canceled", "merchant_request"))
        self.followed("refund.updated", "charge.refund.updated", "charge.updated")
        self.assertEqual(self.charge(intent), (0, False))
        self.refused(INVALID, 400, None, self.v1.refunds.cancel, refund.id)
        self.world.advance(2 * HOUR)
        self.followed()
        self.assertEqual(self.v1.refunds.retrieve(refund.id).status, "canceled")

    def test_a_refund_is_annotated_and_made_once_for_a_key(self):
        intent = self.sold(1000)
        form = {"payment_intent": intent.id, "amount": 250, "metadata": {"a": "1", "b": "2"}}
        first, second = (self.v1.refunds.create(form, {"idempotency_key": "back"}) for _ in range(2))
        self.assertEqual(first.id, second.id)
        self.followed(*REFUNDED)
        changed = self.v1.refunds.update(first.id, {"metadata": {"a": "", "c": "3"}})
        self.assertEqual(changed.metadata.to_dict(), {"b": "2", "c": "3"})
        updated, _ = self.followed("refund.updated", "charge.refund.updated")
        self.assertEqual(before(updated), {"metadata": {"a": "1", "c": None}})
        self.assertEqual(self.charge(intent), (250, False))

    def test_a_hold_is_refunded_whole_only(self):
        intent = self.paid(1500, capture_method="manual")
        self.followed("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded")
        part = {"payment_intent": intent.id, "amount": 500}
        self.assertEqual(self.refused(INVALID, 400, None, self.v1.refunds.create, part).param, "amount")
        refund = self.v1.refunds.create({"payment_intent": intent.id})
        self.assertEqual((refund.amount, refund.status, refund.balance_transaction), (1500, "succeeded", None))
        _, _, canceled = self.followed(*REFUNDED, "payment_intent.canceled")
        self.assertEqual((canceled.data.object.status, canceled.data.object.amount_capturable), ("canceled", 0))
        self.assertEqual((self.charge(intent), self.v1.balance_transactions.list().data), ((1500, True), []))
