"""A design on settings with a planted truth, on the oracle trainer, and from a table."""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import simulated_setting as planted
from oracle import ROOT

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.compose import compose
from miniscale.setting.decode import InputError
from miniscale.settings.oracle.planted_law import Planted, result_of
from transfer.__main__ import main
from transfer.change import Change
from transfer.commands import design as design_command
from transfer.design import design_text
from transfer.design.chosen_ladder import answer
from transfer.design.design_file import flow, ladder_yaml
from transfer.design.lab.runs_from_table import TableLab
from transfer.design.lab.runs_on_machine import BenchLab
from transfer.design.race.race_result import Fate
from transfer.design.race.race_setup import Ask
from transfer.design.run_design import DesignRun, design
from transfer.ladder import decode_ladder, design_line


def on_world(seed: int, **more: Any) -> tuple[planted.SimulatedSetting, DesignRun]:
    known = planted.world(seed)
    ask = Ask(limit=known.seconds / 40, by_seconds=True, **more)
    changes = {name: change for name, (change, _) in known.panel.items()}
    found = design(
        planted.ladder_of(known), planted.form_of(known), planted.paths(), changes,
        planted.SimLab(known), ask,
    )  # fmt: skip
    return known, found


@pytest.mark.level1
def test_the_faithful_path_is_chosen_and_the_broken_ones_are_named() -> None:
    named: dict[str, int] = dict.fromkeys(planted.PLANTED, 0)
    for seed in range(1000, 1006):
        known, found = on_world(seed)
        assert found.chosen is not None
        assert found.chosen.cell.path == "compound"
        assert planted.truth(known, found.chosen.cell) > 0.8
        assert found.chosen.price <= 1.15 * known.seconds / 40
        assert found.spent <= found.exhaustive / 3
        told = {verdict.path: verdict for verdict in found.verdicts}
        for path, topics in planted.PLANTED.items():
            named[path] += told[path].fate is Fate.BROKEN and told[path].topic in topics
        (rule,) = found.rules
        assert rule.is_needed
        assert abs(rule.exponent + known.rate_power) < 0.4
    assert min(named.values()) >= 4, named


@pytest.mark.level1
def test_changes_held_out_of_the_panel_are_judged_by_the_chosen_cell() -> None:
    held = ("capacity_0", "rate_3", "late_4", "early_5", "data_7")
    _, found = on_world(7, holdout=held)
    assert found.inside is not None
    assert found.outside is not None
    assert set(found.outside.gains) == set(held)
    assert not set(found.inside.gains) & set(held)
    assert found.outside.accuracy > 0.6


@pytest.mark.level1
def test_where_nothing_at_the_price_is_faithful_the_smallest_that_is_gets_named() -> None:
    known = planted.world(3)
    only = {"early_stop": planted.paths()["early_stop"]}
    changes = {name: change for name, (change, _) in known.panel.items()}
    found = design(
        planted.ladder_of(known), planted.form_of(known), only, changes,
        planted.SimLab(known), Ask(limit=known.seconds / 40, by_seconds=True),
    )  # fmt: skip
    assert found.chosen is None
    assert found.verdicts[0].topic == "schedule"
    said = design_text.lines(found, answer(found, measured_only=False), planted.ladder_of(known))
    assert "keeps the signal" in said[0]


@pytest.mark.level1
def test_a_budget_takes_the_largest_size_it_pays_for_as_the_reference() -> None:
    known = planted.world(4)
    _, found = on_world(4, budget=12 * known.seconds)
    assert not found.is_expensive
    assert found.top_price < known.seconds
    assert found.spent <= 12 * known.seconds


# -- bad input -----------------------------------------------------------------------------


class Broken:
    """A lab whose trials crash below a size, or whose metric never moves."""

    def __init__(
        self, known: planted.SimulatedSetting, *, crash_below: float = 0.0, value: float = 0.0
    ):
        self.inner, self.crash_below, self.value = planted.SimLab(known), crash_below, value

    def run(self, trials: Any, changes: Mapping[str, Change]) -> list[Any]:
        found = self.inner.run(trials, changes)
        for i, (trial, seen) in enumerate(zip(trials, found, strict=True)):
            if self.value and seen:
                found[i] = replace(seen, value=self.value)
            if trial.cell.dials["width"] < self.crash_below and seen:
                found[i] = replace(seen, value=None, reason="boom\nValueError: too narrow")
        return found


def refused(lab: Any = None, n: int = 14, **ask: Any) -> str:
    known = planted.world(5)
    changes = {name: change for name, (change, _) in list(known.panel.items())[:n]}
    asked = {"limit": known.seconds / 40, "by_seconds": True, **ask}
    with pytest.raises(InputError) as caught:
        design(
            planted.ladder_of(known), planted.form_of(known), planted.paths(), changes,
            lab or planted.SimLab(known), Ask(**asked),
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.level1
def test_what_cannot_be_designed_is_refused_in_one_clear_line() -> None:
    known = planted.world(5)
    assert "7 changes to race, fewer than 8 decide nothing" in refused(n=7)
    assert "nothing to shrink" in refused(limit=known.seconds)
    assert "a metric that does not move decides nothing" in refused(Broken(known, value=2.5))
    assert "ValueError: too narrow" in refused(Broken(known, crash_below=1e9))
    assert "raise the budget" in refused(budget=known.seconds / 2)
    assert "did you mean 'early_stop'" in refused(paths=("early_stopping",))


@pytest.mark.level1
def test_sizes_that_crash_are_passed_over_and_named() -> None:
    known = planted.world(6)
    changes = {name: change for name, (change, _) in known.panel.items()}
    found = design(
        planted.ladder_of(known), planted.form_of(known), planted.paths(), changes,
        Broken(known, crash_below=64), Ask(limit=known.seconds / 40, by_seconds=True),
    )  # fmt: skip
    assert any("too narrow" in note for note in found.notes)
    assert found.chosen is None or found.chosen.cell.dials["width"] >= 64


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("trial.seconds=1", "no setting given; there are"),
        ("+setting=nanochta trial.seconds=1", "did you mean 'nanochat'?"),
        ("+setting=oracle", "say what a trial of the lowest rung may cost"),
        ("+setting=oracle trial.seconds=1 budget.compute=5", "budget: counts in what trial"),
        ("+setting=oracle trial.compute=2 holdout_changes=[god]", "did you mean 'good'?"),
        ("+setting=oracle trial.compute=2 holdout_changes=[good,good]", "got 1, at least 3"),
        ("+setting=oracle trial.compute=2 dry_run=true", "7 changes to race, fewer than 8"),
    ],
)
def test_a_wrong_command_is_one_clear_line(
    argv: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["design", *argv.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


# -- end to end ----------------------------------------------------------------------------

PANEL = {f"gain{i}": {"knobs": {"gain": g, "idea": i}, "category": "gain"}
         for i, g in enumerate((-0.6, -0.4, -0.25, -0.1, 0.1, 0.2, 0.35, 0.5, 0.7))}  # fmt: skip


def oracle_asked(folder: Path, *more: str) -> design_command.DesignRequest:
    """Return the oracle's design with a panel of its own, found in a stranger's folder."""
    (folder / "panel").mkdir(exist_ok=True)
    (folder / "panel" / "mine.yaml").write_text(f"changes: {flow(PANEL)}\n")
    argv = design_command.arguments(
        ["+setting=oracle", "+panel=mine", "trial.compute=4", f"study.root={folder}", *more],
        [folder],
    )
    return design_command.decode_request(compose(argv, [folder], name="design"), [folder])


def written(asked: design_command.DesignRequest) -> tuple[DesignRun, dict[str, Any]]:
    """Design on the oracle in this process, and return what the ladder's file holds."""
    bench = BenchLab(
        asked.ladder, asked.form, asked.root, InProcessRunner(result_of), lambda *_: None
    )
    found = design(asked.ladder, asked.form, asked.paths, asked.changes, bench, asked.ask)
    said = answer(found, measured_only=False)
    assert said is not None
    text = ladder_yaml(found, said, asked.ladder, setting="oracle", panel="mine")
    (asked.out / "ladder").mkdir(exist_ok=True)
    (asked.out / "ladder" / "oracle_small.yaml").write_text(text)
    return found, compose(["+ladder=oracle_small"], [asked.out], name="config")["ladder"]


def test_the_ladder_that_comes_out_composes_decodes_and_tells_of_its_design(
    tmp_path: Path,
) -> None:
    asked = oracle_asked(tmp_path)
    _, data = written(asked)
    ladder = decode_ladder(data, roots=[ROOT])
    assert len(ladder.rungs) == 3
    assert ladder.rungs[0].cost <= 4
    assert ladder.target == 216
    assert [r.params["compute"] for r in ladder.rungs] == pytest.approx(
        [r.scale for r in ladder.rungs], rel=1e-3
    )
    assert "by 9 known changes" in design_line(ladder)
    changed = replace(ladder.setting, knobs={})
    assert "stale, the setting has changed" in design_line(replace(ladder, setting=changed))


def test_a_design_typed_again_runs_nothing_and_says_the_same(tmp_path: Path) -> None:
    first, _ = written(oracle_asked(tmp_path))
    again, _ = written(oracle_asked(tmp_path))
    assert first.standings == again.standings
    assert first.verdicts == again.verdicts


def test_a_knob_is_swept_by_real_trials_too(tmp_path: Path) -> None:
    asked = oracle_asked(tmp_path, "++setting.design.rules=[noise]")
    found, data = written(asked)
    (rule,) = found.rules
    assert rule.knob == "noise"
    assert rule.n >= 2 * 3 * asked.ask.seeds
    assert decode_ladder(data, roots=[ROOT]).rungs


@pytest.mark.level2
def test_the_command_runs_from_start_to_end_and_writes_all_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    oracle_asked(tmp_path)
    argv = ["design", "--config-dir", str(tmp_path), "+setting=oracle", "+panel=mine",
            "trial.compute=4", "sizes=1", "seeds=1"]  # fmt: skip
    assert main([*argv, "dry_run=true"]) == 0
    assert "the panel at top" in capsys.readouterr().out
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "path     compound: CHOSEN" in out
    home = tmp_path / "design" / "oracle_small"
    assert (home / "frontier.png").stat().st_size > 5000
    assert json.loads((home / "design.json").read_text())["chosen"].startswith("compound")
    assert (tmp_path / "ladder" / "oracle_small.yaml").exists()


def test_a_setting_without_a_panel_gets_one_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "setting").mkdir()
    plain = (ROOT / "conf" / "setting" / "nanochat.yaml").read_text().partition("\ndesign:")[0]
    section = "design: {dials: {depth: {role: scale, value: 5, low: 2}}, seconds: 190}\n"
    (tmp_path / "setting" / "mine.yaml").write_text(f"{plain}\n{section}")
    argv = ["design", "--config-dir", str(tmp_path), "+setting=mine", "trial.seconds=9"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "12 edits of its knobs are proposed" in said
    assert "14 trials of the expensive form; 2660 s of them" in said
    panel = compose(
        design_command.arguments(argv[3:], [tmp_path]), [tmp_path], name="design"
    )["panel"]["changes"]  # fmt: skip
    assert len(panel) == 12
    assert sum(change["known"] == "expected to hurt" for change in panel.values()) == 6
    assert {change["kind"] for change in panel.values()} == {"structural", "hyperparameter"}


def test_runs_made_elsewhere_stand_in_for_running(tmp_path: Path) -> None:
    lines = tmp_path / "runs.csv"
    with lines.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "rung", "compute", "arm", "seed", "loss", "cost"])
        for path, rung, compute in (("compound", "a", 2.0), ("compound", "b", 12.0),
                                    ("reference", "top", 216.0)):  # fmt: skip
            for arm, gain in {
                "baseline": 0.0,
                **{n: c["knobs"]["gain"] for n, c in PANEL.items()},
            }.items():
                for seed in range(2):
                    loss = Planted(compute, seed=seed, gain=gain).loss()
                    table.writerow([path, rung, compute, arm, seed, loss, compute])
    asked = oracle_asked(tmp_path, f"table={lines}")
    said = design_command.run(asked, lambda *_: None, lambda _: None)
    assert said[0].startswith("design   oracle_small: 216 compute to 2 compute a trial")
    assert "[0.75, 1.00]" in said[0]  # nine changes that agree show no more
    ladder = compose(["+ladder=oracle_small"], [asked.out], name="config")["ladder"]
    assert [rung["params"]["compute"] for rung in ladder["rungs"].values()] == [2.0, 12.0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("compound,a,abc,gain0,7,1.0,2", "column 'compute' holds 'abc'"),
        ("compound,a,2,gain0,0,1.0,2", "gain0 on compound a, seed 0 stands there twice"),
        ("compound,a,2,gain0*x,0,1.0,2", "with a number above 0"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, row: str, said: str) -> None:
    rows = ["path,rung,compute,arm,seed,loss,cost", "compound,a,2,gain0,0,1.5,2",
            *(f"compound,top,216,{arm},{seed},1.0,216"
              for arm in ("baseline", *PANEL) for seed in (0, 1)), row]  # fmt: skip
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    asked = oracle_asked(tmp_path, f"table={tmp_path / 'runs.csv'}")
    with pytest.raises(InputError, match=re.escape(said)):
        design_command.run(asked, lambda *_: None, lambda _: None)


@pytest.mark.level1
def test_nanochats_ladder_says_of_its_design_what_the_table_of_runs_gives(tmp_path: Path) -> None:
    table = ROOT / "benchmarks" / "results" / "nanochat_design.csv"
    argv = ["+setting=nanochat", "trial.compute=2.7e11", f"table={table}", f"out={tmp_path}"]
    asked = design_command.decode_request(
        compose(design_command.arguments(argv, []), [], name="design"), []
    )
    said = design_command.run(asked, lambda *_: None, lambda _: None)
    made, ships = (
        decode_ladder(compose([f"+ladder={name}"], folders, name="config")["ladder"], roots=[ROOT])
        for name, folders in (("nanochat_small", [tmp_path]), ("nanochat", []))
    )
    assert ships.design == made.design
    assert "stale" not in design_line(ships)
    assert [rung.params["depth"] for rung in ships.rungs] == [2, 3, 4]
    assert [rung.params["depth"] for rung in made.rungs] == [2, 3, 4]
    broken = {line.split()[1].rstrip(":"): line for line in said if "BROKEN" in line}
    for path, topic in {
        "unmatched_repetition": "repetition", "early_stop": "schedule",
        "data_only": "data a parameter", "unscaled_rate": "optimizer rules",
    }.items():  # fmt: skip
        assert f"BROKEN by {topic}." in broken[path]
    assert any("inside the rule's interval" in line for line in said)


@pytest.mark.level1
def test_a_rule_is_checked_by_a_sweep_at_the_reference() -> None:
    covered = 0
    for seed in range(1000, 1006):
        known, found = on_world(seed, checks_rules=True)
        (check,) = found.checks
        assert check.top == found.top.name
        assert abs(check.direct.exponent + known.rate_power) < 0.2
        covered += check.is_covered
        wrong = replace(check.rule, low=0.1, high=0.3)
        assert "OUTSIDE" in replace(check, rule=wrong).words()
    assert covered >= 5


@pytest.mark.level1
def test_the_interval_of_a_rule_holds_the_planted_exponent_of_a_lopsided_bowl() -> None:
    held = sum(
        rule.low <= -known.rate_power <= rule.high
        for known, found in (on_world(seed, paths=("compound",)) for seed in range(2000, 2012))
        for rule in found.rules
    )
    assert held >= 8  # of 12, at a stated 80 %: fewer has a chance of .07


def test_a_table_without_a_baseline_of_the_expensive_form_is_refused(tmp_path: Path) -> None:
    lines = tmp_path / "runs.csv"
    lines.write_text("path,rung,arm,seed,loss,cost\nreference,top,gain,0,1.0,9.0\n")
    form = oracle_asked(tmp_path, f"table={lines}").form
    with pytest.raises(InputError, match="no run of arm 'baseline' on top, the expensive form"):
        TableLab(lines, form, "loss").cells([])
