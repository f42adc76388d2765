"""An independent judge of recorded traffic with a Stripe: no code and no table in here comes from the sandbox.

It reads Stripe's own description of its API, unmodified, from `third_party/stripe-openapi/`, and holds every exchange and
every event of a record against it. `python -m judge RECORDS...` prints what it found; see `judge.records`.
"""

from judge.records import Judge, Violation
from judge.specification import Specification

__all__ = ["Judge", "Specification", "Violation"]
