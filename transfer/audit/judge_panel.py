"""From runs of a panel to an audit: measure, compare every rung with the top, judge."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from miniscale.setting.decode import InputError
from miniscale.setting.setting import Kind
from miniscale.setting.trial import digest
from transfer.arm import FIRST_BASELINE
from transfer.arm_table import BASELINE
from transfer.audit import agreement, traffic_light
from transfer.audit.agreement import Array
from transfer.audit.audit_result import Audit, Drifter, RungAudit, Slope
from transfer.audit.load_panel_runs import Runs
from transfer.belief.panel_prior import (
    Effects,
    PanelEffects,
    TopForecast,
    conformal_factor,
    estimate_misfit,
    learn_from_panel,
    score_forecasts,
)
from transfer.belief.posterior import Model
from transfer.change import Change
from transfer.events import Effect
from transfer.ladder import Ladder
from transfer.ladder_trust import Light
from transfer.measure.study_effects import Analysis

CLEAR = 2.0
"""Standard errors from which an effect is called clear."""
DRIFTS = 3.0
"""Standard errors from which an effect is said to change over the rungs."""
FEWEST_LAWS = 3
"""Rungs below the target from which these alone make the baseline's law."""


@dataclass(frozen=True)
class MeasuredPanel:
    """A panel's effects and the noise behind them, on rungs where the baseline has runs."""

    ladder: Ladder
    analysis: Analysis
    changes: Mapping[str, Change]
    effects: Effects
    notes: tuple[str, ...]

    def of(self, rung: str) -> dict[str, Effect]:
        """Return the effects on a rung by change."""
        return {a: e for a, known in self.effects.items() for e in known if e.rung == rung}

    def below(self, rung: str) -> dict[str, tuple[Effect, ...]]:
        """Return the effects on all rungs below one, of changes that have any."""
        place = self.ladder.index(rung)
        names = {r.name for r in self.ladder.rungs[:place]}
        found = {a: tuple(e for e in k if e.rung in names) for a, k in self.effects.items()}
        return {arm: known for arm, known in found.items() if known}


def measure(ladder: Ladder, runs: Runs) -> MeasuredPanel:
    """Measure a panel as a study measures changes; rungs without a number are dropped.

    Raises
    ------
    InputError
        If no rung has runs of the baseline and of a change.
    """
    usable, notes = [], list(runs.notes)
    for rung in ladder.rungs:
        there = [run for run in runs.runs if run.rung == rung.name]
        base = any(r.arm == BASELINE and r.value is not None for r in there)
        tried = {r.arm for r in there if r.arm != BASELINE}
        left = {r.arm for r in there if r.arm != BASELINE and r.value is not None}
        if base and left:
            usable.append(rung)
        elif there:
            why = "no change left a number" if base else "the baseline left no number"
            notes.append(f"{rung.name}: {why}; the rung is left out")
        failed = sorted(tried - left) if left else []
        if failed:
            notes.append(f"{rung.name}: {', '.join(failed)} failed there and is not compared")
    if not usable:
        raise InputError(
            f"audit of {ladder.name}: no rung has runs of both the baseline and a change; run the "
            "panel first"
        )
    ladder = replace(ladder, rungs=tuple(usable), target=max(ladder.target, usable[-1].scale))
    state = runs.on(rung.name for rung in usable).state(ladder)
    analysis = Analysis(ladder, state)
    effects = {arm: analysis.effects(state.changes[arm].proposed) for arm in runs.changes}
    measured_effects = {arm: known for arm, known in effects.items() if known}
    return MeasuredPanel(ladder, analysis, runs.changes, measured_effects, tuple(notes))


def audit(ladder: Ladder, runs: Runs, *, seed: int = 0) -> Audit:
    """Audit a ladder by the runs of a panel; the highest rung with runs plays the target.

    Parameters
    ----------
    ladder
        The rungs to audit, a held-out one at the top if there is one.
    seed
        Of the resampling.
    """
    rng = np.random.default_rng(seed)
    measured = measure(ladder, runs)
    rungs = measured.ladder.rungs
    target = rungs[-1].name
    model = Model()
    scores: tuple[TopForecast, ...] = ()
    misfit = estimate_misfit(PanelEffects(measured.effects, measured.changes), model)
    if len(rungs) >= 2:
        below = _by_lower_law(measured, runs, measured.below(target))
        panel = PanelEffects(below, measured.changes, measured.of(target))
        scores = score_forecasts(panel, model)
        model = learn_from_panel(panel, model)
    found = Audit(
        ladder=ladder.name,
        digest=ladder.digest,
        panel=digest(sorted(c.content_digest("") for c in measured.changes.values())),
        target=target,
        n=len(measured.of(target)) if len(rungs) > 1 else len(measured.effects),
        rungs=tuple(_rung(measured, rung.name, target, rng) for rung in rungs),
        misfit=misfit.value,
        misfit_low=misfit.low,
        misfit_high=misfit.high,
        effect_scale=misfit.scale,
        drift=model.drift,
        conformal=conformal_factor([score.ratio for score in scores]),
        scores=scores,
        drifters=drifters(measured),
        start="",
        light=Light.AMBER,
        reasons=(),
        advice=(),
        notes=measured.notes,
        content=ladder.content(),
    )
    return traffic_light.judge(found, ladder)


def _by_lower_law(measured: MeasuredPanel, runs: Runs, below: Effects) -> Effects:
    """Return the effects below the target by a law that has not seen it, given rungs enough."""
    lower = measured.ladder.rungs[:-1]
    if len(lower) < FEWEST_LAWS:
        return below
    names = [rung.name for rung in lower]
    return measure(replace(measured.ladder, rungs=lower), runs.on(names)).effects


def _rung(measured: MeasuredPanel, name: str, target: str, rng: np.random.Generator) -> RungAudit:
    rung, analysis = measured.ladder.rung(name), measured.analysis
    noise, here, there = analysis.noise(name), measured.of(name), measured.of(target)
    slope = analysis.baseline_law(FIRST_BASELINE).slopes[name]
    gains = np.array([effect.gain for effect in here.values()])
    own = np.array([agreement.own_variance(effect) for effect in here.values()])
    spread = float(np.var(gains, ddof=1)) if len(gains) > 1 else 0.0
    seeds, base = rung.seeds, rung.baseline_seeds
    nats = noise.sd / slope
    found = RungAudit(
        rung=name,
        scale=rung.scale,
        cost=rung.cost,
        n=len(here),
        noise=nats,
        noise_df=noise.df,
        rho=noise.rho,
        planned_se=agreement.planned_se(nats, noise.rho, seeds=seeds, baseline_seeds=base),
        detectable=agreement.detectable(nats, noise.rho, seeds=seeds, baseline_seeds=base),
        signal=max(spread - float(own.mean()), 0.0) ** 0.5,
        slope=slope,
        seeds=seeds,
        baseline_seeds=base,
    )
    both = [arm for arm in here if arm in there]
    if name == target or len(both) < 2:
        return found
    return _compared(found, measured, [(here[a], there[a]) for a in both], both, rng)


def _compared(
    found: RungAudit,
    measured: MeasuredPanel,
    pairs: list[tuple[Effect, Effect]],
    arms: list[str],
    rng: np.random.Generator,
) -> RungAudit:
    """Add how a rung compares with the target."""
    alike = agreement.compare_rungs(pairs, rng)
    lower, upper, low_own = alike.lower, alike.upper, alike.lower_variance
    z = np.array([[a.gain / a.gain_se, b.gain / b.gain_se] for a, b in pairs])
    is_clear = (np.abs(z) > CLEAR).all(axis=1)
    distance = pairs[0][1].position - pairs[0][0].position
    moved = float(np.var(upper - lower, ddof=1)) - float((low_own + alike.upper_variance).mean())
    kinds = np.array([measured.changes[arm].kind for arm in arms])
    return replace(
        found,
        accuracy=alike.accuracy,
        low=alike.low,
        high=alike.high,
        transfer=alike.clean,
        transfer_low=alike.clean_low,
        spearman=agreement.spearman(lower, upper),
        won_then_lost=int((is_clear & (z[:, 0] > 0) & (z[:, 1] < 0)).sum()),
        lost_then_won=int((is_clear & (z[:, 0] < 0) & (z[:, 1] > 0)).sum()),
        n_clear=int(is_clear.sum()),
        drift=max(moved, 0.0) ** 0.5 / distance,
        persistence=tuple(
            _slope(kind, lower, upper, low_own, kinds, rng) for kind in ("all", *Kind)
        ),
    )


def _slope(
    kind: str,
    lower: Array,
    upper: Array,
    variances: Array,
    kinds: "np.ndarray[tuple[int, ...], np.dtype[np.str_]]",
    rng: np.random.Generator,
) -> Slope:
    chosen = np.full(len(lower), True) if kind == "all" else kinds == kind
    parts = lower[chosen], upper[chosen], variances[chosen]
    n = int(chosen.sum())
    value = agreement.persistence(*parts)
    ends = agreement.bootstrap_persistence(*parts, rng) if value is not None else None
    if ends is None:
        return Slope(str(kind), n, value)
    return Slope(str(kind), n, value, *ends)


def drifters(measured: MeasuredPanel) -> tuple[Drifter, ...]:
    """Return changes that are clear on their lowest rung and not the same higher up.

    Their effect moves by more than 3 standard errors from the lowest to the highest rung, misfit
    counted, and loses more than half of itself or crosses zero.
    """
    found = []
    for arm, known in measured.effects.items():
        first, last = known[0], known[-1]
        if first is last or abs(first.gain) <= CLEAR * first.gain_se:
            continue
        misfit = sum((0.2 * e.gain) ** 2 + 0.004**2 for e in (first, last))
        z = (last.gain - first.gain) / (first.gain_se**2 + last.gain_se**2 + misfit) ** 0.5
        if abs(z) > DRIFTS and last.gain / first.gain < 0.5:
            change = measured.changes[arm]
            category = change.category or "no category"
            kind = str(change.kind)
            found.append(Drifter(arm, category, kind, first.gain, last.gain, z))
    return tuple(found)
