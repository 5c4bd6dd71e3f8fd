"""``python -m transfer rejudge STUDY``: every verdict again, from the journal alone."""

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from miniscale.setting.records import decode_record
from transfer.events import VerdictReached
from transfer.journal.load import load
from transfer.ladder_trust import Trust
from transfer.policy.registry import decode_policy, expecting
from transfer.study.judge_again import rejudge
from transfer.study_plan import RoundRule, StudyPlan


def run(arguments: Namespace) -> list[str]:
    """Take every decision again and say which verdicts differ from the stored ones."""
    loaded = load(arguments.study)
    record = json.loads(loaded.folder.config.read_text())
    config = record["config"]
    policy = expecting(
        decode_policy(arguments.policy or config["policy"]), int(config["budget"]["changes"])
    )
    plan = read_plan(config, record["content"]["trust"], budget=loaded.budget)
    again = rejudge(loaded.ladder, loaded.events, policy=policy, plan=plan)
    stored = loaded.state.verdicts()
    lines = [
        f"{arm:<4} {describe(stored[arm])}, now {describe(again.get(arm))}"
        for arm in stored
        if not is_same(stored[arm], again.get(arm))
    ]
    n_same = len(stored) - len(lines)
    by = f"policy {policy.name}, trust {plan.trust.light}"
    return [*lines, f"{n_same} of {len(stored)} verdicts of {loaded.name} come out again ({by})"]


def read_plan(config: Mapping[str, Any], trust: Mapping[str, Any], *, budget: float) -> StudyPlan:
    """Return the plan that a study began with, from its stored configuration."""
    study = config["study"]
    return StudyPlan(
        seed=study["seed"],
        in_flight=study["in_flight"],
        budget=budget,
        round=RoundRule(**config["round"]),
        idea_cost=study["idea_cost"],
        tops_up=study["tops_up"],
        trust=decode_record(Trust, trust),
        exam_share=config["budget"]["exam_share"],
    )


def is_same(stored: VerdictReached, again: VerdictReached | None) -> bool:
    """Whether outcome, effects and forecast are equal to the last digit."""
    return again is not None and (again.outcome, again.effects, again.gain_forecast) == (
        stored.outcome,
        stored.effects,
        stored.gain_forecast,
    )


def describe(verdict: VerdictReached | None) -> str:
    """Say a verdict in a line, or that there is none."""
    if verdict is None:
        return "none: it asks for runs that were not made"
    forecast = verdict.gain_forecast
    return f"{verdict.outcome}{f', odds {forecast.odds:.2f}' if forecast else ''}"
