"""Run one trial and leave ``result.json``: ``python -m miniscale.run.worker SPEC.json``.

The trainer and then the evaluator run under one time and one memory cap; whatever they start is
ended with them, and all of it ends when the harness does. Every way to end is a state in the
result; only a worker that was itself killed leaves none. Start-up counts (this runs once per
trial), so the spec is read as plain JSON and little is imported.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from miniscale.process import process_tree
from miniscale.process.logs import CappedLog, capped, last_words, plain
from miniscale.process.supervisor import PARENT_DIED, Caps, Ending, ProgramEnd, Supervisor
from miniscale.run.reading.trial_numbers import OBJECTIVE, TrialNumbers, said_at_the_end
from miniscale.run.trial_folder import (
    clear,
    copy_tree,
    keep_only,
    plain_files_only,
    remove,
    write_result,
)
from miniscale.setting.read_metrics import ReadingError, finite_numbers, load_json, texts

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""The only variables that reach a trial from outside; secrets stay where they are."""
BOX_VARIABLE = "MINISCALE_BOX"
"""Tells an evaluator, and no trainer, in which kind of box to run what is not trusted."""
HIDDEN_VARIABLE = "MINISCALE_HIDDEN"
"""Tells it, as a list in JSON, what the box of what is not trusted must not show."""
TRAINER_CPU = "MINISCALE_TRAINER_CPU_SECONDS"
"""Tells an evaluator what training took, as measured from outside."""
MAX_ATTEMPTS = 3  # assumption: a machine that fails a trial thrice is broken
DIVERGED_CODE = 3
REFUSALS = {4: "tampered", 5: "over_budget"}
"""An evaluator's exit code -> the state, which is also the key of its reason."""
_UNBOXED = {"box": {"name": "off", "kind": "process", "prefix": []}}
_KEPT = ("spec.json", "result.json", "log.txt", "metrics.jsonl", "trainer.json", "evaluation.json")
_BULKY = ("model.safetensors", "tmp")
_OURS_TO_TELL = ("seconds", "memory", "memory_gb", "evaluator_seconds")
"""Names of what is measured from here: no file's word for them counts, only a reader's."""
_LAUNCH = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from miniscale.run.worker import main; sys.exit(main(sys.argv[1:]))"
)


class Finding:
    """What is known of a trial so far: its state, and why.

    Parameters
    ----------
    state, cause
        Values of :class:`miniscale.setting.trial.TrialState` and ``Cause``.
    reason
        For a person and a proposer; empty where it is complete.
    value
        The objective in its own unit, if it is complete.
    """

    def __init__(
        self, state: str, *, cause: str = "", reason: str = "", value: float | None = None
    ) -> None:
        self.state = state
        self.cause = cause
        self.reason = reason
        self.value = value


def command(spec: str, *, attempt: int = 0, python: str = sys.executable) -> list[str]:
    """Return the argv that runs a spec fast: no site packages, no user settings, tied to us."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.path.dirname(package)
    options = [spec, f"--attempt={attempt}", f"--parent={os.getpid()}"]
    return [python, "-I", "-S", "-c", _LAUNCH, root, *options]


def temporary_folder(out: str) -> str:
    """Return a trial's own folder for temporary files; it also marks the trial's processes."""
    return os.path.join(os.path.abspath(out), "tmp")


def environment(spec: Mapping[str, Any], outside: Mapping[str, str]) -> dict[str, str]:
    """Build a trial's environment from the allow-list, its limits and the setting's own part.

    In a box, home is the folder for temporary files: there is no other to write caches to.
    """
    threads = str(max(1, spec["threads"]))
    env = {name: outside[name] for name in PASSED_ON if name in outside}
    env |= {
        "TMPDIR": temporary_folder(spec["out"]),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if spec["box"]["prefix"]:
        env["HOME"] = env["TMPDIR"]
    return env | dict(spec["env"])


def altered(tree: str, locked: Mapping[str, str]) -> str:
    """Return what is wrong with the first locked file that differs from its digest, or ''."""
    import hashlib

    for name, wanted in locked.items():
        try:
            with open(os.path.join(tree, name), "rb") as file:
                actual = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            return f"locked file {name}: {error.strerror}"
        if actual != wanted:
            return f"locked file {name}: SHA-256 {actual[:12]}, must be {wanted[:12]}"
    return ""


def main(argv: Sequence[str]) -> int:
    """Run the spec named on the command line; 0 when a result was written."""
    options = dict(part[2:].split("=", 1) for part in argv if part.startswith("--"))
    paths = [part for part in argv if not part.startswith("--")]
    if len(paths) != 1 or options.keys() - {"attempt", "parent"}:
        sys.stderr.write("usage: python -m miniscale.run.worker SPEC.json [--attempt=N]\n")
        return 2
    parent = int(options.get("parent", os.getppid()))
    with open(paths[0]) as file:
        spec = {**_UNBOXED, **json.load(file)}
    if not os.path.samefile(os.path.dirname(os.path.abspath(paths[0])), spec["out"]):
        sys.stderr.write(f"{paths[0]}: not in its 'out' folder {spec['out']}; move it there\n")
        return 2
    process_tree.inherit_orphans()
    clear(spec["out"])
    if spec.get("rewritten"):
        copy_tree(spec["base_tree"], spec["tree"], spec["rewritten"])
    log = CappedLog(os.path.join(spec["out"], "log.txt"))
    supervisor = Supervisor(log=log, caps=_caps(spec), parent=parent)
    process_tree.signal_me_when_parent_dies(PARENT_DIED)
    if os.getppid() != parent:
        return 1  # it died before we asked
    trial = _Trial(spec, supervisor, attempt=int(options.get("attempt", 0)))
    start = time.monotonic()
    finding = trial.run()
    log.close()
    result = trial.result(finding, seconds=time.monotonic() - start)
    supervisor.close()
    if spec.get("rewritten"):
        remove(spec["tree"])
    if trial.is_orphaned:
        return 1
    write_result(spec["out"], result)
    return 0


def _caps(spec: Mapping[str, Any]) -> Caps:
    down = spec.get("walls_down", ())
    return Caps(
        timeout_s=spec["timeout_s"],
        memory_bytes=math.inf if "memory" in down else spec["memory_gb"] * 1e9,
        folder=spec["out"],
        disk_bytes=math.inf if "disk" in down else spec.get("disk_gb", math.inf) * 1e9,
        processes=math.inf if "processes" in down else spec.get("processes", math.inf),
    )


class _Trial:
    """One trial while it runs: its spec, and what has been measured of it."""

    def __init__(self, spec: Mapping[str, Any], supervisor: Supervisor, *, attempt: int) -> None:
        self.is_orphaned = False
        self._attempt = attempt
        self._prefix: Sequence[str] = spec["box"]["prefix"]
        self._spec = spec
        self._out: str = spec["out"]
        self._supervisor = supervisor
        self._env = environment(spec, os.environ)
        self._reported: dict[str, float] = {}
        self._timed: dict[str, float] = {}
        self._digests: dict[str, str] = {}
        self._numbers = TrialNumbers(spec)
        self._words = ""

    def run(self) -> Finding:
        """Train, evaluate and read the objective, stopping at the first thing that is wrong."""
        finding = self._check_locked("before the trial") or self._train()
        if finding is None and self._spec["evaluator"]:
            finding = self._check_locked("after training") or self._evaluate()
        finding = finding or self._check_locked("after the trial")
        self._collect(evaluated=finding is None)
        finding = finding or self._read()
        plain_files_only(self._out)
        for name in _BULKY:
            remove(os.path.join(self._out, name))
        keep_only(self._out, self._spec.get("keep", ()), _KEPT)
        return finding

    def result(self, finding: Finding, *, seconds: float) -> dict[str, Any]:
        """Return what :func:`miniscale.setting.trial.read_result` reads."""
        watched = {
            "peak_memory_gb": round(self._supervisor.peak_bytes / 1e9, 4),
            "peak_disk_gb": round(self._supervisor.disk_bytes / 1e9, 4),
            "cpu_seconds": round(self._supervisor.cpu_seconds, 3),
            "supervisor_cpu_seconds": round(time.process_time(), 4),
        }
        return {
            "identity": self._spec["identity"],
            "state": finding.state,
            "value": finding.value,
            "cause": finding.cause,
            "reason": capped(plain(finding.reason)),
            "seconds": round(seconds, 3),
            "metrics": self._reported | self._timed | watched,
            "digests": self._digests,
            "attempt": self._attempt,
            "box": self._spec["box"]["name"],
        }

    def _check_locked(self, when: str) -> Finding | None:
        wrong = altered(self._spec["tree"], self._spec["locked"])
        return Finding("tampered", reason=f"{wrong} {when}") if wrong else None

    def _train(self) -> Finding | None:
        outcome = self._run([*self._prefix, *self._spec["trainer"]], self._env, "trainer")
        self._timed["trainer_cpu_seconds"] = round(self._supervisor.cpu_seconds, 3)
        self._timed["trainer_seconds"] = round(outcome.seconds, 3)
        if outcome.ending is Ending.EXIT and outcome.code == DIVERGED_CODE:
            reason = last_words(outcome.tail, lines=1) or "the trainer reports divergence"
            return Finding("diverged", reason=reason)
        return self._failure(outcome, "trainer")

    def _evaluate(self) -> Finding | None:
        argv: Sequence[str] = self._spec["evaluator"]
        env = self._env | {BOX_VARIABLE: self._spec["box"]["kind"]}
        is_hidden = "hidden" not in self._spec.get("walls_down", ())
        env[HIDDEN_VARIABLE] = json.dumps(self._spec.get("hides", ()) if is_hidden else ())
        env[TRAINER_CPU] = str(self._timed["trainer_cpu_seconds"])
        if "-m" in argv[:2]:
            env["PYTHONSAFEPATH"] = "1"  # or a module of that name in the tree would be run
        plain_files_only(self._out)
        self._numbers.remove_scores()
        outcome = self._run(argv, env, "evaluator")
        self._timed["evaluator_seconds"] = round(outcome.seconds, 3)
        if outcome.ending is Ending.EXIT and outcome.code in REFUSALS:
            state = REFUSALS[outcome.code]
            return Finding(state, reason=self._refusal(outcome, state))
        return self._failure(outcome, "evaluator")

    def _refusal(self, outcome: ProgramEnd, key: str) -> str:
        try:
            return str(load_json(os.path.join(self._out, "evaluation.json"))[key])
        except (ReadingError, KeyError):
            return last_words(outcome.tail) or "the evaluator gave no reason"

    def _run(self, argv: Sequence[str], env: Mapping[str, str], who: str) -> ProgramEnd:
        """Run the trainer or the evaluator, and look for numbers in what it prints."""
        printed = self._numbers.watch(who)
        outcome = self._supervisor.run(
            argv,
            cwd=self._spec["tree"],
            env=env,
            seen=printed.output.feed,
            seen_errors=printed.errors.feed,
        )
        printed.finish()
        self._words = said_at_the_end(outcome.printed, outcome.errors)
        return outcome

    def _failure(self, outcome: ProgramEnd, who: str) -> Finding | None:
        """Say what went wrong with a program, or None if nothing did."""
        words = last_words(outcome.tail)
        self.is_orphaned = outcome.ending is Ending.ORPHANED
        if outcome.ending is Ending.TIMEOUT:
            last = f"; its last line: {words.splitlines()[-1]}" if words else ""
            limit = f"timeout_s={self._spec['timeout_s']:g}"
            return Finding("timed_out", reason=f"{who} ran past {limit}{last}")
        if outcome.ending is Ending.MEMORY:
            gb, cap = self._supervisor.peak_bytes / 1e9, self._spec["memory_gb"]
            reason = f"{who} held {gb:.2f} GB, more than memory_gb={cap:g}"
            return Finding("failed", cause="oom", reason=reason)
        if outcome.ending is Ending.DISK:
            gb, cap = self._supervisor.disk_bytes / 1e9, self._spec["disk_gb"]
            reason = f"{who} wrote {gb:.2f} GB, more than disk_gb={cap:g}"
            return Finding("over_budget", reason=reason)
        if outcome.ending is Ending.PROCESSES:
            most, cap = self._supervisor.most_processes, self._spec["processes"]
            reason = f"{who} had {most} processes, more than processes={cap}"
            return Finding("over_budget", reason=reason)
        if outcome.ending is not Ending.EXIT:
            return Finding("cancelled", reason=f"{who} was stopped from outside")
        if outcome.code == 0:
            return None
        is_last, is_unboxed = self._is_last(), words.startswith(("bwrap: ", "box: "))
        if self._prefix and outcome.code in (1, 126) and is_unboxed and not is_last:
            # perhaps the trainer forged these words, so the last attempt ends like any crash
            return Finding("failed", cause="infrastructure", reason=f"no box: {words}")
        if b"Traceback (most recent" in outcome.errors:
            words = last_words(outcome.errors)
        return _crash(who, self._signalled(outcome.code), words, is_last=is_last)

    def _signalled(self, code: int) -> int:
        """Return the negative number of the signal that ended a program, bubblewrap's way too."""
        is_passed_on = self._spec["box"]["kind"] == "bwrap" and 128 < code < 128 + signal.NSIG
        return 128 - code if is_passed_on else code

    def _is_last(self) -> bool:
        """Whether being killed is the program's own doing: in a box, nobody else can."""
        return bool(self._prefix) and self._attempt + 1 >= MAX_ATTEMPTS

    def _collect(self, *, evaluated: bool) -> None:
        """Gather the other numbers; those of an evaluation that failed are not believed."""
        for name in ("trainer.json", "evaluation.json")[: 1 + evaluated]:
            try:
                data = load_json(os.path.join(self._out, name))
            except ReadingError:
                continue
            numbers = finite_numbers(data)
            if name == "evaluation.json":
                self._digests = texts(data.get("digests"))
            self._reported |= {n: v for n, v in numbers.items() if n not in _OURS_TO_TELL}
        for name in self._spec["extra_readings"] if evaluated else ():
            self._reported.pop(name, None)  # another file's word for it does not count
            try:
                self._reported |= finite_numbers({name: self._numbers.number(name)})
            except ReadingError:
                continue  # it is optional, the objective is not

    def _read(self) -> Finding:
        """Read the objective; a missing or non-finite one is a state with its reason."""
        try:
            value = self._numbers.number(OBJECTIVE)
        except ReadingError as error:
            reason = f"{self._words}\nno objective: {error}"  # a reader of one line has the last
            return Finding("failed", cause="crash", reason=reason)
        if not math.isfinite(value):
            return Finding("diverged", reason=f"the objective is {value}, needs a finite number")
        low, high = self._spec.get("bounds") or (-math.inf, math.inf)
        if not low <= value <= high:
            reason = f"the objective is {value:g}, its transform needs [{low:g}, {high:g}]"
            return Finding("failed", cause="crash", reason=f"{reason}; is it in percent?")
        return Finding("complete", value=value)


def _crash(who: str, code: int, words: str, *, is_last: bool) -> Finding:
    """Tell a crash of the program from the kernel or somebody else killing it."""
    if code == -9 and is_last:
        reason = f"{who} was killed (SIGKILL) in each of {MAX_ATTEMPTS} attempts\n{words}"
        return Finding("failed", cause="crash", reason=reason)
    if code == -9:
        reason = f"{who} was killed from outside (SIGKILL), perhaps for lack of memory\n{words}"
        return Finding("failed", cause="infrastructure", reason=reason)
    last = words.rpartition("\n")[2].split(":")[0]
    cause = "oom" if last.endswith(("OutOfMemoryError", "MemoryError")) else "crash"
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    prefix = f"{who}: {how}\n"
    return Finding("failed", cause=cause, reason=prefix + capped(words, characters=1_900))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
