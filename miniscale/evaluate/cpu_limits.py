"""CPU-seconds of a model's process: what it spends beside answering is training by another name."""

from dataclasses import dataclass

from miniscale.evaluate.refusal import OverBudgetError

LOADING_S = {"cpu": 3.0, "cuda": 60.0}
"""CPU-seconds that loading may take.

Measured: an honest d2 took .9 on a machine with six times its load; assumption for CUDA."""
LOADING_SHARE = 0.05
"""Of the CPU-seconds of training, on top; assumption."""
ANSWERING = 1.5
"""Most that answering a token may cost, in terms of training on one.

Honest is a third, a forward pass of forward and backward; the rest is for slow machines."""


@dataclass(frozen=True)
class Seconds:
    """What two instances used, measured by the process that starts them."""

    first: float
    first_tokens: int
    second: float
    second_tokens: int

    @property
    def a_token(self) -> float:
        """For answering one token more."""
        more = self.first_tokens - self.second_tokens
        return max(0.0, (self.first - self.second) / more) if more > 0 else 0.0

    @property
    def loading(self) -> float:
        """Whatever does not grow with the tokens asked."""
        return max(0.0, self.second - self.a_token * self.second_tokens)

    def check(self, *, trainer: float, tokens: int, device: str = "cpu") -> None:
        """Hold them against the CPU-seconds of training on ``tokens``.

        Raises
        ------
        OverBudgetError
            If loading or answering hides work.
        """
        allowed = LOADING_S[device] + LOADING_SHARE * trainer
        if self.loading > allowed:
            raise OverBudgetError(
                f"loading: the model took {self.loading:.2f} CPU-seconds before it answered,"
                f" {allowed:.2f} are allowed beside {trainer:.2f} of training"
            )
        most = ANSWERING * trainer * self.first_tokens / tokens
        if self.a_token * self.first_tokens > max(LOADING_S[device], most):
            raise OverBudgetError(
                f"answering: {self.first_tokens} tokens took {self.first - self.loading:.2f}"
                f" CPU-seconds, {most:.2f} are allowed after {trainer:.2f} for training on {tokens}"
            )
