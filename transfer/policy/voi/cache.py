"""What readings of a study computed once and ask for again; it changes no answer."""

from collections.abc import Callable
from typing import TypeVar, cast

from transfer.belief.prior import Array
from transfer.policy.voi.study_totals import Tally

Answer = TypeVar("Answer")

MOST = 8192
"""Answers of one sort from which they are forgotten."""
# assumption: below some 10 MB; a belief holds up to 26 kB, 1,058 atoms in four arrays
FEWER = {"belief": 256, "hint": 256, "edits": 1}
"""The same for sorts whose answers are large."""


class Memory:
    """Answers by sort and key, forgotten where there are many."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.elsewhere: dict[object, tuple[float, float]] = {}
        self.rows: dict[object, tuple[object, Array, float]] = {}
        self._answers: dict[str, dict[object, tuple[object, object]]] = {}

    def recall(
        self, sort: str, key: object, compute: Callable[[], Answer], *, holds: object = None
    ) -> Answer:
        """Return what was computed for a key, now if it never was.

        ``holds`` is kept alive beside it: the objects whose ``id`` is in the key.
        """
        answers = self._answers.setdefault(sort, {})
        if key not in answers:
            answers[key] = (compute(), holds)
        return cast("Answer", answers[key][0])

    def trim(self) -> None:
        """Forget sorts that have grown large."""
        for sort, answers in self._answers.items():
            if len(answers) > FEWER.get(sort, MOST):
                answers.clear()
        for known in (self.elsewhere, self.rows):
            if len(known) > MOST:
                known.clear()
