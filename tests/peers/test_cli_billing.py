"""What the CLI triggers of invoices, pauses and disputes; to be run by default once the sandbox has all of these."""

from test_cli import CliScenario


class CliBilling(CliScenario):
    def test_invoices_are_finalized_paid_or_not(self):
        self.assertEqual(self.triggered("invoice.finalized").status, "open")
        self.assertEqual(self.triggered("invoice.paid").amount_paid, 2000)
        self.assertEqual(self.triggered("invoice.payment_succeeded").status, "paid")
        self.assertEqual(self.triggered("invoice.payment_failed").status, "open")

    def test_a_subscription_is_paused(self):
        self.assertEqual(self.triggered("customer.subscription.paused").status, "paused")

    def test_a_charge_is_disputed(self):
        without = ("--remove", "payment_intent:payment_method_types")
        self.assertEqual(self.triggered("charge.dispute.created", *without).status, "warning_needs_response")
