"""The tracker: wandb gets a run for the study and one for each trial, and can stop neither."""

import netrc
import os
import platform
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from autoresearch.tracking.study_rows import history, history_row, trial_card
from miniscale.run.runner.protocol import Runner
from miniscale.setting.decode import decode
from miniscale.setting.trial import digest
from transfer.events import Accepted, Event, Request, TrialFinished, VerdictReached
from transfer.report.findings import survey
from transfer.report.plots.study_plots import draw_all
from transfer.report.write import save_pictures
from transfer.study.loop import Observer
from transfer.study.study import Study

CLOSE_S = 60.0
"""Longest wait for the tracker at a study's end."""


@dataclass(frozen=True)
class TrackerConfig:
    """Where the tracker sends a study, decoded from ``conf/tracker/``."""

    name: Literal["wandb", "none"]
    project: str = "scale-transfer"
    mode: Literal["auto", "online", "offline"] = "auto"


def has_key(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether wandb could log in: a key in the environment or in netrc; asks no network."""
    if environment.get("WANDB_API_KEY", "").strip():
        return True
    host = urlparse(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    for name in (environment.get("NETRC", ""), "~/.netrc", "~/_netrc"):
        path = Path(name).expanduser()
        if not name or not path.is_file():
            continue
        try:
            return netrc.netrc(str(path)).authenticators(host) is not None
        except (netrc.NetrcParseError, OSError):
            return False
    return False


def wanted_mode(config: TrackerConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Return online, offline or disabled; wandb's own variable decides where ours says auto."""
    if config.mode != "auto":
        return config.mode
    by_wandb = environment.get("WANDB_MODE", "")
    if by_wandb in ("online", "offline", "disabled"):
        return by_wandb
    return "online" if has_key(environment) else "offline"


def make_tracker(
    config: Mapping[str, Any], study: Study, folder: Path, *, warn: Callable[[str], None]
) -> Observer | None:
    """Return the tracker that a configuration asks for, or None; wandb is not imported yet.

    Parameters
    ----------
    folder
        The study's folder; the tracker writes into ``wandb/`` there.
    warn
        Takes one line when uploading is not possible and files stay on disk.

    Raises
    ------
    InputError
        For an unknown tracker, mode or key.
    """
    decoded = decode(TrackerConfig, config, "tracker")
    mode = wanted_mode(decoded)
    if decoded.name == "none" or mode == "disabled":
        return None
    return WandbTracker(decoded.project, mode, study, folder, warn=warn)


class WandbTracker:
    """Follows a study on a thread of its own; the study waits for it at the end only.

    What is sent is computed from the journal's state: the newest study run is complete by itself
    after any interruption, and each trial gets one run, logged when it has ended.
    """

    def __init__(
        self, project: str, mode: str, study: Study, folder: Path, *, warn: Callable[[str], None]
    ) -> None:
        from autoresearch.tracking.wandb_writer import WandbWriter

        self._trials = folder / "trials"
        self._warn = warn
        self._requests: dict[str, Request] = {}
        self._n_ticks = 0
        name = re.sub(r"[^\w.-]+", "-", folder.name)
        key = digest([str(folder.resolve()), platform.node()], length=6)
        self._writer = WandbWriter(
            folder, project=project, group=f"{name}-{key}", mode=mode, warn=warn
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wandb")
        self._sent: list[Future[None]] = []
        self._is_open = False
        self._folder = folder

    def event(self, study: Study, event: Event) -> None:
        """Send what an event brings: a trial that ended, a verdict, an accept."""
        self._open(study)
        self._raise_failures()
        if isinstance(event, TrialFinished):
            self._trial(study, event.result.identity)
        elif isinstance(event, VerdictReached | Accepted):
            self._send(self._writer.log, history_row(study.state, event))

    def progress(self, study: Study, runner: Runner) -> None:
        """Do nothing while trials run, but tell of a tracker that died."""
        self._raise_failures()

    def close(self, study: Study) -> None:
        """Send laws, tables, pictures and diffs, and wait for it a bounded time."""
        self._open(study)
        findings = survey(study.ladder, study.state)
        pictures = save_pictures(draw_all(findings), self._folder / "report")
        self._send(self._writer.finish, findings, pictures)
        _, late = wait(self._sent, timeout=CLOSE_S)
        self._thread.shutdown(wait=False, cancel_futures=True)
        for future in self._sent:
            if future not in late:
                future.result()
        if late:
            self._warn(
                f"wandb is still busy after {CLOSE_S:.0f} s; later: "
                f"wandb sync {self._folder / 'wandb'}/*run-*"
            )

    def _open(self, study: Study) -> None:
        """Open the study's run, with all that an earlier session has seen."""
        if self._is_open:
            return
        self._is_open = True
        self._send(self._writer.open, study_config(study), history(study.events))
        for identity in list(study.state.trials.results):
            self._trial(study, identity)

    def _trial(self, study: Study, identity: str) -> None:
        for tick in study.state.trials.batches[self._n_ticks :]:
            self._requests |= {request.identity: request for request in tick.requests}
        self._n_ticks = len(study.state.trials.batches)
        if identity not in self._requests:
            return  # a run that was made elsewhere
        request, result = self._requests[identity], study.state.trials.results[identity]
        card = trial_card(study.ladder, study.state, request, result, self._trials)
        self._send(self._writer.trial, card)

    def _send(self, call: Callable[..., None], *arguments: object) -> None:
        self._sent.append(self._thread.submit(call, *arguments))

    def _raise_failures(self) -> None:
        """Raise what failed on the thread, so that the loop's edge can say it and go on."""
        while self._sent and self._sent[0].done():
            failure = self._sent[0].exception()
            if failure is not None:
                self._thread.shutdown(wait=False, cancel_futures=True)
                raise failure
            del self._sent[0]


def study_config(study: Study) -> dict[str, Any]:
    """Return what a study is, as a tracker's configuration."""
    ladder = study.ladder
    return {
        "ladder": ladder.name,
        "ladder_digest": ladder.digest,
        "setting": ladder.setting.name,
        "objective": ladder.setting.objective.name,
        "direction": "minimize" if ladder.setting.objective.is_minimized else "maximize",
        "rungs": {rung.name: rung.scale for rung in ladder.rungs},
        "target": {"name": ladder.target_name, "scale": ladder.target, "unit": ladder.unit},
        "matches": list(ladder.matches),
        "unmatched": list(ladder.unmatched),
        "policy": study.policy.name,
        "seed": study.plan.seed,
        "budget": study.plan.budget,
    }
