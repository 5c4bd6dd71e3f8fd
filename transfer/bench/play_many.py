"""Play many policies in many worlds, over processes; what is stored already is not played again."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from miniscale.setting.records import decode_record
from miniscale.setting.trial import digest
from transfer.bench.play import ORACLE, parsed, play_by_name
from transfer.bench.score import StudyScore
from transfer.bench.worlds.catalogue import maker
from transfer.bench.worlds.world import GENERATOR
from transfer.policy.registry import content

Tell = Callable[[int, int, str], None]
"""Shows progress: done, in all, words."""


@dataclass(frozen=True)
class Task:
    """One policy in one world."""

    suite: str
    policy: str
    seed: int


def tasks(suites: Iterable[str], policies: Sequence[str], seeds: Sequence[int]) -> list[Task]:
    """Return all tasks, world by world, so that any beginning of them is paired."""
    return [Task(s, policy, seed) for s in suites for seed in seeds for policy in policies]


def one(task: Task) -> StudyScore:
    """Play one task."""
    return play_by_name(maker(task.suite)(task.seed), task.policy)


def run(
    wanted: Sequence[Task],
    *,
    jobs: int = 1,
    store: Path | None = None,
    tell: Tell = lambda done, n, words: None,
) -> list[StudyScore]:
    """Return the scores of all tasks in their order.

    Parameters
    ----------
    store
        A file of JSON lines that scores are read from and appended to, one line as each is known. A
        line counts while the generator's version and the policy's settings are what they were.
    """
    settings = {policy: _settings(policy) for policy in {task.policy for task in wanted}}
    found = _stored(store, settings) if store is not None else {}
    left = [task for task in wanted if task not in found]
    for done, (task, score) in enumerate(_played(left, jobs), start=1):
        found[task] = score
        if store is not None:
            _keep(store, score, settings[task.policy])
        tell(done, len(left), f"{task.suite} {task.seed} {task.policy}")
    return [found[task] for task in wanted]


def _played(left: Sequence[Task], jobs: int) -> Iterator[tuple[Task, StudyScore]]:
    if jobs <= 1:
        for task in left:
            yield task, one(task)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes side by side, one thread each
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(one, task): task for task in left}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _settings(policy: str) -> str:
    """Return a digest of a policy's settings."""
    if policy == ORACLE:
        return ORACLE
    return digest({"settings": repr(content(parsed(policy)))})


def _keep(store: Path, score: StudyScore, settings: str) -> None:
    row = {"generator": GENERATOR, "settings": settings, **asdict(score)}
    store.parent.mkdir(parents=True, exist_ok=True)
    with store.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _stored(store: Path, settings: dict[str, str]) -> dict[Task, StudyScore]:
    found = {}
    lines = store.read_text().splitlines() if store.exists() else []
    for line in lines:
        row: dict[str, Any] = json.loads(line)
        is_current = row.pop("generator") == GENERATOR
        if row.pop("settings") == settings.get(row["policy"]) and is_current:
            found[Task(row["suite"], row["policy"], row["seed"])] = decode_record(StudyScore, row)
    return found
