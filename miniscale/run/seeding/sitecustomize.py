"""Seed random now, and numpy and torch when a program imports them.

Python imports a module of this name at its start, whatever the program. Another one further down
the path is run too. ``MINISCALE_SEED`` is the seed; a program that seeds itself again has its way.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import sys
from collections.abc import Sequence
from types import ModuleType

_SEEDERS = {"numpy.random": "seed", "torch": "manual_seed"}


class _Seeds(importlib.abc.Loader):
    """Loads a module as its own loader does, then seeds it."""

    def __init__(self, own: importlib.abc.Loader, seed: int) -> None:
        self._own = own
        self._seed = seed

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        getattr(module, _SEEDERS[module.__name__])(self._seed)


class _Watch(importlib.abc.MetaPathFinder):
    """Finds the modules that are seeded as all others would find them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _SEEDERS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Seeds(spec.loader, self._seed)
                return spec
        return None


def _run_the_next() -> None:
    """Run the module of this name that would have been found without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if "MINISCALE_SEED" in os.environ:
    random.seed(int(os.environ["MINISCALE_SEED"]))
    sys.meta_path.insert(0, _Watch(int(os.environ["MINISCALE_SEED"])))
    _run_the_next()
