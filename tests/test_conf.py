"""Every shipped configuration composes, decodes, and renders the argv of every rung."""

import subprocess
import sys
from pathlib import Path

import pytest
from oracle import ROOT

from autoresearch.build_study import decode_job
from miniscale.setting.compose import compose, ladders
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders, Tree, decode_rungs, trial_spec

CONF = ROOT / "conf"
VARIANTS = [
    f"+ladder={path.parent.name} ladder/{path.parent.name}={path.stem}"
    for path in sorted(CONF.glob("ladder/*/*.yaml"))
]
LADDERS = [f"+ladder={name}" for name in ladders([])] + VARIANTS
OPTIONS = {
    "agent/openai": "agent=openai agent.base_url=http://localhost:1/v1",
    "agent/several": "agent=several agent.agents.model.base_url=http://localhost:1/v1",
    "agent/command": "agent=command agent.command=[python3]",
    "agent/patches": "agent=patches agent.path=setup.diff",
    "agent/scripted": "agent=scripted",
    "agent/search": "agent=search",
    **{
        f"policy/{name}": f"policy={name}"
        for name in ("atoms", "confirm", "greedy", "halving", "powerlaw", "trend", "ttest")
    },
    "runner/local": "runner=local",
    "tracker/none": "tracker=none",
    "tracker/wandb": "tracker=wandb",
}


CHECKOUTS = {"nanogpt": "nanoGPT"}
"""Ladder on a checkout that its user has -> a look-alike of it here."""


def found(overrides: str) -> list[str]:
    """Return where the checkout of a ladder lies, for those that need one."""
    name = overrides.split()[0].removeprefix("+ladder=")
    folder = ROOT / "tests" / "checkouts" / CHECKOUTS.get(name, "")
    return [f"ladder.setting.source={folder}"] if name in CHECKOUTS else []


@pytest.mark.parametrize("overrides", LADDERS)
def test_a_ladder_composes_decodes_and_renders_every_rung(overrides: str, tmp_path: Path) -> None:
    job = decode_job(compose([*overrides.split(), *found(overrides)], [], name="config"), [])
    setting = job.ladder.setting
    place = setting.source if setting.constants else tmp_path
    tree = Tree(place, "digest", setting.defaults())
    folders = Folders(tmp_path, tmp_path)
    for rung in job.ladder.rungs:
        spec = trial_spec(setting, rung, arm="b0", seed=3, tree=tree, data={}, folders=folders)
        assert not any("{" in element for element in (*spec.trainer, *spec.evaluator))
        assert any("3" in element for element in spec.trainer)
    identities = [
        trial_spec(setting, rung, arm="b0", seed=s, tree=tree, data={}, folders=folders).identity
        for rung in job.ladder.rungs
        for s in (0, 1)
    ]
    assert len(set(identities)) == 2 * len(job.ladder.rungs)


def test_every_option_of_every_group_is_tried_here() -> None:
    groups = ("agent", "policy", "runner", "tracker")
    found = {f"{g}/{p.stem}" for g in groups for p in (CONF / g).glob("*.yaml")}
    assert found == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_composes_and_decodes(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.diff").write_text("why\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n")
    job = decode_job(compose(["+ladder=oracle", *OPTIONS[option].split()], [], name="config"), [])
    assert job.proposer.name in {"search", "patches", "scripted", "openai", "several", "command"}


def test_the_shorter_spelling_of_the_ladder_works_too() -> None:
    from miniscale.setting.compose import normalise

    assert normalise(["ladder=nanochat", "a=1"]) == ["+ladder=nanochat", "a=1"]
    source = ["+ladder=nanogpt", "setting.source=/x"]
    assert normalise(source) == ["+ladder=nanogpt", "ladder.setting.source=/x"]
    assert normalise(["+setting=advection", "setting.source=/x"])[1] == "setting.source=/x"


def test_shipped_configuration_reads_at_120_columns() -> None:
    wide = {
        path.relative_to(CONF).as_posix(): number
        for path in CONF.rglob("*.yaml")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > 120
    }
    assert not wide


def test_rung_defaults_hold_for_every_rung_that_does_not_say_otherwise() -> None:
    ladder = {
        "rung_defaults": {"memory_gb": 2, "seeds": 3, "params": {"device": "cpu", "stop": 1.0}},
        "rungs": {
            "small": {"scale": 1.0, "params": {"depth": 2}},
            "large": {"scale": 9.0, "seeds": 1, "params": {"depth": 3, "stop": 0.5}},
        },
        "holdout": {"huge": {"scale": 90.0, "params": {"depth": 4}}},
    }
    small, large = decode_rungs(ladder).values()
    (huge,) = decode_rungs(ladder, "holdout").values()
    assert small.params == {"device": "cpu", "stop": 1.0, "depth": 2}
    assert large.params == {"device": "cpu", "stop": 0.5, "depth": 3}
    assert (small.seeds, large.seeds, huge.seeds) == (3, 1, 3)
    assert {rung.memory_gb for rung in (small, large, huge)} == {2}
    with pytest.raises(
        InputError, match=r"rung_defaults\.sedes: unknown key; did you mean 'seeds'"
    ):
        decode_rungs({**ladder, "rung_defaults": {"sedes": 3}})


@pytest.mark.parametrize("argv", [["-m", "autoresearch"], ["-m", "transfer", "audit"]])
def test_help_shows_groups_and_commented_keys_without_hydra(argv: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", *argv, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "runner:\n  name: local\n  box: prefer      # require:" in done.stdout
    assert "$CONFIG" not in done.stdout
    assert "override hydra" not in done.stdout
    assert "| hydra" not in done.stderr
