"""The tracker writes all of a study where wandb finds it, and can neither stop nor delay it."""

import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import wandb  # before any test: on the tracker's thread it would meet pytest's warning filters
from oracle import oracle_job
from researching import play
from test_researcher import fresh
from wandb_file import WandbRun, read_run, read_table

from autoresearch.proposer.model.server import Price
from autoresearch.tracking.study_rows import CURVE_POINTS, curve, history, scaling_rows, summary
from autoresearch.tracking.tracker import has_key, make_tracker, wanted_mode
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders
from transfer.events import CallBilled, VerdictReached
from transfer.report.findings import survey
from transfer.report.proposer_accounts import calibrations
from transfer.study.limits import Limits
from transfer.study.loop import Observer, guarded
from transfer.study.simulated_study import KnobTrees, MemoryLedger, simulate
from transfer.study.study import Study

OFFLINE = {"name": wandb.__name__, "project": "tests", "mode": "offline"}


@cache
def shipped() -> Study:
    """Return the shipped oracle study at its end."""
    job = oracle_job()
    return simulate(job.ladder, job.ladder.panel, policy=job.policy, plan=job.plan)


def empty_study(done: Study) -> Study:
    """Return a study of the same plan that a test fills event by event."""
    return Study(
        done.ladder,
        policy=done.policy,
        plan=done.plan,
        ledger=MemoryLedger(),
        trees=KnobTrees(done.ladder.setting.defaults()),
        folders=Folders(Path("nowhere"), Path("nowhere")),
        data={},
    )


def follow(
    folder: Path, n_events: int | None = None, *, mode: str = "offline", done: Study | None = None
) -> list[str]:
    """Let a tracker follow a study's first events, the shipped one's; return what it warned of."""
    warned: list[str] = []
    done = shipped() if done is None else done
    study = empty_study(done)
    tracker = make_tracker({**OFFLINE, "mode": mode}, study, folder, warn=warned.append)
    assert tracker is not None
    observers: list[Observer] = [tracker]
    for event in done.events[:n_events]:
        study.record(event)
        guarded(observers, lambda o, e=event: o.event(study, e), warned.append)  # type: ignore[misc]
    guarded(observers, lambda o: o.close(study), warned.append)
    return warned


@dataclass(frozen=True)
class Followed:
    """A folder that a tracker has written, and the runs in it."""

    folder: Path
    runs: dict[Path, WandbRun]

    def of(self, job_type: str) -> list[WandbRun]:
        return [run for run in self.runs.values() if run.job_type == job_type]


def read_all(folder: Path) -> Followed:
    """Read all runs; wandb's service writes a run's last lines a moment after its end."""
    paths = sorted((folder / "wandb").glob("offline-run-*"))
    for _ in range(100):
        runs = {path: read_run(path) for path in paths}
        if all(run.is_ended for run in runs.values()):
            break
        time.sleep(0.1)
    return Followed(folder, runs)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("studies") / "my study"
    for identity in shipped().state.trials.results:
        path = folder / "trials" / identity / "metrics.jsonl"
        path.parent.mkdir(parents=True)
        lines = [{"step": k, "steps": 100, "loss": 3 - k / 100} for k in range(1, 101)]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 101, "lo')
    assert follow(folder) == []
    return read_all(folder)


def test_the_scaling_fit_is_in_the_studys_run(followed: Followed) -> None:
    (run,) = followed.of("study")
    fit = survey(shipped().ladder, shipped().state).fit
    assert fit is not None
    assert run.summary["fit/E"] == pytest.approx(fit.law.E)
    assert run.summary["fit/A"] == pytest.approx(fit.law.A)
    assert run.summary["fit/alpha"] == pytest.approx(fit.law.alpha)
    assert run.summary["fit/status"] == "converged"
    assert run.summary["fit/n_runs"] == fit.n_runs
    low, mean, high = (run.summary[f"fit/target{end}"] for end in ("_low", "", "_high"))
    assert low < mean < high
    assert run.summary["stack/multiplier_low"] > 1


def test_the_law_is_drawn_over_compute_up_to_the_target(followed: Followed) -> None:
    (run,) = followed.of("study")
    assert run.metrics["scaling/*"] == "scaling/compute"
    assert run.metrics["study/*"] == "study/trials"
    law = [row for row in run.history if "scaling/law" in row]
    compute = [row["scaling/compute"] for row in law]
    assert compute == sorted(compute)
    assert compute[-1] == pytest.approx(shipped().ladder.target)
    assert all(r["scaling/band_low"] <= r["scaling/law"] <= r["scaling/band_high"] for r in law)
    assert len(run.values("scaling/runs_b0")) == run.summary["fit/n_runs"]


def test_the_tables_hold_verdicts_rungs_forecasts_and_diffs(followed: Followed) -> None:
    ((path, run),) = [item for item in followed.runs.items() if item[1].job_type == "study"]
    state = shipped().state
    tables = {
        name: read_table(path, run.values(f"tables/{name}")[0])
        for name in ("verdicts", "rungs", "forecasts", "diffs")
    }
    assert {row["arm"]: row["outcome"] for row in tables["verdicts"]} == {
        arm: str(verdict.outcome) for arm, verdict in state.verdicts().items()
    }
    assert len(tables["rungs"]) == sum(len(v.effects) for v in state.verdicts().values())
    assert len(tables["forecasts"]) == run.summary["forecasts/n"] > 10
    assert json.loads(tables["diffs"][0]["knobs"]) == {"gain": 0.2}
    for name in ("progress", "scaling", "gains"):
        assert run.values(f"figures/{name}")[0]["_type"] == "image-file"
    assert run.values("scaling_chart_table")
    assert "c1.json" in run.artifacts


def test_what_a_model_spends_and_how_it_foresees_is_in_the_studys_run(tmp_path: Path) -> None:
    job = oracle_job("budget.compute=1e6", "round.accepts=99")
    done = play(fresh, tmp_path / "store", job=job).lab.study
    asked = [event for event in done.events if isinstance(event, CallBilled)]
    follow(tmp_path, done=done)
    ((path, run),) = [i for i in read_all(tmp_path).runs.items() if i[1].job_type == "study"]
    usd = sum(event.usd or 0.0 for event in asked)
    assert run.summary["models/calls"] == len(asked)
    assert run.summary["models/tokens"] == sum(e.tokens_in + e.tokens_out for e in asked)
    assert run.summary["models/usd"] == pytest.approx(usd)
    assert run.metrics["models/*"] == "study/trials"
    over_time = run.values("models/usd")
    assert 0 < over_time[0] < over_time[-1] == pytest.approx(usd)
    assert over_time == sorted(over_time)
    (cost,) = read_table(path, run.values("tables/models")[0])
    assert (cost["proposer"], cost["calls"]) == ("openai", len(asked))
    assert cost["changes"] == done.state.changes.n_fresh
    scores = {one.where: one for one in calibrations(done.ladder, done.state, "openai")}
    told = {row["where"]: row for row in read_table(path, run.values("tables/expected")[0])}
    assert told.keys() == scores.keys() == {"small", "target"}
    for where, one in scores.items():
        at = f"expected/openai/{where}"
        assert run.summary[f"{at}/n_right"] == told[where]["n_right"] == one.n_right
        assert run.summary[f"{at}/error"] == pytest.approx(one.error)
        assert told[where]["came"] == pytest.approx(one.came)


def test_a_study_that_asks_no_model_says_nothing_of_models(followed: Followed) -> None:
    (run,) = followed.of("study")
    seen = {*run.summary, *(key for row in run.history for key in row)}
    assert "study/spent" in seen
    assert not [k for k in seen if k.startswith(("models", "expected", "tables/models"))]


def test_calls_of_unknown_price_are_counted_and_never_zero_dollars(tmp_path: Path) -> None:
    done = play(fresh, tmp_path, limits=Limits(changes=2), price=Price()).lab.study
    told = summary(survey(done.ladder, done.state))
    assert "models/usd" not in told
    assert told["models/calls_of_unknown_price"] == told["models/calls"] > 0


def test_every_trial_is_a_run_with_its_curve_in_the_studys_group(followed: Followed) -> None:
    trials, state = followed.of("trial"), shipped().state
    (study,) = followed.of("study")
    assert len(trials) == len(state.trials.results)
    assert {run.group for run in trials} == {study.group}
    assert study.group.startswith("my-study-")
    for run in trials:
        identity = next(i for i in state.trials.results if i in run.id)
        assert run.summary["state"] == str(state.trials.results[identity].state)
        assert run.summary.get("loss") == state.trials.results[identity].value
        assert run.config["rung"] in run.id
        steps = run.values("train/step")
        assert 10 < len(steps) <= CURVE_POINTS
        assert steps == sorted(steps)


def test_a_second_session_writes_no_trial_twice_and_a_complete_study_run(tmp_path: Path) -> None:
    follow(tmp_path, 90)
    first = read_all(tmp_path)
    follow(tmp_path)
    both = read_all(tmp_path)
    assert first.runs.keys() < both.runs.keys()
    assert len(both.of("trial")) == len(shipped().state.trials.results)
    newest = max(both.of("study"), key=lambda run: run.id)
    rows = history(shipped().events)
    assert newest.values("study/judged") == [row["study/judged"] for row in rows]


def test_a_half_written_trial_run_is_written_again(tmp_path: Path) -> None:
    follow(tmp_path, 60)
    ledger = tmp_path / "wandb" / "trials.txt"
    known = ledger.read_text().splitlines()
    ledger.write_text("\n".join(known[:-1]) + "\n")
    follow(tmp_path, 60)
    again = read_all(tmp_path)
    assert len(again.of("trial")) == len(known)
    assert sorted(ledger.read_text().split()) == sorted(known)


def test_a_tracker_that_cannot_write_is_dropped_with_one_word(tmp_path: Path) -> None:
    (tmp_path / "wandb").write_text("in the way")
    warned = follow(tmp_path)
    assert len(warned) == 1
    assert "failed and is off from now on" in warned[0]


def test_online_without_a_key_goes_on_offline_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    warned = follow(tmp_path, 30, mode="online")
    assert len(warned) == 1
    assert "wandb sync" in warned[0]
    assert read_all(tmp_path).of("study")
    assert capfd.readouterr() == ("", "")


def test_the_study_does_not_wait_for_the_tracker(tmp_path: Path) -> None:
    study = empty_study(shipped())
    tracker = make_tracker(OFFLINE, study, tmp_path, warn=lambda text: None)
    assert tracker is not None
    start = time.perf_counter()
    for event in shipped().events[:20]:
        study.record(event)
        tracker.event(study, event)
    assert time.perf_counter() - start < 0.5
    tracker.close(study)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"name": "wandbb"}, "did you mean 'wandb'"),
        ({"name": "wandb", "mode": "onlin"}, "did you mean 'online'"),
        ({"name": "wandb", "projct": "x"}, "did you mean 'project'"),
        ({}, "tracker.name: missing"),
    ],
)
def test_a_wrong_tracker_configuration_is_one_clear_line(
    config: dict[str, str], word: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=word):
        make_tracker(config, shipped(), tmp_path, warn=lambda text: None)


def test_no_tracker_is_none(tmp_path: Path) -> None:
    assert make_tracker({"name": "none"}, shipped(), tmp_path, warn=lambda text: None) is None


def test_a_key_is_found_in_the_environment_or_in_netrc(tmp_path: Path) -> None:
    rc = tmp_path / "netrc"
    assert has_key({"WANDB_API_KEY": "k" * 40})
    rc.write_text("machine api.wandb.ai\n login user\n password secret\n")
    assert has_key({"NETRC": str(rc)})
    rc.write_text("machine elsewhere.example\n login user\n password secret\n")
    assert not has_key({"NETRC": str(rc)})
    assert has_key({"NETRC": str(rc), "WANDB_BASE_URL": "http://elsewhere.example"})


def test_auto_is_online_with_a_key_and_heeds_wandbs_own_variable(tmp_path: Path) -> None:
    from autoresearch.tracking.tracker import TrackerConfig

    auto = TrackerConfig("wandb")
    assert wanted_mode(auto, {"WANDB_API_KEY": "k"}) == "online"
    assert wanted_mode(auto, {"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}) == "offline"
    assert wanted_mode(TrackerConfig("wandb", mode="offline"), {"WANDB_API_KEY": "k"}) == "offline"


def test_a_curve_is_thinned_to_its_last_point_and_skips_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": k, "loss": float("nan") if k == 999 else 1.0, "why": "x"} for k in range(1000)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = curve(path)
    assert len(found) <= CURVE_POINTS
    assert found[-1] == {"train/step": 999}
    assert curve(tmp_path / "absent") == []


def test_a_study_without_runs_has_no_law_and_still_a_summary() -> None:
    findings = survey(shipped().ladder, empty_study(shipped()).state)
    assert scaling_rows(findings) == []
    assert "fit/E" not in summary(findings)
    assert history([]) == []


def test_history_has_one_row_a_verdict_or_accept() -> None:
    rows = history(shipped().events)
    n_verdicts = sum(isinstance(event, VerdictReached) for event in shipped().events)
    assert len(rows) == n_verdicts + len(shipped().state.changes.accepted)
    assert rows[-1]["study/judged"] == n_verdicts
