"""Stripe's description of its API: operations by method and path, schemas by the name of their object, types of events.

The file describes version 2026-05-27.dahlia. `endive.json` lists, each with its reason, the facts by which the version that
our clients speak differs; they are kept beside the schemas and never written into them. `former.json` does the same for the
older versions in which an endpoint may want its events.
"""

import gzip
import json
import pathlib
import re
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
SPECIFICATION = HERE.parents[2] / "third_party" / "stripe-openapi" / "spec3.min.json.gz"
COMPONENT = "#/components/schemas/"


@dataclass(frozen=True)
class Operation:
    """What Stripe can be asked, and the schemas of what it answers, by content type."""

    name: str
    answers: dict
    refusal: dict


class Specification:
    def __init__(self, path=SPECIFICATION):
        with gzip.open(path) as file:
            self.document = json.load(file)
        self.endive = json.loads((HERE / "endive.json").read_text())
        self.former = json.loads((HERE / "former.json").read_text())["changes"]
        self.prefixes = json.loads((HERE / "prefixes.json").read_text())
        self.schemas = self.document["components"]["schemas"]
        self.names = {id(schema): name for name, schema in self.schemas.items()}
        self.event_types = self._event_types()
        self.objects = self._objects()
        self._operations = self._index_operations()
        self._as_of = {}

    def component(self, reference):
        """The schema that a `$ref` points to."""
        return self.schemas[reference.removeprefix(COMPONENT)]

    def added_properties(self, schema):
        """The properties that the newer version adds to a schema."""
        return self.endive["properties"].get(self.names.get(id(schema)), {})

    def as_of(self, version, schema):
        """An object's schema as it was in an older version; always the same one for the same version."""
        name = self.names.get(id(schema))
        facts = [changed[name] for day, changed in self.former.items() if str(version) < day and name in changed]
        if not facts:
            return schema
        if (version, name) not in self._as_of:
            properties, required = dict(schema["properties"]), set(schema.get("required", ()))
            for fact in facts:
                properties = {key: value for key, value in properties.items() if key not in fact["without"]} | fact["with"]
                required = required - set(fact["without"]) | set(fact["with"])
            changed = self._as_of[version, name] = {**schema, "properties": properties, "required": sorted(required)}
            self.names[id(changed)] = name
        return self._as_of[version, name]

    def operation(self, method, path):
        """The operation that answers a path; a literal segment is nearer than a parameter."""
        segments = path.strip("/").split("/")
        for candidate, operation in self._operations.get((method, len(segments)), []):
            if candidate.fullmatch(path):
                return operation
        return None

    def _index_operations(self):
        index = {}
        for method, path, described in self._described_operations():
            pattern = re.compile(re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(path)))
            key = (method, path.count("/"))
            index.setdefault(key, []).append((path.count("{"), path, pattern, described))
        return {
            key: [(pattern, operation) for _, _, pattern, operation in sorted(found, key=lambda one: one[:2])]
            for key, found in index.items()
        }

    def _described_operations(self):
        for path, methods in self.document["paths"].items():
            for method, described in methods.items():
                responses = described["responses"]
                answers = {kind: content["schema"] for kind, content in responses["200"]["content"].items()}
                refusal = responses["default"]["content"]["application/json"]["schema"]
                name = f"{method.upper()} {path}"
                yield method.upper(), path, Operation(name, answers, refusal)
        refusal = {"$ref": COMPONENT + "error"}
        for name, fact in self.endive["operations"].items():
            method, path = name.split(" ")
            yield method, path, Operation(name, {"application/json": fact["schema"]}, refusal)

    def _event_types(self):
        """What a webhook endpoint can be asked to receive."""
        form = self.document["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"]
        enabled = form["application/x-www-form-urlencoded"]["schema"]["properties"]["enabled_events"]
        return set(enabled["items"]["enum"]) - {"*"} | set(self.endive["event_types"]["names"])

    def _objects(self):
        """Schemas by the value of their `object`; of an object and its deleted stub, which share it, both."""
        objects = {}
        for schema in self.schemas.values():
            for name in object_names(schema):
                objects.setdefault(name, []).append(schema)
        return objects


def object_names(schema):
    """The values that the `object` of a schema may have."""
    return schema.get("properties", {}).get("object", {}).get("enum", [])
