"""Protovalidate's own implementation finds, in random requests, the violations that the services find, on the same fields.

COUNTERFOIL_RULES_SPECIMENS names a folder with the descriptors, and with requests and what the services find in them.
"""

import json
import os
import pathlib
import unittest

import protovalidate
from protobuf.wkt import FileDescriptorSet


def text(path):
    """A field path as services write it: `line_items[2].amount`."""
    parts = []
    for element in path.elements:
        subscript = element.subscript
        parts.append(element.field_name if subscript is None else f"{element.field_name}[{subscript.value}]")
    return ".".join(parts)


def official(validator, message):
    """The paths of all violations. What stands in a list that is too long counts for nothing: services do not read it."""
    found = [(text(one.proto.field), one.proto.rule_id) for one in validator.collect_violations(message)]
    unread = tuple(f"{path}[" for path, rule in found if rule == "repeated.max_items")
    return {path for path, _ in found if not path.startswith(unread)}


class RulesTest(unittest.TestCase):
    def test_services_and_protovalidate_find_the_same_violations(self):
        folder = os.environ.get("COUNTERFOIL_RULES_SPECIMENS")
        if not folder:
            raise AssertionError("COUNTERFOIL_RULES_SPECIMENS is not set: run tests/peers/run.sh test_rules")
        folder = pathlib.Path(folder)
        registry = FileDescriptorSet.from_binary((folder / "descriptors.bin").read_bytes()).to_registry()
        validator = protovalidate.Validator()
        types, judged, invalid, differences = {}, 0, 0, []
        with open(folder / "specimens.jsonl", encoding="utf-8") as lines:
            for line in lines:
                specimen = json.loads(line)
                name = specimen["message"]
                if name not in types:
                    types[name] = registry.message(name).type
                ours = set(specimen["paths"])
                theirs = official(validator, types[name].from_binary(bytes.fromhex(specimen["hex"])))
                judged += 1
                invalid += bool(theirs)
                if ours != theirs:
                    differences.append(
                        f"{name} {specimen['hex'][:400]}: only services find {sorted(ours - theirs)}, "
                        f"only protovalidate {sorted(theirs - ours)}"
                    )
        if differences:
            self.fail(f"{len(differences)} of {judged}:\n" + "\n".join(differences[:5]))
        # That nothing is wrong with nothing proves nothing.
        self.assertGreater(len(types), 10)
        self.assertGreater(invalid, judged // 4)
        self.assertGreater(judged - invalid, judged // 8)


if __name__ == "__main__":
    unittest.main()
