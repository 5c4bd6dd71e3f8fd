"""Runs from elsewhere enter a study once, and claims are scored by those at the target."""

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from oracle import oracle_config, oracle_job, read_again

from miniscale.setting.decode import InputError
from miniscale.settings.oracle.planted_law import Planted
from transfer.change import Change
from transfer.events import Effect, Imported
from transfer.journal.folder import StudyFolder, open_folder
from transfer.journal.load import Loaded, load
from transfer.journal.store import Journal
from transfer.report.findings import ScoredForecast
from transfer.report.pace import Pace, pace_of
from transfer.report.track_record import TrackRecord, lines, score, survey_root
from transfer.study.import_runs import take
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import simulate
from transfer.study_plan import RoundRule, StudyPlan

TREND = "policy=trend"
CHANGES = {"good": 0.2, "bad": -0.3, "small": 0.06}


@pytest.fixture
def study(tmp_path: Path) -> Loaded:
    """Return a study of three planted changes and a null change, kept in a folder."""
    job = oracle_job(TREND)
    changes = [Change(name, knobs={"gain": gain}) for name, gain in CHANGES.items()]
    changes.append(Change("twin", is_control=True))
    no_epochs = RoundRule(accepts=99, budget_share=99.0)
    plan = replace(job.plan, budget=1e5, round=no_epochs)
    done = simulate(job.ladder, changes, policy=job.policy, plan=plan)
    folder = StudyFolder(tmp_path / "oracle")
    open_folder(folder, content=job.content(), config={**oracle_config(TREND), "roots": []})
    with closing(Journal(folder.journal, clock=lambda: 0.0, is_durable=False)) as journal:
        for event in done.events:
            journal.append(event)
    return load(folder.path)


def table(tmp_path: Path, text: str) -> Path:
    """Write a table of runs."""
    path = tmp_path / "elsewhere.csv"
    path.write_text(text)
    return path


def at_target(scale: float) -> str:
    """Return runs of the baseline and of the planted changes at the target, two seeds each."""
    rows = ["arm,scale,seed,loss,seconds"]
    for name, gain in {"baseline": 0.0, **CHANGES}.items():
        rows += [f"{name},{scale},{s},{Planted(scale, s, gain=gain).loss()},9" for s in (0, 1)]
    return "\n".join(rows) + "\n"


def test_runs_at_the_target_score_the_claims_made_of_it(study: Loaded, tmp_path: Path) -> None:
    before = score(study)
    assert {told.what for told in before.scored} == {"next rung"}
    said = take(study, table(tmp_path, at_target(study.ladder.target)), clock=lambda: 1.0)
    assert "imported 8 runs" in said[0]
    claims = [told for told in score(load(study.folder.path)).scored if told.what == "target"]
    came = {study.state.changes[told.arm].change.title: told.effect.gain for told in claims}
    assert came.keys() <= CHANGES.keys()
    for name, gain in came.items():
        assert gain == pytest.approx(CHANGES[name], abs=0.09)
    assert all((told.odds > 0.5) == (told.effect.gain > 0) for told in claims)


def test_importing_twice_changes_nothing_and_verdicts_stand(study: Loaded, tmp_path: Path) -> None:
    path = table(tmp_path, at_target(study.ladder.target))
    take(study, path, clock=lambda: 1.0)
    again = load(study.folder.path)
    assert "imported 0 runs" in take(again, path, clock=lambda: 2.0)[0]
    after = load(study.folder.path)
    assert len(after.events) == len(study.events) + 8
    assert after.state.verdicts() == study.state.verdicts()
    policy, plan = oracle_job(TREND).policy, StudyPlan(budget=1e5)
    found = rejudge(after.ladder, after.events, policy=policy, plan=plan)
    assert found == study.state.verdicts()


def test_a_run_on_a_rung_becomes_a_trial_that_costs_nothing(study: Loaded, tmp_path: Path) -> None:
    path = table(tmp_path, "arm,rung,seed,loss,memory_gb\ngood,small,77,1.2,0.5\n")
    take(study, path, clock=lambda: 1.0)
    after = load(study.folder.path).state
    assert after.trials.losses("c1", "small")[77].value == 1.2
    assert after.trials.losses("c1", "small")[77].metrics["peak_memory_gb"] == 0.5
    assert after.spent == study.state.spent


def test_an_imported_run_comes_back_from_its_record(study: Loaded, tmp_path: Path) -> None:
    take(study, table(tmp_path, at_target(study.ladder.target)), clock=lambda: 1.0)
    imported = [e for e in load(study.folder.path).events if isinstance(e, Imported)]
    assert [read_again(event) for event in imported] == imported
    assert all(event.is_target for event in imported)


BAD = {
    "unknown arm": ("arm,rung,seed,loss\ngod,small,9,1.2\n", "not in the study; did you mean"),
    "unknown rung": ("arm,rung,seed,loss\ngood,smal,9,1.2\n", "did you mean 'small'"),
    "other scale": ("arm,scale,seed,loss\ngood,7.5,9,1.2\n", "neither a rung's nor the target's"),
    "no seed": ("arm,rung,seed,loss\ngood,small,,1.2\n", "no seed"),
    "no number": ("arm,rung,seed,loss\ngood,small,9,\n", "not a finite number"),
    "other value": ("arm,rung,seed,loss\ngood,small,0,9.9\n", "in the study and 9.9 here"),
    "repeated": ("arm,rung,seed,loss\ngood,small,9,1\nc1,small,9,2\n", "repeats row 1"),
    "no loss": ("arm,rung,seed\ngood,small,9\n", "no column for the objective"),
    "digests": ("arm,rung,seed,loss,data\ngood,small,8,1,a\ngood,small,9,1,b\n", "2 digests"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_import_is_refused_in_one_line_and_enters_nothing(
    case: str, study: Loaded, tmp_path: Path
) -> None:
    text, words = BAD[case]
    with pytest.raises(InputError, match=words) as caught:
        take(study, table(tmp_path, text), clock=lambda: 1.0)
    assert "\n" not in str(caught.value)
    assert len(load(study.folder.path).events) == len(study.events)


def test_the_record_counts_hits_odds_and_twins(study: Loaded, tmp_path: Path) -> None:
    found = survey_root(study.folder.path.parent)
    assert found.null_changes.n == 1
    said = "\n".join(lines(found))
    for word in (
        "record   1 study: oracle",
        "next rung",
        "Brier",
        "1 null changes",
        "wait for a run",
    ):
        assert word in said
    with pytest.raises(InputError, match="no study under it"):
        survey_root(tmp_path / "oracle" / "journal")


def test_brier_and_hits_are_what_they_say() -> None:
    came = Effect("top", 1.0, 1, 1, 1, loss_gain=0.1, loss_se=0.0, gain=0.15, gain_se=0.0)
    told = ScoredForecast("c1", "target", "structural", 0.1, 0.0, 0.2, 0.9, came)
    assert told.is_hit
    assert told.brier == pytest.approx(0.01)
    assert not replace(told, effect=replace(came, gain=0.25)).is_hit
    assert replace(told, effect=replace(came, gain=-0.01)).brier == pytest.approx(0.81)
    assert "100%" in "\n".join(lines(TrackRecord((told,), studies=("s",))))


def test_a_win_that_takes_more_time_is_worth_less_at_equal_seconds(
    study: Loaded, tmp_path: Path
) -> None:
    rows = "arm,rung,seed,loss,seconds,memory_gb\nb0,small,77,1.25,10,1\ngood,small,77,1.2,12,1.5\n"
    assert pace_of(study.state, "c1", "b0", "small") is None  # the simulator takes no time
    take(study, table(tmp_path, rows), clock=lambda: 1.0)
    state = load(study.folder.path).state
    seconds = {
        arm: [r.seconds for r in state.trials.losses(arm, "small").values()] for arm in ("b0", "c1")
    }
    assert max(seconds["c1"]) == 12
    assert Pace(1.2, 1.5).at_equal_seconds(0.2) == pytest.approx(0.2 - math.log(1.2))
    assert Pace(1.0, None).at_equal_seconds(0.2) == 0.2
