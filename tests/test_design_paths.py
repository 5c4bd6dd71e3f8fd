"""Dials, paths and rules on rungs: what a setting says of how it may shrink."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from oracle import ROOT, oracle_job

from miniscale.setting.compose import compose, read_group
from miniscale.setting.decode import InputError, decode
from miniscale.setting.rung import Folders, Rung, Tree, check_placeholders, trial_spec
from miniscale.setting.setting import Kind, Knob, Setting, decode_setting
from transfer.design.race.knob_rules import FittedRule, factors
from transfer.design.space.shrink_dials import Shrinkable, decode_design
from transfer.design.space.shrink_rules import (
    among,
    data_share,
    decode_path,
    epochs,
    parameters,
    size_at,
    sizes,
)

DIALS: dict[str, Any] = {
    "width": {"role": "scale", "value": 64, "low": 8, "whole": True, "step": 4, "power": 2},
    "depth": {"role": "scale", "value": 8, "low": 2, "whole": True},
    "rows": {"role": "data", "value": 60000, "low": 100, "whole": True},
    "pool": {"role": "pool", "value": 20000, "low": 50, "whole": True},
    "stop": {"role": "schedule", "value": 1.0, "low": 0.02},
}


def setting(dials: Mapping[str, Any] = DIALS, **more: Any) -> Setting:
    """Return a setting with these dials; nothing of it can be run."""
    known = oracle_job().ladder.setting
    knobs = {"lr": Knob("lr", 0.1, Kind.HYPERPARAMETER), "n": Knob("n", 3, Kind.STRUCTURAL)}
    command = ("run", "{seed}", *(f"{{{name}}}" for name in (*dials, *more.get("params", {}))))
    return replace(
        known, command=(*command, "{knobs}"), knobs=knobs, design={"dials": dials, **more}
    )


def form(dials: Mapping[str, Any] = DIALS, **more: Any) -> Shrinkable:
    return decode_design(setting(dials, **more))


@pytest.mark.parametrize("s", [0.9, 0.7, 0.5, 0.4, 0.31, 0.27])
def test_matched_data_keeps_data_a_parameter_and_epochs_whatever_is_rounded(s: float) -> None:
    path = decode_path("p", {"shrink": {"scale": 1, "data": "matched", "pool": "matched"}})
    size = size_at(path, form(), s)
    assert size is not None
    share = parameters(form(), size.dials)
    assert size.dials["rows"] / 60000 == pytest.approx(share, rel=0.01)
    assert size.dials["rows"] / size.dials["pool"] == pytest.approx(3.0, rel=0.02)
    assert size.dials["width"] % 4 == 0
    assert size.dials["stop"] == 1.0


@pytest.mark.parametrize("name", ["nanochat", "vision", "tabular"])
def test_the_design_section_of_a_shipped_setting_decodes_and_can_be_shrunk(name: str) -> None:
    known = compose([f"+ladder={name}"], [], name="config")["ladder"]
    found = decode_design(decode_setting(known["setting"], "setting", roots=[]))
    path = decode_path("p", {"shrink": {"scale": 1, "data": "matched", "pool": "matched"}})
    assert len(sizes(path, found)) >= 3


def test_matched_values_may_come_from_a_table_and_pools_keep_their_epochs_then_too() -> None:
    known = compose(["+ladder=nanochat", "ladder/nanochat=cpu"], [], name="config")["ladder"]
    flops = decode_design(decode_setting(known["setting"], "setting", roots=[]))
    path = decode_path("p", {"shrink": {"scale": 1, "data": "matched", "pool": "matched"}})
    found = sizes(path, flops)
    assert [(size.dials["depth"], size.dials["flops"]) for size in found] == [
        (4, pytest.approx(2.577e12)), (3, pytest.approx(6.696e11)), (2, pytest.approx(1.268e11)),
    ]  # fmt: skip
    for size in found:
        assert epochs(flops, size.dials) == pytest.approx(0.705, rel=1e-6)
        assert data_share(flops, size.dials) == pytest.approx(1.0)
        twice = {**size.dials, "flops": 2 * size.dials["flops"]}
        assert epochs(flops, twice) == pytest.approx(1.41, rel=1e-6)
    half = size_at(decode_path("p", {"shrink": {"data": 1, "pool": "matched"}}), flops, 0.5)
    assert half is not None
    assert half.dials["pool"] == pytest.approx(0.5)


def test_a_schedule_cut_short_costs_its_share_where_a_dial_is_the_cost() -> None:
    flops = {"flops": {"role": "data", "value": 1e9, "low": 1e6}, "stop": DIALS["stop"]}
    found = form(flops, cost="flops")
    assert found.own_cost({"flops": 1e9, "stop": 0.1}) == pytest.approx(1e8)
    kept, _ = among({"early": decode_path("early", {"shrink": {"schedule": 1}})}, found)
    assert [path.name for path in kept] == ["early"]


def test_epochs_and_data_a_parameter_follow_from_the_dials() -> None:
    whole = form().expensive
    assert epochs(form(), whole) == pytest.approx(3.0)
    assert data_share(form(), {**whole, "width": 32}) == pytest.approx(4.0)
    assert epochs(form(), {**whole, "pool": 10000}) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("matched", "said"),
    [
        ({"rows": {1: 2, 3: 4}}, "'rows' is no dial of scale"),
        ({"depth": {2: 100, 8: 50000}}, "must be the expensive form's 60000"),
        ({"depth": {8: 60000}}, "at least two"),
    ],
)
def test_a_table_of_matched_values_that_does_not_fit_is_refused(
    matched: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        form(DIALS | {"rows": DIALS["rows"] | {"matched": matched}})


def test_a_dial_s_own_name_counts_before_its_role() -> None:
    path = decode_path("p", {"shrink": {"scale": 1, "depth": 0}})
    size = size_at(path, form(), 0.5)
    assert size is not None
    assert (size.dials["width"], size.dials["depth"]) == (32, 8)


def test_sizes_go_down_to_the_lowest_value_and_each_is_there_once() -> None:
    path = decode_path("p", {"shrink": {"depth": 1}})
    assert [size.dials["depth"] for size in sizes(path, form())] == [7, 6, 5, 4, 3, 2]


def test_every_shipped_path_decodes_and_a_setting_with_all_roles_can_take_it() -> None:
    paths = {name: decode_path(name, data) for name, data in read_group("path", []).items()}
    sight = {"pixels": {"role": "fidelity", "value": 28, "low": 7, "whole": True}}
    everything = form(DIALS | sight, rules=["lr"])
    kept, notes = among(paths, everything, knobs=[k for p in paths.values() for k in p.knobs])
    assert {path.name for path in kept} == set(paths)
    assert not notes


def test_paths_that_do_not_fit_are_skipped_with_a_word() -> None:
    paths = {name: decode_path(name, data) for name, data in read_group("path", []).items()}
    rows = {"rows": DIALS["rows"], "trees": {"role": "scale", "value": 100, "low": 5}}
    kept, notes = among(paths, form(rows))
    assert [path.name for path in kept] == ["compound", "data_only", "scale_only"]
    said = "\n".join(notes)
    assert "path width_only is skipped: the setting has no dial 'width'" in said
    assert "path unmatched_repetition is skipped: here it is the same as compound" in said
    assert "path unscaled_rate is skipped: here it is the same as compound" in said


def test_a_path_of_one_s_own_is_three_lines(tmp_path: FilePath) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "mine.yaml").write_text("name: mine\nshrink: {rows: 2, pool: matched}\n")
    path = decode_path("mine", read_group("path", [tmp_path])["mine"])
    size = size_at(path, form(), 0.5)
    assert size is not None
    assert size.dials["rows"] == 15000
    assert size.dials["pool"] == 5000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dials": {}}, "no dial can be turned down"),
        ({"dials": {"width": {"role": "scale", "value": 4, "low": 8}}}, "below the lowest value"),
        ({"dials": {"width": {"role": "sizes", "value": 8, "low": 4}}}, "got 'sizes', must be one"),
        ({"dials": DIALS, "rules": ["rate"]}, "no knob 'rate'"),
        ({"dials": DIALS, "rules": ["n"]}, "the default is 3"),
        ({"dials": DIALS, "rules": ["lr"], "priors": {"lr": {"widht": -1}}}, "did you mean"),
        ({"dials": DIALS, "cots": "flops"}, "unknown key; did you mean 'cost'?"),
    ],
)
def test_a_wrong_design_section_is_one_clear_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_design(setting(**change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_setting_without_a_design_section_says_what_to_write() -> None:
    with pytest.raises(InputError, match=r"dials: \{width: \{role: scale"):
        decode_design(replace(setting(), design={}))


def test_the_design_section_is_no_part_of_a_setting_s_content() -> None:
    assert setting().content() == replace(setting(), design={}).content()


# -- rules on rungs ------------------------------------------------------------------------


def spec(rung: Rung, knobs: Mapping[str, float]) -> Any:
    known = replace(setting({}), command=("run", "{seed}", "{knobs}"))
    tree = Tree(FilePath("t"), "digest", dict(knobs))
    folders = Folders(FilePath("o"), FilePath("c"))
    return trial_spec(known, rung, arm="a", seed=0, tree=tree, data={}, folders=folders)


def test_a_rule_multiplies_the_knob_in_every_arm() -> None:
    rung = Rung("r", 1.0, 1.0, rules={"lr": 1.5})
    assert "--lr=0.15000000000000002" in spec(rung, {"lr": 0.1, "n": 3}).trainer
    assert "--lr=0.75" in spec(rung, {"lr": 0.5, "n": 3}).trainer


def test_trials_of_rungs_without_rules_keep_their_names_and_rules_make_new_ones() -> None:
    plain, same = Rung("r", 1.0, 1.0), Rung("r", 1.0, 1.0, rules={})
    ruled = Rung("r", 1.0, 1.0, rules={"lr": 1.0})
    assert spec(plain, {"lr": 0.1}).identity == spec(same, {"lr": 0.1}).identity
    assert spec(plain, {"lr": 0.1}).identity != spec(ruled, {"lr": 0.1}).identity


@pytest.mark.parametrize(("rules", "said"), [({"rl": 2.0}, "no such knob"), ({"n": 2.0}, "is 3")])
def test_a_rule_for_no_number_is_refused(rules: dict[str, float], said: str) -> None:
    rung = decode(Rung, {"scale": 1, "rules": rules}, "ladder.rungs.r", name="r")
    with pytest.raises(InputError, match=said):
        check_placeholders(replace(setting({}), command=("run",)), rung)


def test_a_ladder_s_content_knows_of_rules_only_where_there_are_any() -> None:
    plain = oracle_job().ladder
    ruled = replace(plain, rungs=(replace(plain.rungs[0], rules={"gain": 2.0}), *plain.rungs[1:]))
    assert "rules" not in plain.content()["rungs"]["small"]
    assert ruled.content()["rungs"]["small"]["rules"] == {"gain": 2.0}
    assert math.isclose(ruled.rungs[0].rules["gain"], 2.0)
    assert (ROOT / "conf" / "path").is_dir()


def test_a_path_without_rules_undoes_what_the_program_itself_applies() -> None:
    own = form(rules=["lr"], built_in={"lr": {"width": -1.0}})
    small = {**own.expensive, "width": 16.0}
    assert factors(own, (), small, uses_rules=False) == {"lr": 0.25}
    assert factors(own, (), small, uses_rules=True) == {}
    assert factors(form(rules=["lr"]), (), small, uses_rules=False) == {}
    drift = FittedRule("lr", "width", -0.5, -0.6, -0.4, None, 0.9, 12, own=-1.0)
    assert factors(own, (drift,), small, uses_rules=True) == {"lr": 2.0}
    assert "beyond the program's own width^-1.00" in drift.words()
    with pytest.raises(InputError, match=r"built_in: 'n' is not in rules"):
        form(rules=["lr"], built_in={"n": {"width": -1.0}})
