"""What a fit is worth, in a word, and what to do about it."""

from enum import StrEnum


class FitStatus(StrEnum):
    """Whether a fit can be believed; ``advice`` says what to do where it cannot."""

    CONVERGED = "converged"
    FREE_FLOOR = "E not identified"
    AT_BOUND = "alpha at a bound"
    FLOOR_AT_BOUND = "E at its bound"
    SECOND_BASIN = "second basin"
    NOT_CONVERGED = "not converged"
    TOO_FEW_SCALES = "too few scales"
    NOT_DECREASING = "not decreasing"

    @property
    def advice(self) -> str:
        """What the status means for a reader, and the next step."""
        return _ADVICE[self]

    @property
    def is_law(self) -> bool:
        """Whether the fit describes the runs; its extrapolation may still be in wide doubt."""
        return self in (
            FitStatus.CONVERGED,
            FitStatus.FREE_FLOOR,
            FitStatus.FLOOR_AT_BOUND,
            FitStatus.SECOND_BASIN,
        )


_ADVICE = {
    FitStatus.CONVERGED: "the law is determined by the runs",
    FitStatus.FREE_FLOOR: "the runs leave the floor E open; answers are averaged over the floors "
    "they allow. A further scale, or one further apart, would settle it",
    FitStatus.AT_BOUND: "alpha ran into 0.02 or 0.6; use local slopes, and check "
    "that hyper-parameters scale properly on every rung",
    FitStatus.FLOOR_AT_BOUND: "the best floor is zero: the runs do not bend yet. Compare with the "
    "form without an offset, and do not read E",
    FitStatus.SECOND_BASIN: "another optimum lies within 1 % of this one; read the intervals, not "
    "the parameters, and add runs that spread the scales",
    FitStatus.NOT_CONVERGED: "the polish stopped short of an optimum; fix a parameter, drop odd "
    "runs or choose a form with fewer parameters",
    FitStatus.TOO_FEW_SCALES: "two scales give a slope and no law, one gives neither (its slope is "
    "an assumption); add a rung before believing anything beyond the last",
    FitStatus.NOT_DECREASING: "loss does not fall with compute; check the rungs' budgets and "
    "hyper-parameters, or the direction of the metric",
}
