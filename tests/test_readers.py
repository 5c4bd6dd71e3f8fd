"""The number that a trial left is read whole, from wherever a program puts it, or refused."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_worker import run
from tiny_trials import spec

from miniscale.preflight.check import Standing
from miniscale.preflight.reading_checks import check_readings
from miniscale.process.logs import shown_end
from miniscale.process.number_token import compile_pattern, find_number, parse_number
from miniscale.run.reading.printed import LINE_CHARACTERS, LineSearch, Printed
from miniscale.setting.decode import InputError, decode
from miniscale.setting.read_metrics import ReadingError
from miniscale.setting.setting import Setting
from miniscale.setting.trial import MetricSource, ObjectiveKeys, Stream, TrialResult, TrialState

STDERR = MetricSource(line="acc {number}", stream=Stream.STDERR)
PATTERNS = ("error {number}", "error ([-+.e0-9]+)", r"error\s+(\d+)", r"error (\S+)")


def printed(pattern: str, *pieces: bytes, **more: Any) -> float:
    search = LineSearch(pattern, **more)
    output = Printed(search)
    for piece in pieces:
        output.feed(piece)
    output.finish()
    return search.number(where="standard output")


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("5,778.0", 5778.0),
        ("9.90E-01", 0.99),
        ("9.9e-1,", 0.99),
        ("-0.5", -0.5),
        ("1_000", 1000.0),
        ("1.5D+02", 150.0),
        ("12.5;", 12.5),
        ("12.", 12.0),
        ("nan", math.nan),
        ("NaN.", math.nan),
        ("-nan(ind)", math.nan),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
        ("1.#INF", math.inf),
    ],
)
def test_a_number_is_read_whole(pattern: str, said: str, value: float) -> None:
    found = printed(pattern, f"error 0.52\nerror {said}\n".encode())
    assert found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "said",
    ["0,52", "0.5,0.4", "3.2k", "1.2e", "0x1F", "5/100", "12:30", "1.2.3", "2024-01-05", "12'345",
     "1.5x10^-3", "1.5 × 10^-3", "0.123-100", "1\u202f234", "None"],
)  # fmt: skip
def test_what_may_be_another_number_is_refused_with_its_text(pattern: str, said: str) -> None:
    with pytest.raises(ReadingError) as refused:
        printed(pattern, f"error 0.52\nerror {said} \n".encode())
    assert repr(said) in str(refused.value)


def test_the_text_around_a_number_is_meant_as_it_is_written() -> None:
    for pattern, line, value in [
        ("val_bpb: {number}", "val_bpb:          0.9979", "0.9979"),
        ("val_bpb: {number}", "best_val_bpb: 0.9", None),
        ("loss: {number}", "val/loss: 0.9", None),
        ("loss (val): {number}", "step 3 loss (val): 2.5 (best 2.4)", "2.5"),
        ("took {number}s", "took 5,778.0s", "5,778.0"),
        ("a {number},", "a 5,778.0", None),
        ("a {number},", "a 0.5,0.4", "0.5"),
        (r"^step \d+: val {number}$", "step 12: val 3", "3"),
        (r"epoch-(\d+)", "epoch-12", "12"),
        (r"step (\d+)/100", "step 5/100", "5"),
        ("error {number}", "error .1 error .2", ".2"),
    ]:
        assert find_number(line, compile_pattern(pattern)) == value, (pattern, line)


def test_progress_bars_and_colours_are_looked_through() -> None:
    bar = b"\r 50%|### | loss 0.9\r100%|######| \x1b[1m\x1b[32mloss\x1b[0m \x1b[31m0.2\x1b[0m5\r\n"
    assert printed("loss {number}", bar) == 0.25
    assert printed("loss {number}", *(bytes([byte]) for byte in bar)) == 0.25
    assert printed("loss {number}", b"loss 0.9\x1b[1Gloss 0.5") == 0.5
    assert printed("loss {number}", b"x" * 10 * LINE_CHARACTERS + b" loss 4") == 4
    assert printed("loss {number}", "\ufeffloss 4".encode()) == 4


def test_an_end_is_demanded_where_it_is_said_how_it_is_marked() -> None:
    assert printed("error {number}", b"error 3\nerror 2\ndone\n", final="done") == 2
    assert printed("error {number}", b"error 3\nfinal error 2\n", final="final error") == 2
    assert printed("error {number}", b"error 2\ndone in 3 s", final="^done in {number} s") == 2
    for output in (b"error 2\n", b"done\nerror 2\n", b"abandoned 1\nerror 2\nundone\n"):
        with pytest.raises(ReadingError, match="no final value, no line with 'done'"):
            printed("error {number}", output, final="done")


def test_the_best_or_a_mean_can_be_meant() -> None:
    output = b"error 3\nerror 1\nerror nan\nerror 5\n"
    assert printed("error {number}", output, take="min") == 1
    assert printed("error {number}", output, take="max") == 5
    assert printed("error {number}", b"error 1\nerror 2\nerror 6\n", take="mean(2)") == 4
    assert math.isnan(printed("error {number}", output, take="mean(2)"))
    assert math.isnan(printed("error {number}", output + b"error nan", take="min"))
    with pytest.raises(ReadingError, match="4 values, needs 5"):
        printed("error {number}", output, take="mean(5)")
    best = decode(ObjectiveKeys, {"name": "r", "line": "r {number}", "direction": "maximize",
                                  "take": "best"}, "setting.objective")  # fmt: skip
    assert best.build().reading.take == "max"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "setting.objective.line: missing"),
        ({"line": "error"}, "has 0 groups, needs one around the number"),
        ({"line": "(a)(b)"}, "has 2 groups"),
        ({"line": "("}, "is no regular expression"),
        ({"line": "{number} {number}"}, "needs {number} once"),
        ({"file": "a.json"}, "needs one of 'key' and 'line'"),
        ({"file": "a", "key": "b", "line": "{number}"}, "needs one of 'key' and 'line'"),
        ({"key": "b"}, "file: missing for key 'b'"),
        ({"file": "../a.json", "key": "b"}, "must be a path inside the output folder"),
        ({"file": "{out}/a.json", "key": "b"}, "must be a path inside the output folder"),
        ({"file": "a", "key": "b", "stream": "stderr"}, "a file is read"),
        ({"line": "{number}", "take": "mean(0)"}, "must be last, best, min, max or mean"),
        ({"line": "{number}", "stream": "stdin"}, "must be one of stdout, stderr, both"),
    ],
)
def test_a_reader_that_cannot_work_is_refused_in_a_line(written: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        decode(ObjectiveKeys, {"name": "error", **written}, "setting.objective")
    assert said in str(refused.value)
    assert str(refused.value).startswith("setting.objective.")
    assert "\n" not in str(refused.value)


def test_a_run_that_ends_in_nan_diverged(tmp_path: Path) -> None:
    for pattern in PATTERNS:
        reading = MetricSource(line=pattern)
        for final in ("", "done"):
            marked = replace(reading, final=final)
            result = run(tmp_path, "print('error 0.52'); print('error nan')", reading=marked)
            assert result.state is TrialState.DIVERGED, pattern


def test_a_missing_end_fails_with_what_was_printed(tmp_path: Path) -> None:
    reading = MetricSource(line="error {number}", final="done")
    code = "import sys; print('error 0.52'); print('\\x1b[31mhalf\\rway\\x1b[0m', file=sys.stderr)"
    result = run(tmp_path, code, reading=reading)
    assert result.state is TrialState.FAILED
    last = result.reason.splitlines()[-1]
    assert last.startswith("no objective: standard output: no final value")
    assert "standard output ended with\nerror 0.52" in result.reason
    assert "standard error ended with\n\\x1b[31mhalf\\rway\\x1b[0m" in result.reason
    assert run(tmp_path, code + "; print('done')", reading=reading).value == 0.52
    silent = run(tmp_path, "pass", reading=reading)
    assert "nothing was printed" in silent.reason


@pytest.mark.parametrize(
    ("stream", "value"), [(Stream.STDOUT, 1.0), (Stream.STDERR, 2.0), (Stream.BOTH, 2.0)]
)
def test_either_output_or_both_can_hold_it(tmp_path: Path, stream: Stream, value: float) -> None:
    code = "import sys, time; print('error 1', flush=True); time.sleep(.2)"
    code += "; print('error 2', file=sys.stderr)"
    reading = MetricSource(line="error {number}", stream=stream)
    assert run(tmp_path, code, reading=reading).value == value


def test_an_evaluators_line_counts_and_not_the_trainers(tmp_path: Path) -> None:
    reading = MetricSource(line="error {number}")
    evaluator = spec(tmp_path, "print('error 2')").trainer
    more: dict[str, Any] = {"reading": reading, "extra_readings": {"e": reading}}
    result = run(tmp_path, "print('error 1')", evaluator=evaluator, **more)
    assert (result.value, result.metrics["e"]) == (2, 2)
    silent = spec(tmp_path, "pass").trainer
    result = run(tmp_path, "print('error 1')", evaluator=silent, **more)
    assert (result.state, result.value) == (TrialState.FAILED, None)


def test_a_hostile_line_costs_little() -> None:
    for line in ("-" * 16_000 + "a", "1," * 8_000, "error 1 " * 2_000, "error " + "1_" * 8_000):
        for pattern in PATTERNS:
            find_number(line, compile_pattern(pattern))
    assert len(shown_end(b"\x1b" * 100_000)) < 1_000
    with pytest.raises(ValueError, match="no number"):
        parse_number("9" * 5_000 + "k")


@given(
    st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=12), st.sampled_from(PATTERNS)
)
def test_pieces_change_nothing_and_no_output_breaks_the_reading(
    output: bytes, cuts: list[int], pattern: str
) -> None:
    output = output + b"\nerror 1.5" + output
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(output[at : at + cut])
        at += cut
    found = []
    for parts in ([output], [*pieces, output[at:]]):
        try:
            found.append(repr(printed(pattern, *parts)))
        except ReadingError as error:
            found.append(str(error))
    assert found[0] == found[1]


@given(
    st.text(st.sampled_from("0123456789.,eE+-nax_"), max_size=12),
    st.sampled_from(["{number}", r"(\S+)", r"([-+.e0-9]+)", r"(\d+)"]),
)
def test_a_part_of_a_number_is_never_read(said: str, group: str) -> None:
    token = find_number(f"error {said}", compile_pattern(f"error {group}"))
    if token is None:
        return
    try:
        value = parse_number(token)
    except ValueError:
        return
    rest = said.removeprefix(token)
    if re.match(r"[.,+-]*[a-zA-Z_]", rest[1:]) and rest[0] in ",.":
        return  # another word of the line: 0.5,acc
    whole = said.rstrip(".,+-")
    assert repr(value) == repr(parse_number(whole)), (said, token)


def test_a_number_printed_as_it_goes_is_said_before_a_study(tmp_path: Path) -> None:
    def told(line: str, output: str, **more: Any) -> list[str]:
        (tmp_path / "log.txt").write_text(output)
        reading = decode(ObjectiveKeys, {"name": "e", "line": line, **more}, "o").build()
        setting = Setting("s", tmp_path, ("true",), reading, metrics={"acc": STDERR})
        result = TrialResult("t", TrialState.COMPLETE, value=1.0, metrics={"acc": 1.0})
        return [check.found for check in check_readings(setting, [(result, tmp_path)])]

    going = "step 1 error 3\nstep 2 error 2\nerror 1\ndone\n"
    assert (
        "3 lines of a run match 'error {number}', the last 'error 1'"
        in told("error {number}", going)[0]
    )
    assert told("error {number}", going, final="done") == []
    assert told("^error {number}", going) == []
    assert told("error {number}", "error 1\n") == []


def test_a_metric_that_the_baseline_does_not_tell_is_said_before_a_study(tmp_path: Path) -> None:
    objective = decode(ObjectiveKeys, {"name": "e", "line": "e {number}"}, "o").build()
    setting = Setting("s", tmp_path, ("true",), objective, metrics={"acc": STDERR})
    silent = TrialResult("t", TrialState.COMPLETE, value=1.0)
    (check,) = check_readings(setting, [(silent, None)])
    assert check.standing is Standing.BAD
    assert "metrics.acc" in check.remedy
