"""Credit notes: what an invoice asked for, or took, and should not have."""

import stripe

from support import PAID, Scenario

SETTLED = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid")
REFUNDED = ("charge.refunded", "refund.created")


class CreditNotes(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        product = self.v1.products.create({"name": "Pen"}).id
        pens = {"price_data": {"currency": "usd", "unit_amount": 500, "product": product}, "quantity": 3}
        self.v1.invoice_items.create({"customer": self.customer, **pens})
        form = {"customer": self.customer, "pending_invoice_items_behavior": "include"}
        self.draft = self.v1.invoices.create(form)
        self.pens = self.draft.lines.data[0].id
        self.followed("customer.created", "customer.updated", "payment_method.attached", "product.created", "price.created",
                      "invoiceitem.created", "invoice.created")

    def opened(self):
        invoice = self.v1.invoices.finalize_invoice(self.draft.id)
        self.followed("invoice.finalized", "customer.updated", "payment_intent.created")
        self.assertEqual((invoice.status, invoice.amount_due), ("open", 1500))
        return invoice

    def paid(self):
        invoice = self.v1.invoices.pay(self.draft.id)
        self.followed("invoice.finalized", "customer.updated", *SETTLED, *PAID)
        self.assertEqual((invoice.status, invoice.amount_paid), ("paid", 1500))
        return invoice

    def line(self, **more):
        return {"type": "invoice_line_item", "invoice_line_item": self.pens, **more}

    def credit(self, **form):
        return self.v1.credit_notes.create({"invoice": self.draft.id, **form})

    def refuse(self, message, code=None, **form):
        error = self.refused(stripe.InvalidRequestError, 400, code, lambda: self.credit(**form))
        self.assertIn(message, str(error))

    def invoice(self):
        return self.v1.invoices.retrieve(self.draft.id)

    def test_a_unit_is_taken_off_an_open_invoice(self):
        opened = self.opened()
        note = self.credit(lines=[self.line(quantity=1)], reason="order_change", memo="One was missing")
        self.followed("invoice.updated", "credit_note.created")
        self.assertEqual((note.total, note.pre_payment_amount, note.post_payment_amount), (500, 500, 0))
        self.assertEqual((note.type, note.number, note.lines.data[0].quantity),
                         ("pre_payment", f"{opened.number}-CN-01", 1))
        invoice = self.invoice()
        self.assertEqual((invoice.total, invoice.amount_due, invoice.amount_remaining), (1500, 1000, 1000))
        self.assertEqual(invoice.pre_payment_credit_notes_amount, 500)
        paid = self.v1.invoices.pay(self.draft.id)
        self.followed(*SETTLED, *PAID[1:])
        self.assertEqual((paid.amount_paid, paid.amount_remaining), (1000, 0))
        (charge,) = self.v1.charges.list({"customer": self.customer}).data
        self.assertEqual(charge.amount, 1000)

    def test_a_void_note_leaves_the_invoice_as_it_was(self):
        self.opened()
        note = self.credit(amount=700)
        self.followed("invoice.updated", "credit_note.created")
        voided = self.v1.credit_notes.void_credit_note(note.id)
        self.followed("invoice.updated", "credit_note.voided")
        self.assertEqual((voided.status, voided.voided_at), ("void", voided.created))
        invoice = self.invoice()
        self.assertEqual((invoice.amount_due, invoice.pre_payment_credit_notes_amount), (1500, 0))
        note = self.credit(amount=700)
        self.followed("invoice.updated", "credit_note.created")
        self.assertTrue(note.number.endswith("-CN-02"))
        self.v1.invoices.pay(self.draft.id)
        self.followed(*SETTLED, *PAID[1:])
        self.refused(stripe.InvalidRequestError, 400, None, self.v1.credit_notes.void_credit_note, note.id)

    def test_an_open_invoice_credited_whole_is_paid(self):
        self.opened()
        self.credit(amount=1500)
        self.followed("invoice.updated", "payment_intent.canceled", "invoice.updated", "invoice.paid", "credit_note.created")
        invoice = self.invoice()
        self.assertEqual((invoice.status, invoice.amount_paid, invoice.amount_remaining), ("paid", 0, 0))
        self.assertEqual(self.v1.charges.list({"customer": self.customer}).data, [])

    def test_what_goes_beyond_what_is_asked_for_is_given_back(self):
        self.v1.customers.balance_transactions.create(self.customer, {"amount": -300, "currency": "usd"})
        invoice = self.v1.invoices.finalize_invoice(self.draft.id)
        self.followed("customer.updated", "invoice.finalized", "customer.updated", "customer.updated",
                      "payment_intent.created")
        self.assertEqual((invoice.total, invoice.amount_due), (1500, 1200))
        self.refuse("must equal the credit note post_payment_amount ($3.00)", amount=1500)
        note = self.credit(amount=1500, credit_amount=300)
        self.followed("invoice.updated", "customer.updated", "payment_intent.canceled", "invoice.updated", "invoice.paid",
                      "credit_note.created")
        self.assertEqual((note.type, note.pre_payment_amount, note.post_payment_amount), ("mixed", 1200, 300))
        invoice = self.invoice()
        self.assertEqual((invoice.status, invoice.amount_due, invoice.amount_paid), ("paid", 0, 0))
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -300)

    def test_what_was_paid_is_refunded(self):
        self.paid()
        note = self.credit(lines=[self.line(amount=450)], refund_amount=450)
        self.followed(*REFUNDED, "invoice.updated", "credit_note.created")
        self.assertEqual((note.type, note.pre_payment_amount, note.post_payment_amount), ("post_payment", 0, 450))
        self.assertEqual([one.amount_refunded for one in note.refunds], [450])
        refund = self.v1.refunds.retrieve(note.refunds[0].refund, {"expand": ["charge"]})
        self.assertEqual((refund.amount, refund.charge.amount_refunded), (450, 450))
        invoice = self.invoice()
        self.assertEqual((invoice.status, invoice.amount_paid, invoice.post_payment_credit_notes_amount), ("paid", 1500, 450))

    def test_what_was_paid_is_credited_to_the_next_invoice(self):
        self.paid()
        form = {"amount": 900, "credit_amount": 600, "out_of_band_amount": 300}
        note = self.credit(**form, expand=["customer_balance_transaction"])
        self.followed("invoice.updated", "customer.updated", "credit_note.created")
        transaction = note.customer_balance_transaction
        self.assertEqual((transaction.amount, transaction.type, transaction.credit_note), (-600, "credit_note", note.id))
        self.assertEqual(note.out_of_band_amount, 300)
        self.v1.invoice_items.create({"customer": self.customer, "currency": "usd", "amount": 1000})
        form = {"customer": self.customer, "pending_invoice_items_behavior": "include"}
        invoice = self.v1.invoices.finalize_invoice(self.v1.invoices.create(form).id)
        self.assertEqual((invoice.total, invoice.starting_balance, invoice.amount_due), (1000, -600, 400))
        self.followed("invoiceitem.created", "invoice.created", "invoice.finalized", "payment_intent.created",
                      "customer.updated", "customer.updated")

    def test_a_refund_that_was_made_is_linked(self):
        self.paid()
        (charge,) = self.v1.charges.list({"customer": self.customer}).data
        refund = self.v1.refunds.create({"charge": charge.id, "amount": 400})
        self.followed(*REFUNDED)
        note = self.credit(amount=400, refunds=[{"refund": refund.id}])
        self.followed("invoice.updated", "credit_note.created")
        self.assertEqual([(one.refund, one.amount_refunded) for one in note.refunds], [(refund.id, 400)])
        self.refuse("can be linked", amount=400, refunds=[{"refund": refund.id}])

    def test_discounts_and_tax_are_credited_in_proportion(self):
        self.v1.customers.update(self.customer, {"address": {"country": "DE"}})
        coupon = self.v1.coupons.create({"percent_off": 20}).id
        price = {"currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}}
        price = self.v1.prices.create({**price, "product_data": {"name": "Pro"}}).id
        sold = self.v1.subscriptions.create({
            "customer": self.customer, "items": [{"price": price, "quantity": 3}], "discounts": [{"coupon": coupon}],
            "automatic_tax": {"enabled": True}, "expand": ["latest_invoice"],
        })
        invoice = sold.latest_invoice
        self.assertEqual((invoice.total, invoice.total_excluding_tax), (8282, 6960))
        line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id}
        credit = lambda units, back: self.v1.credit_notes.create(
            {"invoice": invoice.id, "lines": [{**line, "quantity": units}], "credit_amount": back}
        )
        first, rest = credit(1, 2761), credit(2, 5521)
        self.assertEqual((first.subtotal, first.discount_amount, first.total_excluding_tax, first.total),
                         (2900, 580, 2320, 2761))
        self.assertEqual([(tax.amount, tax.taxable_amount) for tax in first.total_taxes], [(441, 2320)])
        self.assertEqual((rest.discount_amount, rest.total_taxes[0].amount, rest.total), (1160, 881, 5521))
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -8282)

    def test_a_preview_changes_nothing(self):
        self.opened()
        custom = {"type": "custom_line_item", "description": "For the delay", "quantity": 2, "unit_amount": 100}
        form = {"invoice": self.draft.id, "lines": [custom, self.line(amount=50)]}
        preview = self.v1.credit_notes.preview(form)
        self.assertEqual((preview.total, preview.pre_payment_amount, preview.type), (250, 250, "pre_payment"))
        lines = self.v1.credit_notes.preview_lines.list(form).data
        self.assertEqual([line.amount for line in lines], [200, 50])
        self.assertEqual(self.invoice().amount_due, 1500)
        self.refused(stripe.InvalidRequestError, 404, "resource_missing", self.v1.credit_notes.retrieve, preview.id)
        note = self.v1.credit_notes.create(form)
        self.followed("invoice.updated", "credit_note.created")
        self.assertEqual(note.total, preview.total)
        self.assertEqual([line.amount for line in self.v1.credit_notes.line_items.list(note.id).data], [200, 50])

    def test_a_note_is_found_and_given_another_memo(self):
        self.opened()
        notes = [self.credit(amount=amount) for amount in (100, 200)]
        self.followed(*["invoice.updated", "credit_note.created"] * 2)
        listed = self.v1.credit_notes.list({"invoice": self.draft.id}).data
        self.assertEqual([note.id for note in listed], [note.id for note in reversed(notes)])
        changed = self.v1.credit_notes.update(notes[0].id, {"memo": "Sorry", "metadata": {"ticket": "1"}})
        self.followed("credit_note.updated")
        self.assertEqual((changed.memo, changed.metadata["ticket"]), ("Sorry", "1"))
        self.assertEqual(self.v1.credit_notes.retrieve(notes[0].id).memo, "Sorry")

    def test_what_cannot_be_credited_is_refused(self):
        self.refuse("You cannot create a credit note for a draft invoice.", amount=100)
        self.paid()
        self.refuse("One of `amount`, `lines`, or `shipping_cost` must be provided.", "parameter_missing")
        self.refuse("`quantity` or `amount` is required", "parameter_missing", lines=[self.line()])
        self.refuse("must equal the credit note post_payment_amount ($1.00)", amount=100)
        self.refuse("greater than what is left to be credited of the invoice ($15.00)", amount=1501, credit_amount=1501)
        self.refuse("left to be credited", "parameter_invalid_integer", lines=[self.line(quantity=4)], credit_amount=2000)
        self.refuse("does not serve", "sandbox_unsupported_parameter", shipping_cost={"shipping_rate": "shr_1"})
        self.assertEqual(self.v1.credit_notes.list({"customer": self.customer}).data, [])
