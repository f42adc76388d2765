"""A proxy between an SDK and the sandbox that leaves everything as it is, and writes down every exchange.

Each is one line of JSON: what was asked, without the secret key, and what answered. A connection that one side ends without
an answer is ended on the other side too, and its line has the status null; one that ends within an answer is passed on as far
as it came, and its line is marked `torn`.

As a program it is for peers in other languages: `recorder.py RECORD` reads addresses of sandboxes from its input, a line each,
and prints for each the address of a proxy in front of it.
"""

import http.client
import json
import select
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = ("authorization",)


class Record:
    """A file of lines that several threads may write."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, kind, **line):
        text = json.dumps({"kind": kind, **line})
        with self._lock:
            self._file.write(text + "\n")
            self._file.flush()

    def close(self):
        self._file.close()


class Server(ThreadingHTTPServer):
    """A server on a port of its own that keeps no one waiting: with the usual five places to wait in, what comes beside them
    is let in a second later."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.shutdown()
        self.server_close()


class Recorder:
    """Listens in front of one sandbox."""

    def __init__(self, upstream, record):
        address = urllib.parse.urlsplit(upstream)
        handler = type("Recording", (_Recording,), {"upstream": (address.hostname, address.port), "record": record})
        self._server = Server(handler)
        self.url = self._server.url

    def close(self):
        self._server.close()


class _Recording(BaseHTTPRequestHandler):
    """One connection of a client, with one of its own to the sandbox."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    upstream = record = None

    def setup(self):
        super().setup()
        self.sandbox = http.client.HTTPConnection(*self.upstream)

    def finish(self):
        super().finish()
        self.sandbox.close()

    def do_GET(self):
        asked = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            answer = self._ask(asked)
        except (http.client.HTTPException, OSError):
            answer = None
        pieces, torn = pieces_of(answer) if answer else ([], False)
        # Written before the client can have the answer, so that a test that ends with it loses no line.
        self._write_down(asked, answer, b"".join(pieces), torn)
        if answer:
            self._pass_on(answer, pieces, torn)
        else:
            self.close_connection = True

    do_POST = do_DELETE = do_GET

    def _ask(self, body):
        """The sandbox's answer, its body unread; none if the client stops waiting for it."""
        self.sandbox.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self.sandbox.putheader(name, value)
        self.sandbox.endheaders(body or None)
        ready, _, _ = select.select([self.sandbox.sock, self.connection], [], [])
        return self.sandbox.getresponse() if self.sandbox.sock in ready else None

    def _pass_on(self, answer, pieces, torn):
        """Sends the answer in the pieces in which it came, and its end if it had one."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
        if answer.chunked and not torn:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        self.close_connection = self.close_connection or answer.will_close or torn

    def _write_down(self, asked, answer, answered, torn):
        address = urllib.parse.urlsplit(self.path)
        is_form = "json" not in self.headers.get("content-type", "")
        self.record.write(
            "exchange",
            method=self.command,
            path=address.path,
            query=urllib.parse.parse_qsl(address.query, keep_blank_values=True),
            form=urllib.parse.parse_qsl(asked.decode(), keep_blank_values=True) if is_form else [],
            request_headers=lowered(self.headers, without=SECRETS),
            status=answer.status if answer else None,
            headers=lowered(answer.headers) if answer else {},
            body=parsed(answered),
            **({"torn": True} if torn else {}),
        )

    def log_message(self, *_):
        pass


def pieces_of(answer):
    """The body as it comes, and whether it ends too early; if not, the connection can be used for the next."""
    pieces = []
    try:
        with answer:
            pieces.extend(iter(answer.read1, b""))
    except (http.client.HTTPException, OSError):
        return pieces, True
    told = answer.getheader("content-length")
    return pieces, told is not None and sum(map(len, pieces)) < int(told)


def lowered(headers, without=()):
    return {name.lower(): value for name, value in headers.items() if name.lower() not in without}


def parsed(body):
    """A body as JSON where it is that."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def main(path):
    record = Record(path)
    for line in sys.stdin:
        print(Recorder(line.strip(), record).url, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
