"""Which number that a program printed is its objective: a guess, by what the lines call it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_LINES = 20_000
_PAIR = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_@/.()\-]*(?: [A-Za-z][A-Za-z0-9_@/.()\-]*){0,2})"
    r"(?P<between>['\"]?\s*[:=]\s*|\s+)"
    r"(?P<number>[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)\b)"
)
_HELD_OUT = re.compile(r"(?i)\b(val|valid|validation|test|eval|held|dev)")
_METRIC = re.compile(
    r"(?i)(loss|bpb|bpc|nll|perplexity|ppl|error|err\b|rmse|mse|mae|acc|auc|f1|score|reward|return|"
    r"r2|map\b|bleu|rouge|psnr|iou|fid|cost\b|entropy|objective|metric)"
)
_UP = re.compile(
    r"(?i)(acc|auc|f1|score|reward|return|r2\b|map\b|bleu|rouge|psnr|iou|precision|recall)"
)
_BOUNDED = re.compile(r"(?i)(acc|auc|f1|r2\b|map\b|bleu|rouge|iou|precision|recall)")
_COST = re.compile(
    r"(?i)\b(time|sec|seconds|ms|it/s|lr|lrm|step|iter|epoch|mfu|tok|tokens|mem|memory|vram|params|"
    r"parameters|flops|depth|seed|size|batch|grad|norm|min|max|minimum|best)"
)


@dataclass(frozen=True)
class PrintedMetric:
    """A number with the text before it, as its last line has it."""

    name: str
    line: str
    """The text with ``{number}`` in the place of the number."""
    value: str
    is_minimized: bool
    is_bounded: bool
    """Whether its name is that of a share, which has a best value."""


def rank_metrics(output: str) -> list[PrintedMetric]:
    r"""Return what may be the objective, the likeliest first.

    Numbers on held-out data go first, then those called a loss or a score, then what comes last.

    >>> rank_metrics("iter 3: loss 4.1, time 9ms\nstep 4: train loss 4.2, val loss 4.3")[0].line
    'val loss {number}'
    """
    found: dict[str, tuple[float, PrintedMetric]] = {}
    for place, line in enumerate(_lines(output)):
        for metric, is_extreme in _in_line(line):
            weight = _weight(metric) + place * 1e-6 - 0.25 * is_extreme
            found[metric.line] = (weight, metric)
    ranked = sorted(found.values(), key=lambda each: -each[0])
    return [metric for weight, metric in ranked if weight > 1]


def _lines(output: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    lines = [line for line in re.split(r"[\r\n]+", plain) if line.strip()]
    return [line[:2000] for line in lines[-MOST_LINES:]]


def _in_line(line: str) -> Iterator[tuple[PrintedMetric, bool]]:
    """Yield the numbers of a line, each with whether it is the best of several."""
    for match in _PAIR.finditer(line):
        words = match["name"].split(" ")
        while len(words) > 1 and not (_HELD_OUT.match(words[0]) or _METRIC.search(words[0])):
            words.pop(0)  # words before the metric's own
        name = " ".join(words)
        text = re.sub(r"[{}]", ".", name) + re.sub(r"\s+", " ", match["between"]) + "{number}"
        metric = PrintedMetric(
            name=re.sub(r"\W+", "_", name).strip("_").lower(),
            line=text,
            value=match["number"],
            is_minimized=not _UP.search(name),
            is_bounded=bool(_BOUNDED.search(name)),
        )
        yield metric, bool(re.search(r"(?i)\b(min|minimum|best|max|maximum)", match["name"]))


def _weight(metric: PrintedMetric) -> float:
    words = metric.line.removesuffix("{number}").replace("_", " ")
    is_metric, is_held_out = bool(_METRIC.search(words)), bool(_HELD_OUT.search(words))
    if _COST.search(words) and not is_metric:
        return 0.0
    weight = 2.0 * is_metric + 1.0 * is_held_out - 0.5 * bool(_COST.search(words))
    return weight if is_metric else 0.0
