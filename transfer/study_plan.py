"""Options of a study's search: budget, rounds, exam share, trust in its ladder."""

from dataclasses import dataclass, field

from miniscale.setting.decode import Count, Positive
from transfer.ladder_trust import Trust


@dataclass(frozen=True)
class RoundRule:
    """When the baseline moves to the working head: whichever comes first."""

    accepts: Count = 3
    changes: Count = 150
    budget_share: Positive = 0.34


@dataclass(frozen=True)
class StudyPlan:
    """How a study searches; a change of any of it is another study."""

    seed: int = 0
    in_flight: int = 4
    budget: float = 1.0
    """In the ladder's unit."""
    round: RoundRule = RoundRule()
    idea_cost: float = 0.0
    """What each new idea takes from the budget, in the ladder's unit."""
    tops_up: bool = False
    """Whether baselines get more seeds as more changes are measured against them."""
    trust: Trust = field(default_factory=Trust)
    """What an audit found of the ladder: what policy, exam and ablation may believe of it."""
    exam_share: float = 0.0
    """Share of the budget that comparing the head with the first baseline may take at the end."""
