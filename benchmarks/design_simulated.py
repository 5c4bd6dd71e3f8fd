"""Design ladders for simulated settings whose faithful path is known; count what is found.

    python benchmarks/design_simulated.py [N]     # default 100

Each world is a training of its own mechanism (benchmarks/simulated_setting.py): six dials,
fourteen changes of six kinds, one path that is faithful and five that are broken in one way
each. A trial may cost a fortieth of the expensive form.
"""

import json
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import simulated_setting as planted

from transfer.design.race.race_setup import Ask
from transfer.design.run_design import design

RESULTS = Path(__file__).parent / "results" / "design_simulated.json"


def played(seed: int) -> dict[str, Any]:
    """Design for one world and return what came of it."""
    known = planted.world(seed)
    changes = {name: change for name, (change, _) in known.panel.items()}
    found = design(
        planted.ladder_of(known), planted.form_of(known), planted.paths(), changes,
        planted.SimLab(known), Ask(limit=known.seconds / 40, by_seconds=True),
    )  # fmt: skip
    chosen = found.chosen
    told = {verdict.path: verdict for verdict in found.verdicts}
    return {
        "seed": seed,
        "chosen": chosen.cell.path if chosen else None,
        "cheaper": found.top_price / chosen.price if chosen else None,
        "accuracy": list(chosen.judged.gate) if chosen and chosen.judged else None,
        "true_accuracy": planted.truth(known, chosen.cell) if chosen else None,
        "named": {
            path: told[path].topic in topics and told[path].fate == "broken"
            for path, topics in planted.PLANTED.items()
        },
        "fates": {path: [str(one.fate), one.topic] for path, one in told.items()},
        "share_of_exhaustive": found.spent / found.exhaustive,
        "share_without_reference": (found.spent - found.spent_on_top)
        / (found.exhaustive - found.spent_on_top),
        "rule": [found.rules[0].exponent, found.rules[0].low, found.rules[0].high],
        "true_rule": -known.rate_power,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count over all worlds."""
    done = [row for row in rows if row["accuracy"]]
    inside = [row["accuracy"][1] <= row["true_accuracy"] <= row["accuracy"][2] for row in done]
    covered = [row["rule"][1] <= row["true_rule"] <= row["rule"][2] for row in rows]
    return {
        "worlds": len(rows),
        "chosen": Counter(str(row["chosen"]) for row in rows),
        "named": {p: sum(row["named"][p] for row in rows) for p in planted.PLANTED},
        "fates": {
            path: Counter(
                " ".join(row["fates"][path]).strip() for row in rows if path in row["fates"]
            )
            for path in planted.PATHS
        },
        "share_of_exhaustive": statistics.fmean(row["share_of_exhaustive"] for row in rows),
        "largest_share": max(row["share_of_exhaustive"] for row in rows),
        "share_without_reference": statistics.fmean(r["share_without_reference"] for r in rows),
        "cheaper": statistics.median(row["cheaper"] for row in done),
        "true_accuracy_of_chosen": statistics.fmean(row["true_accuracy"] for row in done),
        "stated_accuracy": statistics.fmean(row["accuracy"][0] for row in done),
        "true_accuracy_in_interval": statistics.fmean(inside),
        "rule_in_interval": statistics.fmean(covered),
    }


def main(n: int) -> None:
    rows = []
    for seed in range(n):
        rows.append(played(seed))
        print(json.dumps(rows[-1]), flush=True)
        if (seed + 1) % 10 == 0 or seed + 1 == n:
            text = json.dumps({**summary(rows), "rows": rows}, indent=1)
            RESULTS.write_text(text + "\n")
    print(json.dumps(summary(rows), indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
