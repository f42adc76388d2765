"""`python -m judge FILE...`: judges records, prints a table of what violates the specification, and fails if anything does."""

import pathlib
import re
import sys
import time

from judge import Judge, Specification

HEADINGS = ("times", "operation", "where", "expected", "found", "first at")


def main(names):
    begun = time.monotonic()
    judge = Judge(Specification())
    violations = list(judge.records([pathlib.Path(name) for name in sorted(names)]))
    took = time.monotonic() - begun
    if violations:
        print(table(violations))
    print(
        f"judged {judge.exchanges} exchanges and {judge.events} events of {len(names)} records in {took:.1f} s"
        f" ({judge.unanswered} requests got no answer): {len(violations)} violations"
    )
    return 1 if violations or not judge.exchanges else 0


def table(violations):
    """The violations, those that differ only in where they are in lists and records as one row."""
    rows = {}
    for one in violations:
        where = re.sub(r"\[\d+\]", "[]", one.path)
        rows.setdefault((one.operation, where, one.expected), []).append(one)
    lines = [HEADINGS]
    for (operation, where, expected), found in sorted(rows.items()):
        lines.append((str(len(found)), operation, where, expected, found[0].found, found[0].line))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
