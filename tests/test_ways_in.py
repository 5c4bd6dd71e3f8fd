"""How sizes, seeds and knobs reach a program: options, environment, constants in its source."""

import json
from pathlib import Path
from typing import Any

import pytest

from miniscale.box import BoxReport, strongest
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.command import BoolStyle, Flags, FlagStyle, render
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders, check_placeholders, decode_rungs, trial_spec
from miniscale.setting.setting import Setting, decode_setting
from miniscale.setting.trial import TrialResult, TrialSpec
from miniscale.source.constants import NoConstant, carried, read_constants, set_constants
from miniscale.source.source_text import read_source
from miniscale.tree.workspace import PatchRefused, workspace_of

TRAIN = """\
import json, os, random, sys  # what it needs
DEPTH = 8            # layers
RATE: float = 4e-2
NAME = "small"

class Config:
    width: int = 64  # of a layer

def seeded(seed): return seed
noise = seeded(1337 + 0)
print("loss", DEPTH, RATE, Config.width, noise, NAME)
said = [DEPTH, RATE, Config.width, noise, sys.argv[1:], os.environ.get("SIZE"), random.random()]
print(json.dumps(said), file=open(os.environ["OUT"] + "/said.json", "w"))
open(os.environ["OUT"] + "/ckpt.pt", "w").write("x" * 2_000_000)
"""
KNOBS = {"learning-rate": {"default": 0.1}, "fast": {"default": True}, "rate": {"default": 0.02}}
COMMAND = ["{python}", "train.py", "--lr={learning-rate}", "{knobs}"]
ENV = {"OUT": "{out}", "SIZE": "{depth}"}
CONSTANTS = {
    "train.py": {
        "DEPTH": "{depth}",
        "RATE": "{rate}",
        "Config.width": "{width}",
        "seeded()": "{seed}",
    }
}


def setting_of(source: Path, **keys: Any) -> Setting:
    (source / "train.py").write_text(TRAIN)
    given = {
        "name": "lab",
        "source": str(source),
        "command": COMMAND,
        "objective": {"name": "loss", "line": "loss (\\d+)"},
        "editable": ["train.py"],
        "knobs": KNOBS,
        "env": ENV,
        **keys,
    }
    return decode_setting(given, "setting", roots=[source.parent])


def spec_of(
    setting: Setting,
    home: Path,
    *,
    patch: str = "",
    seed: int = 3,
    rung: dict[str, Any] | None = None,
) -> TrialSpec:
    rungs = {"rungs": {"s": {"scale": 1, "params": {"depth": 4, "width": 32}, **(rung or {})}}}
    size = decode_rungs(rungs)["s"]
    check_placeholders(setting, size)
    trees = workspace_of(setting, home)
    tree = trees.checkout("c1" if patch else "b0", parent=trees.first(), patch=patch, knobs={})
    folders = Folders(home / "trials", home / "cache")
    return trial_spec(setting, size, arm="b0", seed=seed, tree=tree, data={}, folders=folders)


def ran(
    spec: TrialSpec, *, box: BoxReport | None = None, retries_failed: bool = False
) -> TrialResult:
    with LocalRunner(1, box=box, retries_failed=retries_failed) as runner:
        runner.submit([spec])
        while not (results := runner.poll(1.0)):
            pass
    return results[0]


def said(spec: TrialSpec) -> Any:
    return json.loads((Path(spec.out) / "said.json").read_text())


DEPTH = "DEPTH = 8            # layers"


def edit(old: str, new: str) -> str:
    lines = TRAIN.splitlines()
    n = lines.index(old)
    added = new.split("\n")
    body = [f" {lines[n - 1]}", f"-{old}", *(f"+{line}" for line in added), f" {lines[n + 1]}"]
    head = f"--- a/train.py\n+++ b/train.py\n@@ -{n},3 +{n},{2 + len(added)} @@\n"
    return head + "\n".join(body) + "\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


def test_a_rung_sets_constants_and_leaves_the_rest_as_it_is(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source, constants=CONSTANTS)
    spec = spec_of(setting, tmp_path / "s")
    result = ran(spec)
    assert (result.value, result.reason) == (4.0, "")
    assert said(spec)[:6] == [4, 0.02, 32, 3, ["--lr=0.1", "--fast=true"], "4"]
    changed = spec.rewritten["train.py"]
    expected = TRAIN.replace("DEPTH = 8 ", "DEPTH = 4 ").replace("4e-2", "0.02")
    expected = expected.replace("= 64 ", "= 32 ").replace("1337 + 0", "3")
    assert changed == expected
    assert not Path(spec.tree).exists()
    assert (source / "train.py").read_text() == TRAIN


def test_a_box_shows_the_copy_and_lets_an_arm_cache(tmp_path: Path, source: Path) -> None:
    program = TRAIN + "open(os.environ['CACHE'] + '/compiled', 'a').write('1')\n"
    setting = setting_of(source, constants=CONSTANTS, env={**ENV, "CACHE": "{shared}"})
    (source / "train.py").write_text(program)
    for seed in (1, 2):
        spec = spec_of(setting, tmp_path / "s", seed=seed)
        result = ran(spec, box=strongest())
        assert result.is_complete, result.reason
    assert (Path(spec.shared) / "compiled").read_text() == "11"


def test_what_failed_is_run_again_where_that_is_asked(tmp_path: Path, source: Path) -> None:
    flag = tmp_path / "installed"
    code = f"import os; print('loss 1') if os.path.exists({str(flag)!r}) else exit(1)"
    setting = setting_of(source, command=["{python}", "-c", code.replace("{", "{{")])
    spec = spec_of(setting, tmp_path / "s")
    assert not ran(spec).is_complete
    flag.touch()
    assert not ran(spec).is_complete
    assert ran(spec, retries_failed=True).is_complete
    flag.unlink()
    assert ran(spec, retries_failed=True).is_complete  # what ended well stays


@pytest.mark.parametrize(
    ("old", "new", "place", "value"),
    [
        ("DEPTH = 8            # layers", "DEPTH = 16", 0, 8),
        ("DEPTH = 8            # layers", "DEPTH = 9", 0, 5),
        ("RATE: float = 4e-2", "RATE: float = 2e-2", 1, 0.01),
    ],
)
def test_a_change_of_a_constant_is_a_factor_on_what_the_rung_sets(
    tmp_path: Path, source: Path, old: str, new: str, place: int, value: float
) -> None:
    setting = setting_of(source, constants=CONSTANTS)
    base = spec_of(setting, tmp_path / "s")
    spec = spec_of(setting, tmp_path / "s", patch=edit(old, new))
    assert spec.identity != base.identity
    ran(spec)
    assert said(spec)[place] == value


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("noise = seeded(1337 + 0)", "noise = seeded(7)", "edits seeded.*every trial sets to"),
        ("RATE: float = 4e-2", "RATES = 4e-2", "takes a constant away .*no 'RATE'"),
        (DEPTH, "DEPTH = " + "+".join("1" * 900), "takes a constant away .*RecursionError"),
        (DEPTH, "DEPTH = 0x" + "F" * 5000, "takes a constant away .*ValueError"),
        (DEPTH, "DEPTH = " + "9" * 400, "edits DEPTH .*every trial sets to"),
        (DEPTH, "DEPTH = 1e999", "edits DEPTH .*every trial sets to"),
        ("RATE: float = 4e-2", "RATE = 4e-300", "edits RATE .*every trial sets to"),
        (DEPTH, "DEPTH = 8\nDEPTH = 64", "binds DEPTH .*another place"),
        (DEPTH, "DEPTH = 8\nif DEPTH:\n    DEPTH = 64", "binds DEPTH .*another place"),
        (DEPTH, "DEPTH = 8\nDEPTH, x = 64, 1", "binds DEPTH .*another place"),
        (DEPTH, "DEPTH = 8\ndef f(): global DEPTH", "binds DEPTH .*another place"),
        ("noise = seeded(1337 + 0)", "noise = seeded(1337 + 0)\nConfig.width = 9", "binds Config"),
        ('NAME = "small"', "DEPTH = RATE = 8", "binds DEPTH .*another place"),
    ],
)
def test_a_change_that_no_trial_would_see_is_refused(
    tmp_path: Path, source: Path, old: str, new: str, why: str
) -> None:
    setting = setting_of(source, constants=CONSTANTS)
    with pytest.raises(PatchRefused, match=why):
        spec_of(setting, tmp_path / "s", patch=edit(old, new))


def test_a_local_name_and_a_long_chain_are_no_constant(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source, constants=CONSTANTS)
    new = DEPTH + "\ndef f(DEPTH):\n    DEPTH = DEPTH + 1\ndef g(): " + ".".join("a" * 900) + "()"
    assert (
        "DEPTH = 4 "
        in spec_of(setting, tmp_path / "s", patch=edit(DEPTH, new)).rewritten["train.py"]
    )


def test_places_at_one_spot_agree_or_are_said(tmp_path: Path, source: Path) -> None:
    assert set_constants("t.py", b"A = B = 8", {"A": 128, "B": 128}) == b"A = B = 128"
    assert set_constants("t.py", b"f(f(1)) + f(2)", {"f()": 30}) == b"f(30) + f(30)"
    with pytest.raises(NoConstant, match="at one spot"):
        set_constants("t.py", b"A = B = 8", {"A": 128, "B": 4})
    setting = setting_of(source, constants={"train.py": {"A": "{depth}", "B": "{width}"}})
    (source / "train.py").write_text("A = B = 8\n")
    with pytest.raises(InputError, match=r"setting.constants: train.py: .* at one spot"):
        spec_of(setting, tmp_path / "s")


def test_a_constant_that_is_not_there_is_said_at_the_start(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source, constants={"train.py": {"DEPHT": "{depth}"}})
    with pytest.raises(InputError, match=r"setting.constants: train.py assigns no 'DEPHT'"):
        spec_of(setting, tmp_path / "s")
    setting = setting_of(source, constants={"train.py": {"DEPTH": "{layers}"}})
    with pytest.raises(InputError, match=r"setting.constants.train.py needs '\{layers\}'"):
        spec_of(setting, tmp_path / "s")


@pytest.mark.parametrize("codec", ["rot13", "hex", "zip", "idna", "undefined", "utf-7"])
@pytest.mark.parametrize("constants", [CONSTANTS, {}])
def test_a_coding_line_that_no_text_can_follow_is_refused(
    tmp_path: Path, source: Path, codec: str, constants: dict[str, Any]
) -> None:
    setting = setting_of(source, constants=constants)
    old = TRAIN.partition("\n")[0]
    hunk = f"@@ -1 +1,2 @@\n+# coding: {codec}\n {old}\n"
    with pytest.raises(PatchRefused, match=f"name the encoding '{codec}'; use utf-8"):
        spec_of(setting, tmp_path / "s", patch=f"--- a/train.py\n+++ b/train.py\n{hunk}")
    content = f"# coding: {codec}\nN = 8\n".encode()
    assert read_source("t.py", content) == content.decode()
    assert set_constants("t.py", content, {"N": 4}) == content.replace(b"8", b"4")


def test_bytes_that_a_coding_line_lacks_are_read_all_the_same() -> None:
    content = "# coding: ascii\nN = 8  # é\n".encode()
    assert set_constants("t.py", content, {"N": 4}) == content.replace(b"8", b"4")


def test_constants_of_no_file_are_said(source: Path) -> None:
    with pytest.raises(InputError, match=r"setting.constants: no file 'trian.py' in .*; correct"):
        setting_of(source, constants={"trian.py": {"DEPTH": "{depth}"}})


def test_constants_of_any_file_keep_its_bytes() -> None:
    text = "# coding: latin-1\r\nÉ = 'é'; N = 2**19  # é\r\nf(\r\n  'ä',\r\n  2)\r\n"
    before = text.encode("latin-1")
    after = set_constants("t.py", before, {"N": 4, "f()": "ü"})
    assert after == text.replace("2**19", "4").replace("'ä'", "'ü'").encode("latin-1")
    assert read_constants("t.py", before, ["N"])["N"].value == 524288
    with pytest.raises(NoConstant, match="no Python"):
        set_constants("t.py", b"x = (", {"x": 1})


def test_an_edit_of_nothing_and_of_zero_is_carried() -> None:
    assert carried(4, first=8, now=8) == 4
    assert carried(0.1, first=0.0, now=0.2) == pytest.approx(0.3)
    assert carried("gelu", first="relu", now="silu") == "gelu"
    assert carried(4, first=8, now=7) == 3
    assert carried(1, first=8, now=4) == 1
    assert carried(2, first=8, now=-8) == -2
    with pytest.raises(NoConstant, match="OverflowError"):
        carried(4, first=8, now=float("inf"))


@pytest.mark.parametrize(
    ("style", "bools", "words"),
    [
        ("equals", "true", ["--n=2", "--x-y=true", "--off=false"]),
        ("space", "True", ["--n", "2", "--x-y", "True", "--off", "False"]),
        ("hydra", "True", ["n=2", "x-y=True", "off=False"]),
        ("equals", "flag", ["--n=2", "--x-y"]),
        ("space", "no-flag", ["--n", "2", "--x-y", "--no-off"]),
    ],
)
def test_knobs_are_written_as_the_program_wants_them(
    style: str, bools: str, words: list[str]
) -> None:
    flags = Flags(FlagStyle(style), BoolStyle(bools))
    knobs = {"n": 2, "x-y": True, "off": False, "by-hand": 1}
    argv = render(["run", "{by-hand}", "{knobs}"], {}, knobs=knobs, flags=flags)
    assert list(argv) == ["run", "1", *words]


def test_a_truth_value_where_a_word_is_meant_is_said(source: Path) -> None:
    with pytest.raises(InputError, match=r"flags.bools: got True.*write it in quotes"):
        setting_of(source, flags={"bools": True})


def test_several_programs_run_in_a_row_until_one_fails(tmp_path: Path, source: Path) -> None:
    first = ["{python}", "-c", "print('first')"]
    setting = setting_of(source, command=[first, COMMAND])
    assert ran(spec_of(setting, tmp_path / "s")).value == 8.0
    failing = setting_of(source, command=[["{python}", "-c", "exit(9)"], COMMAND])
    result = ran(spec_of(failing, tmp_path / "t"))
    assert result.reason.startswith("trainer: exit code 9")


def test_a_rung_has_variables_of_its_own(tmp_path: Path, source: Path) -> None:
    spec = spec_of(setting_of(source), tmp_path / "s", rung={"env": {"SIZE": "w{width}"}})
    plain = spec_of(setting_of(source), tmp_path / "s")
    assert spec.env["SIZE"] == "w32"
    assert spec.identity != plain.identity


def test_seeding_reaches_a_program_that_takes_no_seed(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source, seeding="auto")
    draws = []
    for seed in (1, 1, 2):
        spec = spec_of(setting, tmp_path / str(len(draws)), seed=seed)
        assert ran(spec).is_complete
        draws.append(said(spec)[6])
    assert draws[0] == draws[1] != draws[2]


def test_what_is_large_goes_unless_it_is_kept(tmp_path: Path, source: Path) -> None:
    spec = spec_of(setting_of(source), tmp_path / "s")
    ran(spec)
    assert not (Path(spec.out) / "ckpt.pt").exists()
    assert (Path(spec.out) / "said.json").exists()
    kept = spec_of(setting_of(source, keep=["*.pt"]), tmp_path / "t")
    ran(kept)
    names = {path.name for path in Path(kept.out).iterdir()}
    assert names == {"ckpt.pt", "spec.json", "result.json", "log.txt"}


def test_seeds_of_an_arm_share_a_folder_that_no_other_arm_has(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source, env={**ENV, "CACHE": "{shared}"})
    folders = [spec_of(setting, tmp_path / "s", seed=seed).shared for seed in (1, 2)]
    other = spec_of(setting, tmp_path / "s", patch=edit("RATE: float = 4e-2", "RATE = 1"))
    assert folders[0] == folders[1] == spec_of(setting, tmp_path / "s").env["CACHE"]
    assert other.shared != folders[0]
    assert spec_of(setting_of(source), tmp_path / "t").shared == ""
