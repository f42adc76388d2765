"""Invoices made by hand, and the items that wait for them."""

import stripe

from support import PAID
from scenarios.invoiced import SETTLED, Invoiced


class Invoices(Invoiced):
    def test_it_is_drafted_finalized_and_paid(self):
        invoice = self.opened(1500, 250)
        invoice = self.v1.invoices.pay(invoice.id)
        self.assertEqual((invoice.status, invoice.amount_paid, invoice.amount_remaining), ("paid", 1750, 0))
        self.followed(*SETTLED, *PAID[1:])
        self.refused(stripe.InvalidRequestError, 400, "invoice_already_paid", self.v1.invoices.pay, invoice.id)
        self.refused(stripe.InvalidRequestError, 400, "invoice_not_editable", self.v1.invoices.finalize_invoice, invoice.id)

    def test_a_draft_is_paid_as_it_is_finalized(self):
        invoice = self.v1.invoices.pay(self.drafted(900).id)
        self.assertEqual((invoice.status, invoice.amount_paid), ("paid", 900))
        self.followed("invoice.finalized", "customer.updated", *SETTLED, *PAID)

    def test_items_of_a_draft_change_what_it_comes_to(self):
        invoice = self.drafted(1500)
        item = self.item(500, invoice=invoice.id, description="Work")
        self.assertEqual(self.v1.invoices.retrieve(invoice.id).total, 2000)
        self.v1.invoice_items.update(item.id, {"amount": 700})
        self.followed("invoice.updated")
        self.assertEqual(self.v1.invoices.retrieve(invoice.id).total, 2200)
        self.assertTrue(self.v1.invoice_items.delete(item.id).deleted)
        self.followed("invoiceitem.deleted", "invoice.updated")
        self.assertEqual(self.v1.invoices.retrieve(invoice.id).total, 1500)

    def test_it_is_voided(self):
        invoice = self.v1.invoices.void_invoice(self.opened(1500).id)
        self.assertEqual(invoice.status, "void")
        self.followed("invoice.voided", "invoice.updated", "payment_intent.canceled")
        self.refused(stripe.InvalidRequestError, 400, "invoice_not_editable", self.v1.invoices.pay, invoice.id)

    def test_it_is_written_off_and_paid_after_all(self):
        invoice = self.v1.invoices.mark_uncollectible(self.opened(1500).id)
        self.assertEqual(invoice.status, "uncollectible")
        self.followed("invoice.marked_uncollectible", "invoice.updated")
        self.assertEqual(self.v1.invoices.pay(invoice.id).status, "paid")
        self.followed(*SETTLED, *PAID[1:])

    def test_it_is_paid_elsewhere(self):
        invoice = self.v1.invoices.pay(self.opened(1500).id, {"paid_out_of_band": True})
        self.assertEqual((invoice.status, invoice.amount_paid_off_stripe), ("paid", 1500))
        self.followed("invoice.updated", "invoice.paid", "payment_intent.canceled")
        self.assertEqual(self.v1.charges.list({"customer": self.customer}).data, [])

    def test_a_declined_payment_leaves_it_open(self):
        invoice = self.opened(1500)
        bad = self.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": self.customer})
        self.followed("payment_method.attached")
        pay = lambda: self.v1.invoices.pay(invoice.id, {"payment_method": bad.id})
        self.refused(stripe.CardError, 402, "card_declined", pay)
        self.followed("invoice.payment_failed", "invoice.updated", "payment_intent.payment_failed", "charge.failed")
        invoice = self.v1.invoices.retrieve(invoice.id)
        self.assertEqual((invoice.status, invoice.attempt_count), ("open", 1))

    def test_a_deleted_draft_gives_its_items_back(self):
        invoice = self.drafted(1500)
        self.assertTrue(self.v1.invoices.delete(invoice.id).deleted)
        self.followed("invoice.deleted")
        waiting = self.v1.invoice_items.list({"customer": self.customer, "pending": True}).data
        self.assertEqual([item.amount for item in waiting], [1500])
        self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.invoices.retrieve, invoice.id)

    def test_it_advances_by_itself_after_an_hour(self):
        invoice = self.drafted(900, auto_advance=True)
        self.world.advance(3600)
        self.assertEqual(self.v1.invoices.retrieve(invoice.id).status, "paid")
        self.followed("invoice.finalized", "customer.updated", *SETTLED, *PAID)

    def test_a_balance_bears_what_it_can(self):
        self.v1.customers.balance_transactions.create(self.customer, {"amount": -1000, "currency": "usd"})
        self.followed("customer.updated")
        invoice = self.v1.invoices.pay(self.drafted(1500).id)
        self.assertEqual((invoice.total, invoice.amount_due, invoice.amount_paid), (1500, 500, 500))
        self.assertEqual((invoice.starting_balance, invoice.ending_balance), (-1000, 0))
        self.followed("invoice.finalized", "customer.updated", "customer.updated", *SETTLED, *PAID)

    def test_a_void_invoice_gives_back_what_the_balance_bore(self):
        self.v1.customers.balance_transactions.create(self.customer, {"amount": -1000, "currency": "usd"})
        self.followed("customer.updated")
        invoice = self.v1.invoices.finalize_invoice(self.drafted(1500).id)
        self.assertEqual((invoice.amount_due, self.v1.customers.retrieve(self.customer).balance), (500, 0))
        self.followed("invoice.finalized", "customer.updated", "customer.updated", "payment_intent.created")
        self.v1.invoices.void_invoice(invoice.id)
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -1000)
        made = self.v1.customers.balance_transactions.list(self.customer).data[0]
        self.assertEqual((made.type, made.amount, made.invoice), ("unapplied_from_invoice", -1000, invoice.id))
        self.followed("invoice.voided", "invoice.updated", "payment_intent.canceled", "customer.updated")

    def test_what_is_taxed_where_nobody_knows_is_not_finalized(self):
        invoice = self.drafted(1500, automatic_tax={"enabled": True}, auto_advance=True)
        self.assertEqual(invoice.automatic_tax.status, "requires_location_inputs")
        self.world.advance(3600)
        (failed, _) = self.followed("invoice.finalization_failed", "invoice.updated")
        self.assertEqual(failed.data.object.last_finalization_error.code, "customer_tax_location_invalid")
        finalize = lambda: self.v1.invoices.finalize_invoice(invoice.id)
        self.refused(stripe.InvalidRequestError, 400, "customer_tax_location_invalid", finalize)
        self.followed("invoice.finalization_failed")
        self.v1.customers.update(self.customer, {"address": {"country": "DE", "postal_code": "10117"}})
        paid = self.v1.invoices.pay(invoice.id)
        # 15.00 and 19 % of it.
        self.assertEqual((paid.status, paid.amount_paid, paid.last_finalization_error), ("paid", 1785, None))
        self.assertEqual(paid.automatic_tax.status, "complete")
        self.followed("customer.updated", "invoice.finalized", "customer.updated", *SETTLED, *PAID)
