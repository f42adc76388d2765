"""Stripe's own CLI is a client: what it triggers happens, and an event is sent again.

Its fixtures are older than the version the sandbox speaks: where they send `payment_method_types`, that is removed.
"""

import glob
import json
import os
import subprocess
import tempfile

from support import SECRET_KEY, Scenario

# No call leaves the machine: the look for a newer version goes to a proxy that is not there.
ALONE = {"HTTPS_PROXY": "http://127.0.0.1:9", "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}


class CliScenario(Scenario):
    def stripe(self, *arguments, **more):
        """Runs the CLI against the sandbox: what it said."""
        (binary,) = glob.glob(f"{os.environ['PEERS_NODE']}/node_modules/@stripe/cli-*/bin/stripe")
        with tempfile.TemporaryDirectory() as home:
            ran = subprocess.run(
                [binary, *arguments, "--api-key", SECRET_KEY, "--api-base", self.world.sandbox_url],
                env={**ALONE, "HOME": home, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30, **more,
            )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    def triggered(self, event, *options):
        """Triggers an event and gives it; the calls of the fixture have others follow, too."""
        mark = self.world.mark()
        self.assertIn("Trigger succeeded", self.stripe("trigger", event, *options))
        (found,) = [one for one in self.world.events_since(mark) if one.type == event]
        self.assertEqual(self.world.receiver.refused, [])
        return found.data.object


class Cli(CliScenario):
    def test_a_checkout_session_is_completed(self):
        session = self.triggered("checkout.session.completed")
        self.assertEqual((session.amount_total, session.payment_status), (3000, "paid"))
        intent = self.v1.payment_intents.retrieve(session.payment_intent)
        self.assertEqual((intent.status, intent.shipping.name), ("succeeded", "Jenny Rosen"))

    def test_a_checkout_session_expires(self):
        self.assertEqual(self.triggered("checkout.session.expired").status, "expired")

    def test_subscriptions_come_change_and_go(self):
        self.assertEqual(self.triggered("customer.subscription.created").items.data[0].price.unit_amount, 1500)
        mark = self.world.mark()
        self.stripe("trigger", "customer.subscription.updated")
        # Deliveries overtake one another.
        changed = [one for one in self.world.events_since(mark) if one.type == "customer.subscription.updated"]
        self.assertIn({"foo": "bar"}, [one.data.object.metadata.to_dict() for one in changed])
        self.assertEqual(self.triggered("customer.subscription.deleted").status, "canceled")
        self.stripe("trigger", "customer.subscription.trial_will_end")

    def test_payments_succeed_fail_and_are_refunded(self):
        without = ("--remove", "payment_intent:payment_method_types")
        self.assertEqual(self.triggered("payment_intent.succeeded", *without).amount_received, 2000)
        failed = self.triggered("payment_intent.payment_failed", *without)
        self.assertEqual(failed.last_payment_error.code, "card_declined")
        self.assertEqual(self.triggered("charge.refunded", *without).amount_refunded, 100)

    def test_cards_are_attached_and_set_up(self):
        self.assertEqual(self.triggered("payment_method.attached").card.last4, "4242")
        without = ("--remove", "setup_intent:payment_method_types")
        self.assertEqual(self.triggered("setup_intent.succeeded", *without).status, "succeeded")
        failed = self.triggered("setup_intent.setup_failed", *without)
        self.assertEqual(failed.last_setup_error.code, "card_declined")

    def test_an_event_is_sent_again(self):
        self.v1.customers.create({})
        (created,) = self.followed("customer.created")
        (endpoint,) = self.v1.webhook_endpoints.list().data
        self.stripe("events", "resend", created.id, "--webhook-endpoint", endpoint.id)
        (again,) = self.followed("customer.created")
        self.assertEqual(again.id, created.id)

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

    def test_a_test_clock_is_made_advanced_and_deleted(self):
        clocks = ("test_helpers", "test_clocks")
        clock = json.loads(self.stripe(*clocks, "create", "--frozen-time", "1767225600", "--name", "From the terminal"))
        self.assertEqual((clock["status"], clock["name"]), ("ready", "From the terminal"))
        self.assertEqual(self.v1.customers.create({"test_clock": clock["id"]}).created, 1_767_225_600)
        sent = json.loads(self.stripe(*clocks, "advance", clock["id"], "--frozen-time", "1769904000"))
        self.assertEqual(sent["status"], "advancing")
        there = json.loads(self.stripe(*clocks, "retrieve", clock["id"]))
        self.assertEqual((there["status"], there["frozen_time"]), ("ready", 1_769_904_000))
        self.stripe(*clocks, "delete", clock["id"], "--confirm")
        told = (f"test_helpers.test_clock.{kind}" for kind in ("created", "advancing", "ready", "deleted"))
        self.followed(*told, "customer.created", "customer.deleted")
