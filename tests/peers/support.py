"""What a scenario needs: a world of its own, which is a sandbox with a seed, a recorder before it and a receiver behind it.

A scenario acts, then says which events followed:

    class Customers(Scenario):
        def test_a_customer_is_renamed(self):
            customer = self.v1.customers.create({"name": "Jenny"})
            self.followed("customer.created")
            self.v1.customers.update(customer.id, {"name": "Jen"})
            (updated,) = self.followed("customer.updated")
            self.assertEqual(before(updated), {"name": "Jenny"})
"""

import functools
import json
import os
import pathlib
import queue
import re
import select
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler

import stripe

from recorder import Record, Recorder, Server

SECRET_KEY = "sk_test_peers"
WEBHOOK_SECRET = "whsec_peers_receiver"
# 2027-01-15T08:00:00Z: the clock of every scenario stands there until it is advanced.
START = "1800000000"
DAY = 86_400
RETURN = "https://example.com/return"
# What follows a payment at once.
PAID = ("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")
PATIENCE_SECONDS = 30


class Receiver:
    """Takes deliveries and verifies each with the SDK; at wish the first try of every event is answered 500."""

    def __init__(self, record, secret=WEBHOOK_SECRET, refuse_first=False):
        self.secret = secret
        self.raw = queue.Queue()
        self.events = []
        self.refused = []
        self._record = record
        self._refuse_first = refuse_first
        self._seen = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(body, self.headers["stripe-signature"]))
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = Server(Handler)
        self.url = f"{self._server.url}/hook"

    def take(self, body, signature):
        """Keeps an event and gives the status to answer with."""
        try:
            event = stripe.Webhook.construct_event(body, signature, self.secret)
        except Exception as error:  # whatever it is, the test shows it
            self.refused.append(repr(error))
            return 400
        is_first_try = event.id not in self._seen
        self._seen.add(event.id)
        if is_first_try:
            self._record.write("event", body=json.loads(body))
        if is_first_try and self._refuse_first:
            return 500
        self.events.append(event)
        self.raw.put((body, signature))
        return 200

    def types(self):
        return [event.type for event in self.events]

    def close(self):
        self._server.close()


class World:
    """A sandbox in memory, a client that reaches it through a recorder, and a receiver of all its events."""

    def __init__(self, name, seed=7, refuse_first=False, options=()):
        self._process, self.sandbox_url = start_sandbox(seed, options)
        self._record = Record(record_path(name))
        self._recorder = Recorder(self.sandbox_url, self._record)
        self.receiver = Receiver(self._record, refuse_first=refuse_first)
        self._others = []
        self.url = self._recorder.url
        self.client = self.client_of(SECRET_KEY)
        self._register("platform", connect=False)

    def _register(self, name, connect):
        endpoint = {"name": name, "url": self.receiver.url, "secret": WEBHOOK_SECRET, "connect": connect}
        self.control("webhook_endpoints", endpoint)

    def receive_of_accounts(self):
        """From now on the events of connected accounts are received too."""
        self._register("accounts", connect=True)

    def another_receiver(self):
        """A receiver for an endpoint that a scenario makes, whose secret it then sets."""
        receiver = Receiver(self._record, secret=None)
        self._others.append(receiver)
        return receiver

    def client_of(self, key, retries=0, **more):
        return stripe.StripeClient(key, base_addresses={"api": self.url}, max_network_retries=retries, **more)

    def control(self, path, body=None):
        """Calls the sandbox's control API, of which the record has only which faults were wished for."""
        if path == "faults" and body is not None:
            self._record.write("faults", body=body)
        return json.loads(self._control(path, None if body is None else json.dumps(body).encode()))

    def _control(self, path, data):
        with urllib.request.urlopen(f"{self.sandbox_url}/_sandbox/{path}", data=data, timeout=PATIENCE_SECONDS) as answer:
            return answer.read()

    def spoil(self, *answers, **deliveries):
        """From now on some answers, or deliveries, go wrong; called with nothing, none does."""
        self.control("faults", {"answers": answers, "deliveries": deliveries})

    def snapshot(self):
        return self._control("snapshot", b"{}")

    def restore(self, snapshot):
        self._control("restore", snapshot)

    def effects(self, kind):
        """What happened to objects of a kind, by the sandbox's ledger: each effect and the operation it came of."""
        return [(one["effect"], one["operation"]) for one in self.control("ledger")["effects"] if one["object"] == kind]

    def advance(self, seconds):
        """Moves the sandbox's time on; all that came due is done when this returns."""
        return self.control("clock", {"advance_seconds": seconds})["now"]

    def now(self):
        return self.control("clock")["now"]

    def settle(self):
        """Waits until every delivery has been accepted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self.control("deliveries"))["pending"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"deliveries stay pending: {left}; refused: {self.receiver.refused}")
            time.sleep(0.005)

    def mark(self):
        """How many events there have been."""
        self.settle()
        return len(self.receiver.events)

    def events_since(self, mark):
        """The events that followed, in the order in which they came, which is not that in which they happened."""
        self.settle()
        return self.receiver.events[mark:]

    def as_they_happened(self, events):
        """Events in the order in which they happened, which neither the order in which they came nor their seconds tell."""
        newest_first = [one["object"]["id"] for one in self.control("objects/event")["data"]]
        return sorted(events, key=lambda event: -newest_first.index(event.id))

    def pay(self, url, number="4242424242424242", **fields):
        """Fills in the form of a checkout page: status, headers and text of the answer."""
        return self.submit(url, **{"card_number": number, "card_expiry": "12/40", "card_cvc": "123", **fields})

    def submit(self, url, **fields):
        """Sends the form of a page, as a browser does: status, headers and text of the answer."""
        return post(url, urllib.parse.urlencode(fields).encode())

    def page(self, url):
        """What a page says."""
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return answer.read().decode()

    def end(self):
        for receiver in (self.receiver, *self._others):
            receiver.close()
        self._recorder.close()
        self._record.close()
        self._process.terminate()
        code = self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()
        if code != 0:
            raise AssertionError(f"the sandbox ended with {code} on SIGTERM")


class Scenario(unittest.TestCase):
    """A test in a world of its own, so that none sees another's events and ids are always the same."""

    # Of the sandbox that each world has.
    options = ()

    def setUp(self):
        self.world = World(f"python-{self.id().rpartition('.')[2].removeprefix('test_')}", options=self.options)
        self.addCleanup(self.world.end)
        self.v1 = self.world.client.v1
        self._mark = 0

    def price(self, amount, **more):
        """A price of a product of its own."""
        product = self.v1.products.create({"name": "Thing"})
        return self.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": amount, **more})

    def followed(self, *types):
        """Asserts that exactly these events followed since the last time; gives them in the order of the types named."""
        events = self.world.events_since(self._mark)
        self._mark += len(events)
        self.assertEqual(sorted(event.type for event in events), sorted(types))
        self.assertEqual(self.world.receiver.refused, [])
        if len(set(types)) < len(types):
            events = self.world.as_they_happened(events)
        return [events.pop(next(n for n, event in enumerate(events) if event.type == kind)) for kind in types]

    def awaited(self, *types):
        """As `followed`, for events of a call that is not over: waits until as many have come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.world.receiver.events) < self._mark + len(types) and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.followed(*types)

    def paid(self, amount, card="visa", **more):
        """A payment intent that is confirmed as it is created, with this test card."""
        form = {"amount": amount, "currency": "usd", "confirm": True, "payment_method": f"pm_card_{card}", "return_url": RETURN}
        return self.v1.payment_intents.create({**form, **more})

    def preview(self, **form):
        """A preview of an invoice, which neither an event nor a list tells of: the amounts of its lines, and it."""
        hash_before = self.world.control("world")["sha256"]
        preview = self.v1.invoices.create_preview(form)
        self.followed()
        self.assertEqual(self.world.control("world")["sha256"], hash_before)
        self.assertTrue(preview.id.startswith("upcoming_in_"), preview.id)
        self.assertEqual((preview.status, preview.billing_reason, preview.number), ("draft", "upcoming", None))
        self.assertEqual(preview.lines.url, f"/v1/invoices/{preview.id}/lines")
        return [line.amount for line in preview.lines.data], preview

    def refused(self, error, status, code, act, *arguments):
        """Asserts that a call is refused; gives the error."""
        with self.assertRaises(error) as caught:
            act(*arguments)
        # Not `caught.exception.code`, which the SDK leaves empty for some errors.
        self.assertEqual((caught.exception.http_status, caught.exception.json_body["error"].get("code")), (status, code))
        return caught.exception


def before(event):
    """What the properties that an event is about were before it."""
    return event.to_dict()["data"].get("previous_attributes")


def start_sandbox(seed, options=()):
    """Starts the binary on a free port, with a clock that only moves when it is told to: its process and its address."""
    binary = os.environ.get("STRIPE_SANDBOX_BIN")
    if not binary or not os.access(binary, os.X_OK):
        raise AssertionError(f"STRIPE_SANDBOX_BIN names no program: {binary!r}; build it: cargo build -p stripe-sandbox")
    process = subprocess.Popen(
        [binary, "--listen", "127.0.0.1:0", "--secret-key", SECRET_KEY, "--seed", str(seed), "--frozen-time", START, *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
    line = process.stdout.readline() if ready else ""
    match = re.search(r"http://\S+", line)
    if not match:
        process.kill()
        raise AssertionError(f"the sandbox did not say where it listens: {line!r}")
    return process, match.group()


def record_path(name):
    """The file of a record."""
    return records_folder() / f"{name}.jsonl"


@functools.cache
def records_folder():
    """Where records go to be judged at the end of the run; for a test started alone, anywhere."""
    return pathlib.Path(os.environ.get("PEERS_RECORDS") or tempfile.mkdtemp(prefix="peers-records-"))


class Stay(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_):
        return None


def post(url, data, headers=None):
    """Status, headers and text of the answer to a POST, whatever the status."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method="POST")
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()
