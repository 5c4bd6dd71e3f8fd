"""Why a model gets no score."""

MISFIT = 4
"""Exit code by which a process in a box says that weights do not fit the code."""


class TamperedError(Exception):
    """The trial is not what it says it is; the message begins with the name of the check."""


class OverBudgetError(TamperedError):
    """The trial spent more compute than its rung allows."""


class ModelError(Exception):
    """The model's process crashed, or gave no answer in time: no tampering, but no score."""
