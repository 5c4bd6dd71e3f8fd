"""The report says what the study found, whatever its state, and nothing of a change gets loose."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from llm_server import Script, Step
from oracle import oracle_job
from planted_panel import planted
from researching import play, reply
from test_audit import rules_fail
from test_researcher import fresh

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.trial import TrialResult, TrialSpec
from miniscale.settings.oracle.planted_law import result_of
from transfer.audit.archive import store
from transfer.audit.judge_panel import audit
from transfer.change import Change
from transfer.events import CallBilled, TrialFinished
from transfer.journal.state import StudyState, replay
from transfer.ladder import Ladder
from transfer.report.findings import ChangeGroup, Findings, survey
from transfer.report.write import write_report
from transfer.study.simulated_study import simulate
from transfer.study.study import Study
from transfer.units import times

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=y> & "quoted" $\\frac'


@cache
def shipped() -> Study:
    """Return the shipped oracle study at its end."""
    job = oracle_job()
    return simulate(job.ladder, job.ladder.panel, policy=job.policy, plan=job.plan)


def altering(alter: Callable[[float, TrialSpec], float]) -> InProcessRunner:
    """Return the oracle with its values changed."""

    def result(spec: TrialSpec) -> TrialResult:
        drawn = result_of(spec)
        return drawn if drawn.value is None else replace(drawn, value=alter(drawn.value, spec))

    return InProcessRunner(result)


def altered(ladder: Ladder, alter: Callable[[float, TrialSpec], float]) -> Study:
    job = oracle_job()
    changes = [Change(title="good", knobs={"gain": 0.2}), Change(title="bad", knobs={"gain": -0.2})]
    return simulate(ladder, changes, policy=job.policy, plan=job.plan, runner=altering(alter))


def page_of(ladder: Ladder, state: StudyState, folder: Path) -> str:
    write_report(ladder, state, folder)
    return (folder / "index.html").read_text()


def found() -> Findings:
    return survey(shipped().ladder, shipped().state)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the shipped study's report."""
    folder = tmp_path_factory.mktemp("report")
    write_report(shipped().ladder, shipped().state, folder)
    return folder


class Balance(HTMLParser):
    """Counts tags that are opened and not closed, and keeps the text between them."""

    VOID = ("meta", "br", "path", "circle", "use", "rect", "line", "image")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_names_every_change_with_its_verdict(report: Path) -> None:
    page = (report / "index.html").read_text()
    for arm, record in shipped().state.changes.items():
        assert f'<details id="{arm}">' in page
        assert record.change.title in page
    for word in ("accepted, certified", "scale-bound", "undecided", "rejected", "crashed"):
        assert word in page
    for part in ("Scaling law of the baseline", "How our forecasts fared", "null changes passed"):
        assert part in page
    assert "everything but compute" in page


def test_the_page_is_well_formed_small_and_refers_to_nothing_outside(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert len(page.encode()) < 400_000
    assert not re.search(r"https?:|src=|<script|@import|url\((?!#)", page)
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    assert len(re.findall(r"<figure", page)) == 4


def test_colours_follow_the_readers_theme(report: Path) -> None:
    page = (report / "index.html").read_text()
    body = page[page.index("</head>") :]
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"#[0-9a-f]{6}\b", body)


def test_the_same_state_gives_the_same_files(report: Path, tmp_path: Path) -> None:
    write_report(shipped().ladder, replay(shipped().events), tmp_path)
    files = sorted(path.name for path in report.iterdir())
    assert "index.html" in files
    assert not [name for name in files if name.endswith(".part")]
    for name in files:
        assert (report / name).read_bytes() == (tmp_path / name).read_bytes()


def test_nothing_that_a_change_says_becomes_markup(tmp_path: Path) -> None:
    job = oracle_job()
    hostile = Change(
        title=HOSTILE,
        hypothesis=HOSTILE,
        category=HOSTILE,
        known=HOSTILE,
        proposer=HOSTILE,
        knobs={"gain": 0.2},
    )
    again = replace(hostile, category="twice")
    study = simulate(job.ladder, [hostile, again], policy=job.policy, plan=job.plan)
    assert study.state.refused
    record = study.state.changes["c1"]
    patched = replace(record.change, patch=f"--- a\n+{HOSTILE}\n-{HOSTILE}")
    record.proposed = replace(record.proposed, change=patched)
    page = page_of(study.ladder, study.state, tmp_path)
    parser = Balance()
    parser.feed(page)
    assert not parser.tags & {"script", "img"}
    assert page.count("&lt;script&gt;") >= 6


@pytest.mark.parametrize("n_events", [0, 2, 9, 40])
def test_any_moment_of_a_study_can_be_reported(n_events: int, tmp_path: Path) -> None:
    state = replay(shipped().events[:n_events])
    page = page_of(shipped().ladder, state, tmp_path)
    assert "No verdict yet" in page or state.verdicts()
    assert (tmp_path / "progress.png").stat().st_size > 1000


def test_a_ladder_of_one_rung_says_that_it_has_no_law(tmp_path: Path) -> None:
    ladder = oracle_job().ladder
    single = replace(ladder, rungs=ladder.rungs[:1])
    study = altered(single, lambda value, spec: value)
    page = page_of(single, study.state, tmp_path)
    assert "too few scales" in page
    assert "certified with fewer than three" in page


def test_a_metric_to_maximise_is_shown_in_its_own_direction(tmp_path: Path) -> None:
    ladder = oracle_job().ladder
    objective = replace(ladder.setting.objective, name="accuracy", is_minimized=False)
    ladder = replace(ladder, setting=replace(ladder.setting, objective=objective))
    study = altered(ladder, lambda value, spec: 3.0 - value)
    page = page_of(ladder, study.state, tmp_path)
    findings = survey(ladder, study.state)
    assert [row.group for row in findings.rows] == [ChangeGroup.ACCEPTED, ChangeGroup.REJECTED]
    assert findings.rows[0].effects[0].loss_gain > 0
    assert "accuracy, higher is better" in page


def test_losses_that_do_not_fall_are_called_no_law(tmp_path: Path) -> None:
    ladder = oracle_job().ladder
    study = altered(ladder, lambda value, spec: 2.0 - value)
    page = page_of(ladder, study.state, tmp_path)
    assert "No law: not decreasing" in page
    assert "check the rungs" in page


def test_the_headline_tells_what_else_happened() -> None:
    findings = found()
    assert findings.stack is not None
    assert findings.stack.arms == tuple(shipped().state.changes.accepted)
    assert findings.stack.low < findings.stack.mean < findings.stack.high
    refuted = {row.title for row in findings.refuted}
    assert "a gain that reverses" in refuted
    assert "null change" not in refuted
    assert [row.title for row in findings.null_changes] == ["null change"]


def test_every_forecast_whose_rung_was_run_is_scored() -> None:
    findings, state = found(), shipped().state
    tested = {
        (arm, rung)
        for arm, rung in state.forecasts
        if any(result.is_complete for result in state.trials.losses(arm, rung).values())
    }
    assert {(s.arm, s.effect.rung) for s in findings.scored} == tested
    assert findings.n_hits == sum(abs(s.miss) <= s.half for s in findings.scored)


def test_tables_come_as_parquet_and_csv(report: Path) -> None:
    state = shipped().state
    n_trials = sum(len(state.trials.losses(*key)) for key in state.trials.requests)
    for name, rows in (("trials", n_trials), ("changes", len(state.changes))):
        assert len(pl.read_parquet(report / f"{name}.parquet")) == rows
        assert len(pl.read_csv(report / f"{name}.csv")) == rows
    assert pl.read_parquet(report / "effects.parquet")["gain"].is_not_null().all()


def test_a_deferred_change_is_not_counted_as_accepted() -> None:
    findings, state = found(), shipped().state
    assert {row.arm for row in findings.of(ChangeGroup.SET_ASIDE)} == set(state.changes.deferred)
    assert all("measured again as" in row.note for row in findings.of(ChangeGroup.SET_ASIDE))


def test_the_report_shows_the_audit_that_lies_beside_the_study(tmp_path: Path) -> None:
    on = shipped().ladder
    audited = audit(on, planted(on, rules_fail))
    store(tmp_path, on, audited)
    write_report(on, shipped().state, tmp_path / "study" / "report", audits=tmp_path)
    html = (tmp_path / "study" / "report" / "index.html").read_text()
    assert "Can the ladder be believed?" in html
    assert "● red" in html
    for text in (*audited.reasons, *audited.advice):
        assert escape(text) in html
    assert "Forecasts of the top, and what came" in html
    assert (tmp_path / "study" / "report" / "audit.png").stat().st_size > 5000
    assert html.count("<svg") == html.count("</svg>")


def test_a_report_without_an_audit_says_how_to_make_one(tmp_path: Path) -> None:
    write_report(shipped().ladder, shipped().state, tmp_path / "report", audits=tmp_path)
    html = (tmp_path / "report" / "index.html").read_text()
    assert "● amber" in html
    assert "python -m transfer audit" in html


def test_the_table_of_changes_shows_gains_at_equal_seconds_and_memory(tmp_path: Path) -> None:
    study = shipped()
    dear = {
        i
        for (arm, _), by in study.state.trials.requests.items()
        for i in by.values()
        if arm == "c1"
    }
    events = [
        replace(event, result=timed(event.result, 2.0 if event.result.identity in dear else 1.0))
        if isinstance(event, TrialFinished)
        else event
        for event in study.events
    ]
    write_report(study.ladder, replay(events), tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert "at equal seconds" in html
    effect = replay(events).verdict("c1").effects[-1]
    worth = times(effect.gain - math.log(2))
    assert f"{worth}<small>2.00x seconds</small><small>1.50x memory</small>" in html
    assert "at equal seconds" not in page_of(study.ladder, study.state, tmp_path)


def timed(result: TrialResult, times_dearer: float) -> TrialResult:
    memory = {1.0: 1.0, 2.0: 1.5}[times_dearer]
    metrics = {**result.metrics, "trainer_seconds": times_dearer, "peak_memory_gb": memory}
    return replace(result, metrics=metrics)


class Cells(HTMLParser):
    """Keeps the text of every table's cells, row by row, under the heading before it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.under: dict[str, list[list[str]]] = {}
        self._heading, self._is_heading = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_heading = tag in ("h2", "h3")
        if self._is_heading:
            self._heading = ""
        elif tag == "tr":
            self.under.setdefault(self._heading, []).append([])
        elif tag in ("td", "th") and self._heading:
            self.under[self._heading][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._is_heading = self._is_heading and tag not in ("h2", "h3")

    def handle_data(self, data: str) -> None:
        if self._is_heading:
            self._heading += data
        elif self.under.get(self._heading) and self.under[self._heading][-1]:
            self.under[self._heading][-1][-1] += data.strip()


def liar(n: int, request: dict[str, Any]) -> Step:
    """Answer as :func:`fresh`, expecting the opposite of what is planted."""
    honest = fresh(n, request)
    if not n:
        return honest
    ideas = json.loads(honest.text or "")["ideas"]
    return reply(*({**one, "expected": {"small": -one["expected"]["small"]}} for one in ideas))


@pytest.mark.parametrize(("model", "is_honest"), [(fresh, True), (liar, False)])
def test_the_report_shows_what_a_model_spent_and_foresaw(
    model: Script, is_honest: bool, tmp_path: Path
) -> None:
    job = oracle_job("budget.compute=1e6", "round.accepts=99")
    study = play(model, tmp_path, job=job).lab.study
    html = page_of(study.ladder, study.state, tmp_path)
    asked = [event for event in study.events if isinstance(event, CallBilled)]
    tokens = sum(event.tokens_in + event.tokens_out for event in asked)
    dollars = f"${sum(event.usd or 0.0 for event in asked):.2f}"
    assert f"{dollars} · {tokens:,} tokens in {len(asked)} calls" in html
    found = Cells(html).under
    ((_, *_), costs) = found["Who had the ideas"]
    assert costs[:4] == ["openai", str(len(asked)), f"{tokens:,}", dollars]
    assert costs[5:7] == [str(study.state.changes.n_fresh), str(len(study.state.refused))]
    head, small, *_ = found["What was expected, and what came"]
    told = dict(zip(head, small, strict=True))
    right, clear = (int(word) for word in told["sign right"].split(" of "))
    assert told["at"] == "small"
    assert clear >= 5
    assert right >= 0.6 * clear if is_honest else right <= 0.4 * clear


def test_a_study_that_asks_no_model_shows_no_figures_of_models(report: Path) -> None:
    html = (report / "index.html").read_text()
    for words in ("Who had the ideas", "What was expected", "tokens in", "<dt>models"):
        assert words not in html


def test_forecasts_are_scored_by_kind(report: Path) -> None:
    html = (report / "index.html").read_text()
    assert "<h3>Scores</h3>" in html
    brier = sum(one.brier for one in found().scored) / len(found().scored)
    assert f"{brier:.3f}" in html
    assert all(0 <= one.odds <= 1 for one in found().scored)
