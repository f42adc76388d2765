"""The recorder is in nobody's way: both sides see of the other what they would see without it."""

import http.client
import json
import socket
import threading
import unittest
from http.server import BaseHTTPRequestHandler

import stripe

from recorder import Record, Recorder, Server
from support import PATIENCE_SECONDS, World, record_path


class Upstream(BaseHTTPRequestHandler):
    """Echoes what it is asked, in pieces or half of it where the path wants it, or hangs until the client is gone."""

    protocol_version = "HTTP/1.1"
    connections = 0
    left = threading.Event()

    def setup(self):
        super().setup()
        type(self).connections += 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hang":
            if not self.connection.recv(1):
                self.left.set()
            return
        self.send_response(402)
        self.send_header("X-Echo", self.headers["X-Said"])
        if self.path == "/pieces":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\n" + body[:2] + b"\r\n3\r\n" + body[2:5] + b"\r\n0\r\n\r\n")
        elif self.path == "/half":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class RecorderTest(unittest.TestCase):
    def setUp(self):
        upstream = Server(Upstream)
        self.addCleanup(upstream.close)
        record = Record("/dev/null")
        self.addCleanup(record.close)
        recorder = Recorder(upstream.url, record)
        self.addCleanup(recorder.close)
        self.address = recorder.url.removeprefix("http://")

    def test_headers_statuses_and_pieces_pass_through_one_connection(self):
        before = Upstream.connections
        client = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECONDS)
        self.addCleanup(client.close)
        for path in ("/whole", "/pieces"):
            client.request("POST", path, "hello", {"X-Said": "a b"})
            answer = client.getresponse()
            self.assertEqual((answer.status, answer.headers["x-echo"]), (402, "a b"))
            self.assertEqual(answer.headers["transfer-encoding"], "chunked" if path == "/pieces" else None)
            self.assertEqual(answer.read(), b"hello")
        self.assertEqual(Upstream.connections, before + 1)

    def test_half_an_answer_is_passed_on_and_then_the_end(self):
        client = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECONDS)
        self.addCleanup(client.close)
        client.request("POST", "/half", "hello!")
        with self.assertRaises(http.client.IncompleteRead) as caught:
            client.getresponse().read()
        self.assertEqual(caught.exception.partial, b"hel")

    def test_a_client_that_stops_waiting_is_gone_for_upstream_too(self):
        host, _, port = self.address.partition(":")
        client = socket.create_connection((host, int(port)))
        client.sendall(b"POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        client.close()
        self.assertTrue(Upstream.left.wait(PATIENCE_SECONDS))


class RecordedFaultsTest(unittest.TestCase):
    def test_a_lost_answer_is_lost_to_the_sdk_which_asks_again(self):
        name = "python-recorder"
        world = World(name)
        self.addCleanup(world.end)
        fault = {"method": "POST", "path": "/v1/customers", "times": 1, "kind": "reset_after"}
        world.control("faults", {"answers": [fault]})
        with self.assertRaises(stripe.APIConnectionError):
            world.client.v1.customers.create({"name": "Lost"}, {"idempotency_key": "once"})
        found = world.client.v1.customers.create({"name": "Lost"}, {"idempotency_key": "once"})
        self.assertEqual(found.last_response.headers["idempotent-replayed"], "true")
        lines = [json.loads(line) for line in record_path(name).read_text().splitlines()]
        exchanges = [line for line in lines if line["kind"] == "exchange"]
        self.assertEqual([line["status"] for line in exchanges], [None, 200])
        self.assertEqual([line["request_headers"]["idempotency-key"] for line in exchanges], ["once", "once"])
        self.assertEqual(exchanges[0]["form"], [["name", "Lost"]])
        self.assertNotIn("authorization", exchanges[0]["request_headers"])


if __name__ == "__main__":
    unittest.main()
