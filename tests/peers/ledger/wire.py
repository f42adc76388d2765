"""The sandbox over HTTP: one connection, forms in, JSON out."""

import http.client
import json
import urllib.parse


class Refused(AssertionError):
    pass


class Wire:
    def __init__(self, url, key):
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/x-www-form-urlencoded"}
        self.calls = 0

    def post(self, path, form=None):
        return self._call("POST", f"/v1/{path}", urllib.parse.urlencode(flat(form or {})))

    def delete(self, path, form=None):
        return self._call("DELETE", f"/v1/{path}?{urllib.parse.urlencode(flat(form or {}))}")

    def all(self, path, **query):
        """Every object of a list, oldest first."""
        found, more = [], True
        while more:
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = self._call("GET", f"/v1/{path}?{urllib.parse.urlencode({'limit': 100, **query, **after})}")
            found, more = found + page["data"], page["has_more"]
        return found[::-1]

    def stored(self, kind):
        """Every object of a kind in one answer, oldest first."""
        return [one["object"] for one in self._call("GET", f"/_sandbox/objects/{kind}")["data"]][::-1]

    def advance(self, seconds):
        return self.control("clock", {"advance_seconds": seconds})["now"]

    def control(self, path, body):
        return self._call("POST", f"/_sandbox/{path}", json.dumps(body))

    def _call(self, method, path, body=None):
        self.calls += 1
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Refused(f"{method} {path} {urllib.parse.unquote(body or '')}: {answer.status} {text.decode()}")
        return json.loads(text)

    def close(self):
        self._connection.close()


def flat(form, within=""):
    """A nested form as pairs of bracketed names and texts."""
    pairs = []
    items = enumerate(form) if isinstance(form, (list, tuple)) else form.items()
    for name, value in items:
        name = f"{within}[{name}]" if within else str(name)
        if isinstance(value, (dict, list, tuple)):
            pairs += flat(value, name)
        elif value is not None:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs
