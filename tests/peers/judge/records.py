"""A record of traffic, line by line: what was asked for, what answered, which events were delivered.

Lines are what `recorder.py` and the receivers of webhooks write: `{"kind": "exchange", ...}` and `{"kind": "event", ...}`. A
scenario that wants answers spoiled says so first, `{"kind": "faults", ...}`: only then may a proxy's page come, or half a body.
"""

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from judge.schemas import MISSING, Schemas
from judge.specification import COMPONENT

EVENT = {"$ref": COMPONENT + "event"}
THIN_EVENT = {"$ref": COMPONENT + "v2.core.event"}
REFUSAL = {"$ref": COMPONENT + "error"}
DEEPEST_EXPANSION = 4
SHOWN = 60


@dataclass(frozen=True)
class Violation:
    """One fault at one place of one line of a record."""

    line: str
    operation: str
    path: str
    expected: str
    found: str


class Judge:
    """Holds records against a specification, and counts what it judged."""

    def __init__(self, specification):
        self.chosen_ids = set()
        self.specification = specification
        self.schemas = Schemas(specification, self.chosen_ids)
        self.faults = []
        self.exchanges = self.unanswered = self.events = 0

    def records(self, paths):
        """Every violation in some files, whose lines may be about the same objects."""
        lines = [
            (json.loads(line), f"{path.name}:{number}")
            for path in paths
            for number, line in enumerate(path.read_text().splitlines(), 1)
        ]
        for line, _ in lines:
            self.chosen_ids.update(value for name, value in line.get("form", []) if name == "id")
        for line, place in lines:
            yield from self.line(line, place)

    def line(self, line, place):
        """Every violation in one line."""
        if line["kind"] == "faults":
            self.faults = [{"times": 1, **fault} for fault in line["body"].get("answers", [])]
        elif line["kind"] == "event":
            self.events += 1
            yield from self._event(line, place)
        elif line["status"] is None:
            self.unanswered += 1
        else:
            self.exchanges += 1
            yield from self._exchange(line, place)

    def _event(self, line, place):
        body = line["body"]
        is_thin = isinstance(body, dict) and body.get("object") == "v2.core.event"
        name = body.get("type") if isinstance(body, dict) else None
        yield from self._body(THIN_EVENT if is_thin else EVENT, body, set(), place, f"event {name}")

    def _exchange(self, line, place):
        operation = self.specification.operation(line["method"], line["path"])
        name = operation.name if operation else f"{line['method']} {line['path']}"
        if line["status"] == 502 and self._wished_for("html_502", line):
            for what, expected, found in faults_of_page(line):
                yield Violation(place, name, what, expected, shown(found))
            return
        for what, expected, found in faults_of_headers(line, operation):
            yield Violation(place, name, what, expected, shown(found))
        if line.get("torn"):
            if not self._wished_for("truncated", line):
                yield Violation(place, name, "(the body)", "all of it", "half of it")
            return
        schema = self._schema_of_answer(line, operation)
        if isinstance(schema, str):
            yield Violation(place, name, "status", schema, str(line["status"]))
        elif schema:
            sent = line["query"] + line["form"]
            asked = asked_expansions(value for name, value in sent if name.startswith("expand["))
            yield from self._body(schema, line["body"], asked, place, name)

    def _wished_for(self, kind, line):
        """Whether a fault of this kind was wished for such a call, and is not spent; it is then."""
        for fault in self.faults:
            if fault["kind"] == kind and fault["times"] > 0 and meets(fault, line):
                fault["times"] -= 1
                return True
        return False

    def _schema_of_answer(self, line, operation):
        """The schema of a body, none for what is no JSON, or in words which status was expected."""
        if line["status"] >= 400:
            return operation.refusal if operation else REFUSAL
        if not operation:
            return "a refusal, as Stripe knows no such operation"
        if line["status"] != 200:
            return "200 or a refusal"
        return operation.answers.get("application/json")

    def _body(self, schema, body, asked, place, name):
        faults, expansions = self.schemas.faults(schema, body)
        for fault in faults:
            path = dotted(fault.absolute_path)
            yield Violation(place, name, path, expectation(fault), shown(fault.instance))
        for steps in expansions:
            names = [step for step in steps if isinstance(step, str)]
            if len(names) > DEEPEST_EXPANSION:
                yield Violation(place, name, dotted(steps), "an id, this deep", "an expanded object")
            elif ".".join(names) not in asked:
                yield Violation(place, name, dotted(steps), "an id, as no expansion was asked for", "an expanded object")


def faults_of_headers(line, operation):
    """What is wrong with the headers of an answer: which, what was expected, what was there."""
    sent, got = line["request_headers"], line["headers"]
    if not re.fullmatch(r"req_\w+", got.get("request-id", "")):
        yield "header request-id", "req_ and more", got.get("request-id", MISSING)
    # What is no version is refused, in any.
    version = re.fullmatch(r"\d{4}-\d\d-\d\d(\.[a-z]+)?", sent.get("stripe-version", "")) and sent["stripe-version"]
    if "stripe-version" not in got or (version and got["stripe-version"] != version):
        yield "header stripe-version", version or "a version", got.get("stripe-version", MISSING)
    if not is_http_date(got.get("date", "")):
        yield "header date", "a date", got.get("date", MISSING)
    kinds = list(operation.answers) if operation and line["status"] == 200 else ["application/json"]
    if got.get("content-type", "").partition(";")[0] not in kinds:
        yield "header content-type", " or ".join(kinds), got.get("content-type", MISSING)


def faults_of_page(line):
    """What a proxy's page has that only an answer of the API itself can have, or lacks."""
    got = line["headers"]
    for name in ("request-id", "stripe-version"):
        if name in got:
            yield f"header {name}", "nothing, on a proxy's page", got[name]
    if got.get("content-type") != "text/html":
        yield "header content-type", "text/html", got.get("content-type", MISSING)
    if not str(line["body"]).startswith("<html>"):
        yield "(the body)", "a page", line["body"]


def meets(fault, line):
    """Whether a fault is for calls like this one: `*` stands for any method or segment, a last `**` for all that follow."""
    steps = [".+" if step == "**" else "[^/]+" if step == "*" else re.escape(step) for step in fault["path"].split("/")]
    return fault["method"] in ("*", line["method"]) and re.fullmatch("/".join(steps), line["path"]) is not None


def is_http_date(text):
    try:
        return parsedate_to_datetime(text) is not None
    except ValueError:
        return False


def asked_expansions(paths):
    """Every property that a request wants expanded: `a.b` asks for `a` too."""
    asked = set()
    for path in paths:
        names = path.split(".")
        asked.update(".".join(names[:count]) for count in range(1, len(names) + 1))
    return asked


def expectation(fault):
    """What a fault's keyword demands; those of our own say it in their message."""
    if fault.validator == "type" and fault.schema.get("nullable"):
        return f"{fault.validator_value} or null"
    if fault.validator in ("type", "format"):
        return fault.validator_value
    if fault.validator in ("maxLength", "pattern"):
        return f"{fault.validator} {fault.validator_value}"
    return fault.message


def dotted(steps):
    """A place in a body: `data[0].price.id`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".") or "(the body)"


def shown(value):
    """A value, shortened."""
    text = repr(value) if value is MISSING else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
