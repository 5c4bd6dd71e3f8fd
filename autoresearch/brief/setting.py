"""The parts of a brief that say what is trained, what may change, and where the baseline stands."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from autoresearch.brief.section import Section
from miniscale.setting.setting import Knob
from miniscale.setting.trial import Scalar
from scaling import compute_multiple
from transfer.audit.agreement import detectable
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.noise import PRIOR_NOISE, PRIOR_RHO
from transfer.measure.study_effects import Analysis


def setting_section(ladder: Ladder) -> Section:
    """Say what is trained, on which sizes, and what they have in common."""
    objective = ladder.setting.objective
    better = "lower" if objective.is_minimized else "higher"
    rungs = ", ".join(f"{rung.name} ({rung.scale:.3g})" for rung in ladder.rungs)
    lines = [
        f"{ladder.setting.about or ladder.setting.name}.",
        f"Objective: {objective.name}, {better} is better.",
        f"Sizes run, by {ladder.scale_name} in {ladder.unit}: {rungs}.",
        f"Target, never run: {ladder.target_name} ({ladder.target:.3g}).",
        *(f"The same on all sizes and at the target: {text}." for text in ladder.matches),
        *(f"Not the same on all sizes: {text}." for text in ladder.unmatched),
        *(f"To be kept, or a change is refused: {one.words}." for one in ladder.constraints),
        "All arms of a size spend the same compute; cheaper steps mean more of them.",
    ]
    return Section("Setting", tuple(lines))


def program_section(program: str) -> Section:
    """Pass on what the user wants looked for."""
    return Section("What the user asks", tuple(program.strip().splitlines()))


def knob_section(ladder: Ladder, knobs: Mapping[str, Scalar]) -> Section:
    """List knobs with their present values and ranges."""
    lines = [_knob_line(knob, knobs.get(name)) for name, knob in ladder.setting.knobs.items()]
    return Section("Knobs, as the baseline has them", tuple(lines))


def _knob_line(knob: Knob, value: Scalar | None) -> str:
    if knob.choices:
        space = "one of " + ", ".join(str(choice) for choice in knob.choices)
    elif knob.low is not None or knob.high is not None:
        low = "" if knob.low is None else f"{knob.low:g}"
        high = "" if knob.high is None else f"{knob.high:g}"
        space = f"{low} to {high}" + (", by ratio" if knob.is_log else "")
    else:
        space = type(knob.default).__name__
    return f"- {knob.name} = {value} ({space}) {knob.about}".rstrip()


def locked_section(ladder: Ladder, tree: Path) -> Section:
    """Name the files that may be read but not changed."""
    patterns = ladder.setting.locked
    names = sorted({p.relative_to(tree).as_posix() for q in patterns for p in tree.glob(q)})
    line = f"Locked, for reading only: {', '.join(names)}." if names else ""
    return Section("Files", (line,) if line else ())


def file_sections(texts: Mapping[str, str]) -> list[Section]:
    """Show every editable file in full."""
    return [
        Section(f"Editable file {name}", ("```", *text.rstrip("\n").split("\n"), "```"))
        for name, text in texts.items()
    ]


def baseline_section(ladder: Ladder, state: StudyState, analysis: Analysis) -> Section:
    """Say where the baseline stands on each rung, and what cannot be seen there."""
    lines = []
    for rung in ladder.rungs:
        losses = analysis.losses(state.base, rung.name)
        where = f"{rung.name}: not run yet"
        if losses:
            mean = ladder.setting.objective.value(statistics.fmean(losses.values()))
            where = f"{rung.name}: {mean:.5g} over {len(losses)} seeds"
        blind = compute_multiple(_detectable(ladder, state, analysis, rung.name)) - 1
        lines.append(f"{where}; differences below {blind:.1%} of compute cannot be seen")
    what = "the first baseline" if state.base == state.first_base else "the accepted changes so far"
    return Section(f"Baseline {state.base}: {what}", tuple(lines))


def _detectable(ladder: Ladder, state: StudyState, analysis: Analysis, name: str) -> float:
    rung = ladder.rung(name)
    plan = {"seeds": rung.seeds, "baseline_seeds": rung.baseline_seeds}
    if not analysis.losses(state.first_base, ladder.rungs[0].name):
        return detectable(rung.noise or PRIOR_NOISE, PRIOR_RHO, **plan)
    noise, slope = (
        analysis.noise(name),
        analysis.baseline_law(state.first_base).slopes.get(name, 0.0),
    )
    if not slope:
        return detectable(rung.noise or PRIOR_NOISE, noise.rho, **plan)
    return detectable(noise.sd / abs(slope), noise.rho, **plan)
