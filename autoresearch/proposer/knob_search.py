"""The default proposer: the ladder's panel first, then its knobs by Optuna's TPE."""

import random
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from miniscale.setting.setting import Kind, Knob
from miniscale.setting.trial import Scalar
from transfer.change import Change
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.study.proposer_protocol import ProposalRequest, asked_before

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FAILED = 1.0
"""assumption: to the sampler a crash is as bad as a loss of e times the compute."""


@dataclass(frozen=True)
class Search:
    """Works through the panel, then samples knob values; needs no key and no network.

    Each sampled change moves ``knobs_at_once`` knobs, so that one verdict speaks of few things.
    The sampler is told what verdicts said of the gain at the target, not at the lowest rung.
    """

    seed: int = 0
    knobs_at_once: int = 1
    name: str = "search"

    def propose(self, request: ProposalRequest) -> Change | None:
        """Return the next change of the panel, or sampled knob values; None without knobs."""
        ladder, state = request.ladder, request.state
        n_asked = asked_before(state, self.name)
        if n_asked < len(ladder.panel):
            return replace(ladder.panel[n_asked], proposer=self.name)
        open_knobs = {n: k for n, k in ladder.setting.knobs.items() if distribution(k) is not None}
        if not open_knobs:
            return None
        return self._sample(ladder, state, open_knobs, n_asked)

    def _sample(
        self, ladder: Ladder, state: StudyState, knobs: dict[str, Knob], n_asked: int
    ) -> Change:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        rng = random.Random(f"{self.seed} {n_asked}")
        moved = sorted(rng.sample(sorted(knobs), min(self.knobs_at_once, len(knobs))))
        base = accepted_knobs(ladder, state)
        fixed = {name: base[name] for name in knobs if name not in moved}
        tpe = optuna.samplers.TPESampler(seed=rng.randrange(2**31), n_startup_trials=4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.PartialFixedSampler(fixed, tpe)
        study = optuna.create_study(sampler=sampler)
        study.add_trials(_history(state, base, knobs))
        spaces: dict[str, Any] = {name: distribution(knob) for name, knob in knobs.items()}
        asked = study.ask(spaces)
        values: dict[str, Scalar] = {name: _rounded(asked.params[name]) for name in moved}
        words = ", ".join(f"{name} {_show(base[name])} → {_show(values[name])}" for name in moved)
        return Change(
            title=words,
            hypothesis=f"sampled by TPE after {len(state.changes.judged)} verdicts",
            category="search",
            kind=Kind.HYPERPARAMETER,
            knobs=values,
            proposer=self.name,
        )


def distribution(knob: Knob) -> "BaseDistribution | None":
    """Return a knob's search space; None for a knob without range or choices."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if knob.choices:
        return CategoricalDistribution(list(knob.choices))
    if knob.low is None or knob.high is None or isinstance(knob.default, str):
        return None
    if isinstance(knob.default, int):
        return IntDistribution(int(knob.low), int(knob.high), log=knob.is_log)
    return FloatDistribution(knob.low, knob.high, log=knob.is_log)


def accepted_knobs(ladder: Ladder, state: StudyState) -> dict[str, Scalar]:
    """Return the knob values of the working head."""
    values = ladder.setting.defaults()
    for arm in state.changes.accepted:
        values.update(state.changes[arm].change.knobs)
    return values


def _history(state: StudyState, base: dict[str, Scalar], knobs: dict[str, Knob]) -> list[Any]:
    """Return what is known of knob changes as finished trials of the sampler; lower is better."""
    import optuna

    spaces: dict[str, Any] = {name: distribution(knob) for name, knob in knobs.items()}
    trials = [optuna.trial.create_trial(params=_only(base, knobs), distributions=spaces, value=0.0)]
    for arm, verdict in state.verdicts().items():
        change = state.changes[arm].change
        is_edit = bool(change.knobs) and change.knobs.keys() <= knobs.keys()
        if change.patch or not is_edit:
            continue
        value = FAILED if verdict.gain_forecast is None else -verdict.gain_forecast.mean
        params = _only({**base, **change.knobs}, knobs)
        trials.append(optuna.trial.create_trial(params=params, distributions=spaces, value=value))
    return trials


def _only(values: dict[str, Scalar], knobs: dict[str, Knob]) -> dict[str, Scalar]:
    return {name: values[name] for name in knobs}


def _rounded(value: Scalar) -> Scalar:
    """Keep three digits: more are noise, and a person reads them."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _show(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
