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


def test_a_branch_is_read_from_where_it_left_its_base(source: Path, tmp_path: Path) -> None:
    listed = from_path("idea", source=source, roots=[tmp_path], base="main")
    assert "+a = 2" in listed.changes[0].patch


def commit(folder: Path, subject: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["add", "."], ["commit", "-m", subject]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def series(source: Path) -> Path:
    """Return a repository with a branch as a loop of experiments leaves it, records and all."""
    subprocess.run(["git", "checkout", "-qb", "series", "main"], cwd=source, check=True)
    lines = "".join(f"k{i} = {i}\n" for i in range(12))
    commit(source, "lay out", {"train.py": lines})
    commit(source, "warm up longer\n\nEarly steps are noisy.",
           {"train.py": lines.replace("k2 = 2", "k2 = 3"), "results.tsv": "a\tb\n"})  # fmt: skip
    commit(source, "only a record", {"results.tsv": "a\tb\nc\td\n"})
    later = lines.replace("k2 = 2", "k2 = 3").replace("k9 = 9", "k9 = 10")
    commit(source, "wider: d\u00e9j\u00e0 vu", {"train.py": later})
    subprocess.run(["git", "checkout", "-q", "main"], cwd=source, check=True)
    return source


def test_a_branch_is_a_change_each_commit_without_its_records(series: Path) -> None:
    listed = from_path("series", source=series, roots=[series], base="main")
    titles = [change.title for change in listed.changes]
    assert titles == ["lay out", "warm up longer", "wider: d\u00e9j\u00e0 vu"]
    assert listed.changes[1].hypothesis.startswith("Early steps are noisy.\ncommit ")
    assert all("results.tsv" not in change.patch for change in listed.changes)
    assert "+k9 = 10" in listed.changes[2].patch
    assert "k2 = 3" not in listed.changes[2].patch.replace(" k2 = 3", "")


@pytest.mark.parametrize("is_one_file", [True, False])
def test_mails_of_format_patch_are_the_same_changes(
    is_one_file: bool, series: Path, tmp_path: Path
) -> None:
    where = ["--stdout"] if is_one_file else ["-o", str(tmp_path / "mails")]
    done = subprocess.run(["git", "format-patch", *where, "main..series"], cwd=series, check=True,
                          capture_output=True, text=True)  # fmt: skip
    if is_one_file:
        (tmp_path / "mails").write_text(done.stdout)
    listed = from_path("mails", source=series, roots=[tmp_path], base="main")
    named = {change.title: change for change in listed.changes}
    assert list(named) == ["lay out", "warm up longer", "only a record", "wider: d\u00e9j\u00e0 vu"]
    assert named["warm up longer"].hypothesis == "Early steps are noisy."
    assert "results.tsv" not in named["warm up longer"].patch
    assert not named["lay out"].patch.rstrip().endswith("--")
    assert "results.tsv" in named["only a record"].patch  # refused with the reason, not lost


def test_what_a_branch_measured_once_is_said_of_its_changes(series: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=series, check=True, capture_output=True,
                              text=True)  # fmt: skip
        return done.stdout.strip()

    run("checkout", "-q", "series")
    first, second = (run("rev-parse", "--short=7", f"series~{n}") for n in (3, 2))
    commit(series, "results", {"results.tsv": "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
           f'{first}\t0.990000\t44.0\tkeep\tlay "out\n'
           f"{second}\t0.985000\t43.9\tdiscard\twarm up\nzzz\tx\t\tcrash\t\n"})  # fmt: skip
    run("checkout", "-q", "main")
    listed = from_path("series", source=series, roots=[series], base="main").changes
    assert "once measured: val_bpb 0.99, one seed, keep" in listed[0].hypothesis
    assert "-0.005000 from the run kept before, one seed, discard" in listed[1].hypothesis


def test_a_later_commit_of_a_series_goes_in_by_a_three_way_merge(
    series: Path, tmp_path: Path
) -> None:
    from miniscale.tree.workspace import Workspace

    changes = from_path("series", source=series, roots=[series], base="main").changes
    subprocess.run(["git", "checkout", "-q", "series~3"], cwd=series, check=True)
    workspace = Workspace.create(tmp_path / "study", source=series, editable=["train.py"],
                                 locked=[], knobs={}, is_whole=True)  # fmt: skip
    tree = workspace.checkout("c3", parent=workspace.first(), patch=changes[2].patch, knobs={})
    text = (tree.path / "train.py").read_text()
    assert "k9 = 10" in text
    assert "k2 = 2" in text


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
