"""The brief: all that a proposer is told of a study, within a budget of tokens.

It is made from the state, the baseline's files and what a person wrote beside the study: the same
of these give the same brief, which is saved with every proposal.
"""

from collections.abc import Mapping
from pathlib import Path

from autoresearch.brief import current_state, learned, setting
from autoresearch.brief.baseline import read_baseline
from autoresearch.brief.section import Asking, Section, TooLong, fitted
from transfer.ladder import Ladder
from transfer.study.proposer_protocol import ProposalRequest

__all__ = ["Asking", "TooLong", "brief", "command_form", "form", "system"]

PROMPTS = Path(__file__).parent.parent / "prompts"


def brief(request: ProposalRequest, asking: Asking, *, budget: int) -> str:
    """Return the brief; what stays the same through a study stands first.

    Raises
    ------
    TooLong
        If the parts that cannot be shortened take more than the budget.
    """
    return fitted(sections(request, asking), budget=budget)


def sections(request: ProposalRequest, asking: Asking) -> list[Section]:
    """Return the brief's sections in order."""
    study, ladder, state = request.study, request.ladder, request.state
    baseline, analysis = read_baseline(study), study.analysis
    analysis.refresh()
    return [
        setting.setting_section(ladder),
        setting.program_section(asking.program),
        setting.knob_section(ladder, baseline.knobs),
        *([setting.locked_section(ladder, baseline.folder)] if asking.edits else []),
        *(setting.file_sections(baseline.texts) if asking.edits else []),
        setting.baseline_section(ladder, state, analysis),
        *learned.sections(ladder, state, asking.proposer),
        current_state.trial_section(ladder, state, request.session.folder / "trials"),
        current_state.note_section(request.session.folder / "notes"),
        current_state.budget_section(study, request.limits),
        current_state.task_section(state, asking),
    ]


def system() -> str:
    """Return what every model is told first."""
    return (PROMPTS / "system.md").read_text(encoding="utf-8").strip()


def form(ladder: Ladder, texts: Mapping[str, str], *, is_json: bool) -> str:
    """Return how a reply must look."""
    kind = "form_json.md" if is_json else "form_text.md"
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
