"""Proposers: a person's own patches, a script, and a search that forgets nothing when killed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from oracle import oracle_job

from autoresearch.proposer.knob_search import Search
from autoresearch.proposer.patches import ChangeList, from_path
from miniscale.setting.decode import InputError
from transfer.change import Change
from transfer.journal.state import replay
from transfer.study.limits import Limits
from transfer.study.loop import guarded, propose
from transfer.study.proposer_protocol import ProposalRequest, Session
from transfer.study.simulated_study import simulate
from transfer.study.study import Study

PATCH = """longer steps are cheaper

--- a/train.py
+++ b/train.py
@@ -1 +1 @@
-a = 1
+a = 2
"""


def asking(study: Study) -> ProposalRequest:
    return ProposalRequest(study, Limits(changes=99), Session())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a repository with one file on main and an edit of it on a branch."""
    folder = tmp_path / "repo"
    folder.mkdir()

    def git(*words: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-b", "main")
    (folder / "train.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-m", "first")
    git("checkout", "-b", "idea")
    (folder / "train.py").write_text("a = 2\n")
    git("commit", "-am", "second")
    git("checkout", "main")
    return folder


def test_a_patch_file_is_a_change_with_its_words_as_hypothesis(tmp_path: Path) -> None:
    (tmp_path / "long_steps.diff").write_text(PATCH)
    listed = from_path("long_steps.diff", source=tmp_path, roots=[tmp_path], base="HEAD")
    assert listed.changes[0].title == "long steps"
    assert listed.changes[0].hypothesis == "longer steps are cheaper"
    assert listed.changes[0].patch.startswith("--- a/train.py")


def test_a_folder_of_patches_is_taken_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.diff", "a.patch", "readme.txt"):
        (tmp_path / name).write_text(PATCH)
    listed = from_path(".", source=tmp_path, roots=[tmp_path], base="HEAD")
    assert [change.title for change in listed.changes] == ["a", "b"]


def test_a_branch_is_a_change_against_the_base(source: Path, tmp_path: Path) -> None:
    listed = from_path("idea", source=source, roots=[tmp_path], base="main")
    assert "+a = 2" in listed.changes[0].patch


def test_what_is_no_patch_no_folder_and_no_branch_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no patch file, no folder, and no branch"):
        from_path("nothing", source=source, roots=[tmp_path], base="main")


def test_a_file_that_is_no_diff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.diff").write_text("hello")
    with pytest.raises(InputError, match="unified diff"):
        from_path("x.diff", source=tmp_path, roots=[tmp_path], base="HEAD")


def test_search_takes_the_panel_first_then_one_knob_at_a_time() -> None:
    job = oracle_job()
    study = simulate(job.ladder, job.ladder.panel, policy=job.policy, plan=job.plan)
    state = study.state
    for record in state.changes.values():
        change = replace(record.change, proposer="search")
        record.proposed = replace(record.proposed, change=change)
    sought = Search(seed=1).propose(asking(study))
    assert sought is not None
    assert len(sought.knobs) == 1
    assert sought.category == "search"


def test_search_proposes_the_same_again_after_a_restart() -> None:
    job = oracle_job()
    study = simulate(job.ladder, job.ladder.panel[:3], policy=job.policy, plan=job.plan)
    study.ladder = replace(job.ladder, panel=())
    first = Search(seed=4).propose(asking(study))
    study.state = replay(study.events)
    assert first == Search(seed=4).propose(asking(study))
    assert first != Search(seed=5).propose(asking(study))


def test_a_proposer_whose_proposals_are_all_refused_ends_the_study() -> None:
    job = oracle_job()
    study = simulate(job.ladder, [], policy=job.policy, plan=job.plan)
    useless = ChangeList("scripted", tuple(Change("no-op", knobs={"gain": 0.0}) for _ in range(40)))
    for proposal in propose(useless, asking(study)):
        if isinstance(proposal, Change):
            study.prepare(proposal)
    assert "refused" in str(proposal)
    assert len(study.state.refused) == 30


def test_an_observer_that_fails_is_dropped_and_the_others_go_on() -> None:
    class Broken:
        def event(self, study: object, event: object) -> None:
            raise RuntimeError("no disk")

    said: list[str] = []
    observers: list = [Broken()]  # type: ignore[type-arg]
    guarded(observers, lambda observer: observer.event(None, None), said.append)
    assert observers == []
    assert "no disk" in said[0]
