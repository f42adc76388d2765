"""The judge of records is judged: real traffic passes, and each violation that is planted into it is reported, alone."""

import copy
import json
import unittest

import stripe

from judge import Judge, Specification
from support import World, record_path

NAME = "python-judge"


def planted(about, kind, place, change):
    """A violation: the line it goes into, where it must be found, and what it does to the line."""
    return about, kind, place, change


def put(*steps_and_value):
    """A change that sets what some steps lead to."""
    *steps, last, value = steps_and_value

    def change(line):
        for step in steps:
            line = line[step]
        line[last] = value

    return change


def drop(*steps_and_name):
    """A change that takes away what some steps lead to."""
    *steps, last = steps_and_name

    def change(line):
        for step in steps:
            line = line[step]
        del line[last]

    return change


def expand_deeply(line):
    """Prices within products within prices, five deep, as if all that had been asked for."""
    price = line["body"]
    for _ in range(2):
        inner = copy.deepcopy(line["body"])
        inner["product"]["default_price"] = "price_1"
        price["product"]["default_price"] = inner
        price = inner
    price["product"]["default_price"] = copy.deepcopy(line["body"] | {"product": "prod_1"})
    line["query"] = [["expand[]", ".".join(["product", "default_price"] * 3)]]


PLANTED = [
    planted("wrong type", "customer", "livemode", put("body", "livemode", "no")),
    planted("required property missing", "customer", "created", drop("body", "created")),
    planted("unknown property", "customer", "nickname", put("body", "nickname", "Jen")),
    planted("null that may not be", "customer", "balance", put("body", "balance", None)),
    planted("string too long", "customer", "name", put("body", "name", "x" * 5001)),
    planted("wrong prefix of an id", "customer", "id", put("body", "id", "prod_1")),
    planted("milliseconds for seconds", "customer", "created", put("body", "created", 1_790_000_000_000)),
    planted("metadata that is no text", "customer", "metadata.seats", put("body", "metadata", {"seats": 3})),
    planted("value outside an enum", "price", "billing_scheme", put("body", "billing_scheme", "per_seat")),
    planted("amount that is no integer", "price", "unit_amount", put("body", "unit_amount", 2900.0)),
    planted("currency in capitals", "price", "currency", put("body", "currency", "USD")),
    planted("wrong object where one is expanded", "expanded", "product", put("body", "product", "object", "customer")),
    planted("fault within an expanded object", "expanded", "product.active", put("body", "product", "active", 1)),
    planted("expansion that nobody asked for", "expanded", "product", put("query", [])),
    planted("has_more missing", "list", "has_more", drop("body", "has_more")),
    planted("wrong object in a list", "list", "data[0].object", put("body", "data", 0, "object", "price")),
    planted("list for a search result", "search", "object", put("body", "object", "list")),
    planted("stub of a deleted object with more in it", "deleted", "email", put("body", "email", None)),
    planted("error without a type", "error", "error.type", drop("body", "error", "type")),
    planted("error of unknown type", "error", "error.type", put("body", "error", "type", "bad_request")),
    planted("status that Stripe never sends", "customer", "status", put("status", 201)),
    planted("operation that Stripe does not have", "customer", "status", put("path", "/v1/clients")),
    planted("request-id missing", "customer", "header request-id", drop("headers", "request-id")),
    planted("another version than asked for", "list", "header stripe-version", put("headers", "stripe-version", "2020-08-27")),
    planted("date missing", "error", "header date", drop("headers", "date")),
    planted("answer that is not JSON", "search", "header content-type", put("headers", "content-type", "text/html")),
    planted("event of unknown type", "event", "type", put("body", "type", "customer.renamed")),
    planted("event without livemode", "event", "livemode", drop("body", "livemode")),
    planted("event about no known object", "event", "data.object.object", put("body", "data", "object", "object", "client")),
    planted("fault within an event's object", "event", "data.object.email", put("body", "data", "object", "email", 7)),
    planted(
        "previous attribute of unknown name",
        "event",
        "data.previous_attributes.nickname",
        put("body", "data", "previous_attributes", "nickname", None),
    ),
    planted("event within a list of events", "events", "data[0].type", put("body", "data", 0, "type", "customer.renamed")),
]


class JudgeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.specification = Specification()
        world = World(NAME)
        try:
            act(world)
        finally:
            world.end()
        cls.lines = recorded_lines()

    def judged(self, line):
        return list(Judge(self.specification).line(line, "here"))

    def test_real_traffic_passes(self):
        for kind, line in self.lines.items():
            with self.subTest(kind):
                self.assertEqual(self.judged(line), [])

    def test_each_planted_violation_is_reported_alone(self):
        for about, kind, place, change in PLANTED:
            with self.subTest(about):
                line = copy.deepcopy(self.lines[kind])
                change(line)
                self.assertEqual([violation.path for violation in self.judged(line)], [place])

    def test_expansions_end_at_four(self):
        line = copy.deepcopy(self.lines["expanded"])
        expand_deeply(line)
        deepest = "product.default_price.product.default_price"
        found = [violation.path for violation in self.judged(line)]
        self.assertEqual(found, [f"{deepest}.product", f"{deepest}.product.default_price"])

    def test_an_id_that_a_request_chose_needs_no_prefix(self):
        judge = Judge(self.specification)
        judge.chosen_ids.add("gold")
        line = copy.deepcopy(self.lines["customer"])
        line["body"]["id"] = "gold"
        self.assertEqual(list(judge.line(line, "here")), [])

    def test_a_request_without_an_answer_is_counted_and_not_judged(self):
        judge = Judge(self.specification)
        self.assertEqual(list(judge.line(self.lines["customer"] | {"status": None}, "here")), [])
        self.assertEqual((judge.unanswered, judge.exchanges), (1, 0))

    def test_an_object_of_an_older_version_is_judged_by_its_shape_then(self):
        now = self.lines["code event"]
        judge = Judge(self.specification)
        self.assertEqual(list(judge.line(now, "here")), [])
        older = copy.deepcopy(now)
        older["body"]["api_version"] = "2025-08-27.basil"
        found = {one.path for one in judge.line(older, "here")}
        self.assertEqual(found, {"data.object.promotion", "data.object.coupon"})
        code = older["body"]["data"]["object"]
        code["coupon"] = self.lines["coupon"]["body"]
        del code["promotion"]
        self.assertEqual(list(judge.line(older, "here")), [])
        code["coupon"] = {**code["coupon"], "valid": None}
        self.assertEqual([one.path for one in judge.line(older, "here")], ["data.object.coupon.valid"])

    def test_the_invoice_of_a_notice_needs_no_id_and_any_other_does(self):
        line = copy.deepcopy(self.lines["invoice event"])
        del line["body"]["data"]["object"]["id"]
        self.assertEqual([one.path for one in self.judged(line)], ["data.object.id"])
        line["body"]["type"] = "invoice.upcoming"
        self.assertEqual(self.judged(line), [])

    def test_a_proxys_page_and_half_a_body_pass_where_they_were_wished_for_and_once(self):
        headers = {"content-type": "text/html"}
        page = self.lines["customer"] | {"status": 502, "headers": headers, "body": "<html></html>"}
        half = self.lines["customer"] | {"body": '{"id":', "torn": True}
        for kind, line in (("html_502", page), ("truncated", half)):
            with self.subTest(kind):
                judge = Judge(self.specification)
                self.assertNotEqual(list(judge.line(line, "here")), [])
                fault = {"method": "POST", "path": "/v1/*", "kind": kind}
                self.assertEqual(list(judge.line({"kind": "faults", "body": {"answers": [fault]}}, "here")), [])
                self.assertEqual(list(judge.line(line, "here")), [])
                self.assertNotEqual(list(judge.line(line, "here")), [])
        judge = Judge(self.specification)
        judge.faults = [{"method": "*", "path": "/v1/**", "kind": "html_502", "times": 1}]
        ours = page | {"headers": {**headers, "request-id": "req_1"}}
        self.assertEqual([one.path for one in judge.line(ours, "here")], ["header request-id"])

    def test_the_secret_key_is_in_no_record(self):
        self.assertNotIn("sk_test", record_path(NAME).read_text())


def act(world):
    """Makes an exchange of every kind, which `recorded_lines` finds again."""
    v1 = world.client.v1
    customer = v1.customers.create({"name": "Jenny", "email": "jenny@example.com"})
    v1.customers.update(customer.id, {"name": "Jen"})
    v1.customers.search({"query": "email:'jenny@example.com'"})
    product = v1.products.create({"name": "Pro"})
    price = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 2900})
    v1.prices.retrieve(price.id, {"expand": ["product"]})
    v1.products.list()
    v1.events.list({"type": "customer.updated"})
    coupon = v1.coupons.create({"percent_off": 20})
    v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    v1.invoices.create({"customer": customer.id})
    v1.customers.delete(customer.id)
    try:
        v1.customers.create({"nickname": "x"})
    except stripe.InvalidRequestError:
        pass
    world.settle()


def recorded_lines():
    """One line of every kind."""
    lines = [json.loads(line) for line in record_path(NAME).read_text().splitlines()]
    exchanges = [line for line in lines if line["kind"] == "exchange"]
    return {
        "event": first(lines, lambda line: line["body"].get("type") == "customer.updated"),
        "code event": first(lines, lambda line: line["body"].get("type") == "promotion_code.created"),
        "invoice event": first(lines, lambda line: line["body"].get("type") == "invoice.created"),
        "coupon": first(exchanges, lambda line: line["path"] == "/v1/coupons"),
        "customer": first(exchanges, lambda line: (line["method"], line["path"]) == ("POST", "/v1/customers")),
        "price": first(exchanges, lambda line: line["path"] == "/v1/prices"),
        "expanded": first(exchanges, lambda line: line["query"] == [["expand[0]", "product"]]),
        "list": first(exchanges, lambda line: (line["method"], line["path"]) == ("GET", "/v1/products")),
        "search": first(exchanges, lambda line: line["path"] == "/v1/customers/search"),
        "events": first(exchanges, lambda line: line["path"] == "/v1/events"),
        "deleted": first(exchanges, lambda line: line["method"] == "DELETE"),
        "error": first(exchanges, lambda line: line["status"] == 400),
    }


def first(lines, is_meant):
    return next(line for line in lines if is_meant(line))


if __name__ == "__main__":
    unittest.main()
