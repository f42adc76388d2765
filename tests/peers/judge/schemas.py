"""One body against one schema: the library's OpenAPI 3.0 validator, its keywords made as strict as Stripe's answers are.

A JSON Schema lets unknown properties pass and tries every branch of an `anyOf`. Stripe's answers have no unknown properties,
and the `object` of a value says which branch is meant, so that one fault gives one report, at the place where it is.
"""

import itertools
import re
from datetime import datetime

from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from openapi_schema_validator import OAS30Validator

from judge.specification import COMPONENT, object_names

EARLIEST = datetime.fromisoformat("2011-01-01T00:00:00Z").timestamp()
LATEST = datetime.fromisoformat("2100-01-01T00:00:00Z").timestamp()
JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}

formats = FormatChecker(formats=())


@formats.checks("unix-time")
def is_sane_time(value):
    """Neither before Stripe was, nor milliseconds."""
    return not isinstance(value, int) or EARLIEST <= value <= LATEST


@formats.checks("currency")
def is_currency(value):
    return not isinstance(value, str) or re.fullmatch("[a-z]{3}", value) is not None


@formats.checks("decimal")
def is_decimal(value):
    return not isinstance(value, str) or re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


@formats.checks("date-time", raises=ValueError)
def is_date_time(value):
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


class Expansion(ValidationError):
    """No fault: a note that an object stands where its id might, carried up by the library with the path to it."""


class Schemas:
    """Judges bodies. The library's validator for a schema is made once."""

    def __init__(self, specification, chosen_ids):
        self.specification = specification
        self.chosen_ids = chosen_ids
        keywords = {
            "$ref": self._ref,
            "anyOf": self._any_of,
            "oneOf": self._any_of,
            "enum": self._enum,
            "properties": self._properties,
            "required": self._required,
            "type": self._type,
        }
        self._validator = extend(OAS30Validator, keywords)
        self._kept = {}

    def faults(self, schema, body):
        """What is wrong with a body, one fault for each place, and the expansions in it."""
        validator = self._kept.get(id(schema))
        if validator is None:
            validator = self._kept[id(schema)] = self._validator(schema, format_checker=formats)
        faults, expansions = {}, []
        for found in validator.iter_errors(body):
            if isinstance(found, Expansion):
                expansions.append(tuple(found.absolute_path))
            else:
                faults.setdefault(tuple(found.absolute_path), found)
        return list(faults.values()), expansions

    def _ref(self, validator, reference, instance, _):
        yield from validator.descend(instance, self.specification.component(reference), schema_path=reference)
        if reference == COMPONENT + "event" and isinstance(instance, dict):
            yield from self._event(validator, instance)

    def _any_of(self, validator, branches, instance, schema):
        if instance is None and schema.get("nullable"):
            return
        if isinstance(instance, dict) and "x-expansionResources" in schema:
            yield Expansion("an expanded object")
        meant = self._meant(branches, instance)
        if not meant:
            yield ValidationError(f"one of {self._described(branches)}")
            return
        refused = []
        for branch in meant:
            found = list(validator.descend(instance, branch))
            if all(isinstance(one, Expansion) for one in found):
                yield from found
                return
            refused.append(found)
        yield from min(refused, key=len)

    def _meant(self, branches, instance):
        """The branches that a value can be meant for: by its JSON type, and for objects by `object` and `deleted`."""
        kind = JSON_TYPES.get(type(instance))
        fitting = [branch for branch in self._flat(branches) if branch.get("type") == kind]
        if kind != "object" or "object" not in instance:
            return fitting
        return [branch for branch in fitting if stands_for(branch, instance)]

    def _flat(self, branches):
        """Branches with references followed and unions within unions opened."""
        for branch in branches:
            while "$ref" in branch:
                branch = self.specification.component(branch["$ref"])
            if "anyOf" in branch:
                yield from self._flat(branch["anyOf"])
            else:
                yield branch

    def _described(self, branches):
        return ", ".join(self.specification.names.get(id(one), one.get("type")) for one in self._flat(branches))

    def _properties(self, validator, properties, instance, schema):
        if not isinstance(instance, dict):
            return
        added = self.specification.added_properties(schema)
        for name, value in instance.items():
            if name in properties:
                yield from validator.descend(value, properties[name], path=name)
            elif name in added:
                yield from validator.descend(value, added[name]["schema"], path=name)
            elif "additionalProperties" not in schema:
                yield ValidationError("no such property", path=[name], instance=value)
        yield from self._id(schema, instance)

    def _id(self, schema, instance):
        """An id begins with the prefix of its object, unless a request chose it."""
        kind, given = instance.get("object"), instance.get("id")
        if kind not in object_names(schema) or not isinstance(given, str):
            return
        known = self.specification.prefixes.get(kind)
        if known and not given.startswith(tuple(known)) and given not in self.chosen_ids:
            yield ValidationError(f"an id that begins with {' or '.join(known)}", path=["id"], instance=given)

    def _event(self, validator, event):
        """What the schema of events leaves open: their type, their object, and what it was before."""
        if isinstance(event.get("type"), str) and event["type"] not in self.specification.event_types:
            yield ValidationError("a type of event that can be subscribed to", path=["type"], instance=event["type"])
        data = event.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
            return
        snapshot = data["object"]
        schema = self._schema_of(snapshot)
        if schema is None:
            yield ValidationError("an object with a schema", path=["data", "object", "object"], instance=snapshot.get("object"))
            return
        schema = self.specification.as_of(event.get("api_version"), schema)
        for found in validator.descend(snapshot, schema, path="object"):
            # The event's own description says that its invoice has no id.
            if event.get("type") == "invoice.upcoming" and list(found.relative_path) == ["object", "id"] and found.instance is MISSING:
                continue
            found.relative_path.appendleft("data")
            yield found
        known = {*schema["properties"], *self.specification.added_properties(schema)}
        before = data.get("previous_attributes")
        for name in before if isinstance(before, dict) else ():
            if name not in known:
                path = ["data", "previous_attributes", name]
                yield ValidationError(f"the name of a property of {snapshot['object']}", path=path, instance=before[name])

    def _schema_of(self, snapshot):
        schemas = self.specification.objects.get(str(snapshot.get("object")), [])
        return next((schema for schema in schemas if stands_for(schema, snapshot)), None)

    @staticmethod
    def _enum(_, allowed, instance, __):
        """Null is for `type` to judge, which knows `nullable`."""
        if instance is not None and instance not in allowed:
            yield ValidationError(f"one of {', '.join(map(repr, allowed))}")

    @staticmethod
    def _required(_, required, instance, __):
        for name in required if isinstance(instance, dict) else ():
            if name not in instance:
                yield ValidationError("a required property", path=[name], instance=MISSING)

    @staticmethod
    def _type(validator, kind, instance, schema):
        """The library's check says twice that a null is wrong."""
        judged = OAS30Validator.VALIDATORS["type"](validator, kind, instance, schema)
        yield from itertools.islice(judged, 1)


class Missing:
    """Stands for the value of a property that is not there."""

    def __repr__(self):
        return "nothing"


MISSING = Missing()


def stands_for(schema, instance):
    """Whether an object, or the stub of a deleted one, is what a schema describes."""
    names = object_names(schema)
    is_stub = "deleted" in schema.get("properties", {})
    return (not names or instance["object"] in names) and is_stub == ("deleted" in instance)
