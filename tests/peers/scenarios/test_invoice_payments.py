"""Invoices that are paid in parts, by payment intents that are attached to them."""

import stripe

from scenarios.invoiced import Invoiced

INVALID = stripe.InvalidRequestError
PART = ("payment_intent.succeeded", "charge.succeeded", "invoice.updated", "invoice_payment.paid")
# The last part: the invoice's own payment is not needed any more.
WHOLE = (*PART, "payment_intent.canceled", "invoice.paid", "invoice.payment_succeeded")


class InvoicePayments(Invoiced):
    def setUp(self):
        super().setUp()
        self.invoices = self.v1.invoices

    def intent(self, amount):
        form = {"amount": amount, "currency": "usd", "customer": self.customer, "payment_method": "pm_card_visa"}
        made = self.v1.payment_intents.create(form)
        self.followed("payment_intent.created")
        return made.id

    def confirm(self, intent, *events):
        self.v1.payment_intents.confirm(intent, {"return_url": "https://example.com/done"})
        self.followed(*events)

    def attach(self, invoice, intent):
        return self.invoices.attach_payment(invoice.id, {"payment_intent": intent})

    def state(self, invoice):
        one = self.invoices.retrieve(invoice.id)
        return one.amount_paid, one.amount_remaining, one.amount_overpaid, one.status

    def payments(self, **form):
        """What was requested and paid with each payment, and its status, oldest first."""
        found = self.v1.invoice_payments.list(form).data
        return [(one.amount_requested, one.amount_paid, one.status) for one in reversed(found)]

    def test_an_invoice_is_paid_in_parts(self):
        invoice = self.opened(10_000)
        first, second = self.intent(3000), self.intent(7000)
        self.assertEqual(self.attach(invoice, first).amount_paid, 0)
        self.followed()
        self.confirm(first, *PART)
        self.assertEqual(self.state(invoice), (3000, 7000, 0, "open"))
        self.assertEqual(self.payments(invoice=invoice.id), [(7000, None, "open"), (3000, 3000, "paid")])
        (own, part) = self.invoices.retrieve(invoice.id, {"expand": ["payments"]}).payments.data[::-1]
        self.assertEqual((own.is_default, part.is_default), (True, False))
        asked = self.v1.payment_intents.retrieve(own.payment.payment_intent)
        self.assertEqual((asked.amount, asked.status), (7000, "requires_payment_method"))
        self.attach(invoice, second)
        self.confirm(second, *WHOLE)
        self.assertEqual(self.state(invoice), (10_000, 0, 0, "paid"))
        self.assertEqual(
            self.payments(payment={"type": "payment_intent", "payment_intent": second}), [(7000, 7000, "paid")]
        )
        self.assertEqual(self.payments(invoice=invoice.id, status="canceled"), [(7000, None, "canceled")])

    def test_what_was_paid_before_is_credited_at_once(self):
        invoice, intent = self.opened(2000), self.intent(500)
        self.confirm(intent, "payment_intent.succeeded", "charge.succeeded")
        self.assertEqual(self.attach(invoice, intent).amount_remaining, 1500)
        self.followed("invoice.updated", "invoice_payment.paid")
        self.assertEqual(self.invoices.pay(invoice.id).status, "paid")
        self.followed(
            "payment_intent.succeeded", "charge.succeeded", "invoice.updated", "invoice_payment.paid", "invoice.paid",
            "invoice.payment_succeeded",
        )
        self.assertEqual(self.payments(invoice=invoice.id), [(1500, 1500, "paid"), (500, 500, "paid")])

    def test_what_is_too_much_is_the_customers(self):
        invoice = self.opened(10_000)
        intents = [self.intent(6000), self.intent(6000)]
        for intent in intents:
            self.attach(invoice, intent)
        self.confirm(intents[0], *PART)
        self.confirm(intents[1], *WHOLE, "invoice.overpaid", "customer.updated")
        self.assertEqual(self.state(invoice), (10_000, 0, 2000, "paid"))
        self.assertEqual(self.v1.customers.retrieve(self.customer).balance, -2000)
        (credit,) = self.v1.customers.balance_transactions.list(self.customer).data
        self.assertEqual((credit.type, credit.amount, credit.invoice), ("invoice_overpaid", -2000, invoice.id))

    def test_a_part_is_credited_back(self):
        invoice, intent = self.opened(2000), self.intent(1200)
        self.attach(invoice, intent)
        self.confirm(intent, *PART)
        line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 1500}
        note = self.v1.credit_notes.create({"invoice": invoice.id, "lines": [line], "refund_amount": 700})
        self.assertEqual((note.type, note.pre_payment_amount, note.post_payment_amount), ("mixed", 800, 700))
        self.assertEqual(self.state(invoice), (1200, 0, 0, "paid"))

    def test_what_does_not_fit_is_refused(self):
        invoice, part = self.opened(1000), self.intent(400)
        other = self.v1.customers.create({"name": "Other"}).id
        form = {"amount": 100, "currency": "usd", "customer": other}
        for more in ({}, {"amount": 1001, "customer": self.customer}):
            intent = self.v1.payment_intents.create({**form, **more}).id
            wanted = {"payment_intent": intent}
            error = self.refused(INVALID, 400, None, self.invoices.attach_payment, invoice.id, wanted)
            self.assertEqual(error.param, "payment_intent")
        self.attach(invoice, part)
        for refused in (self.invoices.void_invoice, self.invoices.mark_uncollectible):
            self.refused(INVALID, 400, "invoice_not_editable", refused, invoice.id)
        self.v1.payment_intents.cancel(part)
        self.assertEqual(self.payments(invoice=invoice.id)[1], (400, None, "canceled"))
        self.assertEqual(self.invoices.void_invoice(invoice.id).status, "void")
        late = self.v1.payment_intents.create({**form, "customer": self.customer}).id
        wanted = {"payment_intent": late}
        self.refused(INVALID, 400, None, self.invoices.attach_payment, invoice.id, wanted)
