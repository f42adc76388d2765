"""Events signed by the code of Stripe's own SDKs are accepted by a webhook gateway; one altered byte is refused.

GATEWAY_WEBHOOK_URL and GATEWAY_WEBHOOK_SECRET say which gateway.
"""

import json
import os
import pathlib
import subprocess
import time
import unittest
import urllib.error
import urllib.request
import uuid

import stripe


def setting(name):
    value = os.environ.get(name, "").strip()
    if not value:
        raise AssertionError(f"{name} is not set: this test needs a running webhook gateway (GATEWAY_WEBHOOK_URL, GATEWAY_WEBHOOK_SECRET)")
    return value


def deliver(url, body, signature):
    """The status a delivery is answered with."""
    headers = {"content-type": "application/json; charset=utf-8"}
    if signature is not None:
        headers["stripe-signature"] = signature
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code


def signed(body, secret, at=None):
    """`Stripe-Signature` as Python's SDK makes it for tests."""
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)


def signed_by_node(body, secret):
    """The same by Node's SDK."""
    script = pathlib.Path(__file__).parent / "node" / "sign.mjs"
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    return subprocess.run(["node", script], input=body, env=environment, stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()


def event():
    """A customer.created of its own: ids are new in every run, so that no run meets another's events."""
    mark = uuid.uuid4().hex
    now = int(time.time())
    return json.dumps({
        "id": f"evt_{mark}", "object": "event", "api_version": stripe.api_version, "created": now, "livemode": False,
        "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": "customer.created",
        "data": {"object": {
            "id": f"cus_{mark[:14]}", "object": "customer", "created": now, "livemode": False, "email": "peer@example.com",
            "metadata": {"user_id": f"peer-{mark}"},
        }},
    }).encode()


class GatewayTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.url = setting("GATEWAY_WEBHOOK_URL")
        cls.secret = setting("GATEWAY_WEBHOOK_SECRET")

    def test_an_event_signed_by_the_sdk_is_accepted_also_a_second_time(self):
        body = event()
        signature = signed(body, self.secret)
        self.assertTrue(stripe.Webhook.construct_event(body, signature, self.secret))
        self.assertEqual(deliver(self.url, body, signature), 200)
        self.assertEqual(deliver(self.url, body, signed(body, self.secret)), 200)

    def test_an_event_signed_by_nodes_sdk_is_accepted(self):
        body = event()
        signature = signed_by_node(body, self.secret)
        self.assertTrue(stripe.Webhook.construct_event(body, signature, self.secret))
        self.assertEqual(deliver(self.url, body, signature), 200)
        self.assertEqual(deliver(self.url, body, signed_by_node(body, self.secret + "x")), 400)

    def test_signatures_of_other_secrets_beside_it_change_nothing(self):
        body = event()
        time_and_v1, other = signed(body, self.secret), signed(body, "whsec_other").split(",")[1]
        self.assertEqual(deliver(self.url, body, f"{time_and_v1},{other},{other.replace('v1', 'v0')}"), 200)

    def test_one_altered_byte_is_refused(self):
        body = event()
        signature = signed(body, self.secret)
        altered = body.replace(b"peer@example.com", b"pear@example.com")
        self.assertEqual(len(altered), len(body))
        self.assertEqual(deliver(self.url, altered, signature), 400)

    def test_another_secret_an_old_timestamp_and_no_signature_are_refused(self):
        body = event()
        self.assertEqual(deliver(self.url, body, signed(body, self.secret + "x")), 400)
        self.assertEqual(deliver(self.url, body, signed(body, self.secret, at=int(time.time()) - 3600)), 400)
        self.assertEqual(deliver(self.url, body, None), 400)


if __name__ == "__main__":
    unittest.main()
