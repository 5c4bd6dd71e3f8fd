"""A box for programs that are not trusted: what they may read, write and reach.

``wrap(argv, Walls(...), kind)`` gives the argv that runs a program in the box; ``strongest()``
says which kind of box holds on this machine, having tried to break out of it. docs/box.md says
what each wall stops.
"""

from miniscale.box.selftest import BoxReport, choose, policy_for, strongest, try_out
from miniscale.box.walls import BoxKind, Walls, label, python_reads, wrap

__all__ = [
    "BoxKind",
    "BoxReport",
    "Walls",
    "choose",
    "label",
    "policy_for",
    "python_reads",
    "strongest",
    "try_out",
    "wrap",
]
