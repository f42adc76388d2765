"""The balance, and the transactions it is the sum of."""

from support import DAY, PAID, Scenario


class Balance(Scenario):
    def balance(self, currency="usd"):
        """What is available and what is pending in a currency."""
        balance = self.v1.balance.retrieve()
        return tuple(
            sum(one.amount for one in half if one.currency == currency) for half in (balance.available, balance.pending)
        )

    def test_money_is_available_after_two_days(self):
        self.assertEqual(self.balance(), (0, 0))
        self.paid(10_000)
        self.followed(*PAID)
        self.assertEqual(self.balance(), (0, 9680))
        (money,) = self.v1.balance_transactions.list().data
        self.assertEqual((money.status, money.available_on - money.created), ("pending", 2 * DAY))
        self.world.advance(2 * DAY - 60)
        self.followed()
        self.world.advance(120)
        (available,) = self.followed("balance.available")
        told = available.data.object
        self.assertEqual([(one.amount, one.currency, one.source_types.card) for one in told.available], [(9680, "usd", 9680)])
        self.assertEqual(self.balance(), (9680, 0))
        self.assertEqual(self.v1.balance_transactions.retrieve(money.id).status, "available")

    def test_a_card_bypasses_pending(self):
        intent = self.paid(1000, "bypassPending", expand=["latest_charge.balance_transaction"])
        money = intent.latest_charge.balance_transaction
        self.assertEqual((money.status, money.available_on, money.net), ("available", money.created, 941))
        self.followed(*PAID)
        self.assertEqual(self.balance(), (941, 0))
        self.world.advance(3 * DAY)
        self.followed()

    def test_fees_are_rounded_half_up(self):
        for amount, fee in ((50, 31), (500, 45), (2900, 114), (9999, 320), (99_999_999, 2_900_030)):
            with self.subTest(amount=amount):
                money = self.paid(amount, expand=["latest_charge.balance_transaction"]).latest_charge.balance_transaction
                self.assertEqual((money.fee, money.net), (fee, amount - fee))
                self.followed(*PAID)
        self.assertEqual(self.balance(), (0, sum((19, 455, 2786, 9679, 97_099_969))))

    def test_each_currency_has_a_balance(self):
        for amount, currency in ((2000, "usd"), (3000, "eur"), (5000, "jpy")):
            self.paid(amount, currency=currency)
            self.followed(*PAID)
        self.assertEqual([self.balance(one) for one in ("usd", "eur", "jpy")], [(0, 1912), (0, 2883), (0, 4825)])
        euros = self.v1.balance_transactions.list({"currency": "eur"}).data
        self.assertEqual([(one.amount, one.net) for one in euros], [(3000, 2883)])

    def test_refunds_are_taken_from_the_balance(self):
        one, two = self.paid(2000, "bypassPending"), self.paid(6000)
        self.followed(*PAID, *PAID)
        self.assertEqual(self.balance(), (1912, 5796))
        for intent, amount in ((one, 2000), (two, 1000)):
            self.v1.refunds.create({"payment_intent": intent.id, "amount": amount})
            self.followed("refund.created", "charge.refunded")
        self.assertEqual(self.balance(), (-88, 4796))
        self.world.advance(2 * DAY + 60)
        self.followed("balance.available")
        self.assertEqual(self.balance(), (4708, 0))
        moved = self.v1.balance_transactions.list().data
        self.assertEqual([(entry.type, entry.net) for entry in moved], [
            ("refund", -1000), ("refund", -2000), ("charge", 5796), ("charge", 1912),
        ])
        self.assertEqual(sum(entry.net for entry in moved), 4708)

    def test_transactions_are_listed_by_what_moved_the_money(self):
        intents = [self.paid(amount) for amount in (1000, 2000, 3000)]
        refund = self.v1.refunds.create({"payment_intent": intents[1].id})
        self.followed(*PAID * 3, "refund.created", "charge.refunded")
        moved = lambda **form: [one.amount for one in self.v1.balance_transactions.list(form).data]
        self.assertEqual(moved(type="charge"), [3000, 2000, 1000])
        self.assertEqual(moved(type="refund"), [-2000])
        self.assertEqual(moved(source=intents[0].latest_charge), [1000])
        page = self.v1.balance_transactions.list({"limit": 2})
        self.assertEqual(([one.amount for one in page.data], page.has_more), ([-2000, 3000], True))
        self.assertEqual([one.amount for one in page.auto_paging_iter()], [-2000, 3000, 2000, 1000])
        money = self.v1.balance_transactions.retrieve(page.data[0].id, {"expand": ["source"]})
        self.assertEqual((money.source.id, money.source.amount), (refund.id, 2000))
        self.followed()

    def test_only_what_is_captured_moves_money(self):
        intent = self.paid(10_000, capture_method="manual")
        self.followed("payment_intent.created", "payment_intent.amount_capturable_updated", "charge.succeeded")
        self.assertEqual((self.balance(), self.v1.balance_transactions.list().data), ((0, 0), []))
        self.world.advance(DAY)
        self.v1.payment_intents.capture(intent.id, {"amount_to_capture": 4000})
        self.followed("charge.captured", "payment_intent.succeeded")
        self.assertEqual(self.balance(), (0, 3854))
        (money,) = self.v1.balance_transactions.list().data
        self.assertEqual((money.amount, money.fee, money.available_on - money.created), (4000, 146, 2 * DAY))
