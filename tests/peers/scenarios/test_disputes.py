"""Disputes: money that a bank takes back, asks about, or warns of."""

import stripe

from support import DAY, PAID, Scenario, before

INVALID = stripe.InvalidRequestError
WITHDRAWN = ("charge.dispute.created", "charge.dispute.funds_withdrawn")
FEE = 1500


class Disputes(Scenario):
    def disputed(self, card, *events):
        intent = self.paid(10_000, card)
        self.followed(*PAID, *events)
        (dispute,) = self.v1.disputes.list({"payment_intent": intent.id}).data
        self.assertEqual(dispute.charge, intent.latest_charge)
        return dispute

    def funds(self):
        balance = self.v1.balance.retrieve()
        return balance.available[0].amount + balance.pending[0].amount

    def test_a_fraudulent_payment_is_disputed_and_the_dispute_won(self):
        dispute = self.disputed("createDispute", *WITHDRAWN)
        self.assertEqual((dispute.status, dispute.reason, dispute.amount), ("needs_response", "fraudulent", 10_000))
        (taken,) = dispute.balance_transactions
        self.assertEqual((taken.amount, taken.fee, taken.net), (-10_000, FEE, -10_000 - FEE))
        self.assertEqual((taken.type, taken.reporting_category, taken.source), ("adjustment", "dispute", dispute.id))
        self.assertEqual(self.funds(), 9680 - 10_000 - FEE)
        charge = self.v1.charges.retrieve(dispute.charge)
        self.assertTrue(charge.disputed)
        self.refused(INVALID, 400, "charge_disputed", self.v1.refunds.create, {"charge": charge.id})

        evidence = {"customer_name": "Jenny", "uncategorized_text": "winning_evidence"}
        staged = self.v1.disputes.update(dispute.id, {"evidence": evidence, "submit": False})
        self.assertEqual((staged.status, staged.evidence_details.has_evidence), ("needs_response", True))
        (updated,) = self.followed("charge.dispute.updated")
        self.assertEqual(before(updated)["evidence"], {"customer_name": None, "uncategorized_text": None})
        won = self.v1.disputes.update(dispute.id, {"submit": True, "expand": ["charge"]})
        self.assertEqual((won.status, won.evidence_details.submission_count), ("won", 1))
        self.assertEqual(won.charge.id, charge.id)
        submitted, closed, reinstated = self.followed(
            "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated"
        )
        self.assertEqual((submitted.data.object.status, before(closed)["status"]), ("under_review", "under_review"))
        back = reinstated.data.object.balance_transactions[1]
        self.assertEqual((back.amount, back.fee, back.reporting_category), (10_000, -FEE, "dispute_reversal"))
        self.assertEqual(self.funds(), 9680)
        annotated = self.v1.disputes.update(dispute.id, {"metadata": {"ticket": "7"}})
        self.assertEqual((annotated.metadata.ticket, annotated.status), ("7", "won"))
        self.followed("charge.dispute.updated")
        self.refused(INVALID, 400, None, self.v1.disputes.update, dispute.id, {"evidence": evidence})

    def test_disputes_are_lost_by_evidence_by_accepting_and_by_silence(self):
        one = self.disputed("createDisputeProductNotReceived", *WITHDRAWN)
        self.assertEqual((one.reason, one.network_reason_code), ("product_not_received", "13.1"))
        lost = self.v1.disputes.update(one.id, {"evidence": {"uncategorized_text": "losing_evidence"}})
        self.assertEqual(lost.status, "lost")
        self.followed("charge.dispute.updated", "charge.dispute.closed")
        other = self.disputed("createDispute", *WITHDRAWN)
        self.assertEqual(self.v1.disputes.close(other.id).status, "lost")
        self.followed("charge.dispute.closed")
        self.refused(INVALID, 400, None, self.v1.disputes.close, other.id)
        silent = self.disputed("createDispute", *WITHDRAWN)
        self.assertEqual(silent.evidence_details.due_by, silent.created + 7 * DAY)
        self.world.advance(7 * DAY)
        closed, _ = self.followed("charge.dispute.closed", "balance.available")
        self.assertEqual((closed.data.object.id, closed.data.object.status), (silent.id, "lost"))
        self.assertEqual([dispute.id for dispute in self.v1.disputes.list()], [silent.id, other.id, one.id])
        self.assertEqual(self.funds(), 3 * (9680 - 10_000 - FEE))

    def test_an_inquiry_becomes_a_chargeback(self):
        inquiry = self.disputed("createDisputeInquiry", "charge.dispute.created")
        self.assertEqual((inquiry.status, inquiry.balance_transactions), ("warning_needs_response", []))
        self.assertEqual((inquiry.is_charge_refundable, self.funds()), (True, 9680))
        answered = self.v1.disputes.update(inquiry.id, {"evidence": {"product_description": "A thing"}})
        self.assertEqual(answered.status, "warning_under_review")
        self.followed("charge.dispute.updated")
        self.world.control(f"disputes/{inquiry.id}", {"status": "needs_response"})
        updated, withdrawn = self.followed("charge.dispute.updated", "charge.dispute.funds_withdrawn")
        self.assertEqual(before(updated)["status"], "warning_under_review")
        self.assertEqual(withdrawn.data.object.payment_method_details.card.case_type, "chargeback")
        self.assertEqual(self.funds(), 9680 - 10_000 - FEE)

    def test_an_inquiry_ends_with_a_refund(self):
        inquiry = self.disputed("createDisputeInquiry", "charge.dispute.created")
        self.v1.refunds.create({"charge": inquiry.charge})
        self.followed("refund.created", "charge.refunded", "charge.dispute.closed")
        closed = self.v1.disputes.retrieve(inquiry.id)
        self.assertEqual((closed.status, closed.is_charge_refundable), ("warning_closed", False))

    def test_any_charge_is_disputed_after_a_warning(self):
        intent = self.paid(10_000, "createIssuerFraudRecord")
        *_, warned = self.followed(*PAID, "radar.early_fraud_warning.created")
        (warning,) = self.v1.radar.early_fraud_warnings.list({"charge": intent.latest_charge}).data
        self.assertEqual((warning.id, warning.actionable, warning.fraud_type), (warned.data.object.id, True, "misc"))
        wanted = {"charge": intent.latest_charge, "reason": "subscription_canceled", "amount": 4000}
        dispute = self.world.control("disputes", wanted)
        *_, updated = self.followed(*WITHDRAWN, "radar.early_fraud_warning.updated")
        self.assertEqual(before(updated), {"actionable": True})
        self.assertFalse(self.v1.radar.early_fraud_warnings.retrieve(warning.id).actionable)
        self.assertEqual(self.v1.refunds.create({"charge": intent.latest_charge}).amount, 6000)
        self.followed("refund.created", "charge.refunded")
        self.world.control(f"disputes/{dispute['id']}", {"status": "won"})
        self.followed("charge.dispute.closed", "charge.dispute.funds_reinstated")
        self.assertEqual(self.funds(), 9680 - 6000)
