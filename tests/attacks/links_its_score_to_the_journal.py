"""Links the evaluation to the journal, so that the evaluator writes there."""

import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.honest()
    for journal in toy.guesses("journal.jsonl"):
        link = toy.out() / "evaluation.json"
        link.unlink(missing_ok=True)
        link.symlink_to(journal)
        if journal.exists():
            break
