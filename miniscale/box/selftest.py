"""Find the strongest box that holds here by trying to break out of each.

A small supervisor runs a program in the box that reads a hidden file, writes beside its folder,
connects, signals its supervisor, leaves a daemon and overfills a file; the supervisor then looks
at what came of it. What a box claims counts for nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from miniscale.box.walls import BoxKind, Walls, has_loopback, label, wrap
from miniscale.setting.decode import InputError

CLAIMS = ("files", "net", "processes", "disk")
POLICIES = ("require", "prefer", "off")
_TIMEOUT_S = 30.0
_LAUNCH = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from miniscale.box.breakout import main; sys.exit(main(sys.argv[2:]))"
)


@dataclass(frozen=True)
class BoxReport:
    """A kind of box, and what of it held when it was tried."""

    kind: BoxKind
    held: Mapping[str, bool] = field(default_factory=dict)
    """Claim (files, net, processes, disk) -> whether no attempt against it succeeded."""
    why: tuple[str, ...] = ()
    """What was wrong with this kind, or with those stronger than it."""
    is_wanted: bool = True
    """False where a person turned the box off."""

    @property
    def is_sound(self) -> bool:
        """Whether every wall held."""
        return bool(self.held) and all(self.held.values())

    @property
    def name(self) -> str:
        """What a record says: ``bwrap+landlock(7)+seccomp``, ``process`` or ``off``."""
        return label(self.kind) if self.is_wanted else "off"

    @property
    def line(self) -> str:
        """One line for a person, with what to do where nothing holds."""
        if not self.is_wanted:
            return "off: trainers can read, write and connect as you can"
        if self.kind is BoxKind.PROCESS:
            why = "; ".join(self.why)
            return f"NONE holds here ({why}): trainers can read, write and connect as you can"
        marks = "  ".join(f"{name} {'✓' if ok else '✗'}" for name, ok in self.held.items())
        loopback = "" if has_loopback(self.kind) else ": not allowed here, torchrun cannot start"
        return f"{self.name}  {marks}  loopback {'✗' if loopback else '✓'}{loopback}"


def try_out(kind: BoxKind, *, down: frozenset[str] = frozenset()) -> BoxReport:
    """Try to break out of one kind of box and report what held."""
    if kind is BoxKind.PROCESS:
        return BoxReport(kind)
    with tempfile.TemporaryDirectory(prefix="box-") as folder:
        out = Path(os.path.realpath(folder)) / "out"
        out.mkdir()
        shown = out.with_name("shown")
        (shown / "hidden").mkdir(parents=True)
        walls = Walls(
            read=(str(shown),),
            write=str(out),
            size_mb=1,
            memory_gb=0.1,
            hidden=(str(shown / "hidden"),),
            down=down,
        )
        root = str(Path(__file__).resolve().parents[2])
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCH, root, str(out)]
        try:
            done = subprocess.run(
                [*argv, *wrap((), walls, kind)],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return BoxReport(kind, why=(f"{kind}: no answer within {_TIMEOUT_S:g} s",))
    try:
        outcome = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        return BoxReport(kind, why=(f"{kind}: {words[-1][:200]}",))
    held = {claim: not outcome["broken"].get(claim) for claim in CLAIMS}
    broken = [f"{claim} by {', '.join(how)}" for claim, how in outcome["broken"].items() if how]
    if outcome["refused"]:
        return BoxReport(kind, why=(f"{kind}: {outcome['refused']}",))
    return BoxReport(kind, held, (f"{kind}: {'; '.join(broken)}",) if broken else ())


@cache
def strongest() -> BoxReport:
    """Return the strongest kind of box all of whose walls hold; tried once a process."""
    if not sys.platform.startswith("linux"):
        return BoxReport(
            BoxKind.PROCESS, why=(f"{sys.platform} has no namespaces and no Landlock",)
        )
    why: list[str] = []
    for kind in (BoxKind.BWRAP, BoxKind.LANDLOCK):
        report = try_out(kind)
        if report.is_sound:
            return BoxReport(kind, report.held, tuple(why))
        why += report.why
    return BoxReport(BoxKind.PROCESS, why=tuple(why))


class Demanding(Protocol):
    """What may demand a box: a setting."""

    @property
    def is_box_required(self) -> bool:
        """Whether trials may run only where a box holds."""


def policy_for(asked: str, setting: Demanding) -> str:
    """Return the policy where a person asks for one and the setting may demand the box.

    Raises
    ------
    InputError
        If the person turns off what the setting demands.
    """
    if setting.is_box_required and asked == "off":
        raise InputError("box: got off, but the setting demands it; drop runner.box=off")
    return "require" if setting.is_box_required else asked


def choose(policy: str) -> BoxReport:
    """Return the box for a policy: ``require``, ``prefer`` (the strongest there is) or ``off``.

    Raises
    ------
    InputError
        If the policy is unknown, or a box is required and none holds.
    """
    if policy not in POLICIES:
        raise InputError(f"box: got {policy!r}, must be one of {', '.join(POLICIES)}")
    if policy == "off":
        return BoxReport(BoxKind.PROCESS, is_wanted=False)
    report = strongest()
    if policy == "require" and report.kind is BoxKind.PROCESS:
        why = "; ".join(report.why)
        raise InputError(f"box: required, and none holds here ({why}); install bubblewrap")
    return report
