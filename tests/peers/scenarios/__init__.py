"""Stripe's Python SDK plays scenarios by topic, each in a world of its own; `support.Scenario` says how one is written."""

import pathlib


def load_tests(loader, _, __):
    """The package stands for all of its modules."""
    here = pathlib.Path(__file__).parent
    return loader.discover(str(here), top_level_dir=str(here.parent))
