"""A score is believed if a second instance, shown nothing but the past, gives it again.

The first instance answers all windows and is ended. A fresh one is then asked about a part of
them, in other company and another order, each window cut short or with the rest of another
sewn on. It cannot know the future, what else was asked, or what the first one said; so where
both agree the first used nothing but the tokens before. Half of the windows are drawn, by a
seed no model can know; the other half are those the first instance did best on, where a leak
that is worth something must show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.heldout_text import Floats, Ints, Text, nats
from miniscale.evaluate.model_host import Host, Instance
from miniscale.evaluate.refusal import TamperedError

SHARE = 0.1
"""Of the windows that are asked for again: what it misses is in docs/trust.md."""
CAUSAL, STATELESS, ORDER, DETERMINISTIC = "causal", "stateless", "order-free", "deterministic"
COST = "counted"
COUNTED_WORST = 0.5
"""Nats by which the counted run, whose attention is another kernel, may differ.

Assumption: as far as honest runs in half precision differ (``TOLERANCES``)."""


@dataclass(frozen=True)
class Tolerance:
    """How far two instances may differ in a token's negative log-likelihood, in nats."""

    worst: float
    mean: float
    """Of what the first instance is better by; what a model can gain by hiding below it."""


# measured: tests/test_honest_trainers.py (docs/trust.md)
TOLERANCES = {"float32": Tolerance(1e-2, 1e-4), "half": Tolerance(0.5, 2e-3)}


@dataclass(frozen=True)
class Probe:
    """One request to the second instance: ``cuts`` tokens of each row are of its window."""

    windows: Ints
    cuts: Ints
    tokens: Ints


@dataclass(frozen=True)
class LookComparison:
    """Where both instances answered, by how much the first was better (positions,)."""

    windows: Ints
    better: Floats

    def __add__(self, other: "LookComparison") -> "LookComparison":
        return LookComparison(
            np.concatenate([self.windows, other.windows]),
            np.concatenate([self.better, other.better]),
        )

    @property
    def worst(self) -> float:
        """Largest difference of either sign."""
        return float(np.abs(self.better).max())

    @property
    def mean(self) -> float:
        """What the first instance gained by whatever the second could not have."""
        return float(self.better.mean())

    def exceeds(self, tolerance: Tolerance) -> bool:
        """Whether the difference is more than rounding."""
        error = float(self.better.std()) / len(self.better) ** 0.5
        return self.worst > tolerance.worst or self.mean > tolerance.mean + 4.0 * error


def first_answers(instance: Instance, text: Text, *, rows: int) -> Floats:
    """Negative log-likelihood (windows, context) of a split, asked in order."""
    parts = [
        nats(instance.ask(text.inputs[i : i + rows]), text.targets[i : i + rows])
        for i in range(0, len(text.inputs), rows)
    ]
    return np.concatenate(parts)


def probes(text: Text, loss: Floats, *, rows: int, rng: np.random.Generator) -> list[Probe]:
    """Choose what to ask again: half as drawn, half where the first instance did best.

    Parameters
    ----------
    loss
        What the first instance had, nats (windows, context).
    rows
        Windows a request; every other request has one length, the rest have foreign endings.
    rng
        Drawn by the parent alone, so that no model can know what will be asked again.
    """
    count, context = text.inputs.shape
    wanted = max(2 * rows, round(SHARE * count))
    best = np.argsort(loss.mean(1))[: min(wanted // 2, count)]
    drawn = rng.choice(count, min(wanted - len(best), count), replace=False)
    chosen = rng.permutation(np.concatenate([best, drawn]))
    made = []
    for i in range(0, len(chosen), rows):
        windows = chosen[i : i + rows]
        if i // rows % 2:
            length = int(rng.integers(1, context))
            cuts, tokens = np.full(len(windows), length), text.inputs[windows, :length]
        else:
            cuts = rng.integers(1, context, len(windows))
            tokens = _sewn(text.inputs, windows, cuts, rng)
        made.append(Probe(windows, cuts, np.ascontiguousarray(tokens)))
    return made


def _sewn(inputs: Ints, windows: Ints, cuts: Ints, rng: np.random.Generator) -> Ints:
    """Windows whose tokens from ``cuts`` on are those of others, so that all reads like text."""
    others = inputs[rng.integers(0, len(inputs), len(windows))]
    is_own = np.arange(inputs.shape[1]) < cuts[:, None]
    return np.where(is_own, inputs[windows], others)


def compare(probe: Probe, again: NDArray[np.float32], text: Text, loss: Floats) -> LookComparison:
    """Hold an answer to a probe against the first instance's loss.

    Parameters
    ----------
    again
        Logits (rows, time, vocabulary) of the probe's tokens.
    loss
        What the first instance had, nats (windows, context).
    """
    time = probe.tokens.shape[1]
    second = nats(again, text.targets[probe.windows, :time])
    is_own = np.arange(time) < probe.cuts[:, None]
    better = (second - loss[probe.windows, :time])[is_own]
    return LookComparison(np.repeat(probe.windows, probe.cuts), better)


def ask_again(
    instance: Instance, asked: Sequence[Probe], text: Text, loss: Floats
) -> LookComparison:
    """Ask all probes and compare.

    Parameters
    ----------
    instance
        One that was asked nothing before.
    loss
        What the first instance had, nats (windows, context).
    """
    comparisons = [compare(probe, instance.ask(probe.tokens), text, loss) for probe in asked]
    total = comparisons[0]
    for comparison in comparisons[1:]:
        total += comparison
    return total


def refuse(host: Host, text: Text, loss: Floats, seen: LookComparison, allowed: Tolerance) -> None:
    """Find out which rule the model breaks, by fresh instances, and say so.

    Parameters
    ----------
    loss
        What the first instance had, nats (windows, context).
    seen
        Differences, of which the largest is looked into.

    Raises
    ------
    TamperedError
        Always.
    """
    rows = host.terms.rows
    window = int(seen.windows[np.abs(seen.better).argmax()])
    batch = np.arange(window // rows * rows, min((window // rows + 1) * rows, len(loss)))

    def repeated(windows: Ints) -> Floats:
        return nats(host.fresh().ask(text.inputs[windows]), text.targets[windows])

    def same(first: Floats, second: Floats) -> bool:
        return float(np.abs(first - second).max()) <= allowed.worst

    again = repeated(batch)
    if not same(again, loss[batch]):
        broken = STATELESS if same(again, repeated(batch)) else DETERMINISTIC
    else:
        alone = repeated(np.array([window]))
        broken = CAUSAL if same(alone[0], loss[window]) else ORDER
    raise TamperedError(
        f"{broken}: {MEANING[broken]}; window {window} by up to {seen.worst:.3g} nats"
        f" (allowed {allowed.worst:g}), all by {seen.mean:+.3g} on average"
    )


MEANING = {
    CAUSAL: "what it predicts changes with the tokens that come after",
    STATELESS: "what it predicts depends on what it was asked before",
    ORDER: "what it predicts for a sequence depends on the others in its batch",
    DETERMINISTIC: "it predicts differently each time",
}
