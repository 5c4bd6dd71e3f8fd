"""Running totals over all changes of a study, by base and rung: how often each outcome came."""

from itertools import compress, count
from operator import is_not

from miniscale.setting.setting import Kind
from transfer.events import Outcome, VerdictReached
from transfer.policy.protocol import ChangeView, StudyView

ACCEPTED = (Outcome.CERTIFIED, Outcome.PROVISIONAL)
Place = tuple[str, str]
"""(baseline, rung)."""


class Tally:
    """Single changes sorted by what is asked of them; follows the views of one study.

    It says what a walk over all change views would find, in their order. A view that does not go
    on from the last one is read from its start.
    """

    def __init__(self) -> None:
        self._study_view: StudyView | None = None
        self._numbers = count(1)
        self._clear()

    def _clear(self) -> None:
        self._arms: list[str] = []
        self._change_views: list[ChangeView] = []
        self.n_singles = 0
        self._by_base: dict[str, dict[int, ChangeView]] = {}
        self._on: dict[Place, dict[int, ChangeView]] = {}
        self._accepted: dict[int, VerdictReached] = {}
        self._teaching: list[tuple[Kind, VerdictReached]] = []
        self._taught = 0
        self._stamps: dict[object, int] = {}

    def follow(self, view: StudyView) -> None:
        """Take in what changed since the last view of the study."""
        if view is self._study_view:
            return
        self._study_view = view
        arms, now = list(view.change_views), list(view.change_views.values())
        known = len(self._arms)
        changed = list(compress(range(known), map(is_not, self._change_views, now)))
        is_same = arms[:known] == self._arms
        if not is_same or any(_is_other(self._change_views[n], now[n]) for n in changed):
            self._clear()
            known, changed = 0, []
        for place in changed:
            before, self._change_views[place] = self._change_views[place], now[place]
            self._take(place, now[place], before)
        for place in range(known, len(now)):
            self._change_views.append(now[place])
            self._take(place, now[place], None)
        self._arms = arms

    def _take(self, place: int, now: ChangeView, before: ChangeView | None) -> None:
        if now.change.members:
            return
        self.n_singles += before is None
        self._by_base.setdefault(now.base, {})[place] = now
        self._put_on_rungs(place, now, before)
        if now.change.knobs:
            self._renew("knobs")
        verdict, earlier = now.verdict, None if before is None else before.verdict
        if verdict is earlier:
            return
        if place < self._taught:
            self._teaching, self._taught = [], 0
            self._renew("taught")
        self._accepted.pop(place, None)
        if verdict is not None and verdict.outcome in ACCEPTED:
            self._accepted[place] = verdict
        self._renew("accepted")

    def _put_on_rungs(self, place: int, now: ChangeView, before: ChangeView | None) -> None:
        effects = () if before is None else before.effects
        is_new = effects != now.effects
        here = {effect.rung for effect in now.effects}
        for rung in here | {effect.rung for effect in effects}:
            there = self._on.setdefault((now.base, rung), {})
            if rung in here:
                there[place] = now
            else:
                del there[place]
            if is_new:
                self._renew((now.base, rung))

    # -- what is asked ---------------------------------------------------------------------

    def stamp(self, what: object) -> int:
        """Return a number that is another one whenever something became other than it was.

        Of a baseline's changes on a rung by (baseline, rung), of changes with "knobs", of
        "accepted" ones, of the verdicts that have "taught" so far.
        """
        if what not in self._stamps:
            self._renew(what)
        return self._stamps[what]

    def _renew(self, what: object) -> None:
        self._stamps[what] = next(self._numbers)

    def on_base(self, base: str) -> list[ChangeView]:
        """Return the changes measured on a baseline."""
        return list(self._by_base.get(base, {}).values())

    def on_rung(self, base: str, rung: str) -> list[ChangeView]:
        """Return those of them with an effect on a rung."""
        there = self._on.get((base, rung), {})
        return [there[place] for place in sorted(there)]

    def accepted(self) -> list[VerdictReached]:
        """Return the verdicts of accepted changes."""
        return [self._accepted[place] for place in sorted(self._accepted)]

    def teaching(self) -> list[tuple[Kind, VerdictReached]]:
        """Return kinds and verdicts of changes with effects, A/A controls left out.

        Up to the first change without a verdict, so that resuming a study changes nothing.
        """
        for change_view in self._change_views[self._taught :]:
            is_none = bool(change_view.change.members) or change_view.change.is_control
            if change_view.verdict is None and not is_none:
                break
            self._taught += 1
            verdict = change_view.verdict
            if is_none or verdict is None or verdict.outcome is Outcome.SUSPICIOUS:
                continue
            if verdict.effects:
                self._teaching.append((change_view.change.kind, verdict))
        return self._teaching


def _is_other(before: ChangeView, now: ChangeView) -> bool:
    """Whether a standing is of another change than the one in its place was."""
    return before.base != now.base or before.change != now.change
