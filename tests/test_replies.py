"""Whatever a model writes becomes the change it means, or goes back with the reason."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from replies import OUTCOMES, TRAIN, block, header

from autoresearch.proposer.idea.apply_edits import EditBlock, EditRefused, EditRule, apply
from autoresearch.proposer.idea.make_change import Ground, Unfit, admit, difference
from autoresearch.proposer.idea.parse_reply import Malformed, read
from miniscale.setting.setting import Kind, Knob, Setting
from miniscale.setting.trial import MetricSource, Objective
from miniscale.tree.compare_programs import is_retuned, is_seed_change, program_digest
from miniscale.tree.workspace import Workspace
from transfer.change import Change

HYPER = Kind.HYPERPARAMETER
KNOBS = {
    knob.name: knob
    for knob in (
        Knob("width", 32, HYPER, low=8, high=1024),
        Knob("gain", 0.0, HYPER, low=-1, high=1),
        Knob("norm", True, HYPER, choices=()),
        Knob("act", "relu", HYPER, choices=("relu", "gelu")),
        Knob("data_seed", 0, HYPER),
    )
}
SETTING = Setting(
    name="small",
    about="",
    source=Path("nowhere"),
    prepare=(),
    command=("python",),
    evaluator=(),
    objective=Objective("loss", True, MetricSource(file="x", key="y")),
    editable=("train.py",),
    locked=(),
    env={},
    knobs=KNOBS,
)
TEXTS = {"train.py": TRAIN}
DEFAULTS = SETTING.defaults()
KNOWN = {
    program_digest({"train.py": TRAIN.replace("lr = 0.1", "lr = 0.5")}, DEFAULTS): "c1 'hot'",
    program_digest(TEXTS, {**DEFAULTS, "width": 16}): "c2 'narrow'",
}
GROUND = Ground(SETTING, TEXTS, DEFAULTS, KNOWN)


def outcome(text: str) -> Change | str:
    """Read a reply and admit its first idea; the reason if that is refused."""
    try:
        return admit(read(text).ideas[0], GROUND, proposer="openai")[0]
    except (Malformed, Unfit) as error:
        return str(error)


def patched(change: Change, folder: Path) -> str:
    """Return what the file holds after the change's patch, as git applies it."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "train.py").write_text(TRAIN)
    workspace = Workspace.create(
        folder / "study", source=source, editable=["train.py"], locked=[], knobs=DEFAULTS
    )
    tree = workspace.checkout("c1", parent=workspace.first(), patch=change.patch, knobs={})
    return (tree.path / "train.py").read_text()


def test_the_corpus_has_variety() -> None:
    assert len(OUTCOMES) >= 200
    assert len({name for name, _, _ in OUTCOMES}) == len(OUTCOMES)
    assert len({text for _, text, _ in OUTCOMES}) == len(OUTCOMES)


@pytest.mark.parametrize(
    ("text", "expected"), [r[1:] for r in OUTCOMES], ids=[r[0] for r in OUTCOMES]
)
def test_a_reply_has_its_outcome(text: str, expected: str) -> None:
    found = outcome(text)
    if not expected.startswith("ok "):
        assert isinstance(found, str), found
        assert any(one in found for one in expected.split("|")), found
        return
    assert isinstance(found, Change), found
    what = expected.removeprefix("ok ")
    name, equals, value = what.partition("=")
    if equals and name in KNOBS:
        assert str(found.knobs[name]) == value
    else:
        new = [line[1:] for line in found.patch.splitlines() if line[:1] in ("+", " ")]
        assert what in "\n".join(new)
    found.title.encode("utf-8")
    assert len(found.title) <= 80


def test_patches_apply_as_git_applies_them(tmp_path: Path) -> None:
    made = [(n, outcome(t)) for n, t, expected in OUTCOMES if expected.startswith("ok ")]
    patches = {c.patch: n for n, c in made if isinstance(c, Change) and c.patch}
    for place, (patch, name) in enumerate(list(patches.items())[:8]):
        after = patched(Change("x", patch=patch), tmp_path / str(place))
        assert after != TRAIN, name
        assert difference(TEXTS, {"train.py": after}) == patch


def test_a_patch_without_last_newline_applies(tmp_path: Path) -> None:
    patch = difference(TEXTS, {"train.py": TRAIN.rstrip("\n")})
    assert patched(Change("x", patch=patch), tmp_path) == TRAIN.rstrip("\n")


def test_the_rule_that_matched_is_reported() -> None:
    for search, rule in (
        ("    lr = 0.1", EditRule.EXACT),
        ("    lr = 0.1 ", EditRule.TRAILING),
        ("lr = 0.1", EditRule.SHIFTED),
    ):
        _, applied = apply([EditBlock("", search, search.replace("1", "2"))], TEXTS)
        assert (applied[0].rule, applied[0].line) == (rule, 31)


def test_edits_go_in_together_or_not_at_all() -> None:
    good = EditBlock("", "    lr = 0.1", "    lr = 0.2")
    with pytest.raises(EditRefused, match="edit 2"):
        apply([good, EditBlock("", "nowhere at all", "x")], TEXTS)


def test_several_ideas_are_read_in_order_and_bad_ones_named() -> None:
    text = header() + block("    warm = 10", "    warm = 20") + header(title="two") + "none\n"
    reply = read(text + header(title="three", knobs={"width": 64}))
    assert [idea.title for idea in reply.ideas] == ["warm up longer", "three"]
    assert reply.problems == ("idea 2: 'two' has neither edits nor knobs; give one of them",)


@pytest.mark.parametrize(
    ("search", "replace", "is_tuned"),
    [
        ("    lr = 0.1", "    lr = -0.3", True),
        ("    warm = 10", "    warm = 10 + step", False),
        ("        return step / warm", "        return step ** 2 / warm", False),
    ],
)
def test_an_edit_of_numbers_alone_is_one_of_hyper_parameters(
    search: str, replace: str, is_tuned: bool
) -> None:
    after, _ = apply([EditBlock("", search, replace)], TEXTS)
    assert is_retuned(TEXTS, after) is is_tuned


@pytest.mark.parametrize(
    ("before", "after", "is_seed"),
    [
        ("f(seed=1)", "f(seed=2)", True),
        ("def f(x, seed=1): pass", "def f(x, seed=2): pass", True),
        ("def f(*, seed=1): pass", "def f(*, seed=2): pass", True),
        ("x = {'seed': 1}", "x = {'seed': 2}", True),
        ("torch.manual_seed(1)", "torch.manual_seed(2)", True),
        ("g = np.random.default_rng(1)", "g = np.random.default_rng(2)", True),
        ("g = random.Random(1)", "g = random.Random('x')", True),
        ("data_seed: int = 1", "data_seed: int = 7", True),
        ("seed = 1\nlr = 1", "seed = 2\nlr = 2", False),
        ("x = 1", "x = 1  # seed", False),
        ("x = random(1)", "x = drand(1)", False),
    ],
)
def test_a_change_of_seeds_alone_is_told(before: str, after: str, is_seed: bool) -> None:
    texts: list[Mapping[str, str]] = [{"a.py": before}, {"a.py": after}]
    assert is_seed_change(*texts) is is_seed


def test_random_damage_never_breaks_the_reader() -> None:
    rng = random.Random(8)
    for _, text, _ in OUTCOMES:
        short = text[:4000]
        for _ in range(3):
            at, n = rng.randrange(len(short) + 1), rng.randrange(40)
            junk = "".join(rng.choice('{}[]"\\<>=\n`\ud800 a0') for _ in range(rng.randrange(12)))
            found = outcome(short[:at] + junk + short[at + n :])
            assert isinstance(found, Change | str)
