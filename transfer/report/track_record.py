"""How far this framework's own words can be trusted: every forecast and odds, scored.

Over all studies under a folder: forecasts of the next rung against what the rung showed, and claims
at the target against runs made there after all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.setting.rung import Rung
from scaling import local_slope
from transfer.events import Action, Effect, GainForecast
from transfer.journal.load import Loaded, load
from transfer.measure.effect import effect
from transfer.measure.noise import Losses
from transfer.measure.study_effects import Analysis
from transfer.report.findings import (
    Findings,
    ScoredForecast,
    Stack,
    hit_interval,
    name_kind,
    score_forecasts,
    survey,
)


@dataclass(frozen=True)
class NullChanges:
    """Null changes with a verdict: how many there were and how far they came."""

    n: int = 0
    passed_first: int = 0
    """Sent on from the lowest rung."""
    accepted: int = 0
    stated: float = 0.0
    """Sum of the stated odds of those accepted."""

    def __add__(self, other: "NullChanges") -> "NullChanges":
        return NullChanges(
            self.n + other.n,
            self.passed_first + other.passed_first,
            self.accepted + other.accepted,
            self.stated + other.stated,
        )


@dataclass(frozen=True)
class TrackRecord:
    """All that was said in some studies and has been resolved."""

    scored: tuple[ScoredForecast, ...] = ()
    null_changes: NullChanges = NullChanges()
    studies: tuple[str, ...] = ()
    open_claims: int = 0
    """Verdicts with odds whose change has no run at the target."""
    notes: tuple[str, ...] = field(default=())


def survey_root(root: Path) -> TrackRecord:
    """Score every study under a folder; one that cannot be read is a note.

    Raises
    ------
    InputError
        If there is no study at all.
    """
    root = root.expanduser().resolve()
    paths = sorted(path.parent for path in root.rglob("study.json"))
    if not paths:
        raise InputError(f"{root}: no study under it; name the folder that studies lie in")
    record = TrackRecord()
    for path in paths:
        try:
            added = score(load(path))
        except InputError as error:
            record = replace(record, notes=(*record.notes, f"{path.name} is left out: {error}"))
            continue
        record = TrackRecord(
            scored=(*record.scored, *added.scored),
            null_changes=record.null_changes + added.null_changes,
            studies=(*record.studies, *added.studies),
            open_claims=record.open_claims + added.open_claims,
            notes=(*record.notes, *added.notes),
        )
    return record


def score(loaded: Loaded) -> TrackRecord:
    """Score one study's forecasts, claims and A/A controls."""
    findings = survey(loaded.ladder, loaded.state)
    claims, notes = target_claims(loaded, findings)
    resolved = {claim.arm for claim in claims}
    verdicts = [v for v in loaded.state.verdicts().values() if v.gain_forecast is not None]
    return TrackRecord(
        scored=(*findings.scored, *claims),
        null_changes=null_changes(loaded),
        studies=(loaded.name,),
        open_claims=sum(verdict.arm not in resolved for verdict in verdicts),
        notes=notes,
    )


# -- the target ----------------------------------------------------------------------------


def target_losses(loaded: Loaded, arm: str) -> Losses:
    """Return an arm's losses at the target by seed, from runs made elsewhere."""
    loss = loaded.ladder.setting.objective.loss
    runs = loaded.state.trials.at_target.get(arm, {})
    return {seed: loss(r.value) for seed, r in runs.items() if r.value is not None}


def target_effect(loaded: Loaded, arm: str, base: str, analysis: Analysis) -> Effect | None:
    """Measure an arm at the target as on any rung; None without runs of both.

    The noise of a run there is taken from the top rung, in nats of compute.
    """
    baseline, change = target_losses(loaded, base), target_losses(loaded, arm)
    if not baseline or not change:
        return None
    ladder, name = loaded.ladder, loaded.ladder.target_name
    baseline_law, top = (
        analysis.baseline_law(base),
        [r for r in ladder.rungs if analysis.losses(base, r.name)][-1],
    )
    mean = math.fsum(baseline.values()) / len(baseline)
    slope = baseline_law.slopes[top.name]
    if baseline_law.laws:
        slope = local_slope(baseline_law.laws, baseline_loss=mean, slope=slope)
    noise = analysis.noise(top.name)
    noise = replace(noise, sd=noise.sd / baseline_law.slopes[top.name] * slope)
    size = Rung(name=name, scale=ladder.target, cost=ladder.target)
    return effect(
        replace(ladder, rungs=(*ladder.rungs, size)),
        name,
        baseline=baseline,
        change=change,
        noise=noise,
        baseline_law=replace(baseline_law, slopes={**baseline_law.slopes, name: slope}),
    )


def target_claims(
    loaded: Loaded, findings: Findings
) -> tuple[list[ScoredForecast], tuple[str, ...]]:
    """Score verdicts, and the stack, by runs at the target."""
    state = loaded.state
    if not state.trials.at_target:
        return [], ()
    analysis = Analysis(loaded.ladder, state)
    scored: list[ScoredForecast] = []
    notes: list[str] = []
    for arm in state.trials.at_target:
        if arm in state.bases:
            if arm != state.first_base and findings.stack is not None:
                came = target_effect(loaded, arm, state.first_base, analysis)
                scored += [_resolve(arm, "stack", "stack", findings.stack, came)] if came else []
            continue
        proposed, verdict = state.changes[arm], state.changes[arm].verdict
        came = target_effect(loaded, arm, proposed.base, analysis)
        if came is None:
            notes.append(
                f"{loaded.name}: {arm} has a run at {loaded.ladder.target_name} and its baseline "
                f"{proposed.base} has none; import that too"
            )
        elif verdict is not None and verdict.gain_forecast is not None:
            forecast, kind = verdict.gain_forecast, name_kind(proposed.change)
            scored.append(_resolve(arm, "target", kind, forecast, came))
    return scored, tuple(notes)


def _resolve(
    arm: str, what: str, kind: str, forecast: GainForecast | Stack, came: Effect
) -> ScoredForecast:
    mean, low, high, odds = forecast.mean, forecast.low, forecast.high, forecast.odds
    return ScoredForecast(arm, what, kind, mean, low, high, odds, came)


def null_changes(loaded: Loaded) -> NullChanges:
    """Count null changes, those sent on from the lowest rung and those accepted."""
    state, lowest = loaded.state, loaded.ladder.rungs[0].name
    judged = [
        verdict for arm, verdict in state.verdicts().items() if state.changes[arm].change.is_control
    ]
    sent = {d.arm for d in state.decisions if d.action is Action.PROMOTE and d.rung != lowest}
    taken = [verdict for verdict in judged if verdict.outcome.is_accepted]
    return NullChanges(
        n=len(judged),
        passed_first=sum(v.arm in sent or v.outcome.is_accepted for v in judged),
        accepted=len(taken),
        stated=sum(v.gain_forecast.odds for v in taken if v.gain_forecast is not None),
    )


# -- words ---------------------------------------------------------------------------------


def lines(record: TrackRecord) -> list[str]:
    """Tell a record as a person reads it."""
    n = len(record.studies)
    text = [f"record   {n} {'study' if n == 1 else 'studies'}: {', '.join(record.studies)}"]
    if record.scored:
        text.append(
            f"{'said of':<12}{'kind':<16}{'n':>5}{'hit':>6}{'80 % of rate':>14}{'Brier':>8}"
            f"{'odds':>7}{'gained':>8}{'width':>8}{'mean miss':>11}"
        )
    for what in ("next rung", "target", "stack"):
        there = [told for told in record.scored if told.what == what]
        kinds = sorted({told.kind for told in there})
        if len(kinds) > 1:
            text.append(row(what, "all", there))
        text += [row(what, kind, [t for t in there if t.kind == kind]) for kind in kinds]
    if not record.scored:
        text.append("         nothing that was said has been resolved yet")
    else:
        text += [
            "hit      share in the 80 % interval; Brier: of the odds of a gain, 0 best, .25 knows",
            "         nothing; odds: mean stated; gained: how many did; width: of the interval,",
            "         in nats; mean miss: came minus said, in nats",
        ]
    text.append(control_line(record.null_changes))
    if record.open_claims:
        text.append(
            f"open     {record.open_claims} verdicts wait for a run at the target: "
            "python -m transfer import STUDY TABLE"
        )
    return text + [f"note     {note}" for note in record.notes]


def row(what: str, kind: str, scored: Sequence[ScoredForecast]) -> str:
    """Score one kind of forecast in a line."""
    score = score_forecasts(scored)
    low, high = score.hit_interval
    return (
        f"{what:<12}{kind:<16}{score.n:>5}{score.hit_rate:>6.0%}{f'{low:.0%} - {high:.0%}':>14}"
        f"{score.brier:>8.3f}{score.odds:>7.2f}{score.gained:>8.2f}{score.width:>8.3f}"
        f"{score.miss:>+11.4f}"
    )


def control_line(controls: NullChanges) -> str:
    """Say how null changes fared."""
    if not controls.n:
        return "null      none: no study ran a null change, so false positives are only stated"
    _, most = hit_interval(controls.accepted, controls.n)
    stated = (
        f", with mean odds {controls.stated / controls.accepted:.2f}" if controls.accepted else ""
    )
    return (
        f"null      {controls.n} null changes: {controls.passed_first} passed the lowest rung "
        f"({controls.passed_first / controls.n:.0%}), {controls.accepted} accepted{stated} "
        f"(at most {most:.0%} by its 80 % interval)"
    )
