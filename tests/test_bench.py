"""The bench: what it plays is what it scores, again and again."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strangers import Never

from transfer.__main__ import main
from transfer.bench.board import as_json, calibration_error, rows, uncalibrated
from transfer.bench.board_text import markdown, terminal
from transfer.bench.play import parsed, play
from transfer.bench.play_many import Task, run, tasks
from transfer.bench.score import StatementTally, StudyScore, oracle, taken
from transfer.bench.worlds.catalogue import GROUPS, MAKERS, chosen
from transfer.bench.worlds.world import Held, World
from transfer.commands.bench import policies_of, seeds_of
from transfer.policy.ttest import Control, TTestPolicy


def small(name: str, seed: int = 0, budget: float = 700.0) -> World:
    """Return a world of a suite with less to spend."""
    world = MAKERS[name](seed)
    return replace(world, plan=replace(world.plan, budget=budget))


@pytest.mark.parametrize("name", MAKERS)
def test_every_suite_is_played_to_its_end(name: str) -> None:
    score = play(small(name), parsed("ttest"))
    assert 0 < score.spent <= 700 * 1.3  # dearer runs may pass the budget by what they cost more
    assert score.n_ideas > 20
    assert score.n_right <= score.n_accepted
    assert score.n_found <= score.n_good
    assert sum(n for n, _, _ in score.bins) == score.all.n > 0


def test_who_takes_nothing_gains_nothing_and_who_takes_all_gets_all() -> None:
    world = small("B")
    nothing, everything = play(world, Never()), play(world, Never(takes_all=True))
    assert (nothing.utility, nothing.n_accepted, nothing.stack_true) == (0.0, 0, 0.0)
    held = Held()
    ran = [world.mechanism.change(n) for n in range(everything.n_ideas)]
    for change in ran:
        n = int(change.patch.split()[1])
        is_in = not world.mechanism.crashes(Held((n,)), 0.0)
        held = taken(held, change) if is_in else held
    assert everything.n_accepted == len(held.ideas)
    assert everything.utility == pytest.approx(world.utility(held))


def test_the_same_world_is_played_the_same() -> None:
    first, again = (play(small("A", 5), parsed("halving")) for _ in range(2))
    assert replace(first, cpu_s=0.0, seconds=0.0) == replace(again, cpu_s=0.0, seconds=0.0)


def test_the_oracle_is_above_everybody() -> None:
    for name in ("B", "rich", "slots"):
        world = MAKERS[name](2)
        best = oracle(world).utility
        assert all(play(world, parsed(p)).utility < best for p in ("greedy", "ttest", "confirm"))


def test_told_counts_what_came_true() -> None:
    looks = [play(small("B"), parsed("ttest")).all]
    assert looks[0].n > looks[0].covered > 0
    assert 0 < looks[0].odds < looks[0].n
    assert 0 <= looks[0].right <= looks[0].n


def scored(policy: str, seed: int, utility: float, **more: object) -> StudyScore:
    return StudyScore("A", policy, seed, utility, **more)  # type: ignore[arg-type]


def test_policies_are_paired_by_world() -> None:
    luck = np.random.default_rng(0).normal(0, 5, 20)
    scores = [scored("greedy", seed, luck[seed]) for seed in range(20)]
    scores += [scored("mine", seed, luck[seed] + 1 + 0.1 * (seed % 2)) for seed in range(20)]
    row = {row.policy: row for row in rows(scores)}["mine"]
    mean, se = row.beyond["greedy"]
    assert mean == pytest.approx(1.05)
    assert se == pytest.approx(0.05 * math.sqrt(20 / 19) / math.sqrt(20))
    assert row.utility_se > 10 * se


def test_who_states_more_than_comes_true_is_listed() -> None:
    bins = [(0, 0.0, 0.0)] * 10
    honest, boastful = list(bins), list(bins)
    honest[9], boastful[9] = (100, 95.0, 95.0), (100, 95.0, 70.0)
    fair = StatementTally(n=100, odds=95, right=95, covered=80)
    scores = [
        scored("honest", 0, 0.0, bins=tuple(honest), all=fair),
        scored("boastful", 0, 0.0, bins=tuple(boastful), all=fair),
        scored("narrow", 0, 0.0, bins=tuple(honest), all=replace(fair, covered=60)),
        scored("silent", 0, 0.0),
    ]
    assert calibration_error(scores[1:2]) == pytest.approx(0.25)
    assert [said.split()[0] for said in uncalibrated(scores)] == ["boastful", "narrow"]
    assert [row.policy for row in rows(scores) if row.is_uncalibrated] == ["boastful", "narrow"]


def test_a_run_that_was_cut_goes_on_where_it_ended(tmp_path: Path) -> None:
    store, played = tmp_path / "deep" / "store.jsonl", list[str]()

    def tell(done: int, n: int, words: str) -> None:
        played.append(words)

    wanted = tasks(["null"], ["greedy", "oracle"], range(2))
    half = run(wanted[:2], store=store, tell=tell)
    assert len(played) == 2
    whole = run(wanted, store=store, tell=tell)
    assert played[2:] == ["null 1 greedy", "null 1 oracle"]
    assert whole[:2] == half
    assert run(wanted, store=store, tell=tell) == whole
    assert len(played) == 4
    changed = run([Task("null", "greedy seeds=2", 0)], store=store, tell=tell)
    assert changed[0].policy == "greedy seeds=2"


@pytest.mark.level1
def test_processes_side_by_side_give_the_same() -> None:
    wanted = tasks(["slots"], ["greedy", "strangers:Never"], range(2))
    alone, together = run(wanted), run(wanted, jobs=2)
    for one, other in zip(alone, together, strict=True):
        assert replace(one, cpu_s=0, seconds=0) == replace(other, cpu_s=0, seconds=0)


def test_the_command_plays_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("out.json", "out.md")}
    words = ["bench", "--suite", "null", "--policy", "greedy,strangers:Never takes_all=true"]
    words += ["--seeds", "0:2", "--json", str(files["out.json"])]
    assert main([*words, "--markdown", str(files["out.md"])]) == 0
    said = capsys.readouterr()
    assert "null, 2 worlds" in said.out
    assert "4/4" in said.err
    found = json.loads(files["out.json"].read_text())
    assert [row["policy"] for row in found["rows"]] == [
        "greedy",
        "strangers:Never takes_all=true",
    ]
    assert found["rows"][1]["beyond"]["greedy"][0] < 0
    assert files["out.md"].read_text().startswith("| suite | policy | utility |")


def test_tables_say_the_same_at_any_width() -> None:
    scores = run(tasks(["null"], ["greedy", "ttest"], range(2)))
    wide, narrow = terminal(scores, width=500), terminal(scores, width=100)
    assert max(len(line) for line in narrow[:4]) < max(len(line) for line in wide[:4])
    utility = f"{rows(scores)[0].utility:.2f}"
    assert all(utility in text for text in ("\n".join(wide), "\n".join(narrow), markdown(scores)))
    assert json.dumps(as_json(scores), allow_nan=False)


def test_a_policy_is_named_with_its_changed_keys() -> None:
    assert parsed("ttest seeds=6 control=lord") == TTestPolicy(seeds=6, control=Control.LORD)
    assert parsed("strangers:Never takes_all=true") == Never(takes_all=True)
    assert policies_of("trend futility=[.1,.2],greedy") == ["trend futility=[.1,.2]", "greedy"]


def test_a_strangers_worlds_are_played_by_their_path() -> None:
    assert chosen("strangers:vanishing") == ["strangers:vanishing"]
    greedy, truth = run(tasks(["strangers:vanishing"], ["greedy", "oracle"], [0]))
    assert greedy.n_accepted == 30
    assert greedy.utility == pytest.approx(-30 * 0.004)
    assert (greedy.n_right, truth.utility) == (0, 0.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "C"], "--suite: 'C' is unknown"),
        (["--suite", "nowhere:make"], "cannot be imported"),
        (["--suite", ""], "--suite: empty"),
        (["--policy", "greedly"], "did you mean 'greedy'"),
        (["--policy", ""], "--policy: empty"),
        (["--policy", "ttest sed=3"], r"policy\.sed: unknown key"),
        (["--seeds", "a:b"], "--seeds: got 'a:b'"),
        (["--seeds", "4:4"], "is empty"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_played(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()  # what is played shows its progress there
    assert re.search(said, line)


def test_groups_are_the_suites_they_hold() -> None:
    assert chosen("all") == list(MAKERS)
    assert chosen("families,A") == [*GROUPS["families"], "A"]
    assert len(GROUPS["families"]) >= 9
    assert seeds_of("7") == range(7, 8)
