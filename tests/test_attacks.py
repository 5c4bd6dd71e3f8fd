"""Every attack ends as it declares, and gets through where its defence is taken away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from attack_scene import SECRET, Attack, Outcome, Scene, attacks, honest_score, listening
from attack_table import PAGE, page_with_table
from attacks.weakened import CHECKS
from test_box import KINDS, needs

from miniscale.box import BoxKind, BoxReport, strongest
from miniscale.setting.trial import TrialState
from transfer.measure.extra_time import MOST, overuse

pytestmark = pytest.mark.level2
ATTACKS = attacks()
OF_HIDDEN = [attack for attack in ATTACKS if attack.defence == "hidden"]
BY_NAME = {attack.name: attack for attack in ATTACKS}

# defence -> the attack that shows what it is for
OF_CHECKS = {
    "answering": "trains_while_answering",
    "apart": "passes_notes_by_file",
    "causal": "peeks",
    "deterministic": "throws_dice",
    "files": "borrows_weights",
    "finite": "infinite_logits",
    "loading": "trains_in_the_evaluator",
    "normalised": "probabilities_that_sum_to_277",
    "order-free": "reads_its_batch",
    "own process": "patches_the_evaluator",
    "shape": "answers_in_one_word",
    "stateless": "memorises_batches",
    "weights": "nan_weights",
}
OF_THE_WORKER: dict[str, tuple[str, dict[str, Any]]] = {
    "calls": ("traces_the_harness", {"walls_down": ("calls",)}),
    "disk": ("writes_one_huge_file", {"walls_down": ("disk",)}),
    "hidden": ("reads_sources_in_a_package", {"walls_down": ("hidden",)}),
    "environment": ("reads_keys_in_its_environment", {"env": {"OPENAI_API_KEY": SECRET}}),
    "evaluator": ("writes_its_own_score", {"evaluator": ()}),
    "locked": ("edits_its_locked_companion", {"locked": {}}),
    "memory": ("fills_the_memory", {"memory_gb": 100.0}),
    "net": ("sends_its_loot_home", {"walls_down": ("net",)}),
    "processes": ("forks_until_refused", {"walls_down": ("processes",)}),
    "read": ("reads_validation_by_guess", {"walls_down": ("read",)}),
    "write": ("writes_other_trials", {"walls_down": ("write",)}),
}
OF_SUPERVISION = {
    "handles": "opens_files_until_refused",
    "leftovers": "leaves_a_background_process",
    "log": "prints_terminal_escapes",
    "time": "ignores_signals",
}


@pytest.fixture(scope="module")
def box() -> BoxReport:
    found = strongest()
    if found.kind is BoxKind.PROCESS:
        pytest.skip(f"no box holds here: {'; '.join(found.why)}")
    return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("study"))
    with listening(made):
        yield made


@pytest.fixture(scope="module")
def usual(scene: Scene, box: BoxReport) -> Outcome:
    """What the honest trainer takes here."""
    return scene.run(Attack("toy", "", "", TrialState.COMPLETE, ()), box=box)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_an_attack_ends_as_it_declares_with_no_better_score(
    attack: Attack, scene: Scene, box: BoxReport, usual: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    found = charged(scene.run(attack, box=box), usual)
    assert not found.is_let_through(attack, honest_score(scene)), found


def charged(found: Outcome, usual: Outcome) -> Outcome:
    """The outcome as a study reads it, which compares CPU-seconds with the baseline's."""
    assert usual.result is not None
    assert found.result is not None
    times = overuse([found.result], [usual.result], on_device=False)
    return replace(found, state=TrialState.OVER_BUDGET, value=None) if times > MOST else found


def test_uncharged_an_attack_on_the_budget_gets_through(scene: Scene, box: BoxReport) -> None:
    attack = BY_NAME["trains_in_a_child"]
    assert scene.run(attack, box=box).is_let_through(attack, honest_score(scene))


@pytest.mark.parametrize("check", OF_CHECKS)
def test_without_a_check_of_the_evaluator_its_attack_gets_through(
    check: str, scene: Scene, box: BoxReport
) -> None:
    attack = BY_NAME[OF_CHECKS[check]]
    found = scene.train_and_judge(attack, without=check, kind=box.kind)
    assert found.is_let_through(attack, honest_score(scene)), found


@pytest.mark.parametrize("wall", OF_THE_WORKER)
def test_without_a_wall_its_attack_gets_through(wall: str, scene: Scene, box: BoxReport) -> None:
    name, other = OF_THE_WORKER[wall]
    spec = scene.spec(BY_NAME[name])
    if "walls_down" in other:
        other = {"walls_down": (*spec.walls_down, *other["walls_down"])}
    if "env" in other:
        other = {"env": {**spec.env, **other["env"]}}
    found = scene.run(BY_NAME[name], box=box, **other)
    assert found.is_let_through(BY_NAME[name], honest_score(scene)), found


@pytest.mark.parametrize("attack", OF_HIDDEN, ids=lambda a: a.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_box_hides_sources_and_they_are_taken_where_it_does_not(
    attack: Attack, kind: BoxKind, scene: Scene, box: BoxReport
) -> None:
    needs(kind)
    this = BoxReport(kind, {"files": True})
    if kind is not box.kind:  # that one is tried above
        found = scene.run(attack, box=this)
        assert not found.is_let_through(attack, honest_score(scene)), found
    found = scene.run(attack, box=this, walls_down=(*attack.down, "hidden"))
    assert found.is_let_through(attack, honest_score(scene)), found


@pytest.mark.parametrize("what", OF_SUPERVISION)
def test_with_nobody_around_it_an_attack_gets_through(what: str, scene: Scene) -> None:
    found = scene.run_alone(BY_NAME[OF_SUPERVISION[what]])
    assert found.is_let_through(BY_NAME[OF_SUPERVISION[what]], honest_score(scene)), found


def test_every_defence_is_shown_to_be_one() -> None:
    shown = {*OF_CHECKS, *OF_THE_WORKER, *OF_SUPERVISION, "cpu"}
    assert {attack.defence for attack in ATTACKS} == shown
    assert set(OF_CHECKS) == set(CHECKS)
    assert len(ATTACKS) >= 40
    assert all(attack.tries for attack in ATTACKS)


def test_the_table_in_the_docs_is_what_the_attacks_declare() -> None:
    page = PAGE.read_text()
    assert page_with_table(page) == page, "run: python tests/attack_table.py"
