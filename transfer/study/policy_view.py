"""What a policy sees of the study around a change, kept up to date as the study grows."""

from collections.abc import Mapping
from types import MappingProxyType

from transfer.arm import FIRST_BASELINE
from transfer.events import Outcome, Proposed
from transfer.journal.change_record import ChangeRecord
from transfer.measure.noise import Noise
from transfer.measure.study_effects import Analysis
from transfer.policy.protocol import ChangeView, Evidence, StudyView
from transfer.study_plan import StudyPlan

Numbers = tuple[Mapping[str, Noise], Mapping[str, float]]
"""By rung: noise and slopes."""


class ViewBuilder:
    """Owns the change views of a state's changes; each is made again only when it changed.

    A change with a verdict stands as it was judged; while its round is closing, what waits for
    that is measured by all that is known, as a change in flight is, and so are its stacks.
    """

    def __init__(self, analysis: Analysis, plan: StudyPlan) -> None:
        self._analysis = analysis
        self._state = analysis.state
        self._plan = plan
        self._scratch: dict[str, object] = {}
        self._change_views: dict[str, ChangeView] = {}
        self._seen = 0
        self._fresh: dict[str, None] = {}
        """Arms whose standing is not as judged."""
        self._made_at = (-1, "", "")
        self._numbers_at = (-1, "")
        self._numbers: Numbers | None = None

    def view(self) -> StudyView:
        """Return the whole study as it is now."""
        analysis, state = self._analysis, self._state
        analysis.refresh()
        self._catch_up()
        noise, slopes = self._measures()
        return StudyView(
            change_views=MappingProxyType(self._change_views),
            base=state.base if state.bases else FIRST_BASELINE,
            spent=state.spent,
            budget=self._plan.budget,
            noise=noise,
            slopes=slopes,
            is_closing=bool(state.round.closing),
            ladder=analysis.ladder,
            spent_closing=state.outlay.closing.value,
            trust=self._plan.trust,
            copied=analysis.copied,
            scratch=self._scratch,
        )

    def evidence(self, proposed: Proposed) -> Evidence:
        """Return what a policy may know of a change."""
        view = self.view()
        return Evidence(
            ladder=self._analysis.ladder,
            change=proposed.change,
            effects=self._analysis.effects(proposed),
            failure=self._analysis.failure(proposed.arm),
            arm=proposed.arm,
            view=view,
        )

    def _catch_up(self) -> None:
        state = self._state
        due = dict.fromkeys(state.changes.moves[self._seen :])
        self._seen = len(state.changes.moves)
        now = (self._analysis.version, state.round.closing, next(reversed(state.bases), ""))
        if now != self._made_at:
            self._made_at = now
            due |= self._fresh
            due |= dict.fromkeys(state.changes.in_flight)
            if state.round.closing:
                due |= dict.fromkeys(state.changes.waiting)
                due |= {
                    arm: None
                    for (base, _), arm in state.changes.stacks.items()
                    if base == state.base
                }
            self._fresh = {}
        for arm in due:
            self._change_views[arm] = self._change_view(state.changes[arm])

    def _change_view(self, record: ChangeRecord) -> ChangeView:
        state, proposed, verdict = self._state, record.proposed, record.verdict
        arm = proposed.arm
        is_doubted = verdict is not None and verdict.outcome is Outcome.SUSPICIOUS
        judged = () if verdict is None or is_doubted else verdict.effects
        is_open = record.is_waiting or bool(proposed.change.members)
        is_ours = bool(state.round.closing) and proposed.base == state.base
        is_fresh = verdict is None or (is_ours and is_open and not is_doubted)
        if is_fresh:
            self._fresh[arm] = None
        return ChangeView(
            arm=arm,
            base=proposed.base,
            change=proposed.change,
            effects=self._analysis.effects(proposed) if is_fresh else judged,
            failure=self._analysis.failure(arm),
            verdict=verdict,
            is_accepted=bool(record.commit),
            deferred=record.deferred,
        )

    def _measures(self) -> Numbers:
        """Return noise and slopes by rung; empty before the first run."""
        analysis, state = self._analysis, self._state
        first = state.first_base
        if not any(analysis.losses(first, rung.name) for rung in analysis.ladder.rungs):
            return {}, {}
        if self._numbers is None or self._numbers_at != (analysis.version, state.base):
            self._numbers_at = (analysis.version, state.base)
            slopes = analysis.baseline_law(state.base).slopes
            self._numbers = {name: analysis.noise(name) for name in slopes}, slopes
        return self._numbers
