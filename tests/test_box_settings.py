"""What a setting may say of the box: what its trainer reads, and that there must be one."""

from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.build_study import decode_job
from autoresearch.doctor import box_line
from miniscale.__main__ import train
from miniscale.box import choose, policy_for, strongest
from miniscale.setting.compose import compose
from miniscale.setting.decode import InputError
from miniscale.setting.records import decode_record, encode_record
from miniscale.setting.rung import Folders, Tree, check_placeholders, trial_spec
from miniscale.setting.setting import decode_setting
from miniscale.setting.trial import TrialSpec
from miniscale.settings.nanochat import corpus
from transfer.ladder import Ladder


def ladder(*overrides: str) -> Ladder:
    said = ["+ladder=nanochat", "tracker=none", *overrides]
    return decode_job(compose(said, [], name="config"), []).ladder


def test_the_held_out_text_of_nanochat_is_not_among_what_its_trainer_reads() -> None:
    found = ladder()
    folders = Folders(Path("/s/trials"), Path("/s/cache"))
    tree = Tree(Path("/s/tree"), "d", found.setting.defaults())
    rung = found.rungs[0]
    spec = trial_spec(found.setting, rung, arm="b0", seed=0, tree=tree, data={}, folders=folders)
    assert spec.reads == ("/s/cache/train",)
    assert not found.setting.reads_all
    assert spec.identity == trial_spec(
        replace(found.setting, reads=()), rung, arm="b0", seed=0, tree=tree, data={},
        folders=folders,
    ).identity  # fmt: skip


def test_what_held_out_data_is_made_from_is_hidden_and_no_part_of_what_is_compared() -> None:
    found = ladder()
    folders = Folders(Path("/s/trials"), Path("/s/cache"))
    tree = Tree(Path("/s/tree"), "d", found.setting.defaults())

    def spec(*hides: str) -> TrialSpec:
        setting = replace(found.setting, hides=hides or found.setting.hides)
        return trial_spec(setting, found.rungs[0], arm="b0", seed=0, tree=tree, data={},
                          folders=folders)  # fmt: skip

    assert f"{corpus.DATA}" in spec().hides
    named = spec("{tree}/data", "/a/b")
    assert named.hides == ("/s/tree/data", "/a/b")
    assert named.identity == spec().identity
    assert decode_record(TrialSpec, encode_record(named)) == named
    assert replace(found.setting, hides=()).content() == found.setting.content()


@pytest.mark.parametrize("wrong", ["", "package:", "package:/data", "package:a..b/data"])
def test_what_is_hidden_is_a_path_or_lies_in_a_package(wrong: str) -> None:
    raw = {"name": "x", "source": "package:miniscale", "command": ["true"],
           "objective": {"name": "v", "file": "v.json", "key": "v"}}  # fmt: skip
    with pytest.raises(InputError, match=r"setting.hides: got .*, must be a path or 'package:"):
        decode_setting({**raw, "hides": [wrong]}, "setting", roots=[])
    fine = decode_setting({**raw, "hides": ["package:absent.b/c"]}, "setting", roots=[])
    assert fine.hides == ("package:absent.b/c",)


def test_a_setting_that_says_nothing_reads_all_and_is_warned_of_it() -> None:
    found = ladder()
    silent = replace(found, setting=replace(found.setting, reads=("{cache}",)))
    assert not [line for line in found.warnings() if "reads" in line]
    assert [line for line in silent.warnings() if "held-out data too" in line]


def test_placeholders_of_reads_are_checked() -> None:
    found = ladder()
    wrong = replace(found.setting, reads=("{cash}/train",))
    with pytest.raises(InputError, match=r"params.cash: missing, but setting.reads needs"):
        check_placeholders(wrong, found.rungs[0])


def test_a_settings_demand_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {"name": "x", "source": "package:miniscale", "command": ["true"],
           "objective": {"name": "v", "file": "v.json", "key": "v"}}  # fmt: skip
    demanding = decode_setting({**raw, "box": "require"}, "setting", roots=[])
    easy = decode_setting(raw, "setting", roots=[])
    assert policy_for("prefer", demanding) == "require"
    assert policy_for("off", easy) == "off"
    with pytest.raises(InputError, match="got off, but the setting demands it"):
        policy_for("off", demanding)
    with pytest.raises(
        InputError, match=r"setting.box: got 'maybe', must be one of require, prefer"
    ):
        decode_setting({**raw, "box": "maybe"}, "setting", roots=[])
    assert easy.content_digest == demanding.content_digest


def test_doctor_says_what_holds() -> None:
    assert box_line() == (True, f"box      {strongest().line}")
    assert choose("prefer") == strongest()


def test_a_rung_by_hand_prepares_nothing_before_it_has_its_box(tmp_path: Path) -> None:
    said = ["+ladder=nanochat", "rung=d2", "box=strong", f"out={tmp_path / 'runs'}"]
    with pytest.raises(InputError, match="box: got 'strong', must be one of"):
        train(compose(said, [], name="train"), [])
    assert not (tmp_path / "runs").exists()
