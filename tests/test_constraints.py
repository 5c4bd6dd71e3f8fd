"""What a change must keep beside its gain is judged on pairs, and nothing that breaks it stays."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from atoms_scenes import ladder
from hypothesis import given
from hypothesis import strategies as st
from oracle import oracle_config
from test_worker import run

from autoresearch.build_study import decode_job
from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.decode import InputError
from miniscale.setting.trial import MetricSource, TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import Planted
from transfer.change import Change
from transfer.constraint import Constraint, number_of, parse_constraint
from transfer.events import Outcome, VerdictReached
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.ladder_trust import Light, Trust
from transfer.measure.constraint_standing import (
    ConstraintState,
    Pairs,
    limit_outcome,
    pair_runs,
    stand,
)
from transfer.policy.protocol import Policy
from transfer.policy.registry import decode_policy
from transfer.policy.voi.policy import AtomsPolicy
from transfer.report.text import show, status
from transfer.report.write import write_report
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import KnobTrees, light_spec, simulate
from transfer.study.study import Study
from transfer.study_plan import RoundRule, StudyPlan

PLAN = StudyPlan(trust=Trust(light=Light.GREEN), budget=1500.0, idea_cost=2.0)
MEMORY = "memory <= 1.1x"


def constraint(text: str) -> Constraint:
    name, _, limit = text.partition(" ")
    return parse_constraint(name, limit, path="ladder.constraints")


def result(value: float, name: str = "memory", **more: float) -> TrialResult:
    return TrialResult("t", TrialState.COMPLETE, value=1.0, metrics={name: value, **more})


def runs(*values: float, start: int = 0) -> dict[int, TrialResult]:
    return {start + seed: result(value) for seed, value in enumerate(values)}


def standing(text: str, base: tuple[float, ...], change: tuple[float, ...]) -> ConstraintState:
    pairs = pair_runs(constraint(text), "r", runs(*change), runs(*base))
    assert pairs is not None
    return stand(constraint(text), pairs, [pairs], base).standing


@pytest.mark.parametrize(
    ("text", "base", "change", "expected"),
    [
        ("memory <= 1.1x", (1.0, 1.1, 1.2, 1.3), (1.30, 1.44, 1.55, 1.70), ConstraintState.BROKEN),
        ("memory <= 1.1x", (1.0, 1.1, 1.2, 1.3), (1.01, 1.12, 1.21, 1.32), ConstraintState.KEPT),
        ("memory <= 1.1x", (1.0, 1.1, 1.2, 1.3), (1.0, 1.3, 1.2, 1.6), ConstraintState.OPEN),
        ("memory <= 1.1x", (1.0,), (1.3,), ConstraintState.OPEN),
        ("memory <= 1x", (2.0,), (2.0,), ConstraintState.KEPT),
        ("memory >= -0.002", (0.9, 0.8, 0.7), (0.9, 0.7995, 0.7005), ConstraintState.KEPT),
        ("memory >= -0.002", (0.9, 0.8, 0.7), (0.88, 0.781, 0.679), ConstraintState.BROKEN),
        ("memory <= +5", (10.0, 20.0), (14.0, 24.0), ConstraintState.KEPT),
        ("memory == 1", (1.0, 1.0), (1.0, 1.0), ConstraintState.KEPT),
        ("memory == 1", (1.0, 1.0), (1.0, 0.0), ConstraintState.BROKEN),
        ("memory == 1", (0.0, 1.0), (0.0, 1.0), ConstraintState.OPEN),
        ("memory < 3", (1.0, 1.0), (3.0, 3.0), ConstraintState.BROKEN),
        ("memory <= 3", (1.0, 1.0), (3.0, 3.0), ConstraintState.KEPT),
        ("memory <= 1.1x", (0.0, 0.0), (1.0, 1.0), ConstraintState.OPEN),
        ("memory <= 1.1x", (1e-300, 1e-300), (1e300, 1.1e300), ConstraintState.BROKEN),
    ],
)
def test_a_standing_is_what_its_interval_says(
    text: str, base: tuple[float, ...], change: tuple[float, ...], expected: ConstraintState
) -> None:
    assert standing(text, base, change) is expected


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    st.sampled_from(["m <= 1.1x", "m >= -1e308", "m == 0", "m < 1e-308x", "m > 3"]),
)
def test_no_number_of_a_trial_breaks_the_judging(
    base: list[float], change: list[float], text: str
) -> None:
    one = constraint(text)
    arms = [{n: result(v, "m") for n, v in enumerate(values)} for values in (change, base)]
    pairs = pair_runs(one, "r", *arms)
    assert pairs is not None
    assert one.name in stand(one, pairs, [pairs], base).words


def test_seeds_pair_what_they_share_and_their_luck_cancels() -> None:
    paired = pair_runs(constraint(MEMORY), "r", runs(2, 20, start=1), runs(5, 1, 10))
    assert paired is not None
    assert paired.differences == pytest.approx((math.log(2), math.log(2)))
    apart = pair_runs(constraint(MEMORY), "r", runs(2, 20, start=500), runs(1, 10))
    assert apart is not None
    assert apart.differences == pytest.approx((math.log(2), math.log(2)))


def test_a_rung_with_few_pairs_borrows_the_spread_of_all() -> None:
    one = Pairs("top", 0, (0.01,))
    known = Pairs("small", 0, (0.0, 0.02, -0.02, 0.01))
    assert stand(constraint(MEMORY), one, [one]).standing is ConstraintState.OPEN
    found = stand(constraint(MEMORY), one, [one, known])
    assert found.standing is ConstraintState.KEPT
    assert 1.0 > found.low > 0.9


def test_what_is_not_reported_is_open_and_says_by_whom() -> None:
    hidden = pair_runs(constraint(MEMORY), "r", {0: result(1, "x")}, runs(1.0))
    assert hidden is not None
    told = stand(constraint(MEMORY), hidden, [hidden])
    assert (told.standing, told.is_beyond) == (ConstraintState.OPEN, True)
    assert told.words == "memory is not reported by the change, limit <= 1.1x: open"
    never = pair_runs(constraint(MEMORY), "r", runs(1.0), {0: result(1, "x")})
    assert never is not None
    told = stand(constraint(MEMORY), never, [never])
    assert (told.standing, told.is_beyond) == (ConstraintState.OPEN, False)
    assert "by the baseline" in told.words


def test_an_open_constraint_stops_certificates_and_one_beyond_stops_accepts() -> None:
    one = constraint(MEMORY)
    wide = stand(one, Pairs("r", 0, (0.01,)), [])
    beyond = stand(one, Pairs("r", 0, (0.3,)), [])
    kept = stand(one, Pairs("r", 0, (0.0, 0.0)), [])
    outcome, reasons = limit_outcome(Outcome.CERTIFIED, ("a",), (wide, kept))
    assert outcome is Outcome.PROVISIONAL
    assert reasons[-1] == "not certified: a constraint is open"
    assert limit_outcome(Outcome.PROVISIONAL, (), (beyond,))[0] is Outcome.UNDECIDED
    assert limit_outcome(Outcome.CERTIFIED, (), (kept,))[0] is Outcome.CERTIFIED
    assert limit_outcome(Outcome.REJECTED, ("a",), (beyond,)) == (Outcome.REJECTED, ("a",))


# -- whole studies --------------------------------------------------------------------------


def planter(trees: KnobTrees, noise: float) -> InProcessRunner:
    """Return a runner of patches ``gain memory n``, memory in nats; those of a stack add."""

    def measured(spec: TrialSpec) -> TrialResult:
        patches = [patch.split() for patch in trees.content(spec.tree).patches]
        gain, memory = (sum(float(patch[n]) for patch in patches) for n in (0, 1))
        scale = ladder().rung(spec.rung).scale
        planted = Planted(compute=scale, seed=spec.seed, gain=gain, idea=len(patches))
        luck = random.Random(f"{spec.tree} {spec.rung} {spec.seed}").gauss(0, noise)
        metrics = {"peak_memory_gb": math.exp(memory + luck)}
        return TrialResult(spec.identity, TrialState.COMPLETE, planted.loss(), metrics=metrics)

    return InProcessRunner(measured)


def played(
    *patches: str,
    noise: float = 0.003,
    text: str = MEMORY,
    policy: Policy | None = None,
    plan: StudyPlan = PLAN,
) -> Study:
    limited = replace(ladder(), constraints=(constraint(text),))
    trees = KnobTrees(limited.setting.defaults())
    return simulate(
        limited,
        [Change(title=patch, patch=f"{patch} {n}") for n, patch in enumerate(patches)],
        policy=policy or AtomsPolicy(),
        plan=plan,
        trees=trees,
        specs=light_spec,
        runner=planter(trees, noise),
    )


def verdicts(study: Study) -> Mapping[str, VerdictReached]:
    return study.state.verdicts()


def test_a_gain_that_breaks_a_constraint_is_stopped_on_its_first_rung() -> None:
    study = played("0.3 0.3")
    verdict = verdicts(study)["c1"]
    assert verdict.outcome is Outcome.REJECTED
    assert verdict.reasons[0].startswith("breaks a constraint: memory 1.3")
    assert len(verdict.effects) == 1
    assert not study.state.changes.accepted


def test_one_that_keeps_it_is_certified_and_its_standing_told() -> None:
    verdict = verdicts(played("0.3 0.02"))["c1"]
    assert verdict.outcome is Outcome.CERTIFIED
    assert any(reason.endswith("limit <= 1.1x: kept") for reason in verdict.reasons)


def test_a_withheld_certificate_leaves_the_standing_in_the_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transfer.study.schedule.uncertain", lambda analysis, verdict: "doubt")
    verdict = verdicts(played("0.3 0.02", policy=decode_policy("trend")))["c1"]
    assert verdict.outcome is Outcome.PROVISIONAL
    assert "not certified: doubt" in verdict.reasons
    assert verdict.reasons[-1].endswith("limit <= 1.1x: kept")


def test_one_whose_standing_is_open_is_not_certified() -> None:
    verdict = verdicts(played("0.3 0.05", noise=0.3))["c1"]
    assert verdict.outcome in (Outcome.PROVISIONAL, Outcome.UNDECIDED)
    assert "constraint" in verdict.reasons[-1]
    unreported = verdicts(played("0.3 0", text="val_acc >= -0.01"))["c1"]
    assert unreported.outcome is Outcome.PROVISIONAL


def test_changes_that_break_it_only_together_do_not_all_stay() -> None:
    study = played("0.3 0.07", "0.3 0.07", "0.2 0.0")
    kept = [study.state.changes[arm].change.patch for arm in study.state.changes.accepted]
    assert kept
    assert sum(float(patch.split()[1]) for patch in kept) < math.log(1.1)
    told = [verdict.outcome for arm, verdict in verdicts(study).items() if arm in ("c1", "c2")]
    assert Outcome.REJECTED in told


def test_steps_over_many_rounds_do_not_break_what_one_may_not() -> None:
    plan = replace(PLAN, round=RoundRule(accepts=1), budget=6000.0)
    study = played(*["0.3 0.04"] * 6, plan=plan)
    assert len(study.state.bases) > 2
    kept = len(study.state.changes.accepted)
    assert 1 <= kept <= 2  # 1.04^3 is over 1.1
    told = [reason for one in verdicts(study).values() for reason in one.reasons]
    assert any("of b0, with all accepted before it" in reason for reason in told)


@pytest.mark.parametrize("name", ["atoms", "greedy", "ttest", "halving", "trend"])
def test_every_policy_heeds_constraints_and_verdicts_come_out_again(name: str) -> None:
    study = played("0.3 0.3", "0.3 0.0", "0.2 0.05", policy=decode_policy(name))
    assert "c1" not in study.state.changes.accepted
    again = rejudge(study.ladder, study.events, policy=decode_policy(name), plan=PLAN)
    assert again == {e.arm: e for e in study.events if isinstance(e, VerdictReached)}


# -- as it is written -----------------------------------------------------------------------


def test_constraints_come_from_setting_and_ladder() -> None:
    config = oracle_config()
    plain = decode_job(config, []).ladder
    config["ladder"]["setting"]["constraints"] = {"memory": "<= 1.1x", "seconds": "<= 2x"}
    config["ladder"]["constraints"] = {"seconds": "<= 1.2x", "tests_pass": "== 1"}
    config["ladder"]["setting"]["metrics"] = {"tests_pass": {"line": "{number} passed"}}
    both = decode_job(config, []).ladder
    words = ["memory <= 1.1x", "seconds <= 1.2x", "tests_pass == 1"]
    assert [each.words for each in both.constraints] == words
    assert both.setting.metrics["tests_pass"].line == "{number} passed"
    assert both.digest != plain.digest
    assert both.setting.content_digest != plain.setting.content_digest


@pytest.mark.parametrize("text", ["1.1x", "<= x", "<= -1x", "<= 1.1 GB", "<=", "<= 1.1.1", "~ 3"])
def test_a_limit_that_is_none_is_refused_in_a_line(text: str) -> None:
    config = oracle_config()
    config["ladder"]["constraints"] = {"memory": text}
    with pytest.raises(InputError) as refused:
        decode_job(config, [])
    assert str(refused.value).startswith(f"ladder.constraints.memory: got {text!r}")
    assert "\n" not in str(refused.value)


def test_a_metric_that_is_measured_anyway_is_refused() -> None:
    config = oracle_config()
    config["ladder"]["setting"]["metrics"] = {"peak_memory_gb": {"line": "{number}"}}
    with pytest.raises(InputError, match="peak_memory_gb: is measured for every trial"):
        decode_job(config, [])


def test_metrics_are_recorded_beside_the_objective(tmp_path: Path) -> None:
    code = "print('error 2'); print('acc 0.9'); print('nodes nan'); print('late 1')"
    code += "; import sys; open(sys.argv[1] + '/trainer.json', 'w').write('{\"late\": 5}')"
    readings = {
        "acc": MetricSource(line="acc {number}"),
        "nodes": MetricSource(line="nodes {number}"),
        "gone": MetricSource(line="gone {number}"),
        "late": MetricSource(line="late {number}", final="done"),
    }
    found = run(
        tmp_path,
        code,
        reading=MetricSource(line="error {number}"),
        extra_readings=readings,
    )
    assert found.value == 2
    assert found.metrics["acc"] == 0.9
    assert not {"nodes", "gone", "late"} & found.metrics.keys()


def test_names_in_a_constraint_find_what_is_measured() -> None:
    metrics = {"peak_memory_gb": 2.0, "trainer_seconds": 3.0, "params": 4.0, "acc": 5.0}
    names = ("memory", "memory_gb", "seconds", "parameters", "acc", "other")
    assert [number_of(metrics, name) for name in names] == [2.0, 2.0, 3.0, 4.0, 5.0, None]


# -- what a person sees ---------------------------------------------------------------------


def test_standings_are_shown_wherever_a_study_is_read(tmp_path: Path) -> None:
    study = played("0.3 0.3", "0.3 0.02")
    folder = StudyFolder(tmp_path)
    loaded = Loaded("s", folder, study.ladder, study.events, study.state, PLAN.budget)
    told = "\n".join(status(loaded))
    assert "limit    memory <= 1.1x: " in told
    assert "1 broken (c1)" in told
    shown = next(line for line in show(loaded, "c2") if line.startswith("limit "))
    assert "memory 1.02" in shown
    assert shown.endswith("limit <= 1.1x: kept")
    write_report(study.ladder, study.state, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert "<h2>Constraints</h2>" in page
    assert "memory &lt;= 1.1x" in page
    table = pl.read_csv(tmp_path / "report/constraints.csv")
    rows = {row["arm"]: row for row in table.iter_rows(named=True)}
    assert rows["c1"]["standing"] == "broken"
    assert rows["c2"]["low"] < rows["c2"]["value"] < 1.03


def test_studies_without_constraints_tell_of_none(tmp_path: Path) -> None:
    study = played("0.3 0.0")
    plain = replace(study.ladder, constraints=())
    write_report(plain, study.state, tmp_path)
    assert "Constraints" not in (tmp_path / "index.html").read_text()
    assert not (tmp_path / "constraints.csv").exists()
