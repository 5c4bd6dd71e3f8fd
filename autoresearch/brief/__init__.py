"""The brief: all that a proposer is told of a study, within a budget of tokens.

It is made from the state, the baseline's files and what a person wrote beside the study: the same
of these give the same brief, which is saved with every proposal.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from autoresearch.brief import learned, now, setting
from autoresearch.brief.section import Asking, Section, TooLong, fitted
from autoresearch.proposer.model.server import Structure
from autoresearch.proposer.store import ProposalStore
from transfer.ladder import Ladder

__all__ = ["Asking", "TooLong", "brief", "command_form", "form", "system"]

PROMPTS = Path(__file__).parent.parent / "prompts"


def brief(store: ProposalStore, asking: Asking, *, budget: int) -> str:
    """Return the brief; what stays the same through a study stands first.

    Raises
    ------
    TooLong
        If the parts that cannot be shortened take more than the budget.
    """
    return fitted(sections(store, asking), budget=budget)


def sections(store: ProposalStore, asking: Asking) -> list[Section]:
    """Return the brief's sections in order."""
    ladder, state = store.study.ladder, store.study.state
    texts, knobs, tree = store.baseline()
    analysis = store.study.analysis
    analysis.refresh()
    return [
        setting.setting_section(ladder),
        setting.program_section(asking.program),
        setting.knob_section(ladder, knobs),
        *([setting.locked_section(ladder, tree)] if asking.edits else []),
        *(setting.file_sections(texts) if asking.edits else []),
        setting.baseline_section(ladder, state, analysis),
        *learned.sections(ladder, state, asking.proposer),
        now.trial_section(ladder, state, store.study_folder / "trials"),
        now.note_section(store.notes()),
        now.budget_section(store.study, store.limits),
        now.task_section(state, asking),
    ]


def system() -> str:
    """Return what every model is told first."""
    return (PROMPTS / "system.md").read_text(encoding="utf-8").strip()


def form(ladder: Ladder, texts: Mapping[str, str] | Sequence[str], structure: Structure) -> str:
    """Return how a reply must look."""
    kind = "form_text.md" if structure is Structure.TEXT else "form_json.md"
    text = (PROMPTS / kind).read_text(encoding="utf-8").strip()
    file = next(iter(texts), "FILENAME")
    return text.replace("EXPECTED", _expected(ladder)).replace("FILENAME", file)


def command_form(ladder: Ladder, texts: Mapping[str, str]) -> str:
    """Return how a coding agent hands in its change."""
    text = (PROMPTS / "command.md").read_text(encoding="utf-8").strip()
    names = ", ".join(texts) or "no file (this setting has knobs only)"
    return text.replace("EXPECTED", _expected(ladder)).replace("EDITABLE", names) + "\n"


def _expected(ladder: Ladder) -> str:
    names = [*(rung.name for rung in ladder.rungs), "target"]
    return "{" + ", ".join(f'"{name}": percent' for name in names) + "}"
