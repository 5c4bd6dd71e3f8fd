"""``agent=command``: any coding agent's command line, at work in a copy of the baseline."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.brief import command_form
from autoresearch.brief.baseline import read_baseline
from autoresearch.brief.history import known_programs
from autoresearch.proposer.command_result import Handed, Misbehaved, handed_in
from autoresearch.proposer.idea.make_change import Ground, Unfit, admit
from autoresearch.proposer.idea.parse_reply import Idea, words
from autoresearch.proposer.next_proposal import NoCallNow, next_entry
from autoresearch.proposer.store import Answer, Call, ProposalRecord, ProposalStore
from miniscale.box import BoxKind, BoxReport, Walls, choose, wrap
from miniscale.setting.command import placeholders
from miniscale.setting.hides import hidden_paths
from miniscale.setting.trial import digest
from miniscale.tree.git import git
from miniscale.tree.patch import Paths
from transfer.change import Change
from transfer.events import Refused
from transfer.study.proposer_protocol import Done, Proposal, ProposalRequest, Session

BRIEF = "BRIEF.md"
PROMPT = "Read BRIEF.md in this folder and do what it says. Ask nothing: nobody is there to answer."
PASSED = ("PATH", "LANG", "LC_ALL", "TERM", "USER", "SHELL")
"""Environment variables that every agent sees; keys are named in the configuration."""
POLL_S = 0.2


@dataclass
class Command:
    """A coding agent: one call is one proposal.

    ``argv`` may hold ``{prompt}``, ``{brief}`` (the brief's path) and ``{work}``.
    """

    name: str
    argv: tuple[str, ...]
    timeout_s: float = 1800.0
    memory_gb: float = 8.0
    box: str = "prefer"
    read: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    price_usd: float | None = None
    """Dollars of one call; None where unknown."""
    brief_tokens: int = 24_000
    program: str = ""

    _report: BoxReport | None = field(default=None, init=False, repr=False)

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return the agent's next change, or why there is none."""
        store = ProposalStore(request)
        return next_entry(
            store,
            self.name,
            work=lambda record: self._work(store, record),
            brief_tokens=self.brief_tokens,
            program=self.program,
        )

    def _work(self, store: ProposalStore, record: ProposalRecord) -> None:
        ladder, state = store.study.ladder, store.study.state
        refusal = store.refusal(tokens=0, usd=self.price_usd)
        if refusal:
            raise NoCallNow(Done(refusal))
        baseline = read_baseline(store.study)
        call = Call(digest(record.brief), 0, 0, self.price_usd, model=self.argv[0])
        store.begin(record, call)
        work = store.folder / f"{self.name}-{record.place:05d}.work"
        given = lay_out(
            work, baseline.folder, f"{record.brief}\n{command_form(ladder, baseline.texts)}"
        )
        ended = self._attend(work, store)
        entry: Change | Refused
        try:
            check_end(ended, self.timeout_s)
            paths = Paths(ladder.setting.editable, ladder.setting.locked)
            handed = handed_in(work, given, paths, secrets=self._secrets())
            ground = Ground(ladder.setting, baseline.texts, baseline.knobs, known_programs(state))
            idea = idea_of(handed, ended)
            entry, _ = admit(idea, ground, proposer=self.name, repairs=record.repairs)
            if handed.left_behind:
                store.session.say(f"{self.name} left behind: {', '.join(handed.left_behind)}"[:200])
        except (Misbehaved, Unfit) as error:
            title = f"{self.name}, proposal {record.place + 1}"
            entry = Refused(title, words(str(error), 600), self.name, record.repairs)
        answer = Answer(
            text=ended["last_words"],
            seconds=ended["seconds"],
            model=self.argv[0],
        )
        outcome = entry.reason if isinstance(entry, Refused) else "ok"
        record.entries = [entry]
        store.end(record, answer, usd=self.price_usd, outcome=outcome)
        shutil.rmtree(work, ignore_errors=True)

    # -- the process ---------------------------------------------------------------------------

    def _attend(self, work: Path, store: ProposalStore) -> dict[str, Any]:
        """Run the agent to its end, or to the end of its time, and return how it ended."""
        outside = work.with_suffix(".run")
        shutil.rmtree(outside, ignore_errors=True)
        outside.mkdir()
        spec = {
            "argv": self._argv(work, store),
            "cwd": str(work),
            "timeout_s": self.timeout_s,
            "memory_gb": self.memory_gb,
            "log": str(outside / "log.txt"),
            "outcome": str(outside / "outcome.json"),
        }
        (outside / "spec.json").write_text(json.dumps(spec))
        argv = [
            sys.executable,
            "-m",
            "miniscale.process.run_supervised",
            str(outside / "spec.json"),
        ]
        process = subprocess.Popen(
            [*argv, str(os.getpid())],
            env=self._environment(work, store.session),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                store.session.sleep(POLL_S)
        finally:
            process.terminate()
            process.wait()
        return self._collected(work, outside)

    def _collected(self, work: Path, outside: Path) -> dict[str, Any]:
        """Return the outcome, with secrets taken out of it and of the log."""
        log = outside / "log.txt"
        text = log.read_text(errors="replace") if log.exists() else ""
        work.with_suffix(".log").write_text(self._redacted(text))
        path = outside / "outcome.json"
        ended: dict[str, Any] = {"ending": "lost", "code": 1, "seconds": 0.0, "last_words": ""}
        if path.exists():
            ended = json.loads(path.read_text())
        ended["last_words"] = self._redacted(ended["last_words"])
        shutil.rmtree(outside, ignore_errors=True)
        return ended

    def _redacted(self, text: str) -> str:
        for secret in self._secrets():
            text = text.replace(secret, "[key]")
        return text

    def _secrets(self) -> list[str]:
        """Return the values of the variables that the agent was given, but for short ones."""
        values = [os.environ.get(name, "") for name in self.env]
        return [value for value in values if len(value) > 6]

    def _argv(self, work: Path, store: ProposalStore) -> list[str]:
        values = {"{prompt}": PROMPT, "{brief}": str(work / BRIEF), "{work}": str(work)}
        argv = []
        for element in self.argv:
            for name, value in values.items():
                element = element.replace(name, value)
            argv.append(element)
        report = self._box(store.session)
        if report.kind is BoxKind.PROCESS:
            return argv
        hides = store.study.ladder.setting.hides
        walls = Walls(
            read=(*installed(argv[0]), *(os.path.expanduser(path) for path in self.read)),
            write=str(work),
            hidden=tuple(
                p for text in hides if not placeholders([text]) for p in hidden_paths(text)
            ),
            is_networked=True,
            memory_gb=self.memory_gb,
        )
        return wrap(argv, walls, report.kind)

    def _box(self, session: Session) -> BoxReport:
        if self._report is None:
            self._report = choose(self.box)
            is_boxed = self._report.kind is not BoxKind.PROCESS
            where = f"in the box {self._report.kind}" if is_boxed else "WITHOUT A BOX, as you"
            session.say(f"{self.name} works {where}, with network")
        return self._report

    def _environment(self, work: Path, session: Session) -> dict[str, str]:
        names = (*PASSED, *self.env)
        env = {name: os.environ[name] for name in names if name in os.environ}
        is_boxed = self._box(session).kind is not BoxKind.PROCESS
        home = str(work / ".home") if is_boxed else os.environ.get("HOME", str(work))
        return {**env, "HOME": home, "TMPDIR": str(work / ".tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


def lay_out(work: Path, tree: Path, brief: str) -> dict[str, bytes]:
    """Make the agent's folder anew: the baseline's files, the brief, a repository of its own.

    Returns
    -------
    dict
        The files that were put there, by name.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    given = {}
    for path in sorted(tree.rglob("*")) if tree.is_dir() else ():
        name = path.relative_to(tree).as_posix()
        if path.is_file() and not path.is_symlink() and not name.startswith(".git"):
            given[name] = path.read_bytes()
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(given[name])
    for name in (".home", ".tmp"):
        (work / name).mkdir()
    (work / BRIEF).write_text(brief, encoding="utf-8")
    git(work, "init", "-q", "--template=", "--initial-branch=baseline")
    (work / ".git" / "info").mkdir(exist_ok=True)
    (work / ".git" / "info" / "exclude").write_text(".home\n.tmp\n")
    git(work, "add", "--all")
    git(work, "commit", "-q", "-m", "The baseline and the brief")
    return given


def installed(program: str) -> tuple[str, ...]:
    """Return the folders that a program found on the path is installed in."""
    located = shutil.which(program)
    if located is None:
        return ()
    folders = []
    for path in (Path(located), Path(os.path.realpath(located))):
        bin_folder = path.parent
        prefix = bin_folder.parent
        shared = ("/", "/usr", str(Path.home()), str(Path.home() / ".local"))
        is_prefix = bin_folder.name == "bin" and str(prefix) not in shared
        folders.append(str(prefix if is_prefix else bin_folder))
    return tuple(dict.fromkeys(folders))


def check_end(ended: Mapping[str, Any], timeout_s: float) -> None:
    """Refuse what an agent left that did not end well.

    Raises
    ------
    Misbehaved
        With how it ended.
    """
    if ended["ending"] == "timeout":
        raise Misbehaved(f"it was still at work after {timeout_s:g} s (agent.timeout_s)")
    if ended["ending"] != "exit":
        raise Misbehaved(f"it was ended: {ended['ending']}")
    if ended["code"]:
        last = (ended["last_words"].strip().splitlines() or ["it said nothing"])[-1]
        raise Misbehaved(f"it ended with exit code {ended['code']}: {last[:200]}")


def idea_of(handed: Handed, ended: Mapping[str, Any]) -> Idea:
    """Return what was handed in as an idea; the agent's last words stand in for a title."""
    last_line = (ended["last_words"].strip().splitlines() or [""])[-1]
    title = handed.title or words(last_line, 60) or f"edit of {', '.join(handed.texts) or 'knobs'}"
    return Idea(
        title=title,
        hypothesis=handed.hypothesis,
        category=handed.category,
        expected=handed.expected,
        knobs=handed.knobs,
        edits=handed.edits,
    )
