"""What scenarios of invoices made by hand begin with: a customer with a card, items, drafts and open invoices."""

from support import Scenario

SETTLED = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid")


class Invoiced(Scenario):
    def setUp(self):
        super().setUp()
        self.customer = self.v1.customers.create({"name": "Jenny"}).id
        method = self.v1.payment_methods.attach("pm_card_visa", {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})
        self.followed("customer.created", "customer.updated", "payment_method.attached")

    def item(self, amount, **more):
        made = self.v1.invoice_items.create({"customer": self.customer, "currency": "usd", "amount": amount, **more})
        self.followed("invoiceitem.created", *(["invoice.updated"] if more.get("invoice") else []))
        return made

    def drafted(self, *amounts, **more):
        for amount in amounts:
            self.item(amount)
        form = {"customer": self.customer, "pending_invoice_items_behavior": "include", **more}
        invoice = self.v1.invoices.create(form)
        self.followed("invoice.created")
        self.assertEqual((invoice.status, invoice.total, invoice.billing_reason), ("draft", sum(amounts), "manual"))
        return invoice

    def opened(self, *amounts):
        invoice = self.v1.invoices.finalize_invoice(self.drafted(*amounts).id)
        self.followed("invoice.finalized", "customer.updated", "payment_intent.created")
        self.assertEqual((invoice.status, invoice.amount_due), ("open", sum(amounts)))
        return invoice
