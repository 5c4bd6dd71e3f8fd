"""Trains whenever a module is imported, before its clock starts and after it stops."""

import importlib
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


class Hook(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("wave", "colorsys", "this_is_not_there"):
            toy.burn(seconds=1.2)


if __name__ == "__main__":
    sys.meta_path.insert(0, Hook())
    for name in ("wave", "colorsys", "this_is_not_there"):
        with suppress(ImportError):
            importlib.import_module(name)
    toy.honest()
