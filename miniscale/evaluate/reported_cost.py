"""What a trainer says it spent: its word, which docs/trust.md says how we bound."""

from pathlib import Path

from miniscale.evaluate.refusal import TamperedError
from miniscale.setting.read_metrics import ReadingError, load_json

MOST = 1 << 53  # beyond, a float no longer tells whole numbers apart
NEXT = "let train.py write what it trained on"


def read_reported_cost(out: Path, name: str) -> int:
    """The whole number under a name of ``trainer.json``.

    Raises
    ------
    TamperedError
        If the file is not there or no plain JSON, or the number is missing or no such number.
    """
    try:
        value = load_json(str(out / "trainer.json")).get(name)
    except ReadingError as error:
        raise TamperedError(f"files: {error}; {NEXT}") from None
    if type(value) is not int or not 1 <= value < MOST:
        rule = f"must be a whole number from 1 to {MOST:.2g}"
        raise TamperedError(f"files: trainer.json: {name} {str(value)[:60]!r}, {rule}; {NEXT}")
    return value
