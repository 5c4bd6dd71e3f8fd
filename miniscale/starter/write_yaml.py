"""A draft as two YAML files, short enough to be read and changed by hand."""

import json
import os
import re
import textwrap
from pathlib import Path

from miniscale.setting.trial import Scalar
from miniscale.starter.draft import RUNGS, Draft
from miniscale.starter.options import ProgramOption

COLUMNS = 118
_SHARE = re.compile(r"beta|momentum|dropout|alpha|gamma|smooth|subsample|frac|ratio|warm")
NO_METRIC = "loss"
"""What the objective is called where no number was seen; its line is to be corrected by hand."""


def setting_yaml(draft: Draft, out: Path) -> str:
    """Write the setting; what was guessed is marked with a question mark."""
    lines = [
        "# Written by `python -m miniscale init`; '?' marks what is guessed. Change it freely.",
        f"name: {draft.name}",
        f"source: {_source(draft.source, out)}",
        *_flow("command: [", [json.dumps(word, ensure_ascii=False) for word in draft.command], "]"),
        _objective(draft),
        _editable(draft),
    ]
    if draft.env:
        lines.append(f"env: {json.dumps(dict(draft.env))}")
    if draft.reads:
        words = ["{cache}", *(str(path) for path in draft.reads)]
        lines += _flow("reads: [", [json.dumps(word, ensure_ascii=False) for word in words], "]")
    if draft.is_seeded_by_us:
        lines.append("seeding: auto   # random, numpy and torch, before it starts")
    if draft.constants:
        lines.append("constants:   # set in each trial's own tree, after the change's edits")
        for file, values in draft.constants.items():
            words = [f"{_key(name)}: {json.dumps(value)}" for name, value in values.items()]
            lines += _flow(f"  {file}: {{", words, "}")
    if draft.knobs:
        lines.append("knobs:   # what a change may set; ranges?")
        lines += [_fitting(f"  {knob.key}: {_knob(knob)}") for knob in draft.knobs]
    lines += [f"# look: {note[: COLUMNS - 8]}" for note in draft.notes]
    return "\n".join(lines) + "\n"


def ladder_yaml(draft: Draft) -> str:
    """Write the ladder of three rungs, the lowest as the run that was shown."""
    scales = draft.scales
    by = " x ".join(
        dial.option.key + (f"^{dial.power:g}" if dial.power != 1 else "")
        for dial in draft.dials
        if dial.power
    )
    lines = [
        f"defaults: [/setting: {draft.name}, _self_]",
        f"name: {draft.name}",
        f"scale: {{name: work, unit: small runs}}   # grows as {by or 'nothing'}? or give FLOPs",
        f"target: {{name: target, scale: {4 * scales[-1]:.4g}}}   # never run; yours?",
        "rungs:",
    ]
    for place, rung in enumerate(RUNGS):
        params = {dial.option.key: dial.values[place] for dial in draft.dials}
        words = [f"{name}: {value}" for name, value in params.items()]
        time = ""
        if draft.seconds:
            seconds = draft.seconds * scales[place]
            time = f"seconds: {seconds:.2g}, timeout_s: {max(10 * seconds, 120):.0f}, "
        lines.append(
            f"  {rung}: {{scale: {scales[place]:.4g}, {time}params: {{{', '.join(words)}}}}}"
        )
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _source(source: Path, out: Path) -> str:
    relative = os.path.relpath(source, out)
    return json.dumps(str(source) if relative.count("..") > 2 else relative, ensure_ascii=False)


def _objective(draft: Draft) -> str:
    if not draft.metrics:
        line = json.dumps(f"{NO_METRIC}: {{number}}")
        return (
            f"objective: {{name: {NO_METRIC}, direction: minimize, line: {line}}}"
            "   # ? no run was seen: what does it print last?"
        )
    metric = draft.metrics[0]
    direction = "minimize" if metric.is_minimized else "maximize"
    others = ", ".join(repr(other.line) for other in draft.metrics[1:3])
    value = f"last {metric.value}" if draft.seconds else "read off the source"
    seen = value + (f"; or {others}" if others else "")
    line = json.dumps(metric.line, ensure_ascii=False)
    return (
        f"objective: {{name: {metric.name}, direction: {direction}, line: {line}}}   # ? {seen}"
    )[:COLUMNS]


def _editable(draft: Draft) -> str:
    more = f" it imports {', '.join(draft.editable[2:5])} too" if draft.editable[2:] else ""
    files = ", ".join(draft.editable[:2])
    return f"editable: [{files}]   # what a change may edit?{more}"[:COLUMNS]


def _fitting(line: str) -> str:
    """Leave out what is said about a knob where the line would be too long."""
    return line if len(line) <= COLUMNS else re.sub(r', about: ".*"\}$', "}", line)


def _flow(head: str, words: list[str], tail: str) -> list[str]:
    """Write a list over as many lines as it takes."""
    text = head + ", ".join(word.replace(" ", "\x00") for word in words) + tail
    wrapped = textwrap.wrap(
        text, COLUMNS, subsequent_indent=" " * (len(head) - len(head.lstrip()) + 4),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\x00", " ") for line in wrapped]


def _knob(knob: ProgramOption) -> str:
    """Write a knob with a range of ten times either way, shares below one."""
    default: Scalar = knob.default if knob.default is not None else 0.0
    number = knob.number or 0.0
    about = f", about: {json.dumps(knob.about, ensure_ascii=False)}" if knob.about else ""
    if knob.choices:
        return f"{{default: {default}, choices: {json.dumps(list(knob.choices))}{about}}}"
    low, high = number / 10, number * 10
    is_share = bool(_SHARE.search(knob.key.lower())) and number < 1
    if is_share and number >= 0.5:  # close to one, as a decay of averages is
        low, high = 1 - min(5 * (1 - number), 1), 1 - (1 - number) / 10
    elif is_share:
        high = min(high, 0.9)
    if isinstance(default, int):
        low, high = max(round(number / 4), 1), number * 4
    is_log = low > 0 and not (is_share and number >= 0.5)
    log = ", log: true" if is_log else ""
    return f"{{default: {default}, low: {low:.4g}, high: {high:.4g}{log}{about}}}"
