"""Numbers in files of any kind that a program leaves are read, or refused in a line."""

import contextlib
import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniscale.run.reading.event_files import read_events
from miniscale.run.reading.files import number_in_files
from miniscale.setting.read_metrics import ReadingError, value_at
from miniscale.setting.records import encode_record
from miniscale.setting.trial import MetricSource


def in_file(folder: Path, name: str, content: str, **more: Any) -> float:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    reading = encode_record(MetricSource(**{"file": name, **more}))
    return number_in_files(str(folder), reading, events=read_events)


def test_a_key_leads_through_lists_and_names_with_dots() -> None:
    data = {"runs": [{"loss": 1}, {"loss": 2}], "a.b": 3, "m": [[4, 5]], "x": {"a.b": 6}}
    keys = ("runs[0].loss", "runs[-1].loss", "runs.-1.loss", "a.b", "m[0][1]", "x.a.b")
    assert [value_at(data, key, name="f") for key in keys] == [1, 2, 2, 3, 5, 6]
    assert value_at([1, 2], "[-1]", name="f") == 2
    for key in ("runs[2].loss", "runs[a]", "runs.loss", "a", "m[0][1].c", "runs[-99999999999]"):
        with pytest.raises(ReadingError, match="no key"):
            value_at(data, key, name="f")


def test_json_lines_give_their_last_row_that_has_the_key(tmp_path: Path) -> None:
    rows = '{"val": {"loss": 3}}\n{"val": {"loss": 1}}\n{"val": {"loss": 2}}\n{"lr": 0}\n'
    more: dict[str, Any] = {"key": "val.loss"}
    assert in_file(tmp_path, "m.jsonl", rows, **more) == 2
    assert in_file(tmp_path, "m.json", rows, **more) == 2
    assert in_file(tmp_path, "logs/m.jsonl", rows, take="min", **more) == 1
    assert in_file(tmp_path, "m.jsonl", rows, take="mean(2)", **more) == 1.5
    assert in_file(tmp_path, "m.jsonl", rows, final='"lr"', **more) == 2
    assert math.isnan(in_file(tmp_path, "m.jsonl", rows + '{"val.loss": NaN}', **more))
    for end, said in [('{"val.loss": nu', "is cut"), ('{"val.loss": null}', "None"),
                      ('{"val.loss": "x"}', "needs a number")]:  # fmt: skip
        with pytest.raises(ReadingError, match=said):
            in_file(tmp_path, "m.jsonl", rows + end, **more)
    with pytest.raises(ReadingError, match="no final value"):
        in_file(tmp_path, "m.jsonl", rows, final="done", **more)


def test_a_list_in_json_is_a_series(tmp_path: Path) -> None:
    history = json.dumps({"history": {"val": [3, 1, 2]}})
    assert in_file(tmp_path, "h.json", history, key="history.val") == 2
    assert in_file(tmp_path, "h.json", history, key="history.val", take="min") == 1
    with pytest.raises(ReadingError, match="needs a number"):
        in_file(tmp_path, "h.json", '{"v": ["a"]}', key="v")


def test_a_table_gives_a_column(tmp_path: Path) -> None:
    table = "\ufeffstep, val_loss ,note\n1,3.5,\n2,,skipped\nstep,val_loss,note\n3,2.5,\n4\n"
    assert in_file(tmp_path, "m.csv", table, key="val_loss") == 2.5
    assert in_file(tmp_path, "m.csv", table, key="val_loss", take="max") == 3.5
    assert in_file(tmp_path, "m.csv", "a;b\n1;2\n", key="b") == 2
    assert in_file(tmp_path, "m.tsv", "a\tb\n1\t5,778\n", key="b") == 5778
    assert math.isnan(in_file(tmp_path, "m.csv", "a,b\n1,2\n1,nan\n", key="b"))
    for content, said in [
        ("a,b\n1,2\n", "no column 'c'; it has a, b"),
        ("", "no column"),
        ("c\n", "no row has 'c'"),
        ("c,d\n0;5,1\n", "'0;5' is no number"),
    ]:
        with pytest.raises(ReadingError, match=said):
            in_file(tmp_path, "m.csv", content, key="c")


def test_a_text_file_is_searched_like_an_output(tmp_path: Path) -> None:
    assert in_file(tmp_path, "log/main.log", "val 3\nval 2.5\n", line="val {number}") == 2.5


def test_a_pattern_names_one_file_inside_the_folder(tmp_path: Path) -> None:
    assert in_file(tmp_path, "runs/a/b/m.json", '{"v": 7}', file="runs/**/m.json", key="v") == 7
    with pytest.raises(ReadingError, match="2 files match"):
        in_file(tmp_path, "runs/a/m.json", '{"v": 7}', file="runs/*/m.json", key="v")
    with pytest.raises(ReadingError, match="no file matches; the output folder has"):
        in_file(tmp_path, "x", "", file="*.wandb", key="v")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path / "runs/a")
    reading = encode_record(MetricSource(file="link/m.json", key="v"))
    with pytest.raises(ReadingError, match="leads out of the output folder"):
        number_in_files(str(tmp_path / "out"), reading, events=read_events)
    (tmp_path / "out/m.json").symlink_to(tmp_path / "runs/a/m.json")
    reading = encode_record(MetricSource(file="m.json", key="v"))
    with pytest.raises(ReadingError, match="cannot be read"):
        number_in_files(str(tmp_path / "out"), reading, events=read_events)


def event_file(*values: bytes) -> bytes:
    """Return tensorboard's framing, without checksums, around events of one summary value each."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    records = [b"\x1a\x0dbrain.Event:2", *(field(5, field(1, value)) for value in values)]
    return b"".join(struct.pack("<Q", len(r)) + b"\0" * 4 + r + b"\0" * 4 for r in records)


def simple(tag: str, value: float) -> bytes:
    return bytes([10, len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value)


def test_a_scalar_of_tensorboard_is_read(tmp_path: Path) -> None:
    tensor = b"\x08\x01\x22\x04" + struct.pack("<f", 0.25)
    as_tensor = bytes([10, 4]) + b"loss" + bytes([0x42, len(tensor)]) + tensor
    path = tmp_path / "tb" / "events.out.tfevents.17.host"
    path.parent.mkdir()
    path.write_bytes(event_file(simple("loss", 0.5), simple("acc", 1.0), as_tensor) + b"torn")
    reading = MetricSource(file="tb/*tfevents*", key="loss")
    assert number_in_files(str(tmp_path), encode_record(reading), events=read_events) == 0.25
    with pytest.raises(ReadingError, match="no 'val'; it has loss, acc"):
        read_events([str(path)], "val", "last")
    assert read_events([str(path)], "loss", "max") == 0.5
    path.write_bytes(struct.pack("<Q", 3) + b"\0" * 4 + b"\xff\xff\xff" + b"\0" * 4)
    with pytest.raises(ReadingError, match="cannot be read"):
        read_events([str(path)], "loss", "last")


def test_wandbs_offline_file_is_read(tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    def row(kind: str, **values: str) -> bytes:
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        items = record.history.item if kind == "history" else record.summary.update
        for name, value in values.items():
            items.add(key=name, value_json=value)
        raw = record.SerializeToString()
        return b"\0" * 4 + struct.pack("<HB", len(raw), 1) + raw

    rows = [row("history", val="2.5", note='"x"'), row("history", val="1.5"),
            row("summary", val="1.5", best="0.5", tests='{"passed": 3}')]  # fmt: skip
    path = tmp_path / "wandb" / "offline-run-1" / "run-1.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b":W&B\0\0\0" + b"".join(rows))
    for key, value in [("val", 1.5), ("best", 0.5), ("tests.passed", 3)]:
        reading = encode_record(MetricSource(file="wandb/**/*.wandb", key=key))
        assert number_in_files(str(tmp_path), reading, events=read_events) == value
    assert read_events([str(path)], "val", "max") == 2.5


@given(st.binary(max_size=300), st.sampled_from(["m.json", "m.jsonl", "m.csv", "m.tsv", "m.log"]))
def test_no_file_breaks_the_reading(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(content)
        more = {"line": "a {number}"} if name == "m.log" else {"key": "a[0].b"}
        reading = encode_record(MetricSource(file=name, **more))
        with contextlib.suppress(ReadingError):
            number_in_files(folder, reading, events=read_events)


def test_deep_and_wide_data_is_refused_in_a_line(tmp_path: Path) -> None:
    for content in ('{"v": ' + "[" * 900 + "]" * 900 + "}", '{"v": ' + "[" * 100_000 + "}",
                    '{"v": ' + "9" * 5_000 + "}"):  # fmt: skip
        with pytest.raises(ReadingError) as refused:
            in_file(tmp_path, "m.json", content, key="v")
        assert len(str(refused.value)) < 200
    with pytest.raises(ReadingError, match="is no table"):
        in_file(tmp_path, "m.csv", "v\n" + "9" * 200_000, key="v")


def test_more_event_files_than_a_run_leaves_are_refused(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number:0220}.tfevents") for number in range(9_900)]
    with pytest.raises(ReadingError, match="9900 files match, at most 64"):
        read_events(paths, "loss", "last")
    with pytest.raises(ReadingError, match="cannot be read"):
        read_events(paths[:64], "l" * 200_000, "last")
