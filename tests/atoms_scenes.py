"""Small ladders, effects and views of the study for the tests of the atoms."""

from collections.abc import Mapping
from pathlib import Path

from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind, Knob, Setting
from miniscale.setting.trial import Cause, MetricSource, Objective, TrialState
from transfer.change import Change
from transfer.events import Effect, Outcome, VerdictReached
from transfer.failure import Failure
from transfer.ladder import Ladder
from transfer.ladder_trust import Light, Trust
from transfer.measure.noise import Noise
from transfer.policy.protocol import ChangeView, Evidence, StudyView

GREEN = Trust(light=Light.GREEN)
SCALES = (1.0, 6.0, 36.0, 216.0)
LR = Knob("lr", 0.01, Kind.HYPERPARAMETER, low=1e-5, high=1.0, is_log=True)


def ladder(scales: tuple[float, ...] = SCALES, *, target: float = 2160.0) -> Ladder:
    """Return a ladder of rungs r0, r1 and so on with one numeric hyper-parameter."""
    setting = Setting(
        name="toy",
        about="",
        source=Path("nowhere"),
        prepare=(),
        command=("true",),
        evaluator=(),
        objective=Objective("loss", True, MetricSource(file="loss.json", key="loss")),
        editable=(),
        locked=(),
        env={},
        knobs={"lr": LR},
    )
    rungs = tuple(Rung(f"r{n}", scale, scale) for n, scale in enumerate(scales))
    return Ladder("toy", "", setting, rungs, "target", target, "compute", "units", 4000.0, ())


def effect(place: int, gain: float, *, se: float = 0.01, shared: float = 0.0, n: int = 1) -> Effect:
    """Return an effect on rung r<place> of the ladder above."""
    name, position = f"r{place}", ladder().position(SCALES[place])
    return Effect(name, position, n, n, 4, 0.1 * gain, 0.1 * se, gain, se, shared)


def idea(name: str = "idea", kind: Kind = Kind.STRUCTURAL) -> Change:
    """Return a change by patch."""
    return Change(title=name, kind=kind, patch=name)


def change_view(
    arm: str,
    effects: tuple[Effect, ...],
    *,
    change: Change | None = None,
    outcome: Outcome | None = None,
    base: str = "b0",
    failure: Failure | None = None,
) -> ChangeView:
    """Return a standing, judged if an outcome is given."""
    verdict = None if outcome is None else VerdictReached(arm, outcome, effects, None, ())
    return ChangeView(arm, base, change or idea(arm), effects, failure, verdict)


def view(
    *change_views: ChangeView,
    spent: float = 100.0,
    budget: float = 4000.0,
    sd: float = 0.02,
    trust: Trust = GREEN,
) -> StudyView:
    """Return a view of the study in which a run's noise is ``sd`` nats on every rung."""
    names = [f"r{n}" for n in range(len(SCALES))]
    noise: Mapping[str, Noise] = {name: Noise(0.1 * sd, 20, 0.5, 8) for name in names}
    return StudyView(
        change_views={s.arm: s for s in change_views},
        spent=spent,
        budget=budget,
        noise=noise,
        slopes=dict.fromkeys(names, 0.1),
        ladder=ladder(),
        trust=trust,
        spent_closing=sum(
            seen.n * ladder().rung(seen.rung).cost
            for s in change_views
            if s.change.members
            for seen in s.effects
        ),
    )


def evidence(
    effects: tuple[Effect, ...],
    *,
    change: Change | None = None,
    at: StudyView | None = None,
    failure: Failure | None = None,
    arm: str = "c1",
) -> Evidence:
    """Return the evidence for one change."""
    return Evidence(ladder(), change or idea(), effects, failure, arm, at or view())


def crash_on(rung: str) -> Failure:
    """Return a planted crash on a rung."""
    return Failure(rung, 0, TrialState.FAILED, Cause.CRASH, "planted")
