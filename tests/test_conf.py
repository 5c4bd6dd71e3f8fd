"""Every shipped configuration composes, decodes, and renders the argv of every rung."""

from pathlib import Path

import pytest
from oracle import ROOT

from autoresearch.build import decode_job
from miniscale.setting.compose import compose, ladders
from miniscale.setting.rung import Folders, Tree, trial_spec
from transfer.study.schedule import unique

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


@pytest.mark.parametrize("overrides", LADDERS)
def test_a_ladder_composes_decodes_and_renders_every_rung(overrides: str, tmp_path: Path) -> None:
    job = decode_job(compose(overrides.split(), [], name="config"), [])
    setting = job.ladder.setting
    tree = Tree(tmp_path, "digest", setting.defaults())
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
    assert len(unique((i, "", 0) for i in identities)) == 2 * len(job.ladder.rungs)


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
