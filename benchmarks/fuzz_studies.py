"""Whole studies of programs that print anything: each ends, resumes, and says nothing absurd.

    python benchmarks/fuzz_studies.py [--studies 500] [--first 0]

A study's baseline and each of its changes are programs drawn from a list of hostile ones, on a
ladder that fits some of them. Every study is cut at a random event, written to a journal, opened
again and run to its end; what it prints is searched for figures beyond 1000x.
"""

import argparse
import io
import json
import math
import random
import re
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hostile_programs import REAL, Case, draw_case

from autoresearch.console import Console
from autoresearch.tracking.study_rows import history, scaling_rows, summary
from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders
from transfer.events import Event, Outcome
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.journal.store import Journal
from transfer.policy.registry import decode_policy
from transfer.report.findings import survey
from transfer.report.page.render import render_page
from transfer.report.tables import change_table, effect_table, tracked_tables
from transfer.report.text import show, status
from transfer.study.commit_message import message
from transfer.study.limits import UNLIMITED
from transfer.study.loop import run
from transfer.study.simulated_study import (
    NOWHERE,
    QUIET,
    KnobTrees,
    MemoryLedger,
    Scripted,
    light_spec,
)
from transfer.study.study import Ledger, Study
from transfer.study_plan import RoundRule, StudyPlan

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "fuzz_studies.json"
MOST = math.log(1000)
"""No gain beyond this many nats of compute may be shown."""
BUDGET = 3000.0
PICTURES = ("progress", "scaling", "gains", "audit", "forecasts")
NUMBER = r"([-+\N{MINUS SIGN}]?\d[\d.]*(?:e[-+]?\d+)?)"
FIGURES = ((NUMBER + r"x\b", 1000.0), (NUMBER + r" ?%", 1e5))
"""Patterns of figures and the most that each may say: 1000x is 99,900 %."""


def open_study(case: Case, ledger: Ledger, trees: KnobTrees, out: io.StringIO) -> Study:
    """Open a case's study on a ledger, printing on ``out`` what a person would see."""
    console = Console(out, limits=UNLIMITED)

    def show_event(event: Event) -> None:
        console.event(study, event)

    study = Study(
        case.ladder,
        policy=decode_policy(case.policy),
        plan=StudyPlan(budget=BUDGET, round=RoundRule(2, 4, 0.34), exam_share=0.3),
        ledger=ledger,
        trees=trees,
        folders=Folders(NOWHERE, NOWHERE),
        data={},
        specs=light_spec,
        on_event=show_event,
    )
    study.start("fuzzed", {})
    return study


def play(case: Case, ledger: Ledger, trees: KnobTrees, out: io.StringIO) -> Study:
    """Run a case to its end from wherever its ledger stands."""
    study = open_study(case, ledger, trees, out)
    entered = study.state.changes.n_fresh + len(study.state.refused)
    proposer = Scripted(iter(list(case.ideas())[entered:]))
    runner = InProcessRunner(lambda spec: case.result(trees, spec))
    session = replace(QUIET, warn=lambda text: out.write(f"warning  {text}\n"))
    try:
        run(study, proposer=proposer, runner=runner, limits=UNLIMITED, session=session)
    except InputError as error:
        out.write(f"error: {error}\n")
    return study


def play_twice(case: Case, folder: Path) -> tuple[Study, str]:
    """Run a case, cut it at a random event, go on from a journal; both must end the same."""
    trees, out = KnobTrees(case.ladder.setting.defaults()), io.StringIO()
    whole = play(case, MemoryLedger(), trees, out)
    cut = random.Random(-case.number).randrange(1, len(whole.events) + 1)
    for events in (whole.events[:cut], []):
        journal = Journal(folder, clock=float, is_durable=False)
        for event in events:
            journal.append(event)
        if events:
            journal.close()
    again = play(case, journal, trees, io.StringIO())
    journal.close()
    if verdicts(again) != verdicts(whole):
        raise AssertionError(f"case {case.number}: resumed after {cut} events it ends otherwise")
    return again, out.getvalue()


def verdicts(study: Study) -> dict[str, Outcome]:
    """Return every change's outcome; one without a verdict is missing."""
    return {arm: verdict.outcome for arm, verdict in study.state.verdicts().items()}


def rendered(study: Study, *, is_page: bool) -> str:
    """Return all that a person may read of a study, but for the page's pictures."""
    ladder, state = study.ladder, study.state
    loaded = Loaded("fuzzed", StudyFolder(NOWHERE), ladder, study.events, state, BUDGET)
    findings = survey(ladder, state)
    lines = status(loaded)
    for arm, record in state.changes.items():
        lines += show(loaded, arm)
        if record.verdict is not None:
            lines.append(message(ladder, state, record.proposed, record.verdict))
    if is_page:
        pictures = dict.fromkeys(PICTURES, "<svg></svg>")
        lines.append(render_page(findings, pictures, audit=None, audit_words="", design_words=""))
    lines += [frame.write_csv() for frame in tracked_tables(findings).values()]
    rows = [*history(study.events), *scaling_rows(findings), summary(findings)]
    lines += [json.dumps(row, allow_nan=False) for row in rows]
    return "\n".join(lines)


def absurd(text: str) -> list[str]:
    """Return the figures of a text that are beyond 1000x, in any way to write them."""
    found = []
    for pattern, most in FIGURES:
        for match in re.finditer(pattern, text):
            if abs(float(match[1].replace("\N{MINUS SIGN}", "-"))) > most:
                found.append(text[max(match.start() - 60, 0) : match.end() + 20])
    found += [match[0] for match in re.finditer(r"\S*\d{31}\S*", text)]
    return found


def beyond(study: Study) -> list[str]:
    """Return the gains that a study's tables hold beyond 1000x."""
    effects, changes = effect_table(study.ladder, study.state), change_table(study.state)
    columns = [effects[name] for name in effects.columns if name.startswith(("gain", "forecast"))]
    columns += [changes[name] for name in changes.columns if name.startswith("gain")]
    found = [
        f"{column.name} {value}"
        for column in columns
        for value in column
        if value is not None and not abs(value) <= MOST * 1.0001
    ]
    times = [value for value in changes["multiplier"] if value is not None]
    return found + [f"multiplier {value}" for value in times if not value < 1000.1]


def check(number: int) -> dict[str, object]:
    """Play one case and return what is wrong with it, and how it ended."""
    case = draw_case(number)
    with tempfile.TemporaryDirectory() as folder:
        study, printed = play_twice(case, Path(folder))
    wrong = absurd(printed) + absurd(rendered(study, is_page=number % 5 == 0)) + beyond(study)
    for arm, outcome in verdicts(study).items():
        name = study.state.changes[arm].change.title.partition(" ")[2]
        if outcome is Outcome.CERTIFIED and (case.base, name) not in REAL:
            wrong.append(f"{arm} {name} on {case.base} is certified")
    undone = [arm for arm, record in study.state.changes.items() if record.verdict is None]
    is_lost = "error: baseline" in printed
    if undone and not is_lost:
        wrong.append(f"no verdict of {', '.join(undone)}")
    return {
        "number": number,
        "base": case.base,
        "changes": case.changes,
        "policy": case.policy,
        "minimized": case.ladder.setting.objective.is_minimized,
        "outcomes": [str(outcome) for outcome in verdicts(study).values()],
        "is_refused": is_lost,
        "wrong": wrong,
    }


def main() -> None:
    """Play the cases and write what came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--store", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    start, cases, crashes = time.perf_counter(), [], []
    for number in range(arguments.first, arguments.first + arguments.studies):
        try:
            cases.append(check(number))
        except Exception:  # a crash is what is looked for: count it and go on
            crashes.append((number, traceback.format_exc()))
    seconds = time.perf_counter() - start
    outcomes = Counter(name for case in cases for name in case["outcomes"])
    wrong = {case["number"]: case["wrong"] for case in cases if case["wrong"]}
    record = {
        "studies": arguments.studies,
        "first": arguments.first,
        "crashed": len(crashes),
        "with_absurd_figures": len(wrong),
        "refused_for_their_baseline": sum(bool(case["is_refused"]) for case in cases),
        "verdicts": dict(sorted(outcomes.items())),
    }
    for number, text in crashes[:20]:
        print(number, draw_case(number).base, "…", text[-600:])
    for number, lines in list(wrong.items())[:30]:
        print(number, lines[:4])
    arguments.store.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record), f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
